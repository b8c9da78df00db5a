//go:build !386 && !comm_portable

package ws_test

import (
	"bytes"
	"net"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/wsframe"
)

// segments returns how many segments with data a socket has received: on loopback, about one for
// each write of the other end (struct tcp_info, tcpi_data_segs_in).
func segments(t *testing.T, c net.Conn) int {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info [160]byte
	size := uint32(len(info))
	err = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 || size < 156 {
			t.Skipf("no TCP_INFO here: %v, %d bytes", errno, size)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return int(*(*uint32)(unsafe.Pointer(&info[152])))
}

// A read of one buffer is answered by one write: small buffers make many.
func testReadBuffer(t *testing.T) {
	count := func(members string) int {
		p := dialRawProvider(t, configured(t, members))
		p.untilText(t, "welcome")
		before := segments(t, p.nc)
		var pings []byte
		for range 60 {
			pings = append(pings, p.wire(ping(strings.Repeat("x", 100)))...)
		}
		p.write(pings)
		for range 60 {
			p.untilControl()
		}
		return segments(t, p.nc) - before
	}
	compare(t, func() (small, large int) { return count(`"read_buffer_size":512`), count(`"read_buffer_size":"32KiB"`) })
}

// Messages that wait together leave in writes of at most the buffer's size.
func testWriteBuffer(t *testing.T) {
	count := func(members string) int {
		m := configured(t, members)
		for i := range 60 {
			msg, _ := comm.NewMessage("tick", strings.Repeat("x", 200))
			if _, err := m.Send(t.Context(), comm.ToGroup("g"), msg); err != nil {
				t.Fatal(i, err)
			}
		}
		p := dialRawProvider(t, m)
		p.untilText(t, "welcome")
		before := segments(t, p.nc)
		join := `{"op":"join","group":"g","position":"group:g@0:0"}`
		p.send(text(join))
		p.untilText(t, `"offset":60`)
		return segments(t, p.nc) - before
	}
	compare(t, func() (small, large int) {
		return count(`"write_buffer_size":512`), count(`"write_buffer_size":"64KiB"`)
	})
}

// compare wants many more writes with a small buffer. The kernel may join writes that follow each
// other closely, so it looks a few times; without the effect no look would find it.
func compare(t *testing.T, count func() (small, large int)) {
	t.Helper()
	var small, large int
	for range 10 {
		if small, large = count(); small >= 6 && small >= 3*large {
			return
		}
	}
	t.Fatalf("%d writes with a small buffer, %d with a large one", small, large)
}

// untilText reads until a data frame contains s.
func (p *peer) untilText(t *testing.T, s string) {
	t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			t.Fatalf("the connection ended before %q: %v", s, err)
		}
		if f.op < wsframe.Close && bytes.Contains(f.p, []byte(s)) {
			return
		}
	}
}
