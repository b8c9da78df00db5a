package sse

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/crossorigin"
	"github.com/anasamu/comm/internal/places"
)

// server is one start of a provider.
type server struct {
	conf     Config
	host     comm.Host
	settings comm.Settings
	acceptor *Acceptor
	format   comm.Format // boxed once
	ided     comm.Format // the same with id lines
	origins  crossorigin.Policy

	places places.Places // of streams that are open or opening

	mu      sync.Mutex // guards streams
	streams map[string]*transport
}

func newServer(c Config, h comm.Host) (*server, error) {
	s := &server{
		conf: c, host: h, settings: h.Settings(), streams: make(map[string]*transport),
		format: format{codec: comm.JSON()}, ided: format{codec: comm.JSON(), ided: true},
		origins: crossorigin.New(h.CheckOrigin, allowedMethods, allowedHeaders),
	}
	heartbeat := c.HeartbeatInterval
	if heartbeat == 0 {
		heartbeat = s.settings.Heartbeat
	}
	opts := []AcceptOption{
		WithMethods(http.MethodGet, http.MethodPost), WithHeartbeat(heartbeat),
		WithWriteTimeout(s.settings.WriteTimeout), WithRetry(c.Retry), WithLogger(h.Logger()),
	}
	if c.Hijack {
		opts = append(opts, WithHijack())
	}
	var err error
	if s.acceptor, err = NewAcceptor(opts...); err == nil {
		s.acceptor.config.bare = true
	}
	return s, err
}

// ServeHTTP tells the requests of PROTOCOL.md, "Server-Sent Events", apart.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.origins.Allow(w, r); err != nil {
		comm.WriteRefusal(w, "", &comm.PeerError{Code: comm.CodeForbidden, Message: err.Error()})
		return
	}
	if r.Method == http.MethodPost { // also for what net/http reads of a body that is refused
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.settings.HandshakeTimeout))
	}
	switch {
	case r.Method == http.MethodGet:
		s.serveStream(w, r)
	case r.Method == http.MethodPost && r.Header.Get(headerConnection) != "":
		s.serveUpward(w, r)
	case r.Method == http.MethodPost:
		s.serveStream(w, r)
	case r.Method == http.MethodDelete:
		s.serveGoodbye(w, r)
	case r.Method == http.MethodOptions:
		s.origins.Preflight(w, r)
	default:
		w.Header().Set("Allow", allowedMethods)
		answer(w, http.StatusMethodNotAllowed, badRequest("method "+r.Method+" is not served here; allowed are "+allowedMethods))
	}
}

// serveStream admits a client and serves its stream: GET is a simple client, POST says hello.
func (s *server) serveStream(w http.ResponseWriter, r *http.Request) {
	lastID, refused := s.acceptor.check(w, r)
	if refused != nil {
		answer(w, refused.Status, badRequest(refused.Reason))
		return
	}
	hs, err := comm.NewHandshake(r, &comm.Frame{Hello: &comm.Hello{}}) // who it is; what it says comes later
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	done, err := s.host.Admit(hs.RemoteAddr)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	done = sync.OnceFunc(done)
	defer done()
	if err := s.enter(); err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	if hs = s.handshake(w, r); hs == nil {
		s.leave(nil)
		return
	}
	s.admit(w, r, hs, lastID, done)
}

// handshake reads what the client says of itself; nil means that it has been refused.
func (s *server) handshake(w http.ResponseWriter, r *http.Request) *comm.Handshake {
	var hello *comm.Frame
	if r.Method == http.MethodPost {
		if hello = s.readHello(w, r); hello == nil {
			return nil
		}
	}
	hs, err := comm.NewHandshake(r, hello)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return nil
	}
	return hs
}

func (s *server) readHello(w http.ResponseWriter, r *http.Request) *comm.Frame {
	body, ok := s.readBody(w, r)
	if !ok {
		return nil
	}
	f, err := comm.JSON().ParseFrame(body)
	if err == nil && f.Op != comm.OpHello {
		err = &comm.FrameError{Code: comm.CodeBadFrame, ID: f.ID, Text: "the body must be a hello, not " + f.Op.String() +
			"; a frame of a connection that stands needs the header " + headerConnection}
	}
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return nil
	}
	return f
}

// admit attaches the client and serves it. The place is given back when the stream has ended.
func (s *server) admit(w http.ResponseWriter, r *http.Request, hs *comm.Handshake, lastID string, done func()) {
	t := newTransport(s, r)
	ctx, cancel := context.WithTimeout(r.Context(), s.settings.HandshakeTimeout)
	c, err := s.host.Attach(ctx, t, hs)
	cancel()
	if err != nil {
		t.open(nil, err)
		s.leave(nil)
		comm.WriteRefusal(w, hs.ID, err)
		return
	}
	done()
	s.keep(c, t)
	a := *s.acceptor
	a.config.onEnd = func(*Stream, error) { s.ended(c, t) }
	stream, err := a.begin(w, r, lastID)
	t.open(stream, err)
	if err != nil {
		s.host.Detach(c, comm.CloseReason{Kind: comm.ReasonLost, Err: err})
		s.leave(c)
		return
	}
	if t.isAbandoned() {
		_ = stream.CloseBy(time.Now())
	}
	if stream.Hijacked() {
		return
	}
	<-stream.Done()
	_ = stream.Close()
}

// ended runs once for each stream, when nothing more will be written.
func (s *server) ended(c *comm.Conn, t *transport) {
	<-t.opened // a hijacked stream may end first
	t.account()
	s.host.Detach(c, t.reason())
	s.leave(c)
}

// enter takes a place for a stream.
func (s *server) enter() error {
	switch most := s.conf.MaxConnections; s.places.Enter(most) {
	case nil:
		return nil
	case places.ErrFull:
		return &comm.LimitError{Limit: "connections of provider sse", Max: most, Retry: time.Second}
	}
	return &comm.LimitError{Limit: "connections while stopping", Retry: time.Second}
}

// keep makes a connection findable for its upward requests; one that came too late for stop goes.
func (s *server) keep(c *comm.Conn, t *transport) {
	t.bind(c)
	s.mu.Lock()
	s.streams[c.ID()] = t
	s.mu.Unlock()
	if s.places.Closed() {
		s.host.Detach(c, comm.CloseReason{Kind: comm.ReasonDrain, Text: "the provider is stopping"})
	}
}

// leave gives a place back; c is nil if no connection came of it.
func (s *server) leave(c *comm.Conn) {
	if c != nil {
		s.mu.Lock()
		delete(s.streams, c.ID())
		s.mu.Unlock()
	}
	s.places.Leave()
}

// stop ends what the manager has left and waits for it.
func (s *server) stop(ctx context.Context) error {
	s.places.Close()
	s.mu.Lock()
	left := slices.Collect(maps.Values(s.streams))
	s.mu.Unlock()
	for _, t := range left {
		t.detach(comm.CloseReason{Kind: comm.ReasonDrain, Text: "the provider is stopping"})
	}
	return s.places.Wait(ctx)
}
