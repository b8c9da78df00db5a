package comm

import (
	"testing"
	"unsafe"
)

// A connection of more than 704 bytes takes 896, and one message to many has a second cache line of each to fetch.
// The collector has a header of one word before what is this large.
func TestConnLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are those of 64 bits")
	}
	var c Conn
	const header, line = 8, 64
	if n := header + unsafe.Sizeof(c); n > 704 {
		t.Errorf("a connection has %d bytes", n)
	}
	first := header + unsafe.Offsetof(c.stats) + unsafe.Offsetof(c.stats.messagesOut)
	last := header + unsafe.Offsetof(c.out) + unsafe.Offsetof(c.out.forgets)
	if first/line != last/line {
		t.Errorf("what a message to many touches begins at byte %d and ends at %d", first, last)
	}
}
