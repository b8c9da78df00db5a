//go:build unix && !comm_portable

package ws

import (
	"net"
	"os"
	"syscall"
)

// maxWrite is what every system takes in one call.
const maxWrite = 1 << 30

// newRawIO returns the direct path to c's socket, nil if there is none.
func newRawIO(c any) *rawIO {
	if b, ok := c.(bare); ok {
		inner, ok := b.BareConn()
		if !ok {
			return nil
		}
		c = inner
	}
	var sys syscall.RawConn
	var err error
	switch c := c.(type) { // not any syscall.Conn: a wrapper may have promoted the method
	case *net.TCPConn:
		sys, err = c.SyscallConn()
	case *net.UnixConn:
		sys, err = c.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	r := &rawIO{sys: sys}
	r.readFn, r.writeFn = r.readOnce, r.writeOnce
	return r
}

// readOnce is one attempt to read; false waits until the socket is readable.
func (r *rawIO) readOnce(fd uintptr) bool {
	dst := r.in.dst
	var buf *buffer
	have := 0
	if dst == nil {
		buf = getBuffer(r.in.size)
		dst = buf.b[:cap(buf.b)]
		have = copy(dst, r.in.stash)
	}
	n, err := retry(syscall.Read, int(fd), dst[have:])
	if err == nil && n > 0 && buf != nil {
		buf.b = dst[:have+n]
		r.in.buf = buf
		buf = nil
	}
	putBuffer(buf)
	if err == syscall.EAGAIN {
		return false
	}
	r.in.n, r.in.err = max(n, 0), sysError("read", err)
	return true
}

// writeOnce writes what goes without waiting, so it is always done.
func (r *rawIO) writeOnce(fd uintptr) bool {
	for r.out.n < len(r.out.src) {
		n, err := retry(syscall.Write, int(fd), r.out.src[r.out.n:min(len(r.out.src), r.out.n+maxWrite)])
		if err == syscall.EAGAIN {
			return true
		}
		if err != nil {
			r.out.err = sysError("write", err)
			return true
		}
		r.out.n += n
	}
	return true
}

func retry(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func sysError(call string, err error) error {
	if err == nil {
		return nil
	}
	return os.NewSyscallError(call, err)
}
