package commhttp

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Recover turns a handler's panic into an answer of 500, or, if the answer has begun,
// into an aborted connection, which tells the client that what it has is incomplete.
// The panic is logged with its stack; a nil logger is [slog.Default] at the time.
// [http.ErrAbortHandler] passes through, unlogged, as is its purpose. A connection that
// the handler had hijacked is closed.
func Recover(logger *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			defer func() {
				if v := recover(); v != nil {
					x.recovered(v, logger, w, r)
				}
			}()
			serve(next, w, r, orig)
		})
	}
}

func (x *exchange) recovered(v any, logger *slog.Logger, w http.ResponseWriter, r *http.Request) {
	if x.conn != nil {
		_ = x.conn.Close()
		x.ending.end()
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	logPanic(v, logger, r)
	switch {
	case x.conn != nil:
	case x.written():
		panic(http.ErrAbortHandler)
	default:
		Refuse(w, r, http.StatusInternalServerError, "")
	}
}

func logPanic(v any, logger *slog.Logger, r *http.Request) {
	stack := debug.Stack()
	if p, ok := v.(*relayed); ok {
		v, stack = p.value, p.stack
	}
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(r.Context(), slog.LevelError, "http handler panicked",
		slog.String("panic", fmt.Sprint(v)),
		slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.Path)),
		slog.String("request_id", RequestIDFrom(r.Context())),
		slog.String("stack", string(stack)))
}
