package ws

import (
	"context"
)

// acquire takes one of the connection's locks. It fails when ctx or the
// connection ends first.
func (c *Conn) acquire(ctx context.Context, l *lock) error {
	for !l.try() {
		select {
		case <-l.wait():
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done.C():
			return c.cause
		}
	}
	return c.keepIfAlive(l)
}

// keepIfAlive gives l back if the connection has ended.
func (c *Conn) keepIfAlive(l *lock) error {
	err := c.Err()
	if err != nil {
		l.unlock()
	}
	return err
}

// ended returns ctx's cause if it has ended.
func ended(ctx context.Context) error {
	if ctx.Err() != nil { // not Done, which may make a channel
		return context.Cause(ctx)
	}
	return nil
}

// ownContext reports whether ctx ends only with c.
func (c *Conn) ownContext(ctx context.Context) bool {
	x, ok := ctx.(connContext)
	return ok && x.c == c
}

// attach returns a context that ends with parent and with the connection.
func (c *Conn) attach(parent context.Context) context.Context {
	if parent.Done() != nil {
		ctx, cancel := context.WithCancelCause(parent)
		c.onEnd(func() { cancel(c.cause) })
		return ctx
	}
	return connContext{parent, c}
}

// connContext is a context that ends with its connection. It costs less than
// one of package context, which matters where most connections are idle.
type connContext struct {
	context.Context // for its values; it never ends
	c               *Conn
}

// Done implements context.Context.
func (x connContext) Done() <-chan struct{} { return x.c.done.C() }

// Err implements context.Context.
func (x connContext) Err() error {
	if x.c.Err() != nil {
		return errConnEnded
	}
	return nil
}

// errConnEnded is context.Canceled with a word more.
var errConnEnded = &endedError{}

type endedError struct{}

func (*endedError) Error() string        { return "ws: connection ended: context canceled" }
func (*endedError) Is(target error) bool { return target == context.Canceled }

// AfterFunc is what package context looks for to derive contexts from this
// one without a goroutine.
func (x connContext) AfterFunc(f func()) (stop func() bool) { return x.c.onEnd(f) }

// hook is a function to run when the connection has ended.
type hook struct{ f func() }

// onEnd has f run, on a goroutine of its own, when the connection has ended.
func (c *Conn) onEnd(f func()) (stop func() bool) {
	c.shutting.Lock()
	defer c.shutting.Unlock()
	if c.cause != nil {
		go f()
		return func() bool { return false }
	}
	h := &hook{f}
	if c.hooks == nil {
		c.hooks = make(map[*hook]struct{}, 1)
	}
	c.hooks[h] = struct{}{}
	return func() bool {
		c.shutting.Lock()
		defer c.shutting.Unlock()
		_, found := c.hooks[h]
		delete(c.hooks, h)
		return found
	}
}
