package ws

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Handler returns an HTTP handler that accepts connections and runs f with
// each, on a goroutine of its own after the HTTP handler has returned, so that
// net/http's buffers and the request are freed; over HTTP/2 that waits for the
// connection's end. f's context carries the
// values of the request's and ends with the connection.
//
// When f returns, the connection is closed: with StatusNormal after nil,
// StatusGoingAway if its context ended, else StatusInternalError, without
// telling the peer more. A panic in f is logged and ends that connection only.
//
// If an option is wrong, the handler logs that at once and answers 500 to all
// requests. Use NewAcceptor and Acceptor.Handler to get the error.
func Handler(f func(ctx context.Context, c *Conn) error, opts ...AcceptOption) http.Handler {
	a, err := NewAcceptor(opts...)
	if err != nil {
		return misconfigured(err)
	}
	return a.Handler(f)
}

func misconfigured(err error) http.Handler {
	slog.Error("ws: Handler is misconfigured", "error", err)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "WebSocket server is misconfigured", http.StatusInternalServerError)
	})
}

// Handler is the function Handler with a's options.
func (a *Acceptor) Handler(f func(ctx context.Context, c *Conn) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := a.accept(w, r, true)
		if err != nil {
			return // it has answered
		}
		go a.run(c.attach(a.context(r)), c, f)
		c.HoldHandler()
	})
}

// MessageHandler returns an HTTP handler that accepts connections and calls f
// with each message of each, by Start: the cheapest way to serve many, for an
// idle one holds neither a goroutine nor a buffer. The messages of one
// connection come in order, one call at a time. p is valid during f only; f
// may call any method of c but the reading ones.
//
// The context, the connection's end after an error of f, and what becomes of a
// panic or of a wrong option are those of Handler.
func MessageHandler(f func(ctx context.Context, c *Conn, t Type, p []byte) error, opts ...AcceptOption) http.Handler {
	a, err := NewAcceptor(opts...)
	if err != nil {
		return misconfigured(err)
	}
	return a.MessageHandler(f)
}

// MessageHandler is the function MessageHandler with a's options.
func (a *Acceptor) MessageHandler(f func(ctx context.Context, c *Conn, t Type, p []byte) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := a.accept(w, r, true)
		if err != nil {
			return // it has answered
		}
		h := &messages{a, c, c.attach(a.context(r)), f}
		c.Start(h.ctx, h.message, h.end)
		c.HoldHandler()
	})
}

// messages is one connection of a MessageHandler.
type messages struct {
	a   *Acceptor
	c   *Conn
	ctx context.Context
	f   func(ctx context.Context, c *Conn, t Type, p []byte) error
}

func (h *messages) message(t Type, p []byte) error { return h.f(h.ctx, h.c, t, p) }

func (h *messages) end(err error) {
	if p, ok := errors.AsType[*PanicError](err); ok {
		h.a.logPanic(h.c, p)
	}
	_ = h.c.Close(context.Background(), exitStatus(err), "") // the peer may be gone already
}

func (a *Acceptor) context(r *http.Request) context.Context {
	if a.conf.connContext != nil {
		return a.conf.connContext(r)
	}
	return context.WithoutCancel(r.Context())
}

// run is one connection's goroutine.
func (a *Acceptor) run(ctx context.Context, c *Conn, f func(context.Context, *Conn) error) {
	code := StatusInternalError
	defer func() {
		if v := recover(); v != nil {
			a.logPanic(c, v)
		}
		_ = c.Close(context.Background(), code, "") // the peer may be gone already
	}()
	code = exitStatus(f(ctx, c))
}

func exitStatus(err error) StatusCode {
	switch {
	case err == nil:
		return StatusNormal
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return StatusGoingAway
	}
	return StatusInternalError
}

func (a *Acceptor) logPanic(c *Conn, v any) {
	stack := debug.Stack()
	if p, ok := v.(*PanicError); ok {
		v, stack = p.Value, p.Stack
	}
	a.conf.logger.Error("ws: panic in handler", "panic", v, "remote", c.RemoteAddr(), "stack", string(stack))
}
