package graphql

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/places"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// hall is where subscribers are: those of a handler that stands alone, or of one start of a provider.
type hall struct {
	h        *Handler
	host     comm.Host       // nil alone
	settings comm.Settings   // of the host, or their defaults
	ctx      context.Context // ends handshakes under way
	cancel   context.CancelFunc
	sockets  *ws.Acceptor
	streams  *sse.Acceptor
	reserved *reservations
	places   places.Places // of connections that are open or opening

	mu      sync.Mutex // guards present
	present map[*Subscriber]struct{}
}

// newHall makes a hall on the handler's options. Those for the carriers were tried when the handler was made.
func newHall(h *Handler, host comm.Host) (*hall, error) {
	l := &hall{
		h: h, host: host, reserved: newReservations(h), present: make(map[*Subscriber]struct{}),
		settings: comm.Settings{HandshakeTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, Heartbeat: 25 * time.Second},
	}
	ctx := context.Background()
	sockets := []ws.AcceptOption{ws.WithHeldHandler(), ws.WithSubprotocols(protocolTransport, protocolOld), ws.WithReadLimit(int64(h.maxBody))}
	if host != nil {
		l.settings, ctx = host.Settings(), host.Context()
		sockets = append(sockets, ws.WithOriginCheck(host.CheckOrigin))
	}
	beat := l.settings.Heartbeat
	sockets = append(sockets, ws.WithHeartbeat(beat, beat/2+time.Second), ws.WithWriteTimeout(l.settings.WriteTimeout))
	streams := []sse.AcceptOption{
		sse.WithMethods(http.MethodGet, http.MethodPost), sse.WithHeartbeat(beat), sse.WithWriteTimeout(l.settings.WriteTimeout),
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	var err, err2 error
	l.sockets, err = ws.NewAcceptor(append(sockets, h.socketOpts...)...)
	l.streams, err2 = sse.NewAcceptor(append(streams, h.streamOpts...)...)
	return l, errors.Join(err, err2)
}

// initTimeout bounds the wait for connection_init.
func (l *hall) initTimeout() time.Duration {
	if l.h.initTimeout > 0 {
		return l.h.initTimeout
	}
	return l.settings.HandshakeTimeout
}

// keepAlive is how often a client of the old protocol is sent a sign of life.
func (l *hall) keepAlive() time.Duration {
	if l.h.keepAlive > 0 {
		return l.h.keepAlive
	}
	return l.settings.Heartbeat
}

// enter takes a place for a connection.
func (l *hall) enter() error {
	if l.places.Enter(0) != nil {
		return errStopping
	}
	return nil
}

// errStopping refuses a connection that the end of its hall has overtaken.
var errStopping = &comm.LimitError{Limit: "connections while stopping", Retry: time.Second}

// keep makes a subscriber known, so that stop finds it; one that comes too late for that ends at once.
func (l *hall) keep(s *Subscriber) {
	l.mu.Lock()
	l.present[s] = struct{}{}
	l.mu.Unlock()
	if l.places.Closed() {
		go s.end(comm.CloseReason{Kind: comm.ReasonDrain}, time.Now().Add(goodbyeTime))
	}
}

func (l *hall) forget(s *Subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.present, s)
}

// goodbyeTime bounds a goodbye that nobody bounds more tightly.
const goodbyeTime = 2 * time.Second

// attach makes the subscriber a connection of the gateway, where there is one.
func (l *hall) attach(ctx context.Context, s *Subscriber, t *Transport, hs *comm.Handshake) error {
	if l.host == nil {
		return nil
	}
	s.hub = newHubSide(s, l.host)
	if s.greeted && l.h.s.hub {
		s.hub.expectEvents()
	}
	ctx, cancel := context.WithTimeout(ctx, l.settings.HandshakeTimeout)
	defer cancel()
	c, err := l.host.Attach(WithTransport(ctx, t), s.hub, hs)
	if err != nil {
		return err
	}
	t.Conn, t.Handshake = c, hs
	s.hub.conn.Store(c)
	s.hub.waitForEvents(l.initTimeout())
	return nil
}

// transport is what an operation's resolvers can know.
func (l *hall) transport(name string, r *http.Request) *Transport {
	t := &Transport{Name: name, Header: r.Header, Request: r}
	if l.host != nil {
		t.Manager = l.host.Manager()
	}
	return t
}

// stop lets nobody in any more, ends everybody who is there, and waits until all have gone, or ctx ends.
func (l *hall) stop(ctx context.Context) error {
	l.places.Close()
	l.cancel()
	l.reserved.clear()
	l.mu.Lock()
	left := make([]*Subscriber, 0, len(l.present))
	for s := range l.present {
		left = append(left, s)
	}
	l.mu.Unlock()
	deadline := time.Now().Add(l.settings.WriteTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	var wg sync.WaitGroup
	for _, s := range left {
		wg.Go(func() {
			s.leaveFor(comm.CloseReason{Kind: comm.ReasonDrain, Text: "the server is going away"}, deadline)
		})
	}
	wg.Wait()
	return l.places.Wait(ctx)
}

// leaveFor ends a subscriber: through the manager where it is its connection.
func (s *Subscriber) leaveFor(r comm.CloseReason, deadline time.Time) {
	if s.Conn() != nil {
		s.hub.detach(r)
		return
	}
	s.end(r, deadline)
}
