package memnet

import (
	"errors"
	"io"
	"net"
	"time"
)

// Conn is one end of an in-memory stream connection. It is a net.Conn with TCP's manners
// and half-close. All methods are safe for concurrent use.
type Conn struct {
	local, remote Addr
	in, out       *half
	value         any
}

// newPair makes the two ends of a connection; the server's end carries value.
func newPair(client, server Addr, value any) (*Conn, *Conn) {
	up, down := newHalf(), newHalf()
	return &Conn{local: client, remote: server, in: down, out: up},
		&Conn{local: server, remote: client, in: up, out: down, value: value}
}

// Pipe returns the two ends of a connection that no listener is part of.
func Pipe() (*Conn, *Conn) { return newPair("pipe:1", "pipe:2", nil) }

// Value returns what the dialling side gave to WithValue, or nil. On a dialled end it is nil.
func (c *Conn) Value() any { return c.value }

// Read reads what has arrived, waiting for at least one byte. It returns io.EOF when the
// peer has closed or half-closed and everything has been read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.dress("read", err)
}

// Write writes all of p, waiting while the buffer towards the peer is full. After the peer
// has closed, it fails with EPIPE.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.dress("write", err)
}

// CloseWrite ends the outgoing half: the peer reads io.EOF after what was written.
// Reading goes on.
func (c *Conn) CloseWrite() error {
	return c.dress("close", c.out.closeWrite())
}

// Close ends both halves. The peer can still read what was written. A second Close is net.ErrClosed.
func (c *Conn) Close() error {
	c.in.closeRead()
	if c.out.closeBoth() {
		return nil
	}
	return c.dress("close", net.ErrClosed)
}

// LocalAddr returns this end's Addr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's Addr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; see net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds current and later Reads; the zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.dress("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline bounds current and later Writes; the zero time removes the bound.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.dress("set", c.out.setWriteDeadline(t))
}

func (c *Conn) dress(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, c.local, c.remote, err)
}
