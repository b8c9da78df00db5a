//go:build unix && !comm_portable

package ws

import (
	"net"
	"os"
	"syscall"
)

// maxWrite is what every system takes in one call.
const maxWrite = 1 << 30

// bare is implemented by a wrapper that lets reads and writes go directly to
// the connection beneath it when ok is true. Deadlines and Close still go
// through the wrapper.
type bare interface {
	BareConn() (c net.Conn, ok bool)
}

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
	if r.in.dst == nil {
		return r.readPooled(int(fd))
	}
	var err error
	if r.in.n, err = syscall.Read(int(fd), r.in.dst); err != nil {
		return r.readFailed(err)
	}
	return true
}

func (r *rawIO) readPooled(fd int) bool {
	buf := getBuffer(r.in.size)
	n, err := syscall.Read(fd, buf.b[:cap(buf.b)])
	if err != nil || n == 0 {
		putBuffer(buf)
		return err == nil || r.readFailed(err)
	}
	buf.b = buf.b[:n]
	r.in.buf, r.in.n = buf, n
	return true
}

// readFailed reports whether err is for the caller. An interrupted call is
// only waited on again if the socket has nothing, and it may have something.
func (r *rawIO) readFailed(err error) bool {
	r.in.n = 0
	if err == syscall.EAGAIN && !r.in.once {
		return false
	}
	if err != syscall.EINTR && err != syscall.EAGAIN {
		r.in.err = os.NewSyscallError("read", err)
		return true
	}
	r.in.err = errAgain
	return true
}

// writeOnce writes what goes without waiting, so it is always done.
func (r *rawIO) writeOnce(fd uintptr) bool {
	for r.out.n < len(r.out.src) {
		end := min(len(r.out.src), r.out.n+maxWrite)
		n, err := syscall.Write(int(fd), r.out.src[r.out.n:end])
		switch err {
		case nil:
			r.out.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			r.out.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}
