package comm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
	"github.com/anasamu/comm/internal/queue"
	"github.com/anasamu/comm/internal/stat"
	"github.com/anasamu/comm/internal/warm"
)

// Manager is the gateway: it runs the providers and holds every connection, group and handler.
// All methods are safe for concurrent use. New makes one; the zero Manager is not usable.
type Manager struct {
	cfg      Config
	settings Settings
	log      *slog.Logger
	node     string // this life of the process
	began    time.Time
	tls      *tls.Config
	devcert  *devcert.Certificate
	memory   *memnet.Network

	handlers  *handlers
	conns     *registry
	dir       directory
	sessions  *sessions
	presence  *presence
	limits    *limits
	stats     managerCounters
	backplane *backplane
	book      endpoints
	queues    queue.Limits // of every connection
	writers   writers
	warm      warm.Pool     // handlers and writers run on its goroutines
	order     atomic.Uint64 // the sequence number of what was published last
	taps      taps
	ready     readiness

	ctx      context.Context // lives until Close
	cancel   context.CancelFunc
	work     sync.WaitGroup // the manager's own goroutines
	fatal    chan error     // a provider that is given up; Run returns it
	starting atomic.Bool    // the first Start has not come to every provider yet: a route that is not there may come
	draining atomic.Bool    // /readyz says so
	drained  chan struct{}  // closed when Drain has ended with drainErr
	drainErr error
	refusing atomic.Bool // nobody new is admitted: after the drain delay
	closed   atomic.Bool // set under mu

	mu        sync.Mutex // guards the fields below
	providers []*providerState
	ticking   bool
}

// New makes a manager. Its error joins every bad option, every problem of the configuration file
// and the environment, and every option that a provider refuses.
func New(opts ...Option) (*Manager, error) {
	b := &builder{once: make(map[string]string)}
	var errs []error
	for _, o := range opts {
		if o == nil {
			errs = append(errs, &OptionError{Option: "New", Value: nil, Allowed: "options"})
			continue
		}
		errs = append(errs, o.applyManager(b))
	}
	m := &Manager{cfg: defaultConfig(), memory: new(memnet.Network), fatal: make(chan error, 1), drained: make(chan struct{}), node: newNode(), began: time.Now()}
	m.log = slog.Default()
	for _, f := range b.settings { // the logger alone is needed now; the rest goes over the file
		var probe Config
		if f(&probe) == nil && probe.Logger != nil {
			m.log = probe.Logger
		}
	}
	errs = append(errs, m.configure(b))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m.build()
	return m, nil
}

// configure resolves defaults, file, environment and options, for the manager and its providers.
func (m *Manager) configure(b *builder) error {
	var errs []error
	names := make([]string, 0, len(b.providers))
	for _, p := range b.providers {
		errs = append(errs, checkName("WithProvider", p))
		if slices.Contains(names, p.Name()) {
			errs = append(errs, &OptionError{Option: "WithProvider", Value: p.Name(), Err: ErrRunning, Allowed: "one provider a name"})
		}
		names = append(names, p.Name())
	}
	byName, err := b.sources.load(&m.cfg, names, m.log)
	errs = append(errs, err)
	for _, set := range b.settings {
		errs = append(errs, set(&m.cfg))
	}
	for _, p := range b.providers {
		if c, ok := p.(Configurable); ok {
			if err := c.Configure(byName[p.Name()]); err != nil {
				errs = append(errs, err)
			}
		}
		m.providers = append(m.providers, newProviderState(m, p))
	}
	errs = append(errs, b.sources.unknownVariables(byName), m.check(), m.loadTLS())
	return errors.Join(errs...)
}

// checkName refuses a provider without a name, for "" is the default one, or all.
func checkName(option string, p Provider) error {
	if p.Name() == "" || !plain(p.Name()) {
		return &OptionError{Option: option, Value: p.Name(), Allowed: "a provider with a name of UTF-8 without control characters"}
	}
	return nil
}

// check holds the resolved configuration against itself.
func (m *Manager) check() error {
	var errs []error
	if d := m.cfg.DefaultProvider; d != "" && len(m.providers) > 0 && m.state(d) == nil {
		errs = append(errs, &OptionError{Option: "WithDefaultProvider", Value: d, Allowed: fmt.Sprint(m.Providers())})
	}
	errs = append(errs, parseOrigins(m.cfg.AllowedOrigins))
	limits, err := newLimits(&m.cfg)
	m.limits, errs = limits, append(errs, err)
	m.queues = queue.Limits{Messages: m.cfg.QueueMessages, Bytes: m.cfg.QueueBytes, Policy: m.cfg.Overflow.queue()}
	if m.cfg.insecureTLS12 && m.cfg.certificates == nil && !m.cfg.developmentCA {
		errs = append(errs, &OptionError{
			Option: "WithTLS12", Err: errors.New("no certificate"),
			Allowed: "beside WithCertificate or WithDevelopmentCertificate; with WithTLS set MinVersion there",
		})
	}
	if m.cfg.clientCAs != nil && m.cfg.certificates == nil && !m.cfg.developmentCA {
		errs = append(errs, &OptionError{
			Option: "WithClientCAs", Err: errors.New("no certificate"),
			Allowed: "beside WithCertificate or WithDevelopmentCertificate",
		})
	}
	return errors.Join(errs...)
}

