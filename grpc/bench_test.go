package commgrpc_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// servers are what BenchmarkUnary calls: bare grpc-go, and a gateway on one port with and without a guard that has
// somebody to ask.
var servers = map[string]func(b *testing.B) (addr string){
	"bare grpc-go": func(b *testing.B) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := grpc.NewServer()
		grpc_testing.RegisterTestServiceServer(s, new(service))
		go s.Serve(l)
		b.Cleanup(s.Stop)
		return l.Addr().String()
	},
	"gateway, open": func(b *testing.B) string { return benched(b, comm.WithOpenAccess()) },
	"gateway, guarded": func(b *testing.B) string {
		return benched(b, comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{User: hs.Token}, nil
		}), comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil }))
	},
}

func benched(b *testing.B, opts ...comm.Option) string {
	m, err := comm.New(append(opts, comm.WithAddr("127.0.0.1:0"), comm.WithProvider(pages(), commgrpc.New(with(new(service)))),
		comm.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	if err := m.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	addrs, err := m.Addrs("grpc")
	if err != nil {
		b.Fatal(err)
	}
	return addrs[0]
}

// BenchmarkUnary measures a small unary call over TCP; cpu-ns/op is of the whole process, client included.
func BenchmarkUnary(b *testing.B) {
	for _, name := range []string{"bare grpc-go", "gateway, open", "gateway, guarded"} {
		b.Run(name, func(b *testing.B) {
			cc, err := grpc.NewClient("passthrough:///"+servers[name](b), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			defer cc.Close()
			c := grpc_testing.NewTestServiceClient(cc)
			ctx := metadata.NewOutgoingContext(b.Context(), metadata.Pairs("authorization", "Bearer ann"))
			if _, err := c.UnaryCall(ctx, payload(16)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime()
			callFrom(b, 16, func() {
				if _, err := c.UnaryCall(ctx, payload(16)); err != nil {
					b.Error(err)
				}
			})
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// callFrom makes b.N calls from n goroutines.
func callFrom(b *testing.B, n int, call func()) {
	var wg sync.WaitGroup
	for i := range n {
		share := b.N / n
		if i < b.N%n {
			share++
		}
		wg.Go(func() {
			for range share {
				call()
			}
		})
	}
	wg.Wait()
	runtime.KeepAlive(call)
}

// BenchmarkGuard measures what the guard adds to a call, without a network.
func BenchmarkGuard(b *testing.B) {
	for name, opts := range map[string][]comm.Option{
		"open": {comm.WithOpenAccess()},
		"guarded": {
			comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
				return comm.Identity{User: hs.Token}, nil
			}),
			comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil }),
		},
	} {
		b.Run(name, func(b *testing.B) {
			p := commgrpc.New(with(new(service)))
			guarded(b, p, opts...)
			ctx := grpcpeer.NewContext(b.Context(), &grpcpeer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}})
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(":authority", "gateway", "content-type", "application/grpc",
				"user-agent", "grpc-go/1.85.0", "grpc-accept-encoding", "gzip", "authorization", "Bearer ann"))
			guard, info := commgrpc.Guard(p), &grpc.UnaryServerInfo{FullMethod: unaryCall}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := guard(ctx, nil, info, func(context.Context, any) (any, error) { return nil, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
