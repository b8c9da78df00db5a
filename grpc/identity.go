package commgrpc

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/anasamu/comm"
)

// asked is what the authenticator and the authorizer are shown, in one piece of memory.
type asked struct {
	comm.Handshake
	hello comm.Hello
}

// whence is where a call comes from, and the state of its TLS connection, nil in cleartext.
func whence(ctx context.Context) (net.Addr, *tls.ConnectionState) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, nil
	}
	if p.AuthInfo == nil || p.AuthInfo.AuthType() != "tls" {
		return p.Addr, nil
	}
	return p.Addr, stateOf(p.AuthInfo)
}

// stateOf is a function by itself because the state is large, and not to be taken from the heap where there is none.
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