// loadTLS builds the TLS configuration of the manager's address, or leaves it nil for cleartext.
func (m *Manager) loadTLS() error {
	t := listen.TLS{ClientCAs: m.cfg.clientCAs}
	if m.cfg.insecureTLS12 {
		t.MinVersion = tls.VersionTLS12
	}
	switch {
	case m.cfg.TLS != nil:
		m.tls = m.cfg.TLS.Clone()
		for _, proto := range []string{"h2", "http/1.1"} {
			if !slices.Contains(m.tls.NextProtos, proto) {
				m.tls.NextProtos = append(m.tls.NextProtos, proto)
			}
		}
		return nil
	case m.cfg.developmentCA:
		cert, err := devcert.New()
		if err != nil {
			return fmt.Errorf("comm: development certificate: %w", err)
		}
		m.devcert = cert
		t.Certificates = []tls.Certificate{cert.TLS}
	case len(m.cfg.certificates) > 0:
		for _, files := range m.cfg.certificates {
			pair, err := listen.LoadKeyPair(files[0], files[1], time.Second, m.log)
			if err != nil {
				return fmt.Errorf("comm: certificate: %w", err)
			}
			t.KeyPairs = append(t.KeyPairs, pair)
		}
	default:
		return nil
	}
	conf, err := t.Config()
	m.tls = conf
	return err
}

// build makes the parts once the configuration stands.
func (m *Manager) build() {
	if m.cfg.Store == nil {
		m.cfg.Store = new(MemoryStore)
	}
	m.settings = Settings{
		MaxMessage: m.cfg.MaxMessage, HandshakeTimeout: m.cfg.HandshakeTimeout, WriteTimeout: m.cfg.WriteTimeout,
		Heartbeat: m.cfg.Heartbeat, DrainTimeout: m.cfg.DrainTimeout, InMemory: m.cfg.InMemory,
		Authenticator: m.cfg.Authenticator != nil, MaxConnections: m.cfg.MaxConnections, MaxConnectionsPerAddr: m.cfg.MaxConnectionsPerAddr,
		MaxHandshakesPerAddr: m.cfg.MaxHandshakesPerAddr,
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.warm.Most = max(16, 4*runtime.GOMAXPROCS(0))
	m.writers.pool, m.writers.loop, m.writers.most = &m.warm, m.writers.run, runtime.GOMAXPROCS(0)
	m.conns = newRegistry()
	m.dir.seed = maphash.MakeSeed()
	m.sessions = &sessions{bySum: make(map[sessionKey]*session), window: m.cfg.ResumeWindow, max: 2 * m.cfg.MaxConnections}
	m.presence = &presence{manager: m, grace: m.cfg.PresenceGrace, groups: make(map[string]map[string]*presenceEntry)}
	m.stats.byType = stat.NewVec[typeCounters](maxTypes)
	m.handlers = newHandlers(m, m.cfg.middleware)
	if m.cfg.backplane != nil {
		m.backplane = newBackplane(m, m.cfg.backplane)
	}
	if m.cfg.OpenAccess {
		m.log.Warn("open access: every client may join, send to, list, call and close any other")
	}
}

// Register adds providers, also while the manager runs; Start starts them. Errors: ErrRunning for a
// name that is taken, ErrClosed, and what a provider's own options are refused for. A provider
// registered here reads neither the file nor the environment.
func (m *Manager) Register(providers ...Provider) error {
	if m.closed.Load() {
		return ErrClosed
	}
	for _, p := range providers {
		if p == nil {
			return &OptionError{Option: "Register", Value: nil, Allowed: "providers"}
		}
		if err := checkName("Register", p); err != nil {
			return err
		}
		if c, ok := p.(Configurable); ok {
			if err := c.Configure(&ConfigSource{name: p.Name(), log: m.log}); err != nil {
				return err
			}
		}
		m.mu.Lock()
		taken := m.stateLocked(p.Name()) != nil
		if !taken {
			m.providers = append(m.providers, newProviderState(m, p))
		}
		m.mu.Unlock()
		if taken {
			return fmt.Errorf("%w: provider %q", ErrRunning, p.Name())
		}
	}
	return nil
}

// Providers returns the names of all providers, in the order of their registration.
func (m *Manager) Providers() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, len(m.providers))
	for i, p := range m.providers {
		names[i] = p.name
	}
	return names
}

