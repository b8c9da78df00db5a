package commgrpc

import (
	"testing"
	"unsafe"
)

// A message to many touches one cache line of a stream's transport.
func TestTransportLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes are those of 64 bits")
	}
	const line = 64
	var x transport
	if end := unsafe.Offsetof(x.plain) + unsafe.Sizeof(x.plain); end > line {
		t.Errorf("what it touches ends at byte %d", end)
	}
	if n := unsafe.Sizeof(x); n <= 288 || n > 320 {
		t.Errorf("a transport has %d bytes: of the sizes nearby, only what takes 320 begins with a cache line", n)
	}
}
