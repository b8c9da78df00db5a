package comm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrHandlerTimeout means that a handler took longer than WithHandlerTimeout allows. It is the cause of the context
// of that handler (context.Cause), and there also context.DeadlineExceeded.
var ErrHandlerTimeout = errors.New("comm: the handler took too long")

// overdue is the cause with which the context of a handler ends that has had its time.
func overdue(d time.Duration) error {
	return fmt.Errorf("%w: more than %v (WithHandlerTimeout): %w", ErrHandlerTimeout, d, context.DeadlineExceeded)
}

// handlerTime is the time that one run of a handler has; nil is no bound.
type handlerTime struct {
	deadline time.Time

	cancel context.CancelFunc
	stop   func() bool   // takes back what happens at the end of ctx
	told   chan struct{} // closed when that has happened
	over   bool          // the client has been told, so that what the handler says does not matter any more
}

// limitHandler gives the handler of f its time. When that is over the context ends, and the client is told so at
// once: a handler that does not look at its context would otherwise leave its caller without an answer.
func (c *Conn) limitHandler(ctx context.Context, f *Frame) (context.Context, *handlerTime) {
	d := c.manager.cfg.HandlerTimeout
	if d == 0 {
		return ctx, nil
	}
	t := &handlerTime{deadline: time.Now().Add(d), told: make(chan struct{})}
	ctx = context.WithValue(ctx, handlerTimeKey{}, t)
	ctx, t.cancel = context.WithDeadlineCause(ctx, t.deadline, c.manager.handlers.overdue)
	t.stop = context.AfterFunc(ctx, func() {
		defer close(t.told)
		if err := context.Cause(ctx); errors.Is(err, ErrHandlerTimeout) {
			t.over = true
			c.logOverdue(f, d)
			c.refuse(f, err)
		}
	})
	return ctx, t
}

// end is called when the handler has returned. over reports that its time was over before, and its client told.
func (t *handlerTime) end() (over bool) {
	if t == nil {
		return false
	}
	if !t.stop() {
		<-t.told
	}
	t.cancel()
	return t.over
}

func (c *Conn) logOverdue(f *Frame, d time.Duration) {
	c.manager.log.Warn("handler took too long", "provider", c.provider.name, "conn", c.id, "user", c.user,
		"op", f.Op.String(), "type", f.typ(), "id", f.ID, "timeout", d)
}

// handlerTimeKey finds, in the context of a handler, the time that it has.
type handlerTimeKey struct{}

// hasDeadline reports whether somebody gave ctx a deadline who had this very thing in mind: a handler's time is for
// all that it does, and leaves the defaults of each part as they are.
func hasDeadline(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	if !ok {
		return false
	}
	t, handler := ctx.Value(handlerTimeKey{}).(*handlerTime)
	return !handler || !d.Equal(t.deadline)
}
