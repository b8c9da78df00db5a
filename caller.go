package comm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/anasamu/comm/internal/facts"
)

// authorizeCaller asks the authorizer about a client that is no connection. Without one everything is
// refused, unless access is open.
func (m *Manager) authorizeCaller(ctx context.Context, p *providerState, hs *Handshake, a Access) (err error) {
	switch {
	case m.cfg.Authorizer != nil:
	case m.cfg.OpenAccess:
		return nil
	default:
		return fmt.Errorf("%w: %s %s", ErrForbidden, a.Action, a.Method)
	}
	c := m.newCaller(p, hs)
	defer m.recoverAs(&err, "authorizer", c)
	return m.cfg.Authorizer(ctx, c, a)
}

// callers numbers those that have no user to be named by.
var callers atomic.Uint64

// noSession is the session of connections that never were one: nothing resumes it.
var noSession = new(session)

// neverOpen is the context of connections that are closed from the start.
var neverOpen = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(CloseReason{Kind: ReasonNormal, Text: "a call, not a connection"})
	return ctx
}()

// newCaller makes what an authorizer is shown of a client that is no connection: who it is and where it
// comes from. It is in no registry and closed from the start, so that whatever acts returns ErrClosed.
func (m *Manager) newCaller(p *providerState, hs *Handshake) *Conn {
	id := hs.identity
	if id == nil {
		id = new(Identity)
	}
	c := &Conn{
		id: "call." + strconv.FormatUint(callers.Add(1), 36), provider: p, manager: m, session: noSession, user: id.User,
		labels: facts.Of(id.Labels), remote: hs.RemoteAddr, ctx: neverOpen, cancel: func(error) {},
	}
	c.address = kindPrefix[targetUser] + c.user
	if c.user == "" {
		c.address = kindPrefix[targetConn] + c.id
	}
	c.identify(id)
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
