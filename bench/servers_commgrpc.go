package main

import (
	"context"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// commGRPC is gRPC on the address that it shares with HTTP, WebSocket and event streams.
type commGRPC struct{}

func (commGRPC) start(s *spec, e entry, access []comm.Option, services ...commgrpc.Option) (hub, error) {
	m, err := comm.New(append(access,
		comm.WithAddr("127.0.0.1:0"),
		comm.WithMaxConnectionsPerAddr(plenty), comm.WithMaxConnectionsPerUser(plenty), comm.WithHandshakeRate(plenty, plenty),
		comm.WithProvider(commhttp.New(), ws.New(), sse.New(), commgrpc.New(services...)))...)
	if err != nil {
		return nil, err
	}
	h := &commHub{m: m}
	for g := range max(1, s.Groups) {
		h.targets = append(h.targets, comm.ToGroup(groupName(g)))
	}
	h.counted = len(h.targets)
	return h.start(e)
}

// open is access without questions or words.
func openAccess() []comm.Option {
	return []comm.Option{comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler))}
}

// guardedAccess asks for a token and rights, and logs.
func guardedAccess() []comm.Option {
	return []comm.Option{
		comm.WithLogger(slog.New(slog.NewJSONHandler(io.Discard, nil))),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token != token {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: "user"}, nil
		}),
		comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			if c.User() != "user" || a.Method != unaryPath {
				return comm.ErrForbidden
			}
			return nil
		}),
	}
}

// Calls serves the service that sends payloads back.
func (c commGRPC) Calls(s *spec) (hub, error) {
	access := openAccess()
	if s.Variant == variantGuarded {
		access = guardedAccess()
	}
	return c.start(s, entry{}, access, commgrpc.Register(func(r grpc.ServiceRegistrar) { testpb.RegisterTestServiceServer(r, payloadService{}) }))
}

// GRPCStreams serves the hub.
func (c commGRPC) GRPCStreams(s *spec) (hub, error) {
	return c.start(s, entry{GRPC: subscribePath}, openAccess())
}
