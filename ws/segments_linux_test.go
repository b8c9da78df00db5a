package ws_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/anasamu/comm"
)

func newPeer(t *testing.T, url string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, nc: nc, br: bufio.NewReader(nc), masked: true}
}

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
		ping := append([]byte{0x89, 0x80 | 100, 0, 0, 0, 0}, bytes.Repeat([]byte("x"), 100)...)
		if _, err := p.nc.Write(bytes.Repeat(ping, 60)); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			p.untilControl(t)
		}
		return segments(t, p.nc) - before
	}
	small, large := count(`"read_buffer_size":512`), count(`"read_buffer_size":"32KiB"`)
	if small < 2*large {
		t.Fatalf("%d writes with a small buffer, %d with a large one", small, large)
	}
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
		if _, err := fmt.Fprintf(p.nc, "\x81%c\x00\x00\x00\x00%s", 0x80|len(join), join); err != nil {
			t.Fatal(err)
		}
		p.untilText(t, `"offset":60`)
		return segments(t, p.nc) - before
	}
	small, large := count(`"write_buffer_size":512`), count(`"write_buffer_size":"64KiB"`)
	if small < 2*large {
		t.Fatalf("%d writes with a small buffer, %d with a large one", small, large)
	}
}

// untilText reads until a data frame contains s.
func (p *peer) untilText(t *testing.T, s string) {
	t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		var head [2]byte
		if _, err := fullRead(p, head[:]); err != nil {
			t.Fatal(err)
		}
		n := int(head[1] & 0x7f)
		if n == 126 {
			var ext [2]byte
			if _, err := fullRead(p, ext[:]); err != nil {
				t.Fatal(err)
			}
			n = int(ext[0])<<8 | int(ext[1])
		}
		b := make([]byte, n)
		if _, err := fullRead(p, b); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(s)) {
			return
		}
	}
}
