package comm

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/limit"
	"github.com/anasamu/comm/internal/places"
)

// providerState is one registered provider and where it is in its life.
type providerState struct {
	name    string
	impl    Provider
	manager *Manager
	stats   providerCounters
	callers callers

	life turn // held for the whole of a start or stop, so that they never overlap

	mu       sync.Mutex // guards the fields below
	status   status
	host     *host
	endpoint *endpoint
	requests places.Places // under way
	farewell bool          // stopping, and its clients are being told: those that poll must still be heard
	health   error         // of the last check
	healthAt time.Time
	since    time.Time // when it began to run
	early    error     // a failure while it starts
	failures int       // since it last ran for long enough

	starting, restarting context.CancelFunc // cancel what is under way, or nil
}

type status uint8

const (
	statusStopped status = iota
	statusStarting
	statusRunning
	statusStopping
	statusFailed
)

func newProviderState(m *Manager, p Provider) *providerState {
	return &providerState{name: p.Name(), impl: p, manager: m, life: make(turn, 1)}
}

// turn is a mutex that is held while waiting for time and for others: a channel, so that tests in
// fake time see those who wait for it as waiting.
type turn chan struct{}

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

func (p *providerState) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status == statusRunning
}

// address returns where the provider is to be served, and how.
func (p *providerState) address() (addr string, conf *tls.Config) {
	if addr, conf, ok := p.own(); ok {
		return addr, conf
	}
	return p.manager.address()
}

// own returns the provider's own address, if it has one, with the manager's TLS unless it brings its own.
func (p *providerState) own() (addr string, conf *tls.Config, ok bool) {
	a, ok := p.impl.(Addresser)
	if !ok || a.Address() == "" {
		return "", nil, false
	}
	conf = p.manager.tls
	if t, ok := p.impl.(TLSProvider); ok && t.TLSConfig() != nil {
		conf = t.TLSConfig()
	}
	return a.Address(), conf, true
}

func (p *providerState) addrs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != statusRunning {
		return nil
	}
	var list []string
	if p.endpoint != nil {
		list = append(list, p.endpoint.bound.String())
	}
	if p.host != nil {
		list = append(list, p.host.bound...)
	}
	return list
}

// serving reports whether the provider runs or is about to.
func (p *providerState) serving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status == statusRunning || p.status == statusStarting
}

// enterRequest counts a request under way, unless the provider does not run.
func (p *providerState) enterRequest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := p.status == statusRunning || p.status == statusStarting || p.farewell
	return running && p.requests.Enter(0) == nil
}

// host is the Host of one start.
type host struct {
	p      *providerState
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	bound []string // listeners of the provider's own
}

func newHost(p *providerState) *host {
	ctx, cancel := context.WithCancel(p.manager.ctx)
	return &host{p: p, ctx: ctx, cancel: cancel}
}

func (h *host) Context() context.Context { return h.ctx }

func (h *host) Fail(err error) {
	h.p.mu.Lock()
	current := h.p.host == h
	h.p.mu.Unlock()
	if current {
		h.p.fail(err)
	}
}

func (h *host) Logger() *slog.Logger { return h.p.manager.log.With("provider", h.p.name) }

func (h *host) Manager() *Manager { return h.p.manager }

// endpoint opens the provider's address at its first use.
func (h *host) endpoint() (*endpoint, error) {
	h.p.mu.Lock()
	e := h.p.endpoint
	h.p.mu.Unlock()
	if e != nil {
		return e, nil
	}
	e, err := h.p.manager.book.get(h.ctx, h.p)
	if err != nil {
		return nil, err
	}
	h.p.mu.Lock()
	h.p.endpoint = e
	h.p.mu.Unlock()
	return e, nil
}

func (h *host) Route(pattern string, handler http.Handler) error {
	e, err := h.endpoint()
	if err != nil {
		return err
	}
	return e.handle(h.p, pattern, handler)
}

func (h *host) ClaimRequests(match func(*http.Request) bool, handler http.Handler) error {
	e, err := h.endpoint()
	if err != nil {
		return err
	}
	e.claimRequests(h.p, match, handler)
	return nil
}

func (h *host) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.p.mu.Lock()
		e := h.p.endpoint
		h.p.mu.Unlock()
		if e == nil {
			e = h.p.manager.book.peek(h.p.manager, h.p.manager.addr())
		}
		if e == nil {
			http.NotFound(w, r)
			return
		}
		e.serveHTTP(w, r)
	})
}

func (h *host) ClaimConns(claim ClaimFunc) error {
	e, err := h.endpoint()
	if err != nil {
		return err
	}
	e.claim(h.p, claim)
	return nil
}

