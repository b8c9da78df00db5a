package commhttp

import (
	"crypto/tls"
	"net"
	"sync"
)

// endWith returns conn with end called once when it is closed. The usual connections
// are embedded by their own type, so that SyscallConn, ReadFrom, ConnectionState and
// vectored writes stay reachable.
func endWith(conn net.Conn, end func()) net.Conn {
	once := sync.OnceFunc(end)
	switch c := conn.(type) {
	case *net.TCPConn:
		return &endingTCP{c, once}
	case *net.UnixConn:
		return &endingUnix{c, once}
	case *tls.Conn:
		return &endingTLS{c, once}
	}
	return &endingConn{conn, once}
}

type (
	endingTCP struct {
		*net.TCPConn
		end func()
	}
	endingUnix struct {
		*net.UnixConn
		end func()
	}
	endingTLS struct {
		*tls.Conn
		end func()
	}
	endingConn struct {
		net.Conn
		end func()
	}
)

func (c *endingTCP) Close() error  { defer c.end(); return c.TCPConn.Close() }
func (c *endingUnix) Close() error { defer c.end(); return c.UnixConn.Close() }
func (c *endingTLS) Close() error  { defer c.end(); return c.Conn.Close() }
func (c *endingConn) Close() error { defer c.end(); return c.Conn.Close() }

// BareConn lets bytes go directly to the connection beneath (internal/rawconn).
func (c *endingTCP) BareConn() (net.Conn, bool) { return c.TCPConn, true }

// BareConn lets bytes go directly to the connection beneath (internal/rawconn).
func (c *endingUnix) BareConn() (net.Conn, bool) { return c.UnixConn, true }

// BareConn lets bytes go directly to the connection beneath (internal/rawconn).
func (c *endingTLS) BareConn() (net.Conn, bool) { return c.Conn, true }

// BareConn lets bytes go directly to the connection beneath (internal/rawconn).
func (c *endingConn) BareConn() (net.Conn, bool) { return c.Conn, true }

// NetConn returns the connection beneath, as tls.Conn's does.
func (c *endingTCP) NetConn() net.Conn { return c.TCPConn }

// NetConn returns the connection beneath, as tls.Conn's does.
func (c *endingUnix) NetConn() net.Conn { return c.UnixConn }

// NetConn returns the connection beneath, as tls.Conn's does.
func (c *endingConn) NetConn() net.Conn { return c.Conn }
