package commgrpc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// annOnly allows ann alone, and only unary calls and streams by their names.
func annOnly(_ context.Context, c *comm.Conn, a comm.Access) error {
	switch {
	case a.Action != comm.ActionInvoke || c.Provider() != "grpc":
		return fmt.Errorf("asked about %v by %v", a, c.Provider())
	case c.User() != "ann":
		return comm.ErrForbidden
	case a.Method == unaryCall, a.Method == "/grpc.testing.TestService/FullDuplexCall":
		return nil
	}
	return comm.ErrForbidden
}

// overBoth runs f with callers of UnaryCall over the native transport and over net/http.
func overBoth(t *testing.T, m *comm.Manager, f func(t *testing.T, call func(ctx context.Context, in *grpc_testing.SimpleRequest) error)) {
	t.Helper()
	t.Run("native", func(t *testing.T) {
		c := testClient(t, m)
		f(t, func(ctx context.Context, in *grpc_testing.SimpleRequest) error {
			_, err := c.UnaryCall(ctx, in)
			return err
		})
	})
	t.Run("net/http", func(t *testing.T) {
		w := newWeb(t, m, true)
		f(t, func(ctx context.Context, in *grpc_testing.SimpleRequest) error {
			md, _ := metadata.FromOutgoingContext(ctx)
			h := make(map[string][]string)
			for k, v := range md {
				h[strings.ToUpper(k[:1])+k[1:]] = v
			}
			return w.call(t, unaryCall, in, nil, h)
		})
	})
}

// Who may call what, by the manager's authenticator and authorizer.
func TestRights(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		wantCode(t, "no token", call(t.Context(), payload(1)), codes.Unauthenticated)
		wantCode(t, "bad token", call(as(t, "bad"), payload(1)), codes.Unauthenticated)
		wantCode(t, "eve", call(as(t, "eve"), payload(1)), codes.PermissionDenied)
		wantCode(t, "ann", call(as(t, "ann"), payload(1)), codes.OK)
		wantCode(t, "panic", call(as(t, "panic"), payload(1)), codes.Internal)
	})
	c := testClient(t, m)
	_, err := c.EmptyCall(as(t, "ann"), new(grpc_testing.Empty))
	wantCode(t, "another method", err, codes.PermissionDenied)
	for token, code := range map[string]codes.Code{"ann": codes.OK, "eve": codes.PermissionDenied, "bad": codes.Unauthenticated} {
		s, err := c.FullDuplexCall(as(t, token))
		if err == nil {
			s.Send(new(grpc_testing.StreamingOutputCallRequest))
			_, err = s.Recv()
		}
		wantCode(t, "stream of "+token, err, code)
	}
}

// Without an authorizer nothing but what is public may be called.
func TestDefaultDeny(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service)), commgrpc.WithPublicMethods("/grpc.testing.TestService/EmptyCall")))
	cc := client(t, m)
	c := grpc_testing.NewTestServiceClient(cc)
	_, err := c.UnaryCall(t.Context(), payload(1))
	wantCode(t, "a method", err, codes.PermissionDenied)
	_, err = c.EmptyCall(t.Context(), new(grpc_testing.Empty))
	wantCode(t, "a public method", err, codes.OK)
	_, err = grpc_health_v1.NewHealthClient(cc).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	wantCode(t, "health", err, codes.OK)
	r, err := grpc_reflection_v1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	if err == nil {
		r.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
		_, err = r.Recv()
	}
	wantCode(t, "reflection", err, codes.OK)
	for method, code := range map[string]codes.Code{
		"/grpc.testing.TestService/No": codes.Unimplemented, "/no.Service/Method": codes.Unimplemented, "/": codes.Unimplemented,
	} {
		err := cc.Invoke(t.Context(), method, new(grpc_testing.Empty), new(grpc_testing.Empty))
		wantCode(t, method, err, code)
	}
}

// A path without its leading slash is no spelling of a method (CVE-2026-33186).
func TestPathWithoutSlash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		called := false
		m := gateway(t, commgrpc.New(with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			called = true
			return new(grpc_testing.SimpleResponse), nil
		}})))
		c := newPeer(t, m, "gateway:80")
		c.WriteSettings()
		c.WriteHeaders(headers(1, call(":path", unaryCall[1:]), true)) // two paths
		c.WriteHeaders(headers(3, block(":method", "POST", ":scheme", "http", ":path", unaryCall[1:], ":authority", "x",
			"content-type", "application/grpc", "te", "trailers"), true))
		c.WriteData(3, true, []byte{0, 0, 0, 0, 0})
		time.Sleep(time.Second)
		if called {
			t.Error("it was called")
		}
	})
}

// ownHub is a service of the user's under the hub's name.
type ownHub struct {
	commv1.UnimplementedHubServiceServer
}

func (ownHub) GetStats(context.Context, *commv1.GetStatsRequest) (*commv1.GetStatsResponse, error) {
	return new(commv1.GetStatsResponse), nil
}

// The hub sees to rights by itself. A service in its place does not, so the guard has to.
func TestOwnHubService(t *testing.T) {
	t.Parallel()
	register := commgrpc.Register(func(r grpc.ServiceRegistrar) { commv1.RegisterHubServiceServer(r, ownHub{}) })
	m := guarded(t, commgrpc.New(commgrpc.WithoutHub(), register))
	_, err := commv1.NewHubServiceClient(client(t, m)).GetStats(t.Context(), new(commv1.GetStatsRequest))
	wantCode(t, "a service of the hub's name", err, codes.PermissionDenied)
}

// No spelling of a path finds a method that the authorizer was not asked about by its own name.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		if a.Method != unaryCall {
			return nil
		}
		return comm.ErrForbidden
	}))
	for _, agent := range []string{"grpc-go/1.85", "curl"} {
		for _, path := range []string{
			unaryCall, unaryCall[1:], "/" + unaryCall, "//" + unaryCall, "/grpc.testing.TestService//UnaryCall",
			"/grpc.testing.TestService%2FUnaryCall", "/grpc.testing.TestService/Unary%43all", "/GRPC.testing.TestService/UnaryCall",
			"/grpc.testing.TestService/unarycall", unaryCall + "/", unaryCall + "?x=1", unaryCall + "#x", unaryCall + "%00",
			"/x/../grpc.testing.TestService/UnaryCall", "/grpc.health.v1.Health/../grpc.testing.TestService/UnaryCall",
			"http://localhost" + unaryCall, "*", "/",
		} {
			if a := ask(t, m, callTo(path, "application/grpc", agent), nil); a.fields["grpc-status"] == "0" {
				t.Errorf("%q by %s was answered", path, agent)
			}
		}
	}
}
