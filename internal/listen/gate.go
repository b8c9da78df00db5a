package listen

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

// gate bounds the connections between accept and their handler.
type gate struct {
	limit, perAddr int

	mu      sync.Mutex // guards the fields below and the tickets' state
	waiting list.List  // of *ticket, oldest first
	pinned  int
	byAddr  map[netip.Prefix]int
	shut    bool
}

// ticket is one connection's place in the gate.
type ticket struct {
	conn    net.Conn
	prefix  netip.Prefix
	limited bool          // prefix counts
	elem    *list.Element // nil when pinned, cut or left
	pinned  bool
	cause   error // why it was cut
}

func newGate(limit, perAddr int) *gate {
	return &gate{limit: limit, perAddr: perAddr, byAddr: make(map[netip.Prefix]int)}
}

// enter admits c or says why not. When the gate is full its oldest connection is cut: under
// a flood of silent peers an honest one needs a place only for a round trip or two, while
// refusing newcomers would let the silent ones keep everybody out until they time out.
func (g *gate) enter(c net.Conn) (*ticket, error) {
	prefix, limited := AddrPrefix(c.RemoteAddr())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, ErrClosed
	}
	if limited && g.byAddr[prefix] >= g.perAddr {
		return nil, ErrCrowdedAddr
	}
	if g.waiting.Len() >= g.limit {
		g.cut(g.waiting.Front().Value.(*ticket), ErrCrowded)
	}
	t := &ticket{conn: c, prefix: prefix, limited: limited}
	t.elem = g.waiting.PushBack(t)
	if limited {
		g.byAddr[prefix]++
	}
	return t, nil
}

// pin keeps a connection from being cut: somebody may already use it.
func (g *gate) pin(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.elem == nil {
		return
	}
	g.waiting.Remove(t.elem)
	t.elem, t.pinned = nil, true
	g.pinned++
}

// leave gives the place up and returns why the connection was cut, if it was. A second
// leave changes nothing.
func (g *gate) leave(t *ticket) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(t)
	return t.cause
}

// close cuts everybody and lets nobody in any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for e := g.waiting.Front(); e != nil; e = g.waiting.Front() {
		g.cut(e.Value.(*ticket), ErrClosed)
	}
}

func (g *gate) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.Len() + g.pinned
}

// cut and remove are called with mu held.
func (g *gate) cut(t *ticket, cause error) {
	t.cause = cause
	t.conn.Close()
	g.remove(t)
}

func (g *gate) remove(t *ticket) {
	switch {
	case t.elem != nil:
		g.waiting.Remove(t.elem)
		t.elem = nil
	case t.pinned:
		t.pinned = false
		g.pinned--
	default:
		return
	}
	if !t.limited {
		return
	}
	if g.byAddr[t.prefix]--; g.byAddr[t.prefix] == 0 {
		delete(g.byAddr, t.prefix)
	}
}

// AddrPrefix returns what counts as one client for limits per address: an IPv4 address, or
// the /64 of an IPv6 address, which is what a subscriber gets (RFC 6177). It reports false
// for addresses that are not IP.
func AddrPrefix(a net.Addr) (netip.Prefix, bool) {
	var ip netip.Addr
	switch a := a.(type) {
	case nil:
		return netip.Prefix{}, false
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	default:
		ap, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return netip.Prefix{}, false
		}
		ip = ap.Addr()
	}
	if ip = ip.Unmap().WithZone(""); !ip.IsValid() {
		return netip.Prefix{}, false
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}
