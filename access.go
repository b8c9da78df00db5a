package comm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Authorize asks the manager's authorizer whether the client may do something, for code that does it in the
// client's name by other means than a frame. It runs the authorizer on the caller's goroutine, within
// WithHandlerTimeout. Errors: the authorizer's, and ErrForbidden without one, unless access is open. One that tells a
// client nothing is logged.
func (c *Conn) Authorize(a Access) error {
	ctx, cancel := c.manager.limitAccess(c.ctx)
	defer cancel()
	err := c.authorize(ctx, a)
	c.provider.logAccess(ctx, c, a, err)
	return err
}

// authorize asks the authorizer; without one everything is refused, unless access is open. The caller logs what it
// could not decide.
func (c *Conn) authorize(ctx context.Context, a Access) error {
	err := c.manager.ask(ctx, c, a)
	c.provider.stats.decided(ctx, err)
	return err
}

func (m *Manager) ask(ctx context.Context, c *Conn, a Access) (err error) {
	defer m.recoverAs(&err, "authorizer", c)
	if a.Group == "" && a.Target.kind == targetGroup && len(a.Target.more) == 0 {
		a.Group = a.Target.name()
	}
	switch {
	case m.cfg.Authorizer != nil:
		return m.cfg.Authorizer(ctx, c, a)
	case m.cfg.OpenAccess:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrForbidden, a.Action)
}

// limitAccess gives the authorizer the time of a handler, where it is not asked by one.
func (m *Manager) limitAccess(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := m.cfg.HandlerTimeout; d > 0 {
		return context.WithTimeoutCause(ctx, d, m.handlers.overdue)
	}
	return ctx, func() {}
}

// undecidable reports an error that is no decision about the client but a failure of the service. What fails because
// the client has gone is none.
func undecidable(ctx context.Context, err error) bool {
	if err == nil || deserted(ctx, err) {
		return false
	}
	code, _ := codeOf(err)
	return code == CodeInternal || errors.Is(err, context.DeadlineExceeded)
}

// deserted reports that something failed because the client has gone.
func deserted(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		return false
	}
	_, ended := errors.AsType[CloseReason](err)
	return ended || errors.Is(err, context.Canceled)
}

// decided counts what became of a question to the authorizer, unless nobody waits for it any more.
func (p *providerCounters) decided(ctx context.Context, err error) {
	switch {
	case err == nil || deserted(ctx, err):
	case undecidable(ctx, err):
		p.undecided.Add(1)
	default:
		p.denied.Add(1)
	}
}

// logAccess logs what the client is told nothing about. A panic has its own line.
func (p *providerState) logAccess(ctx context.Context, c *Conn, a Access, err error) {
	if !undecidable(ctx, err) || errors.Is(err, errPanic) {
		return
	}
	p.manager.log.Warn("authorizer failed", "provider", p.name, "conn", c.id, "user", c.user,
		"action", string(a.Action), "target", shorten(a.Target.String()), "method", a.Method, "error", err)
}

// mayJoin asks whether the client may join a group.
func (c *Conn) mayJoin(group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	return c.Authorize(Access{Action: ActionJoin, Target: ToGroup(group), Group: group})
}

// clientTarget parses what a client wrote, and tells it what is allowed.
func clientTarget(s string) (Target, error) {
	t, err := ParseTarget(s)
	if err != nil {
		return t, wrongTarget(strconv.Quote(shorten(s)) + ": allowed is conn:ID, user:NAME, group:NAME or all")
	}
	return t, nil
}

// wrongTarget is ErrTarget with a text for the client.
func wrongTarget(text string) error {
	return fmt.Errorf("%w: %w", ErrTarget, &PeerError{CodeNotFound, "no target: " + text})
}
