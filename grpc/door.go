package commgrpc

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/anasamu/comm"
)

// door is the listener of the native server: it yields the connections that were claimed for it.
type door struct {
	host  comm.Host
	max   int64
	open  atomic.Int64
	ready chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newDoor(maxOpen int, h comm.Host) *door {
	return &door{host: h, max: int64(maxOpen), ready: make(chan net.Conn), done: make(chan struct{})}
}

// put hands a connection to the native server, and reports false where that has no place or is at its end.
func (d *door) put(c net.Conn, state *tls.ConnectionState) bool {
	if d.open.Add(1) > d.max {
		d.open.Add(-1)
		return false
	}
	nc := &nativeConn{Conn: c, tls: state, door: d}
	select {
	case <-d.done:
	case d.ready <- nc:
		return true
	}
	d.open.Add(-1)
	return false
}

// Accept yields what put was given.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and put.
func (d *door) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}

// Addr is where grpc-go keeps its connections; they have addresses of their own.
func (d *door) Addr() net.Addr { return &net.TCPAddr{} }

// nativeConn is a claimed connection.
type nativeConn struct {
	net.Conn
	tls  *tls.ConnectionState // nil in cleartext
	door *door
	once sync.Once
}

// Close also gives the place back.
func (c *nativeConn) Close() error {
	c.once.Do(func() { c.door.open.Add(-1) })
	return c.Conn.Close()
}
