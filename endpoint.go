package comm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// endpoint is one address and everything that is served there: a listener, its HTTP server, the
// routes of all providers that share it, and an in-process door to the same routes.
type endpoint struct {
	manager *Manager
	addr    string     // as asked for
	key     listen.Key // zero in memory
	bound   net.Addr
	tls     *tls.Config

	mux    atomic.Pointer[http.ServeMux]
	others atomic.Pointer[sharing] // what the owners want beside their routes; nil where nothing
	front  *listen.Server          // the address itself
	inside *listen.Server          // in process: HandleRequest and HandleWebSocket, never TLS
	memory *listen.Server          // DialContext where the address is a socket; nil in memory, where it is front

	mu       sync.Mutex
	routes   []*route
	claims   []*claim
	requests []*requestClaim
	owners   map[*providerState]bool // running providers
	serving  sync.WaitGroup
	failed   error
}

// route is one pattern of one provider. It stays after its provider stops, and answers 503.
type route struct {
	pattern string
	owner   *providerState
	handler http.Handler
}

type claim struct {
	owner  *providerState
	remove []func()
}

// insideName is the in-process address of an endpoint.
func (e *endpoint) insideName() string { return "inside." + e.bound.String() }

// openEndpoint binds the address and serves it until close.
func (m *Manager) openEndpoint(ctx context.Context, addr string, conf *tls.Config) (*endpoint, error) {
	e := &endpoint{manager: m, addr: addr, tls: conf, owners: make(map[*providerState]bool)}
	e.mux.Store(http.NewServeMux())
	if err := e.listen(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *endpoint) listen(ctx context.Context) (err error) {
	m := e.manager
	if !m.cfg.InMemory {
		if e.key, err = listen.NewKey("tcp", e.addr); err != nil {
			return fmt.Errorf("comm: address %q: %w", e.addr, err)
		}
	}
	front, err := m.listen(ctx, "tcp", e.addr)
	if err != nil {
		return fmt.Errorf("comm: listen on %q: %w", e.addr, err)
	}
	e.bound = front.Addr()
	if e.front, err = e.serve(front, e.tls); err != nil {
		front.Close()
		return err
	}
	inside, err := m.memory.Listen(e.insideName())
	if err == nil {
		e.inside, err = e.serve(inside, nil)
	}
	if err == nil && !m.cfg.InMemory {
		var memory net.Listener
		if memory, err = m.memory.Listen(e.bound.String()); err == nil {
			e.memory, err = e.serve(memory, e.tls)
		}
	}
	if err != nil {
		e.close()
	}
	return err
}

// serve runs one server of the endpoint until it is closed; its own failure fails every owner.
func (e *endpoint) serve(l net.Listener, conf *tls.Config) (*listen.Server, error) {
	s, err := listen.New(listen.Config{
		Handler: http.HandlerFunc(e.serveHTTP), TLS: conf, Logger: e.manager.log,
		MaxHandshakesPerAddr: e.manager.cfg.MaxHandshakesPerAddr,
		HandshakeTimeout:     e.manager.cfg.HandshakeTimeout,
		ReadHeaderTimeout:    e.manager.cfg.HandshakeTimeout,
		IdleTimeout:          e.manager.idleTimeout(e.addr),
		ConnContext:          trustContext,
		UserTimeout:          e.manager.silence(),
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize: 16 << 10, // the protocol's default, which is all that a claimer's SETTINGS have promised
			SendPingTimeout:  e.manager.cfg.Heartbeat, PingTimeout: e.manager.cfg.WriteTimeout,
		},
	})
	if err != nil {
		return nil, err
	}
	e.serving.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, listen.ErrClosed) {
			e.fail(fmt.Errorf("comm: listener %s: %w", e.addr, err))
		}
	})
	return s, nil
}

// idleTimeout is what the first provider of an address that has an opinion says, or 0.
func (m *Manager) idleTimeout(addr string) time.Duration {
	states, _ := m.named()
	for _, p := range states {
		if t, ok := p.impl.(IdleTimeouter); ok && t.IdleTimeout() > 0 {
			if at, _ := p.address(); at == addr {
				return t.IdleTimeout()
			}
		}
	}
	return 0
}

// servers are the endpoint's servers, those that exist.
func (e *endpoint) servers() []*listen.Server {
	return slices.DeleteFunc([]*listen.Server{e.front, e.memory, e.inside}, func(s *listen.Server) bool { return s == nil })
}

// fail reports the death of the listener to every provider on it.
func (e *endpoint) fail(err error) {
	e.mu.Lock()
	e.failed = err
	var owners []*providerState
	for p := range e.owners {
		owners = append(owners, p)
	}
	e.mu.Unlock()
	e.manager.book.mu.Lock()
	e.manager.book.forget(e)
	e.manager.book.mu.Unlock()
	for _, p := range owners {
		p.fail(err)
	}
}

func (e *endpoint) health() error {
	e.mu.Lock()
	failed := e.failed
	e.mu.Unlock()
	if failed != nil {
		return failed
	}
	return e.front.Health()
}

