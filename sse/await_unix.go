//go:build unix && !comm_portable

package sse

import (
	"errors"
	"net"
	"syscall"

	"github.com/anasamu/comm/internal/rawconn"
)

// awaitClose returns when the connection has ended, nil for an orderly end. On a socket it parks the
// goroutine until there is something to read without giving a buffer to the wait; the callback makes one
// system call and no more, because closing or locking inside it could deadlock.
func awaitClose(conn net.Conn, allowed int) error {
	raw := rawconn.Under(conn)
	if raw == nil {
		return awaitRead(conn, allowed)
	}
	var w socketWait
	try := w.try
	for {
		if err := raw.Read(try); err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if w.err != nil {
			return w.err
		}
		if w.n == 0 {
			return nil
		}
		if allowed -= w.n; allowed < 0 {
			return errStray
		}
	}
}

// socketWait is the result of one system call.
type socketWait struct {
	n   int
	err error
	buf [64]byte
}

func (w *socketWait) try(fd uintptr) (done bool) {
	n, err := syscall.Read(int(fd), w.buf[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), w.buf[:])
	}
	if err == syscall.EAGAIN {
		return false
	}
	w.n, w.err = max(n, 0), err
	return true
}
