package commgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// byToken takes the token for the user's name; "bad" is nobody's.
func byToken(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	switch hs.Token {
	case "", "bad":
		return comm.Identity{}, comm.ErrUnauthenticated
	case "panic":
		panic("no idea")
	}
	return comm.Identity{User: hs.Token, Labels: map[string]string{"host": hs.Header.Get("Host"), "x": hs.Header.Get("X-Tenant")}}, nil
}

// as is ctx with a token.
func as(t testing.TB, token string, more ...string) context.Context {
	return metadata.NewOutgoingContext(t.Context(), metadata.Pairs(append([]string{"authorization", "Bearer " + token}, more...)...))
}

// Handlers learn who calls and where from; their context carries the trace on.
func TestFromContext(t *testing.T) {
	t.Parallel()
	var got *commgrpc.Caller
	var trace string
	s := &service{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		got, trace = commgrpc.FromContext(ctx), comm.Traceparent(ctx)
		return new(grpc_testing.SimpleResponse), nil
	}}
	m := guarded(t, commgrpc.New(with(s)), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		if err := call(as(t, "ann", "x-tenant", "blue", "traceparent", parent), payload(1)); err != nil {
			t.Fatal(err)
		}
		if got == nil || got.Identity.User != "ann" || got.Identity.Labels["x"] != "blue" || got.Identity.Labels["host"] == "" ||
			got.Method != unaryCall || got.Addr == nil || got.Manager != m || got.TLS != nil {
			t.Errorf("%+v", got)
		}
		if len(trace) != len(parent) || trace[:36] != parent[:36] || trace == parent {
			t.Errorf("trace %q", trace)
		}
		select {
		case <-got.Leaving():
			t.Error("leaving")
		default:
		}
	})
	if commgrpc.FromContext(t.Context()) != nil {
		t.Error("a caller without a call")
	}
}

// A client certificate is in the handshake and with the caller, on the manager's address and on the provider's own.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	serverConf, clientConf := mutual(t)
	byCertificate := func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.TLS == nil || len(hs.TLS.VerifiedChains) == 0 {
			return comm.Identity{}, comm.ErrUnauthenticated
		}
		return comm.Identity{User: hs.TLS.VerifiedChains[0][0].Subject.CommonName}, nil
	}
	for name, own := range map[string]bool{"shared": false, "own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *commgrpc.Caller
			opts := []commgrpc.Option{with(&service{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				got = commgrpc.FromContext(ctx)
				return new(grpc_testing.SimpleResponse), nil
			}})}
			managerOpts := []comm.Option{comm.WithAuthenticator(byCertificate), comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil })}
			addr := "gateway:80"
			if own {
				addr = "gateway:9090"
				opts = append(opts, commgrpc.WithAddr(addr), commgrpc.WithTLS(serverConf))
			} else {
				managerOpts = append(managerOpts, comm.WithTLS(serverConf))
			}
			m := guarded(t, commgrpc.New(opts...), managerOpts...)
			c := grpc_testing.NewTestServiceClient(clientOf(t, m, addr, transportTLS(clientConf)))
			if _, err := c.UnaryCall(t.Context(), payload(1)); err != nil {
				t.Fatal(err)
			}
			if got.Identity.User != "ann" || got.TLS == nil || len(got.TLS.PeerCertificates) == 0 {
				t.Errorf("%+v", got)
			}
			bare := clientConf.Clone()
			bare.Certificates = nil
			_, err := grpc_testing.NewTestServiceClient(clientOf(t, m, addr, transportTLS(bare))).UnaryCall(t.Context(), payload(1))
			wantCode(t, "without a certificate", err, codes.Unavailable)
		})
	}
}

// Failed authentications are bounded for each address.
func TestFailedAuthIsLimited(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly), comm.WithFailedAuthBurst(3))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		var last error
		for range 5 {
			last = call(as(t, "bad"), payload(1))
		}
		// In memory all have one address, so the second run finds it used up.
		wantCode(t, "the fifth", last, codes.ResourceExhausted)
	})
}

// mutual makes TLS configurations of a server and of a client "ann" that trust each other.
func mutual(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	pool := x509.NewCertPool()
	issue := newAuthority(t, pool)
	server = &tls.Config{Certificates: []tls.Certificate{issue("localhost")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	client = &tls.Config{Certificates: []tls.Certificate{issue("ann")}, RootCAs: pool, ServerName: "localhost"}
	return server, client
}
