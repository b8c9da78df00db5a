package commhttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// Timeout gives a handler d from the start of the request: its context then ends with
// [context.DeadlineExceeded]. If nothing has been written by then, the client is answered 503 at
// once, and what the handler still writes fails with [http.ErrHandlerTimeout]; if
// something has, the answer is left to the handler, which sees the context end.
//
// Unlike [http.TimeoutHandler] nothing is buffered: writes go straight through, and
// flushing, hijacking and [http.ResponseController] work. Streams are exempt (see
// [Stream]): once a response is one, its context has no such deadline any more.
//
// The handler runs on a goroutine of its own, which ends when the handler returns:
// one that ignores its context outlives the request, though it cannot touch it. Its
// writer does not unwrap for that reason.
func Timeout(d time.Duration) (Middleware, error) {
	if d <= 0 {
		return nil, fmt.Errorf("commhttp: request timeout %v: must be positive", d)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			ctx := newLiftableContext(r.Context(), d)
			defer ctx.finish()
			x.info.onStream(ctx)
			g := &gate{w: w, x: x, header: w.Header().Clone()}
			g.run(next, ctx, r, orig)
		})
	}, nil
}

// run answers with next, or with 503 if it takes too long.
func (g *gate) run(next http.Handler, ctx *liftableContext, r, orig *http.Request) {
	done := make(chan *relayed, 1)
	inner := r.WithContext(ctx)
	go func() {
		defer func() { done <- relay(recover()) }()
		next.ServeHTTP(g.writer(), inner)
	}()
	select {
	case p := <-done:
		orig.Pattern = cmp.Or(orig.Pattern, inner.Pattern)
		g.finish(p, ctx, r)
		return
	case <-ctx.Done():
	}
	// When it is the client that has gone, the handler is left to notice: there is
	// nobody to answer in its stead.
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && g.expire() {
		refuseTimeout(g.w, r)
		return
	}
	g.finish(<-done, ctx, r)
}

// finish ends the request after the handler has returned.
func (g *gate) finish(p *relayed, ctx *liftableContext, r *http.Request) {
	switch {
	case p != nil && p.value == http.ErrAbortHandler:
		panic(http.ErrAbortHandler)
	case p != nil:
		panic(p)
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && g.expire():
		refuseTimeout(g.w, r)
	default:
		g.start() // headers of an answer without a body
	}
}

func refuseTimeout(w http.ResponseWriter, r *http.Request) {
	Refuse(w, r, http.StatusServiceUnavailable, "the request took too long to handle")
}

// relayed is a panic on its way from the handler's goroutine to the server's.
type relayed struct {
	value any
	stack []byte
}

func relay(value any) *relayed {
	if value == nil {
		return nil
	}
	return &relayed{value, debug.Stack()}
}

func (p *relayed) String() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// liftableContext is a context with a deadline that can be taken back, which the
// standard library's cannot. Contexts derived from it end through AfterFunc.
type liftableContext struct {
	context.Context // the parent, for values
	timer           *time.Timer
	detach          func() bool
	done            chan struct{}
	after           context.Context // ends after done; AfterFunc hangs on it
	endAfter        context.CancelFunc

	mu       sync.Mutex
	deadline time.Time // zero once lifted
	err      error
}

func newLiftableContext(parent context.Context, d time.Duration) *liftableContext {
	c := &liftableContext{Context: parent, done: make(chan struct{}), deadline: time.Now().Add(d)}
	c.after, c.endAfter = context.WithCancel(context.Background())
	c.detach = context.AfterFunc(parent, func() { c.end(parent.Err(), false) })
	c.timer = time.AfterFunc(d, func() { c.end(context.DeadlineExceeded, true) })
	return c
}

func (c *liftableContext) end(err error, expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || expired && c.deadline.IsZero() {
		return
	}
	c.err = err
	close(c.done)
	c.endAfter()
}

// lift takes the deadline back, if it has not passed.
func (c *liftableContext) lift() {
	c.timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = time.Time{}
}

// finish ends the context with its request.
func (c *liftableContext) finish() {
	c.timer.Stop()
	c.detach()
	c.end(context.Canceled, false)
}

func (c *liftableContext) Deadline() (time.Time, bool) {
	parent, ok := c.Context.Deadline()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.IsZero() || ok && parent.Before(c.deadline) {
		return parent, ok
	}
	return c.deadline, true
}

func (c *liftableContext) Done() <-chan struct{} { return c.done }

func (c *liftableContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc is what package context looks for to derive from a context it does not
// know without a goroutine for each.
func (c *liftableContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.after, f) }
