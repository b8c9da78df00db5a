// Package listen serves everything that one address offers: HTTP/1.1, HTTP/2 and cleartext
// HTTP/2 through net/http, and whole connections handed to protocols that bring their own
// transport.
//
// A connection goes through the accept loop (accept.go), its TLS handshake and the claimers,
// on a goroutine of its own and under bounds (admit.go, gate.go), and ends at a claimer or at
// net/http. Stopping without losing requests is in drain.go. With neither TLS nor claimers a
// connection goes straight to net/http as it was accepted.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of the Config fields of the same names.
const (
	DefaultReadHeaderTimeout    = 10 * time.Second
	DefaultIdleTimeout          = 120 * time.Second
	DefaultMaxHeaderBytes       = 64 << 10
	DefaultHandshakeTimeout     = 10 * time.Second
	DefaultClaimTimeout         = 5 * time.Second
	DefaultPeekLimit            = 4 << 10
	DefaultMaxHandshakes        = 4096
	DefaultMaxHandshakesPerAddr = 1024
	DefaultMaxConns             = 1 << 20
	DefaultDrainIdle            = 2 * time.Second
)

// Config is what a Server is made from. Zero fields mean the defaults named; negative ones
// are errors.
type Config struct {
	// Handler answers requests; SetHandler replaces it. Nil answers 404.
	Handler http.Handler
	// TLS, if set, makes the address a TLS one. The server clones it; TLS.Config makes one
	// with good defaults.
	TLS *tls.Config
	// NoH2C refuses HTTP/2 without TLS.
	NoH2C bool
	// HTTP2 tunes net/http's HTTP/2. Nil means its defaults.
	HTTP2 *http.HTTP2Config

	// ReadHeaderTimeout bounds reading a request's header, 10 s by default.
	ReadHeaderTimeout time.Duration
	// ReadTimeout and WriteTimeout bound a whole request and response. Zero means no bound,
	// because they cut streams: handlers arm their own deadlines.
	ReadTimeout, WriteTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request, 120 s by default.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header, 64 KiB by default.
	MaxHeaderBytes int

	// HandshakeTimeout bounds the TLS handshake, 10 s by default.
	HandshakeTimeout time.Duration
	// ClaimTimeout bounds all claimers of a connection together, 5 s by default.
	ClaimTimeout time.Duration
	// PeekLimit is how many bytes claimers may look at, 4 KiB by default.
	PeekLimit int
	// MaxHandshakes bounds the connections between accept and their handler, 4096 by default.
	// One more cuts the oldest of them, so that silent peers cannot shut out others.
	MaxHandshakes int
	// MaxHandshakesPerAddr is the same bound per address (IPv6: per /64), 1,024 by default.
	// One more is refused.
	MaxHandshakesPerAddr int
	// MaxConns bounds the connections open at once, those in handshake included and those
	// hijacked or claimed not, 1,048,576 by default. One more is refused.
	MaxConns int

	// UserTimeout is how long a TCP peer may acknowledge nothing that was sent before its connection ends
	// (RFC 5482), where the system can do that. Zero means the system's own, about a quarter of an hour.
	UserTimeout time.Duration

	// DrainIdle is how long an HTTP/1.x connection must have been without a request for a drain to end
	// it, 2 s by default. One that has been already ends at once, and without any a drain does not wait. HTTP/2
	// clients that are slow to read their last answers are given as long without a sign of life, 5 s at least.
	DrainIdle time.Duration
	// Logger gets the server's and net/http's messages. Nil means slog.Default.
	Logger *slog.Logger
	// BaseContext is the parent of all requests' contexts. Nil means context.Background.
	BaseContext context.Context
	// ConnContext may derive the context of a connection's requests.
	ConnContext func(ctx context.Context, c net.Conn) context.Context
}

// Server serves one listener once. All methods are safe for concurrent use.
type Server struct {
	cfg  Config
	log  *slog.Logger
	http http.Server
	feed *feed
	gate *gate

	handler  atomic.Pointer[http.Handler]
	claimers claimers
	conns    conns
	holds    holds
	counts   counters
	lastErr  atomic.Pointer[error] // of the accept loop, nil while it works
	draining atomic.Int64          // Unix nanoseconds of the drain's start, 0 before

	ctx    context.Context // the parent of requests and claims, until Close
	cancel context.CancelFunc
	work   sync.WaitGroup // the goroutines of connections on their way to a handler

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	stopped  bool          // no more accepting
	stop     chan struct{} // closed when stopped
	accepted chan struct{} // closed when the accept loop has ended
}

