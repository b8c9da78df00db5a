package commgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// echo is a service as generated code wants it.
type echo struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echo) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload(), Username: commgrpc.FromContext(ctx).Identity.User}, nil
}

func (echo) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return new(grpc_testing.Empty), nil
}

// register adds echo to a provider.
func register(s grpc.ServiceRegistrar) { grpc_testing.RegisterTestServiceServer(s, echo{}) }

// started is a gateway in memory; its clients are made by connectTo. Elsewhere both have real addresses.
func started(opts ...comm.Option) *comm.Manager {
	gw, err := comm.New(append(opts, comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		panic(err)
	}
	if err := gw.Start(context.Background()); err != nil {
		panic(err)
	}
	return gw
}

func connectTo(gw *comm.Manager, creds credentials.TransportCredentials) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///gateway:80", grpc.WithTransportCredentials(creds), grpc.WithContextDialer(
		func(ctx context.Context, addr string) (net.Conn, error) { return gw.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		panic(err)
	}
	return conn
}

// A service on the address that a gateway shares with HTTP, WebSocket and all else.
func Example() {
	gw := started(comm.WithOpenAccess(), comm.WithProvider(commgrpc.New(commgrpc.Register(register))))
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()

	resp, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(context.Background(), &grpc_testing.SimpleRequest{
		Payload: &grpc_testing.Payload{Body: []byte("hello")},
	})
	fmt.Println(string(resp.GetPayload().GetBody()), err)
	// Output: hello <nil>
}

// Who calls is found by the manager's authenticator, what they may call by its authorizer, and a handler sees the result.
func ExampleFromContext() {
	gw := started(
		comm.WithProvider(commgrpc.New(commgrpc.Register(register))),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token != "ann's secret" {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{User: "ann"}, nil
		}),
		comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			if a.Action == comm.ActionInvoke && a.Method == "/grpc.testing.TestService/UnaryCall" && c.User() == "ann" {
				return nil
			}
			return comm.ErrForbidden
		}),
	)
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)

	_, err := client.UnaryCall(context.Background(), new(grpc_testing.SimpleRequest))
	fmt.Println(status.Code(err))
	ann := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer ann's secret")
	resp, err := client.UnaryCall(ann, new(grpc_testing.SimpleRequest))
	fmt.Println(resp.GetUsername(), err)
	_, err = client.EmptyCall(ann, new(grpc_testing.Empty))
	fmt.Println(status.Code(err))
	// Output:
	// Unauthenticated
	// ann <nil>
	// PermissionDenied
}

// A handler is tested without a gateway by telling it who calls.
func ExampleNewContext() {
	greet := func(ctx context.Context) string { return "hello, " + commgrpc.FromContext(ctx).Identity.User }

	ctx := commgrpc.NewContext(context.Background(), &commgrpc.Caller{Identity: comm.Identity{User: "ann"}})
	fmt.Println(greet(ctx))
	// Output: hello, ann
}

// A gateway before a server that is not its own: calls of what is registered nowhere go there, of whoever may make them.
func ExampleForward() {
	users := started(comm.WithOpenAccess(), comm.WithProvider(commgrpc.New(commgrpc.Register(register))))
	defer users.Close()
	upstream := connectTo(users, insecure.NewCredentials())
	defer upstream.Close()

	gw := started(comm.WithProvider(commgrpc.New(commgrpc.WithUnknownService(commgrpc.Forward(upstream)))),
		comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
			if a.Method == "/grpc.testing.TestService/EmptyCall" {
				return nil
			}
			return comm.ErrForbidden
		}))
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()

	client := grpc_testing.NewTestServiceClient(conn)
	_, err := client.EmptyCall(context.Background(), new(grpc_testing.Empty))
	fmt.Println(status.Code(err))
	_, err = client.UnaryCall(context.Background(), new(grpc_testing.SimpleRequest))
	fmt.Println(status.Code(err))
	// Output:
	// OK
	// PermissionDenied
}

// Methods that everybody may call, without an authorizer.
func ExampleWithPublicMethods() {
	gw := started(comm.WithProvider(commgrpc.New(
		commgrpc.Register(register),
		commgrpc.WithPublicMethods("/grpc.testing.TestService/EmptyCall"),
	)))
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)

	_, err := client.EmptyCall(context.Background(), new(grpc_testing.Empty))
	fmt.Println(status.Code(err))
	_, err = client.UnaryCall(context.Background(), new(grpc_testing.SimpleRequest))
	fmt.Println(status.Code(err))
	// Output:
	// OK
	// PermissionDenied
}

// An interceptor runs once the call is allowed, and knows the caller.
func ExampleWithUnaryInterceptors() {
	timed := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		fmt.Println(info.FullMethod)
		return next(ctx, req)
	}
	gw := started(comm.WithOpenAccess(), comm.WithProvider(commgrpc.New(commgrpc.Register(register), commgrpc.WithUnaryInterceptors(timed))))
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()

	_, err := grpc_testing.NewTestServiceClient(conn).EmptyCall(context.Background(), new(grpc_testing.Empty))
	fmt.Println(err)
	// Output:
	// /grpc.testing.TestService/EmptyCall
	// <nil>
}

// TLS of the manager's address is the provider's too. This certificate is made in memory; see comm.WithCertificate.
func ExampleNew_tls() {
	gw := started(comm.WithDevelopmentCertificate(), comm.WithOpenAccess(), comm.WithProvider(commgrpc.New(commgrpc.Register(register))))
	defer gw.Close()
	trusted, _ := gw.DevelopmentCertificate()
	trusted = trusted.Clone()
	trusted.ServerName = "localhost"
	conn := connectTo(gw, credentials.NewTLS(trusted))
	defer conn.Close()

	_, err := grpc_testing.NewTestServiceClient(conn).EmptyCall(context.Background(), new(grpc_testing.Empty))
	fmt.Println(err)
	// Output: <nil>
}

// An address of the provider's own, for clients that have a certificate (mTLS).
func ExampleWithTLS() {
	var certificate tls.Certificate // from tls.LoadX509KeyPair
	clientCAs := x509.NewCertPool() // whose certificates clients must have
	provider := commgrpc.New(
		commgrpc.Register(register),
		commgrpc.WithAddr(":9090"),
		commgrpc.WithTLS(&tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientCAs:    clientCAs, ClientAuth: tls.RequireAndVerifyClientCert,
			MinVersion: tls.VersionTLS13,
		}),
	)
	_, err := comm.New(comm.WithProvider(provider), comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		return comm.Identity{User: hs.TLS.VerifiedChains[0][0].Subject.CommonName}, nil
	}))
	fmt.Println(provider.Address(), err)
	// Output: :9090 <nil>
}

// A service that cannot work at the moment says so to whoever asks grpc.health.v1.
func ExampleProvider_SetServingStatus() {
	provider := commgrpc.New(commgrpc.Register(register))
	gw := started(comm.WithProvider(provider))
	defer gw.Close()
	conn := connectTo(gw, insecure.NewCredentials())
	defer conn.Close()

	provider.SetServingStatus("grpc.testing.TestService", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: "grpc.testing.TestService"})
	fmt.Println(resp.GetStatus(), err)
	// Output: NOT_SERVING <nil>
}
