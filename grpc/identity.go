package commgrpc

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
	"github.com/anasamu/comm/internal/trace"
)

// whence notes where a call comes from.
func (c *call) whence(ctx context.Context) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	c.caller.Addr = p.Addr
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		c.caller.TLS = &info.State
	}
}

// authenticate finds out who calls: by the bearer token of the call's metadata, or whatever else the authenticator
// looks at.
func (g *guard) authenticate(c *call) error {
	hs := &c.handshake
	hs.RemoteAddr, hs.TLS, hs.Hello = c.caller.Addr, c.caller.TLS, &c.hello
	if !g.asks && !g.overWeb {
		return nil
	}
	hs.Header = header(c.Context)
	hs.Token = comm.BearerToken(hs.Header.Get("Authorization"))
	if err := g.host.Authenticate(c.Context, hs); err != nil {
		return err
	}
	c.caller.Identity, _ = hs.Identity()
	return nil
}

// header is a call's metadata as authenticators know it from HTTP.
func header(ctx context.Context) http.Header {
	md, _ := metadata.FromIncomingContext(ctx) // a copy, so its values can be kept
	h := make(http.Header, len(md))
	for k, v := range md {
		if k == ":authority" {
			k = "Host"
		}
		h[http.CanonicalHeaderKey(k)] = v
	}
	return h
}

// limited counts a call against the rate of its client's address.
func (g *guard) limited(c *call) error {
	if g.rate == nil {
		return nil
	}
	ok, retry := g.rate.Allow(limit.NetAddrKey(c.caller.Addr), 1, time.Now())
	if ok {
		return nil
	}
	// Clients that retry by themselves wait for so long (gRFC A6).
	ms := strconv.FormatInt(max(1, int64((retry+time.Millisecond-1)/time.Millisecond)), 10)
	_ = grpc.SetTrailer(c.Context, metadata.Pairs("grpc-retry-pushback-ms", ms))
	return refusal(&comm.LimitError{Limit: "calls per second and address", Max: g.callRate, Retry: retry})
}

// traced returns ctx with the trace that a call's metadata names (W3C Trace Context).
func traced(ctx context.Context) context.Context {
	parent := metadata.ValueFromIncomingContext(ctx, trace.Traceparent)
	if len(parent) != 1 {
		return ctx
	}
	tc, err := trace.Parse(parent[0], metadata.ValueFromIncomingContext(ctx, trace.Tracestate)...)
	if err != nil {
		return ctx
	}
	return trace.With(ctx, tc.Child())
}