// DefaultProvider returns the name of the provider that is used where a call names none, or "".
func (m *Manager) DefaultProvider() string {
	if m.cfg.DefaultProvider != "" {
		return m.cfg.DefaultProvider
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.providers) == 0 {
		return ""
	}
	return m.providers[0].name
}

// Running reports whether the named provider, or with "" every provider, is running.
func (m *Manager) Running(provider string) bool {
	states, err := m.named(provider)
	if err != nil || len(states) == 0 {
		return false
	}
	for _, p := range states {
		if !p.running() {
			return false
		}
	}
	return true
}

// Addrs returns the bound addresses of the named provider, or with "" those of the default one; none
// while it is not running.
func (m *Manager) Addrs(provider string) ([]string, error) {
	if provider == "" {
		provider = m.DefaultProvider()
	}
	p := m.state(provider)
	if p == nil {
		return nil, fmt.Errorf("%w: provider %q", ErrNotFound, provider)
	}
	return p.addrs(), nil
}

// DevelopmentCertificate returns the certificate made by WithDevelopmentCertificate, for clients to
// trust, and its SHA-256 hash; nil without that option.
func (m *Manager) DevelopmentCertificate() (client *tls.Config, hash []byte) {
	if m.devcert == nil {
		return nil, nil
	}
	return m.devcert.Client(), m.devcert.Hash[:]
}

// Addr returns the address as configured at which providers without one of their own are served; see
// Addrs for what was bound.
func (m *Manager) Addr() string { return m.addr() }

// Node returns the name of this life of the process, which every welcome carries.
func (m *Manager) Node() string { return m.node }

// CloseConnection tells a client to go and not to return, revokes its session, and waits until it
// has gone or ctx ends. Errors: ErrNotFound, the context's.
func (m *Manager) CloseConnection(ctx context.Context, id, reason string) error {
	c := m.conns.find(id)
	if c == nil {
		return fmt.Errorf("%w: connection %q", ErrNotFound, shorten(id))
	}
	return c.Kick(ctx, reason)
}

// addr is the manager's address.
func (m *Manager) addr() string {
	addr, _ := m.address()
	return addr
}

// address is the manager's address and TLS: its own, or those of its default provider.
func (m *Manager) address() (addr string, conf *tls.Config) {
	if m.cfg.Addr != "" {
		return m.cfg.Addr, m.tls
	}
	if p := m.state(m.DefaultProvider()); p != nil {
		if addr, conf, ok := p.own(); ok {
			return addr, conf
		}
	}
	return "127.0.0.1:8080", m.tls
}

// state returns the named provider's state, or nil.
func (m *Manager) state(name string) *providerState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stateLocked(name)
}

func (m *Manager) stateLocked(name string) *providerState {
	for _, p := range m.providers {
		if p.name == name {
			return p
		}
	}
	return nil
}

// named returns the states of the names given; none, or one empty name, means all.
func (m *Manager) named(names ...string) ([]*providerState, error) {
	if len(names) == 0 || len(names) == 1 && names[0] == "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Clone(m.providers), nil
	}
	var list []*providerState
	for _, n := range names {
		p := m.state(n)
		if p == nil {
			return nil, fmt.Errorf("%w: provider %q", ErrNotFound, n)
		}
		list = append(list, p)
	}
	return list, nil
}

// topic returns the living or new topic of that key.
func (m *Manager) topic(kind targetKind, key string) *topic {
	return m.dir.open(key, func() *topic {
		t := &topic{key: key, kind: kind, priority: PriorityNormal}
		if m.cfg.logs(kind) {
			t.log = m.cfg.Store.Open(key)
			t.priority = m.cfg.logPriority(key)
		}
		return t
	})
}

// release lets go of a topic that may be empty.
func (m *Manager) release(t *topic) { m.dir.release(t, m.cfg.Store, time.Now()) }

// recoverAs turns a panic of user code into an error, and logs it with its stack.
func (m *Manager) recoverAs(err *error, what string, c *Conn) {
	if p := recover(); p != nil {
		m.logPanic(what, c, p)
		*err = errPanic
	}
}

// recoverHook logs the panic of a hook.
func (m *Manager) recoverHook(c *Conn) {
	if p := recover(); p != nil {
		m.logPanic("hook", c, p)
	}
}

func (m *Manager) logPanic(what string, c *Conn, p any) {
	id := ""
	if c != nil {
		id = c.id
	}
	m.log.Error(what+" panicked", "conn", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}
