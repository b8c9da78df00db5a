// Package lossy is a bad network for tests: a proxy for packets that loses, doubles, delays and reorders them, and
// can give clients another port, as a NAT does. What happens to the n-th packet of a direction follows from a seed,
// so that a run can be repeated as far as its peers send the same.
package lossy

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Config says how bad the network is. The zero value passes everything on at once.
type Config struct {
	Seed uint64
	// Loss, Duplicate and Reorder are the shares, 0 to 1, of packets that are lost, sent twice, and held back until
	// the next ones have passed.
	Loss, Duplicate, Reorder float64
	// Delay is how long every packet takes, in each direction.
	Delay time.Duration
}

// heldBack is how much longer a packet takes that is reordered.
const heldBack = 5500 * time.Microsecond

// maxClients bounds the sockets to the server.
const maxClients = 64

// Stats are what became of the packets of both directions.
type Stats struct{ Passed, Lost, Doubled, Reordered int }

// Proxy stands between clients and a server. Its methods are safe for concurrent use.
type Proxy struct {
	front  net.PacketConn
	open   func() (net.PacketConn, error)
	server net.Addr
	conf   Config
	work   sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	links   map[string]*link
	up      *rand.Rand
	down    *rand.Rand
	stats   Stats
	cut     bool
	closed  bool
	pending map[*time.Timer]bool
}

// link is one client's way to the server.
type link struct {
	client net.Addr
	back   net.PacketConn
}

// New starts a proxy. Clients reach it at front; open makes the sockets from which the server sees them. It takes
// over front.
func New(front net.PacketConn, open func() (net.PacketConn, error), server net.Addr, c Config) *Proxy {
	p := &Proxy{
		front: front, open: open, server: server, conf: c, links: make(map[string]*link),
		up: rand.New(rand.NewPCG(c.Seed, 1)), down: rand.New(rand.NewPCG(c.Seed, 2)), pending: make(map[*time.Timer]bool),
	}
	p.work.Go(p.clients)
	return p
}

// Addr is where clients reach the proxy.
func (p *Proxy) Addr() net.Addr { return p.front.LocalAddr() }

// Stats tells what became of the packets so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Cut loses every packet until it is called with false.
func (p *Proxy) Cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// Rebind gives every client another port at the server. What the server sends to the old one is lost.
func (p *Proxy) Rebind() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, l := range p.links {
		back, err := p.open()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, l.back.Close())
		l.back = back
		p.work.Go(func() { p.replies(l, back) })
	}
	return errors.Join(errs...)
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return net.ErrClosed
	}
	p.closed = true
	errs := []error{p.front.Close()}
	for _, l := range p.links {
		errs = append(errs, l.back.Close())
	}
	for t := range p.pending {
		t.Stop()
	}
	p.mu.Unlock()
	p.work.Wait()
	return errors.Join(errs...)
}

// clients reads what clients send.
func (p *Proxy) clients() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := p.front.ReadFrom(buf)
		if err != nil {
			return
		}
		if l := p.link(from); l != nil {
			p.pass(true, buf[:n], func(b []byte) { p.toServer(l, b) })
		}
	}
}

// link finds a client's way to the server, or makes it.
func (p *Proxy) link(client net.Addr) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[client.String()]
	if l != nil || p.closed || len(p.links) >= maxClients {
		return l
	}
	back, err := p.open()
	if err != nil {
		return nil
	}
	l = &link{client, back}
	p.links[client.String()] = l
	p.work.Go(func() { p.replies(l, back) })
	return l
}

// replies reads what the server sends to one client.
func (p *Proxy) replies(l *link, back net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := back.ReadFrom(buf)
		if err != nil {
			return
		}
		p.pass(false, buf[:n], func(b []byte) { _, _ = p.front.WriteTo(b, l.client) })
	}
}

func (p *Proxy) toServer(l *link, b []byte) {
	p.mu.Lock()
	back := l.back
	p.mu.Unlock()
	_, _ = back.WriteTo(b, p.server)
}

// pass decides what becomes of a packet, and sends it or has it sent.
func (p *Proxy) pass(up bool, b []byte, send func([]byte)) {
	times, delay := p.fate(up)
	if times == 0 {
		return
	}
	if delay > 0 {
		b = append([]byte(nil), b...)
	}
	for range times {
		p.later(delay, func() { send(b) })
	}
}

// fate takes the same three random numbers for every packet, so that one packet's does not change another's.
func (p *Proxy) fate(up bool) (times int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rng := p.down
	if up {
		rng = p.up
	}
	lost, doubled, reordered := rng.Float64() < p.conf.Loss, rng.Float64() < p.conf.Duplicate, rng.Float64() < p.conf.Reorder
	times, delay = 1, p.conf.Delay
	if lost || p.cut || p.closed {
		p.stats.Lost++
		return 0, 0
	}
	if doubled {
		p.stats.Doubled++
		times = 2
	}
	if reordered {
		p.stats.Reordered++
		delay += heldBack
	}
	p.stats.Passed++
	return times, delay
}

// later calls f after d, unless the proxy is closed before.
func (p *Proxy) later(d time.Duration, f func()) {
	if d == 0 {
		f()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		p.mu.Lock()
		delete(p.pending, t)
		closed := p.closed
		p.mu.Unlock()
		if !closed {
			f()
		}
	})
	p.pending[t] = true
}
