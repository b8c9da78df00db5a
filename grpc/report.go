package commgrpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
)

// errPanicked is what a client is told of a panic.
var errPanicked = status.Error(codes.Internal, "internal error")

// panicked logs a panic of a handler, once and with its stack.
func (g *guard) panicked(ctx context.Context, m *method, p any) error {
	g.log.LogAttrs(ctx, slog.LevelError, "method panicked", slog.String("method", m.label),
		slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	return errPanicked
}

// ended counts and logs a call.
func (g *guard) ended(c *call, m *method, start time.Time, stream bool, err error) {
	code := codes.OK
	if err != nil {
		code = errorCode(err)
	}
	took := time.Since(start)
	var counted context.Context = c
	if !g.overWeb {
		counted = context.Background() // nothing that Served would look for is in the call's
	}
	failed, level := isFault(code), levelOf(code)
	if stream && (m.lasting() && code != codes.Internal || code == codes.Unavailable && c.left()) { // it has to end somehow
		failed, level = false, slog.LevelDebug
	}
	if level < slog.LevelWarn && c.byStranger(m) || m.own && code != codes.Internal {
		level = slog.LevelDebug
	}
	g.host.Served(counted, comm.Served{Name: m.label, Code: codeName(code), Failed: failed, Stream: stream, Took: took})
	if err == errPanicked || !g.log.Enabled(c, level) {
		return
	}
	g.report(c, level, m, code, took, err)
}

// left reports that the server is about to end.
func (c *call) left() bool {
	select {
	case <-c.caller.leaving:
		return true
	default:
		return false
	}
}

// byStranger reports that a call has got no further than anybody's would: strangers must not be able to fill the log.
func (c *call) byStranger(m *method) bool {
	return m.lasting() || m.missing || !c.begun && c.caller.Identity.User == ""
}

// errorCode is the code that grpc-go makes of a handler's error.
func errorCode(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// levelOf is the level at which a call's end is logged: the service's own faults are to be looked at, and what a client
// has cancelled is as ordinary as what it has got.
func levelOf(code codes.Code) slog.Level {
	switch {
	case isFault(code):
		return slog.LevelWarn
	case code == codes.OK, code == codes.Canceled:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (g *guard) report(c *call, level slog.Level, m *method, code codes.Code, took time.Duration, err error) {
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("method", m.label), slog.String("code", codeName(code)), slog.Duration("took", took))
	if c.caller.Addr != nil {
		attrs = append(attrs, slog.String("remote", c.caller.Addr.String()))
	}
	if user := c.caller.Identity.User; user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	text := "call"
	if err != nil {
		text = "call failed"
		attrs = append(attrs, slog.Any("error", err))
	}
	g.log.LogAttrs(c, level, text, attrs...)
}