// claim offers new connections of the address to a provider.
func (e *endpoint) claim(owner *providerState, f ClaimFunc) {
	c := &claim{owner: owner}
	claimer := func(ctx context.Context, pc listen.PeekConn) (bool, error) { return f(ctx, pc) }
	for _, s := range []*listen.Server{e.front, e.memory} {
		if s != nil {
			c.remove = append(c.remove, s.ClaimConns(claimer))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claims = append(e.claims, c)
}

// leave withdraws a provider that has stopped and reports whether nobody is left.
func (e *endpoint) leave(owner *providerState) (last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.claims {
		if c.owner == owner {
			for _, remove := range c.remove {
				remove()
			}
		}
	}
	e.claims = slices.DeleteFunc(e.claims, func(c *claim) bool { return c.owner == owner })
	e.requests = slices.DeleteFunc(e.requests, func(c *requestClaim) bool { return c.owner == owner })
	delete(e.owners, owner)
	e.share()
	return len(e.owners) == 0
}

// shutdown drains every server of the endpoint, and cuts them when ctx ends.
func (e *endpoint) shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, s := range e.servers() {
		wg.Go(func() { errs[i] = s.Shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(append(errs, e.close())...)
}

func (e *endpoint) close() error {
	var errs []error
	for _, s := range e.servers() {
		errs = append(errs, s.Close())
	}
	e.serving.Wait()
	return errors.Join(errs...)
}

// endpoints is the manager's address book.
type endpoints struct {
	mu  sync.Mutex
	all []*endpoint
}

// get returns the endpoint of a provider's address, opening it if nobody has. An address that
// overlaps another without being the same one is an error that names both.
func (b *endpoints) get(ctx context.Context, p *providerState) (*endpoint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	addr, conf := p.address()
	e, err := b.find(p.manager, addr)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if e, err = p.manager.openEndpoint(ctx, addr, conf); err != nil {
			return nil, err
		}
		b.all = append(b.all, e)
	}
	if e.tls != conf {
		return nil, &OptionError{
			Option: "WithTLS", Value: addr, Allowed: "one TLS configuration for " + e.addr,
			Err: fmt.Errorf("provider %q brings another than is served there", p.name),
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owners[p] = true
	e.share()
	return e, nil
}

func (b *endpoints) find(m *Manager, addr string) (*endpoint, error) {
	for _, e := range b.all {
		if e.addr == addr {
			return e, nil
		}
	}
	if m.cfg.InMemory {
		return nil, nil
	}
	key, err := listen.NewKey("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("comm: address %q: %w", addr, err)
	}
	keys := make([]listen.Key, len(b.all))
	for i, e := range b.all {
		keys[i] = e.key
	}
	i, err := key.Find(keys)
	if err != nil {
		return nil, fmt.Errorf("comm: address %q: %w", addr, err)
	}
	if i < 0 {
		return nil, nil
	}
	return b.all[i], nil
}

// peek returns the endpoint of an address that is open, or nil.
func (b *endpoints) peek(m *Manager, addr string) *endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, err := b.find(m, addr)
	if err != nil {
		return nil
	}
	return e
}

// release withdraws p, and closes the endpoint when p was the last on it.
func (b *endpoints) release(ctx context.Context, e *endpoint, p *providerState) error {
	if !e.leave(p) {
		return nil
	}
	b.mu.Lock()
	b.forget(e)
	b.mu.Unlock()
	return e.shutdown(ctx)
}

// forget makes the next provider of the address open it anew. b.mu is held.
func (b *endpoints) forget(e *endpoint) {
	b.all = slices.DeleteFunc(b.all, func(o *endpoint) bool { return o == e })
}

// list returns every open endpoint.
func (b *endpoints) list() []*endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

// silence is how long a peer may acknowledge nothing that was sent before it counts as gone. It stands in
// for the answer to a heartbeat where a carrier's clients never speak by themselves.
func (m *Manager) silence() time.Duration { return 2*m.cfg.Heartbeat + m.cfg.WriteTimeout }

// listen opens a real or an in-memory listener.
func (m *Manager) listen(ctx context.Context, network, addr string) (net.Listener, error) {
	if m.cfg.InMemory {
		return m.memory.Listen(addr)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, network, addr)
}

// listenPacket opens a real or an in-memory packet socket.
func (m *Manager) listenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	if m.cfg.InMemory {
		return m.memory.ListenPacket(addr)
	}
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, network, addr)
}

// ListenPacket opens a packet socket for a client of the manager's packet addresses: in memory where the
// manager is (WithInMemory), and otherwise a socket of the system. It has the shape of
// net.ListenConfig's method; an address of "127.0.0.1:0" suits most.
func (m *Manager) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return m.listenPacket(ctx, network, addr)
}

// DialContext connects to an address of the manager in memory, whether it opened sockets or not: it
// has the shape that http.Transport and the WebSocket and gRPC dialers take. An address that nobody
// serves leads to the manager's own one, so that http://gateway/ finds it.
func (m *Manager) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := m.memory.DialContext(ctx, network, addr)
	if err == nil {
		return c, nil
	}
	e := m.book.peek(m, m.addr())
	if e == nil {
		return nil, err
	}
	return m.memory.DialContext(ctx, network, e.memoryName())
}

func (e *endpoint) memoryName() string { return e.bound.String() }

// trustContext hands what an in-process dial carries to the request's context.
func trustContext(ctx context.Context, c net.Conn) context.Context {
	mc, ok := c.(*memnet.Conn)
	if !ok {
		return ctx
	}
	if t, ok := mc.Value().(*trusted); ok {
		return context.WithValue(ctx, trustedKey{}, t)
	}
	return ctx
}
