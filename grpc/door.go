package commgrpc

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
)

// door is the listener of the native server: it yields the connections that were claimed for it.
type door struct {
	host    comm.Host
	max     int
	perAddr int
	ready   chan net.Conn
	done    chan struct{}
	once    sync.Once

	open   atomic.Int64
	byAddr *limit.Counter[netip.Prefix]
}

func newDoor(c *Config, h comm.Host) *door {
	return &door{
		host: h, max: c.MaxConnections, perAddr: c.MaxConnectionsPerAddr, ready: make(chan net.Conn), done: make(chan struct{}),
		byAddr: limit.NewCounter[netip.Prefix](),
	}
}

// entry is what became of a connection at the door.
type entry uint8

const (
	entered entry = iota
	full          // there are as many as are allowed
	shut          // the server is at its end
)

// put hands a connection to the native server. One that has not entered is still the caller's.
func (d *door) put(c net.Conn, state *tls.ConnectionState) entry {
	key := limit.NetAddrKey(c.RemoteAddr())
	if key.IsValid() && !d.byAddr.Acquire(key, d.perAddr) {
		return full
	}
	if d.open.Add(1) > int64(d.max) {
		d.leave(key)
		return full
	}
	select {
	case <-d.done:
	case d.ready <- &nativeConn{Conn: c, tls: state, door: d, key: key}:
		return entered
	}
	d.leave(key)
	return shut
}

// leave gives a place back.
func (d *door) leave(key netip.Prefix) {
	d.open.Add(-1)
	if key.IsValid() {
		d.byAddr.Release(key)
	}
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

// nativeConn is a claimed connection. It counts its bytes, and its place.
type nativeConn struct {
	net.Conn
	tls  *tls.ConnectionState // nil in cleartext
	door *door
	key  netip.Prefix
	once sync.Once
}

func (c *nativeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.door.host.Traffic(nil, n, 0)
	return n, err
}

func (c *nativeConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.door.host.Traffic(nil, 0, n)
	return n, err
}

// Close also gives the place back.
func (c *nativeConn) Close() error {
	c.once.Do(func() { c.door.leave(c.key) })
	return c.Conn.Close()
}
