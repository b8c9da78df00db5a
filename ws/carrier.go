package ws

import (
	"io"
	"net"
	"sync"
	"time"
)

// carrier is what a connection stands on: bytes both ways, and deadlines, for
// the protocol's life depends on them.
type carrier interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// carry returns rwc if it has deadlines, else rwc with deadlines added.
func carry(rwc io.ReadWriteCloser) carrier {
	if c, ok := rwc.(carrier); ok {
		return c
	}
	return newTimed(rwc)
}

// timed gives deadlines to a stream without them. Reading goes through an
// in-memory pipe that one goroutine fills until the stream ends; a write that
// passes its deadline closes the stream, for it cannot be taken back.
type timed struct {
	rwc  io.ReadWriteCloser
	near net.Conn // the end Read reads from

	mu    sync.Mutex
	write time.Time
}

func newTimed(rwc io.ReadWriteCloser) *timed {
	near, far := net.Pipe()
	go func() {
		_, _ = io.CopyBuffer(writerOnly{far}, readerOnly{rwc}, make([]byte, 4<<10)) // either end's failure is the reader's EOF
		_ = far.Close()
	}()
	return &timed{rwc: rwc, near: near}
}

// These hide the other methods, so that io.CopyBuffer uses the buffer.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// LocalAddr and RemoteAddr are the stream's, nil if it has none.
func (t *timed) LocalAddr() net.Addr {
	if a, ok := t.rwc.(interface{ LocalAddr() net.Addr }); ok {
		return a.LocalAddr()
	}
	return nil
}

func (t *timed) RemoteAddr() net.Addr {
	if a, ok := t.rwc.(interface{ RemoteAddr() net.Addr }); ok {
		return a.RemoteAddr()
	}
	return nil
}

func (t *timed) Read(p []byte) (int, error) { return t.near.Read(p) }

func (t *timed) Write(p []byte) (int, error) {
	t.mu.Lock()
	until := t.write
	t.mu.Unlock()
	if !until.IsZero() {
		defer time.AfterFunc(time.Until(until), func() { _ = t.Close() }).Stop()
	}
	return t.rwc.Write(p)
}

func (t *timed) Close() error {
	_ = t.near.Close()
	return t.rwc.Close()
}

func (t *timed) SetReadDeadline(d time.Time) error { return t.near.SetReadDeadline(d) }

func (t *timed) SetWriteDeadline(d time.Time) error {
	t.mu.Lock()
	t.write = d
	t.mu.Unlock()
	return nil
}

// resumable reports whether a write that timed out before its first byte
// leaves c usable. TLS is known not to be, so only known carriers are.
func resumable(c carrier, raw *rawIO) bool {
	if raw != nil {
		return true
	}
	nc, ok := c.(net.Conn)
	return ok && nc.LocalAddr() != nil && nc.LocalAddr().Network() == "pipe"
}
