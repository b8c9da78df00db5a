package commgrpc

import (
	"context"
	"crypto/tls"
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
	if p.AuthInfo != nil && p.AuthInfo.AuthType() == "tls" {
		c.caller.TLS = stateOf(p.AuthInfo)
	}
}

// stateOf is the state of a TLS connection. It is large, and so not to be copied where there is none.
func stateOf(a credentials.AuthInfo) *tls.ConnectionState {
	info, ok := a.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return &info.State
}

// authenticate finds out who calls: by the bearer token of the call's metadata, or whatever else the authenticator
// looks at.
func (g *guard) authenticate(c *call) (*comm.Handshake, error) {
	a := &asked{Handshake: comm.Handshake{RemoteAddr: c.caller.Addr, TLS: c.caller.TLS}}
	hs := &a.Handshake
	if !g.asks && !g.overWeb {
		return hs, nil
	}
	hs.Hello, hs.Header = &a.hello, header(c.Context)
	hs.Token = comm.BearerToken(hs.Header.Get("Authorization"))
	if err := g.host.Authenticate(c.Context, hs); err != nil {
		return hs, err
	}
	c.caller.Identity, _ = hs.Identity()
	return hs, nil
}

// header is a call's metadata as authenticators know it from HTTP.
func header(ctx context.Context) http.Header {
	md, _ := metadata.FromIncomingContext(ctx) // a copy, so it can be made into the header
	for k, v := range md {
		if name := headerName(k); name != k {
			delete(md, k)
			md[name] = v
		}
	}
	if md == nil {
		return make(http.Header)
	}
	return http.Header(md)
}

// headerName is the name of a metadata key in HTTP.
func headerName(key string) string {
	if name, ok := headerNames[key]; ok {
		return name
	}
	return http.CanonicalHeaderKey(key)
}

// headerNames are those that most calls have.
var headerNames = map[string]string{
	":authority": "Host", "authorization": "Authorization", "content-type": "Content-Type", "user-agent": "User-Agent",
	"grpc-accept-encoding": "Grpc-Accept-Encoding", "traceparent": "Traceparent", "tracestate": "Tracestate",
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
