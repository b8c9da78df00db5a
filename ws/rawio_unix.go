//go:build unix && !comm_portable

package ws

import (
	"syscall"

	"github.com/anasamu/comm/internal/rawconn"
)

// parkable says that connections on sockets are parked where that is available.
const parkable = true

func errnoOf(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO // package syscall returns nothing else
}

// newRawIO returns the direct path to c's socket, nil if there is none.
func newRawIO(c any) *rawIO {
	if sys := rawconn.Under(c); sys != nil {
		return &rawIO{sys: sys}
	}
	return nil
}

func init() {
	rawReads.New = func() any {
		r := new(rawRead)
		r.fn = r.attempt
		return r
	}
}

// attempt is one call of read; false waits until the socket is readable.
func (r *rawRead) attempt(fd uintptr) bool {
	if r.dst == nil {
		return r.readPooled(int(fd))
	}
	n, err := syscall.Read(int(fd), r.dst)
	if err != nil {
		return r.readFailed(err)
	}
	r.dst = r.dst[:n]
	return true
}

func (r *rawRead) readPooled(fd int) bool {
	buf := getBuffer(int(r.size))
	n, err := syscall.Read(fd, buf.b[:cap(buf.b)])
	if err != nil || n == 0 {
		putBuffer(buf)
		return err == nil || r.readFailed(err)
	}
	buf.b = buf.b[:n]
	r.buf = buf
	return true
}

// readFailed reports whether err is for the caller. An interrupted call is
// only waited on again if the socket has nothing, and it may have something.
func (r *rawRead) readFailed(err error) bool {
	if err == syscall.EAGAIN && !r.once {
		return false
	}
	r.err = syscall.EAGAIN
	if err != syscall.EINTR && err != syscall.EAGAIN {
		r.err = errnoOf(err)
	}
	return true
}
