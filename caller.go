package comm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/anasamu/comm/internal/facts"
)

// authorizeCaller asks the authorizer about a client that is no connection. Without one everything is
// refused, unless access is open.
func (m *Manager) authorizeCaller(ctx context.Context, p *providerState, hs *Handshake, a Access) error {
	switch {
	case m.cfg.Authorizer != nil:
	case m.cfg.OpenAccess:
		return nil
	default:
		p.stats.denied.Add(1)
		return fmt.Errorf("%w: %s %s", ErrForbidden, a.Action, a.Method)
	}
	c := p.callers.find(p, hs)
	ctx, cancel := m.limitAccess(ctx)
	defer cancel()
	err := c.authorize(ctx, a)
	p.logAccess(ctx, c, a, err)
	return err
}

// callerID is the id of those that are no connections. It is none that a connection could have.
const callerID = "call"

// noSession is the session of connections that never were one: nothing resumes it.
var noSession = new(session)

// neverOpen is the context of connections that are closed from the start.
var neverOpen = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(CloseReason{Kind: ReasonNormal, Text: "a call, not a connection"})
	return ctx
}()

// callers are those that called last, for who calls once calls again, and what an authorizer is shown of them
// never changes.
type callers [64]atomic.Pointer[Conn]

// find returns what an authorizer is shown of a client.
func (s *callers) find(p *providerState, hs *Handshake) *Conn {
	id := hs.identity
	if id == nil {
		id = new(Identity)
	}
	labels := facts.Of(id.Labels)
	addr, ok := hs.RemoteAddr.(*net.TCPAddr)
	if !ok || addr == nil || id.Claims != nil || !id.Expires.IsZero() {
		return newCaller(p, hs.RemoteAddr, id, labels)
	}
	place := &s[uint(addr.Port)%uint(len(s))]
	c := place.Load()
	if c == nil || c.remote != hs.RemoteAddr || c.user != id.User || c.labels != labels {
		c = newCaller(p, hs.RemoteAddr, id, labels)
		place.Store(c)
	}
	return c
}

// newCaller makes what an authorizer is shown of a client that is no connection: who it is and where it
// comes from. It is in no registry and closed from the start, so that whatever acts returns ErrClosed.
func newCaller(p *providerState, remote net.Addr, id *Identity, labels facts.Facts) *Conn {
	c := &Conn{
		id: callerID, provider: p, manager: p.manager, session: noSession, user: id.User,
		labels: labels, remote: remote, since: -1, ctx: neverOpen, cancel: func(error) {},
	}
	if !id.Expires.IsZero() || id.Claims != nil {
		c.identify(id)
	}
	c.done.Fire()
	c.out.closing, c.out.dead = true, true
	c.in.closed = true
	c.joins.closed, c.calls.closed = true, true
	return c
}

// Authorize asks the authorizer about a client that is no connection.
func (h *host) Authorize(ctx context.Context, hs *Handshake, a Access) error {
	if a.Action == ActionInvoke && a.Method == "" {
		return errors.New("comm: Authorize: a method is needed")
	}
	return h.p.manager.authorizeCaller(ctx, h.p, hs, a)
}
