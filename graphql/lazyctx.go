package graphql

import (
	"context"
	"sync"
	"time"
)

// lazyContext is the context of the resolvers of one request. It ends with the request, at the limit of
// time, and when the result can no longer be used. Only when a resolver looks at it is a context of the
// standard library made, to which everything is then left: most resolvers that do not block never do.
type lazyContext struct {
	parent context.Context
	limit  time.Duration // 0 is none
	began  time.Time

	mu     sync.Mutex // guards the fields below
	real   context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc
	ended  error // the cause, if it ended before it was made
}

func newLazyContext(parent context.Context, limit time.Duration) *lazyContext {
	c := &lazyContext{parent: parent, limit: max(limit, 0)}
	if c.limit > 0 {
		c.began = time.Now()
	}
	return c
}

// make makes the real context.
func (c *lazyContext) make() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real != nil {
		return c.real
	}
	c.real, c.cancel = context.WithCancelCause(c.parent)
	if c.limit > 0 {
		c.real, c.stop = context.WithDeadlineCause(c.real, c.began.Add(c.limit), &timeLimit{c.limit})
	}
	if c.ended != nil {
		c.cancel(c.ended)
	}
	return c.real
}

// Deadline, Done, Err and Value are those of the real context.
func (c *lazyContext) Deadline() (time.Time, bool) { return c.make().Deadline() }
func (c *lazyContext) Done() <-chan struct{}       { return c.make().Done() }
func (c *lazyContext) Err() error                  { return c.make().Err() }
func (c *lazyContext) Value(key any) any           { return c.make().Value(key) }

// end ends the context, and gives back what it holds.
func (c *lazyContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = cause
	}
	if c.real != nil {
		c.cancel(cause)
		if c.stop != nil {
			c.stop()
		}
	}
}

// cause is why the context has ended, or nil while it has not.
func (c *lazyContext) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.real != nil:
		return context.Cause(c.real)
	case c.ended != nil:
		return c.ended
	}
	if above, ok := c.parent.(*lazyContext); ok {
		return above.cause()
	}
	switch {
	case c.parent.Err() != nil:
		return context.Cause(c.parent)
	case c.limit > 0 && time.Since(c.began) >= c.limit:
		return &timeLimit{c.limit}
	}
	return nil
}
