// Package memnet is a network inside one process: listeners, stream connections and
// packets with addresses, deadlines and bounded buffers, and no sockets.
//
// It behaves like a loopback interface where that matters to protocols: a dial to an
// address nobody listens on is refused, writers block when the peer does not read,
// half-close works, and packets are dropped when the receiver is too slow. All of its
// waits are durably blocking, so it runs under testing/synctest.
package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
)

const (
	// firstPort is where port numbers for ":0" and for dialling ends start (RFC 6335, section 6).
	firstPort = 49152
	lastPort  = 65535
)

// Addr is the address of an end: "host:port", or a bare name given to Listen.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address as it can be dialled.
func (a Addr) String() string { return string(a) }

// Network is one in-memory network. The zero value is ready to use, and all methods
// are safe for concurrent use. Two Networks do not see each other.
type Network struct {
	mu       sync.Mutex // guards the fields below
	streams  map[Addr]*Listener
	packets  map[Addr]*PacketConn
	nextPort int
	clients  int
}

// Listen opens addr for stream connections. A host that means this machine (none,
// "0.0.0.0", "::", "localhost") is 127.0.0.1; other loopback addresses are their own, and
// lead there where nobody listens on them; port 0 picks a free port; an address without a
// port is taken as a name. An address in use is EADDRINUSE.
func (n *Network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.place(addr, func(a Addr) bool { return n.streams[a] != nil })
	if err != nil {
		return nil, opError("listen", nil, Addr(addr), err)
	}
	l := newListener(n, a)
	if n.streams == nil {
		n.streams = make(map[Addr]*Listener)
	}
	n.streams[a] = l
	return l, nil
}

// ListenPacket opens addr for packets, by the same rules as Listen. Packet and stream
// addresses do not collide.
func (n *Network) ListenPacket(addr string) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.place(addr, func(a Addr) bool { return n.packets[a] != nil })
	if err != nil {
		return nil, opError("listen", nil, Addr(addr), err)
	}
	c := newPacketConn(n, a)
	if n.packets == nil {
		n.packets = make(map[Addr]*PacketConn)
	}
	n.packets[a] = c
	return c, nil
}

// DialContext connects to a listener. It has the shape of net.Dialer's method so that it
// fits http.Transport and the like; network is ignored. With nobody listening the error
// is ECONNREFUSED; with a full backlog DialContext waits for room or for ctx.
//
// A value given by WithValue and an address given by WithLocalAddr reach the accepted side.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", nil, Addr(addr), err)
	}
	l, local := n.lookup(addr, localAddr(ctx))
	if l == nil {
		return nil, opError("dial", nil, Addr(addr), errRefused)
	}
	client, server := newPair(local, l.addr, ctx.Value(valueKey{}))
	if err := l.enqueue(ctx, server); err != nil {
		client.Close()
		server.Close()
		return nil, opError("dial", local, l.addr, err)
	}
	return client, nil
}

// lookup finds the listener for a dialled address and settles the dialling end's own address.
func (n *Network) lookup(addr string, local Addr) (*Listener, Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := find(n.streams, addr)
	if l == nil {
		// http://gateway/ is dialled as gateway:80; a listener may be called just "gateway".
		if host, _, err := net.SplitHostPort(addr); err == nil {
			l = n.streams[Addr(host)]
		}
	}
	if l != nil && local == "" {
		local = join("127.0.0.1", firstPort+n.clients%(lastPort-firstPort+1))
		n.clients++
	}
	return l, local
}

// place chooses the address to listen on; n.mu is held.
func (n *Network) place(addr string, taken func(Addr) bool) (Addr, error) {
	a := canonical(addr)
	host, port, err := net.SplitHostPort(string(a))
	if err == nil && port == "0" {
		return n.freePort(host, taken)
	}
	if a == "" {
		return "", &net.AddrError{Err: "missing address", Addr: addr}
	}
	if taken(a) {
		return "", errInUse
	}
	return a, nil
}

func (n *Network) freePort(host string, taken func(Addr) bool) (Addr, error) {
	for range lastPort - firstPort + 1 {
		a := join(host, firstPort+n.nextPort%(lastPort-firstPort+1))
		n.nextPort++
		if !taken(a) {
			return a, nil
		}
	}
	return "", errNotAvailable
}

func (n *Network) forgetListener(a Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.streams, a)
}

func (n *Network) forgetPacketConn(a Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.packets, a)
}

func (n *Network) packetConn(addr string) *PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return find(n.packets, addr)
}

// find looks an address up. What listens on every address answers on all of loopback.
func find[T any](m map[Addr]*T, addr string) *T {
	a := canonical(addr)
	if v := m[a]; v != nil {
		return v
	}
	host, port, err := net.SplitHostPort(string(a))
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsLoopback() {
		return m[Addr(net.JoinHostPort("127.0.0.1", port))]
	}
	return nil
}

// canonical gives all spellings of "this machine" one form.
func canonical(addr string) Addr {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Addr(addr)
	}
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return Addr(net.JoinHostPort(host, port))
}

func join(host string, port int) Addr { return Addr(net.JoinHostPort(host, strconv.Itoa(port))) }

type (
	valueKey struct{}
	localKey struct{}
)

// WithValue returns a context whose dials carry v to the accepted connection, where
// (*Conn).Value returns it. Both ends are in this process, so what it says can be trusted.
func WithValue(ctx context.Context, v any) context.Context {
	return context.WithValue(ctx, valueKey{}, v)
}

// WithLocalAddr returns a context whose dials come from addr instead of a fresh port of
// 127.0.0.1. Addresses given this way need not be unique.
func WithLocalAddr(ctx context.Context, addr string) context.Context {
	return context.WithValue(ctx, localKey{}, Addr(addr))
}

func localAddr(ctx context.Context) Addr {
	a, _ := ctx.Value(localKey{}).(Addr)
	return a
}

// opError dresses err as package net does, so that callers' errors.Is, Timeout and logs work.
func opError(op string, source, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "mem", Source: source, Addr: addr, Err: err}
}
