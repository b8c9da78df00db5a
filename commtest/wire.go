package commtest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/anasamu/comm"
)

// wire is the network of one carrier: after so many bytes in either direction, all of it is dead.
type wire struct {
	c     *modelClient
	to    Endpoint
	reset bool // the cut is a reset, where the network has them

	mu    sync.Mutex // guards the fields below
	left  int
	dead  bool
	conns []io.Closer
}

var errCut = errors.New("commtest: the wire is cut")

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	dead := w.dead
	w.mu.Unlock()
	if dead {
		return nil, errCut
	}
	conn, err := w.to.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if err := w.adopt(conn, 0); err != nil {
		return nil, err
	}
	return &wiredConn{conn, w}, nil
}

// adopt makes conn a part of the wire, which carries so many bytes more for it, or closes it where the wire is cut.
func (w *wire) adopt(conn io.Closer, more int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		conn.Close()
		return errCut
	}
	w.left += more
	w.conns = append(w.conns, conn)
	return nil
}

// take asks for up to n bytes more. cut tells that those are the last.
func (w *wire) take(n int) (allowed int, cut bool) {
	w.c.w.mu.Lock()
	over := w.c.w.done
	w.c.w.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return 0, true
	}
	if over || n < w.left {
		w.left -= n
		return n, false
	}
	return w.left, true
}

// cutNow kills the wire, once.
func (w *wire) cutNow() {
	if w.hang() {
		w.c.w.cut(w.c)
	}
}

// hang ends the wire without counting it as a cut.
func (w *wire) hang() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return false
	}
	w.dead = true
	for _, conn := range w.conns {
		if tcp, ok := conn.(*net.TCPConn); ok && w.reset {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
	return true
}

// wiredConn is one connection of a wire.
type wiredConn struct {
	net.Conn
	w *wire
}

// Write passes on what the wire still carries.
func (c *wiredConn) Write(p []byte) (int, error) {
	n, cut := c.w.take(len(p))
	if !cut {
		return c.Conn.Write(p)
	}
	if n > 0 {
		n, _ = c.Conn.Write(p[:n])
	}
	c.w.cutNow()
	return n, errCut
}

// Read hands over what the wire still carries.
func (c *wiredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	n, cut := c.w.take(n)
	if cut {
		c.w.cutNow()
		return n, errCut
	}
	return n, err
}

// wiredCarrier ends its wire with itself.
type wiredCarrier struct {
	comm.Carrier
	w *wire
}

// Close hangs up.
func (c *wiredCarrier) Close(ctx context.Context) error {
	err := c.Carrier.Close(ctx)
	c.w.hang()
	return err
}
