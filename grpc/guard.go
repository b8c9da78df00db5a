package commgrpc

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
	"github.com/anasamu/comm/internal/trace"
)

// guard is what stands around every call of one start: recovery, statistics, log, trace, identity, rights and rates, in
// this order from the outside. They are one interceptor, for each of its own would cost every call a closure.
type guard struct {
	host     comm.Host
	manager  *comm.Manager
	log      *slog.Logger
	methods  *methods
	rate     *limit.Limiter[netip.Prefix] // of calls, or nil
	callRate int                          // of rate
	leaving  <-chan struct{}
	asks     bool // there is an authenticator
	overWeb  bool // calls come as HTTP requests
}

func (s *server) newGuard(native bool) *guard {
	return &guard{
		host: s.host, manager: s.host.Manager(), log: s.host.Logger(), methods: s.p.methods(), rate: s.p.rate, callRate: s.p.conf.CallRate,
		leaving: s.ctx.Done(), asks: s.host.Settings().Authenticator, overWeb: !native,
	}
}

// unary is the interceptor of unary calls.
func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	start := time.Now()
	m, c := g.methods.find(info.FullMethod), g.newCall(ctx, info.FullMethod)
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, g.panicked(c, m, p)
		}
		g.returned(ctx)
		g.ended(c, m, start, false, err)
	}()
	if err = g.begin(c, m); err != nil {
		return nil, err
	}
	resp, err = next(c, req)
	return resp, statusError(err)
}

// stream is the interceptor of streams.
func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	start := time.Now()
	m, c := g.methods.find(info.FullMethod), g.newCall(ss.Context(), info.FullMethod)
	defer func() {
		if p := recover(); p != nil {
			err = g.panicked(c, m, p)
		}
		g.returned(ss.Context())
		g.ended(c, m, start, true, err)
	}()
	if err = g.begin(c, m); err != nil {
		return err
	}
	coded, err := streamInCodec(ss, m)
	if err != nil {
		return err
	}
	guarded := &guardedStream{ServerStream: coded, ctx: c}
	if m.endless {
		return g.untilLeaving(c, m, func() error { return next(srv, guarded) })
	}
	return statusError(next(srv, guarded))
}

// guardedStream is a stream with the context of its call.
type guardedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *guardedStream) Context() context.Context { return s.ctx }

// untilLeaving runs a handler that would wait for its client for ever. When the server is about to end it returns
// first, which ends the stream and with it the handler.
func (g *guard) untilLeaving(ctx context.Context, m *method, handle func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- g.panicked(ctx, m, p)
			}
		}()
		done <- handle()
	}()
	select {
	case err := <-done:
		return err
	case <-g.leaving:
		return status.Error(codes.Unavailable, "the server is going away")
	}
}

func (g *guard) newCall(ctx context.Context, full string) *call {
	c := &call{Context: ctx, caller: Caller{Method: full, Manager: g.manager, leaving: g.leaving}}
	c.caller.Addr, c.caller.TLS = whence(ctx)
	return c
}

// returned says that the handler has returned, to what carries its answer.
func (g *guard) returned(ctx context.Context) {
	if !g.overWeb {
		return
	}
	if x := exchangeOf(ctx); x != nil {
		x.reply.end()
	}
}

// begin lets a call through, or says why not.
func (g *guard) begin(c *call, m *method) error {
	if err := g.limited(c); err != nil {
		return err
	}
	if m.own || m.public {
		c.trace(nil)
		c.begun = true
		return nil
	}
	hs, err := g.authenticate(c)
	c.trace(hs.Header)
	if err != nil {
		return refusal(err)
	}
	if err := g.host.Authorize(c, hs, comm.Access{Action: comm.ActionInvoke, Method: c.caller.Method}); err != nil {
		return refusal(err)
	}
	c.begun = true
	return nil
}

// trace makes the call part of the trace that its metadata names (W3C Trace Context). h is the metadata as a header, or
// nil where nobody has made one: to look for what is not there costs more in metadata.
func (c *call) trace(h http.Header) {
	parent, state := h["Traceparent"], h["Tracestate"]
	if h == nil {
		parent = metadata.ValueFromIncomingContext(c.Context, trace.Traceparent)
	}
	if len(parent) != 1 {
		return
	}
	if h == nil {
		state = metadata.ValueFromIncomingContext(c.Context, trace.Tracestate)
	}
	if tc, err := trace.Parse(parent[0], state...); err == nil {
		c.Context = trace.With(c.Context, tc.Child())
	}
}
