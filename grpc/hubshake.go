package commgrpc

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/anasamu/comm"
)

// handshakeOf is what is known of a caller before it has said anything: its metadata, as headers, its address
// and its certificate.
func handshakeOf(ctx context.Context) *comm.Handshake {
	hs := &comm.Handshake{Header: make(http.Header), Hello: &comm.Hello{}}
	md, _ := metadata.FromIncomingContext(ctx)
	for name, values := range md {
		if !strings.HasPrefix(name, ":") {
			hs.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	hs.Token = comm.BearerToken(hs.Header.Get("Authorization"))
	p, ok := peer.FromContext(ctx)
	if !ok {
		return hs
	}
	hs.RemoteAddr = p.Addr
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		hs.TLS = &info.State
	}
	return hs
}

// greeted is hs with what the client says of itself in its hello.
func greeted(hs *comm.Handshake, hello *comm.Frame) {
	hs.Hello, hs.Position, hs.ID = hello.Hello, hello.Position, hello.ID
	if hello.Token != "" {
		hs.Token = hello.Token
	}
}