// New checks the configuration and makes a server. All bad fields are reported together.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		feed:     newFeed(),
		gate:     newGate(cfg.MaxHandshakes, cfg.MaxHandshakesPerAddr),
		stop:     make(chan struct{}),
		accepted: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(cfg.BaseContext)
	s.SetHandler(cfg.Handler)
	s.setHTTP()
	return s, nil
}

func (s *Server) setHTTP() {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	// Behind TLS this is the way of an HTTP/2 connection that claimers have peeked at: the
	// wrapper that replays the bytes hides the TLS state, because net/http answers HTTP/1.1
	// on a connection that shows one and is no *tls.Conn.
	p.SetUnencryptedHTTP2(s.cfg.TLS != nil || !s.cfg.NoH2C)
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serveHTTP),
		Protocols:         &p,
		HTTP2:             s.cfg.HTTP2,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext:       s.connContext,
		ConnState:         s.connState,
	}
}

func (c *Config) check() error {
	var errs []error
	refuse := func(name string, v any) {
		errs = append(errs, fmt.Errorf("listen: %s %v: want 0 for the default, or more", name, v))
	}
	for _, f := range []struct {
		name string
		v    time.Duration
	}{
		{"ReadHeaderTimeout", c.ReadHeaderTimeout},
		{"ReadTimeout", c.ReadTimeout},
		{"WriteTimeout", c.WriteTimeout},
		{"IdleTimeout", c.IdleTimeout},
		{"HandshakeTimeout", c.HandshakeTimeout},
		{"ClaimTimeout", c.ClaimTimeout},
		{"DrainIdle", c.DrainIdle},
	} {
		if f.v < 0 {
			refuse(f.name, f.v)
		}
	}
	for _, f := range []struct {
		name string
		v    int
	}{
		{"MaxHeaderBytes", c.MaxHeaderBytes},
		{"PeekLimit", c.PeekLimit},
		{"MaxHandshakes", c.MaxHandshakes},
		{"MaxHandshakesPerAddr", c.MaxHandshakesPerAddr},
		{"MaxConns", c.MaxConns},
	} {
		if f.v < 0 {
			refuse(f.name, f.v)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) setDefaults() {
	orDefault(&c.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	orDefault(&c.MaxHeaderBytes, DefaultMaxHeaderBytes)
	orDefault(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	orDefault(&c.ClaimTimeout, DefaultClaimTimeout)
	orDefault(&c.PeekLimit, DefaultPeekLimit)
	orDefault(&c.MaxHandshakes, DefaultMaxHandshakes)
	orDefault(&c.MaxHandshakesPerAddr, DefaultMaxHandshakesPerAddr)
	orDefault(&c.MaxConns, DefaultMaxConns)
	orDefault(&c.DrainIdle, DefaultDrainIdle)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.BaseContext == nil {
		c.BaseContext = context.Background()
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		if c.TLS.NextProtos == nil {
			c.TLS.NextProtos = []string{"h2", "http/1.1"}
		}
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// SetHandler replaces the handler for requests that begin from now on. Nil answers 404.
func (s *Server) SetHandler(h http.Handler) {
	if h == nil {
		h = http.NotFoundHandler()
	}
	s.handler.Store(&h)
}

// ClaimConns adds a claimer, which is asked about every connection accepted from now on,
// after those added before it. The function it returns removes it.
func (s *Server) ClaimConns(claim Claimer) (remove func()) { return s.claimers.add(claim) }

// Serve accepts and serves the listener's connections and closes it in the end. It returns
// ErrClosed after StartDrain, Shutdown or Close, once no connection is on its way to a
// handler any more, and the listener's error if the listener fails for good. A server
// serves once: a second Serve closes its listener and is ErrClosed.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.listener != nil || s.stopped {
		s.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	s.listener = l
	s.mu.Unlock()

	var failed error
	s.work.Go(func() {
		defer close(s.accepted)
		if failed = s.accept(l); failed != nil {
			s.feed.Close()
		}
	})
	s.http.Serve(s.feed) // ends when the feed or the http.Server is closed
	<-s.accepted
	s.work.Wait()
	if failed != nil {
		return failed
	}
	return ErrClosed
}

// serveHTTP is the outermost handler.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	info := infoOf(r.Context())
	if info != nil {
		info.saw(r.ProtoMajor)
		if r.TLS == nil {
			r.TLS = info.tls
		}
	}
	if s.draining.Load() != 0 {
		s.announce(info, w.Header())
	}
	(*s.handler.Load()).ServeHTTP(w, r)
}

// Health returns nil while the server accepts connections, and otherwise the reason it does not.
func (s *Server) Health() error {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return ErrClosed
	}
	if err := s.lastErr.Load(); err != nil {
		return *err
	}
	return nil
}
