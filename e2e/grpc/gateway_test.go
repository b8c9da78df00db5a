package e2e

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// gateway is a running gateway with the interoperability service, on sockets.
type gateway struct {
	m    *comm.Manager
	addr string      // of gRPC
	tls  *tls.Config // for clients; nil in cleartext
	web  *webCalls
}

// webCalls counts the calls that came as requests of net/http, and not over gRPC's own transport.
type webCalls struct{ n atomic.Int64 }

func (w *webCalls) count(ctx context.Context) {
	if p, ok := peer.FromContext(ctx); ok {
		if _, own := p.Addr.(*net.TCPAddr); !own {
			w.n.Add(1)
		}
	}
}

func (w *webCalls) unary(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	w.count(ctx)
	return next(ctx, in)
}

func (w *webCalls) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	w.count(ss.Context())
	return next(srv, ss)
}

// page is long enough for tests of flow control.
func page(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(strings.Repeat("a page for tests of HTTP/2\n", 100)))
}

// start serves gRPC on an address that it shares with HTTP, WebSocket and event streams, or on its own.
func start(t *testing.T, secure, alone bool) gateway {
	t.Helper()
	web := new(webCalls)
	services := []commgrpc.Option{
		commgrpc.Register(func(r grpc.ServiceRegistrar) { testpb.RegisterTestServiceServer(r, interop.NewTestServer()) }),
		commgrpc.WithUnaryInterceptors(web.unary), commgrpc.WithStreamInterceptors(web.stream),
	}
	if alone {
		services = append(services, commgrpc.WithAddr("127.0.0.1:0"))
	}
	opts := []comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithHandshakeRate(1_000_000, 1_000_000),
		comm.WithProvider(commhttp.New(commhttp.HandleFunc("/page", page)), ws.New(), sse.New(), commgrpc.New(services...)),
	}
	if secure {
		opts = append(opts, comm.WithDevelopmentCertificate())
	}
	m, err := comm.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs, err := m.Addrs("grpc")
	if err != nil || len(addrs) == 0 {
		t.Fatal("no address of gRPC", err)
	}
	g := gateway{m: m, addr: addrs[0], web: web}
	if secure {
		g.tls, _ = m.DevelopmentCertificate()
	}
	return g
}

// certificate is the gateway's, as others see it.
func (g gateway) certificate(t *testing.T) []byte {
	t.Helper()
	d := tls.Dialer{Config: g.tls}
	c, err := d.DialContext(context.Background(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
}
