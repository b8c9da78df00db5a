package commgrpc_test

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// gateway runs a manager in memory with the provider and options given.
func gateway(t testing.TB, p *commgrpc.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	all := append([]comm.Option{
		comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithProvider(p), comm.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	m, err := comm.New(all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

// client connects to the manager in memory.
func client(t testing.TB, m *comm.Manager, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	all := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.DialContext(ctx, "tcp", addr) }),
	}, opts...)
	cc, err := grpc.NewClient("passthrough:///gateway:80", all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func TestHealthCheck(t *testing.T) {
	m := gateway(t, commgrpc.New())
	for _, opts := range [][]grpc.DialOption{nil, {grpc.WithUserAgent("x")}} {
		resp, err := grpc_health_v1.NewHealthClient(client(t, m, opts...)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Fatalf("%v, %v", resp, err)
		}
	}
}
