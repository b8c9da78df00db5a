package commgrpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// The user's interceptors run inside the guard, the first outermost; a stats handler is told; what is not wrapped
// passes through.
func TestInterceptors(t *testing.T) {
	t.Parallel()
	var order []string
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			order = append(order, name+" for "+commgrpc.FromContext(ctx).Identity.User)
			return next(ctx, req)
		}
	}
	stream := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		order = append(order, "stream for "+commgrpc.FromContext(ss.Context()).Identity.User)
		return next(srv, ss)
	}
	p := commgrpc.New(with(new(service)), commgrpc.WithUnaryInterceptors(unary("a"), unary("b")), commgrpc.WithUnaryInterceptors(unary("c")),
		commgrpc.WithStreamInterceptors(stream))
	m := guarded(t, p, comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	c := testClient(t, m)
	if _, err := c.UnaryCall(as(t, "ann"), payload(1)); err != nil {
		t.Fatal(err)
	}
	_, err := c.UnaryCall(as(t, "eve"), payload(1))
	wantCode(t, "eve", err, codes.PermissionDenied)
	s, err := c.FullDuplexCall(as(t, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	s.CloseSend()
	s.Recv()
	if got := strings.Join(order, ", "); got != "a for ann, b for ann, c for ann, stream for ann" {
		t.Error(got)
	}
}

// Messages past the bounds are RESOURCE_EXHAUSTED, those that unfold past them too.
func TestMessageSizes(t *testing.T) {
	t.Parallel()
	big := &service{unary: func(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		return &grpc_testing.SimpleResponse{Payload: payload(int(in.GetResponseSize())).GetPayload()}, nil
	}}
	m := gateway(t, commgrpc.New(with(big), commgrpc.WithMaxRecvMsgSize(1<<16), commgrpc.WithMaxSendMsgSize(1<<17)))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		wantCode(t, "request within", call(t.Context(), payload(60_000)), codes.OK)
		wantCode(t, "request past", call(t.Context(), payload(70_000)), codes.ResourceExhausted)
		wantCode(t, "response within", call(t.Context(), &grpc_testing.SimpleRequest{ResponseSize: 130_000}), codes.OK)
		wantCode(t, "response past", call(t.Context(), &grpc_testing.SimpleRequest{ResponseSize: 140_000}), codes.ResourceExhausted)
	})
	_, err := testClient(t, m).UnaryCall(t.Context(), payload(1<<24), grpc.UseCompressor(gzip.Name))
	wantCode(t, "a small message that unfolds to a large one", err, codes.ResourceExhausted)
	_, err = testClient(t, m).UnaryCall(t.Context(), payload(60_000), grpc.UseCompressor(gzip.Name))
	wantCode(t, "compressed", err, codes.OK)
}

// The default bounds are 4 MiB.
func TestMessageSizeDefaults(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service))))
	c := testClient(t, m, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<24)))
	_, err := c.UnaryCall(t.Context(), payload(4<<20-100))
	wantCode(t, "within", err, codes.OK)
	_, err = c.UnaryCall(t.Context(), payload(4<<20))
	wantCode(t, "past", err, codes.ResourceExhausted)
}

// The authorizer is asked about methods that the user's handler of unknown services takes.
func TestUnknownService(t *testing.T) {
	t.Parallel()
	var asked string
	m := guarded(t, commgrpc.New(commgrpc.WithUnknownService(func(_ any, ss grpc.ServerStream) error {
		return ss.SendMsg(new(grpc_testing.Empty))
	})), comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		asked = a.Method
		if strings.HasPrefix(a.Method, "/allowed.") {
			return nil
		}
		return comm.ErrForbidden
	}))
	cc := client(t, m)
	for method, code := range map[string]codes.Code{"/allowed.Service/Any": codes.OK, "/other.Service/Any": codes.PermissionDenied} {
		err := cc.Invoke(t.Context(), method, new(grpc_testing.Empty), new(grpc_testing.Empty))
		wantCode(t, method, err, code)
		if asked != method {
			t.Errorf("asked about %q", asked)
		}
	}
	if s, err := m.Stats("grpc"); err != nil || s.Calls["unknown"].Calls != 2 || len(s.Calls) != 1 {
		t.Errorf("counted as %v, %v: names that clients make up are no label", s.Calls, err)
	}
}

// What would open a way past the authorizer is no option: a handler of unknown services that the guard does not know of.
func TestUnknownServiceByServerOption(t *testing.T) {
	t.Parallel()
	reached := func(any, grpc.ServerStream) error { return status.Error(codes.DataLoss, "reached") }
	m := guarded(t, commgrpc.New(commgrpc.WithServerOptions(grpc.UnknownServiceHandler(reached))))
	wantCode(t, "an unknown service", client(t, m).Invoke(t.Context(), "/x.S/M", payload(1), payload(1)), codes.Unimplemented)
	m = guarded(t, commgrpc.New(commgrpc.WithUnknownService(reached)))
	wantCode(t, "one that is handled", client(t, m).Invoke(t.Context(), "/x.S/M", payload(1), payload(1)), codes.PermissionDenied)
}
