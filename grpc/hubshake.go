package commgrpc

import (
	"context"

	"github.com/anasamu/comm"
)

// handshakeOf is what is known of a caller before it has said anything: its metadata, as headers, its address
// and its certificate.
func handshakeOf(ctx context.Context) *comm.Handshake {
	hs := &comm.Handshake{Header: header(ctx), Hello: &comm.Hello{}}
	hs.Token = comm.BearerToken(hs.Header.Get("Authorization"))
	hs.RemoteAddr, hs.TLS = whence(ctx)
	return hs
}

// greeted is hs with what the client says of itself in its hello.
func greeted(hs *comm.Handshake, hello *comm.Frame) {
	hs.Hello, hs.Position, hs.ID = hello.Hello, hello.Position, hello.ID
	if hello.Token != "" {
		hs.Token = hello.Token
	}
}
