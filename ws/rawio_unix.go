//go:build unix && !comm_portable

package ws

import (
	"crypto/tls"
	"net"
	"syscall"

	"github.com/anasamu/comm/internal/park"
)

// parkable says that connections on sockets are parked where that is available.
const parkable = true

// maxWrite is what every system takes in one call.
const maxWrite = 1 << 30

func errnoOf(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO // package syscall returns nothing else
}

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
	sys := socketOf(c)
	if sys == nil {
		return nil
	}
	return &rawIO{sys: sys}
}

func init() {
	rawReads.New = func() any {
		r := new(rawRead)
		r.fn = r.attempt
		return r
	}
	rawWrites.New = func() any {
		w := new(rawWrite)
		w.fn = w.attempt
		return w
	}
}

// socketOf returns c's socket, nil if c is none.
func socketOf(c any) syscall.RawConn {
	var sys syscall.RawConn
	var err error
	switch c := c.(type) { // not any syscall.Conn: a wrapper may have promoted the method
	case *net.TCPConn:
		sys, err = c.SyscallConn()
	case *net.UnixConn:
		sys, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return sys
}

// socketUnderTLS returns the socket that c's TLS is spoken on, nil if there is none.
func socketUnderTLS(c any) park.Control {
	if b, ok := c.(bare); ok {
		inner, ok := b.BareConn()
		if !ok {
			return nil
		}
		c = inner
	}
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	if sys := socketOf(t.NetConn()); sys != nil {
		return sys
	}
	return nil
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

// attempt writes what goes without waiting, so it is always done.
func (w *rawWrite) attempt(fd uintptr) bool {
	for len(w.src) > 0 {
		n, err := syscall.Write(int(fd), w.src[:min(len(w.src), maxWrite)])
		switch err {
		case nil:
			w.src = w.src[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = errnoOf(err)
			return true
		}
	}
	return true
}