func (h *host) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	l, err := h.p.manager.listen(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h.note(l.Addr())
	return l, nil
}

func (h *host) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	open := h.p.manager.listenPacket
	if addr == "" {
		open = h.listenBeside
	}
	c, err := open(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	h.note(c.LocalAddr())
	return c, nil
}

// listenBeside opens a packet socket on the port of the provider's listener.
func (h *host) listenBeside(ctx context.Context, network, _ string) (net.PacketConn, error) {
	e, err := h.endpoint()
	if err != nil {
		return nil, err
	}
	c, err := h.p.manager.listenPacket(ctx, network, e.bound.String())
	if host, port, _ := net.SplitHostPort(e.addr); err != nil && port == "0" {
		return h.p.manager.listenPacket(ctx, network, net.JoinHostPort(host, port))
	}
	return c, err
}

func (h *host) TLS() *tls.Config {
	_, conf := h.p.address()
	return conf
}

func (h *host) note(a net.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bound = append(h.bound, a.String())
}

func (h *host) CheckOrigin(r *http.Request) error { return h.p.manager.CheckOrigin(r) }

func (h *host) Admit(remote net.Addr) (done func(), err error) {
	m := h.p.manager
	if m.refusing.Load() || !h.p.serving() {
		return nil, &LimitError{Limit: "connections while draining", Retry: time.Second}
	}
	if m.conns.count.Load() >= int64(m.cfg.MaxConnections) {
		return nil, &LimitError{Limit: "connections", Max: m.cfg.MaxConnections, Retry: time.Second}
	}
	key := limit.NetAddrKey(remote)
	if !key.IsValid() {
		return func() {}, nil
	}
	if ok, retry := m.limits.handshakes.Allow(key, 1, time.Now()); !ok {
		return nil, &LimitError{Limit: "handshakes per second and address", Max: m.cfg.HandshakeRate, Retry: retry}
	}
	if !m.limits.pending.Acquire(key, m.cfg.MaxHandshakesPerAddr) {
		return nil, &LimitError{Limit: "handshakes at once per address", Max: m.cfg.MaxHandshakesPerAddr, Retry: time.Second}
	}
	return sync.OnceFunc(func() { m.limits.pending.Release(key) }), nil
}

func (h *host) Authenticate(ctx context.Context, hs *Handshake) error {
	err := h.p.manager.authenticate(ctx, h.p, hs)
	if err != nil {
		h.p.manager.refused(h.p, hs, err)
	}
	return err
}

func (h *host) Attach(ctx context.Context, t Transport, hs *Handshake) (*Conn, error) {
	MarkStreaming(ctx)
	return h.p.manager.attach(ctx, h.p, t, hs)
}

func (h *host) Receive(c *Conn, f *Frame) error { return c.receive(f, false) }

func (h *host) ReceiveMore(c *Conn, f *Frame) error { return c.receive(f, true) }

func (h *host) Reject(c *Conn, err error) {
	c.countFailed()
	switch {
	case c.allowed(time.Now()):
		c.control(rejection(err))
	case !c.overrun():
		c.control(rejection(errRate))
	}
}

// rejection is the error frame for bytes that were no frame.
func rejection(err error) *Frame {
	code, text := codeOf(err)
	f := errorFrame("", code, text)
	if fe, ok := errors.AsType[*FrameError](err); ok {
		f.ID = fe.ID
	}
	return f
}

func (h *host) Detach(c *Conn, r CloseReason) { c.kill(r) }

func (h *host) Connection(id, session string) (*Conn, error) {
	c := h.p.manager.conns.find(id)
	if c == nil || c.provider != h.p {
		return nil, fmt.Errorf("%w: connection %q", ErrNotFound, shorten(id))
	}
	if subtle.ConstantTimeCompare([]byte(c.session.secret), []byte(session)) != 1 {
		return nil, fmt.Errorf("%w: wrong session for connection %q", ErrForbidden, shorten(id))
	}
	return c, nil
}

func (h *host) Traffic(c *Conn, in, out int) {
	if c != nil {
		addBytes(&c.stats.bytesIn, in)
		addBytes(&c.stats.bytesOut, out)
		if c.out.metered {
			return
		}
	}
	addBytes(&h.p.stats.bytesIn.Int64, in)
	addBytes(&h.p.stats.bytesOut.Int64, out)
}

// addBytes leaves a counter alone that has nothing to count: mostly bytes go one way, and other goroutines count too.
func addBytes(to *atomic.Int64, n int) {
	if n != 0 {
		to.Add(int64(n))
	}
}

func (h *host) Settings() Settings { return h.p.manager.settings }
