package commgrpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	commgrpc "github.com/anasamu/comm/grpc"
)

// A message that an interceptor receives for itself counts as taken, too: its stream goes on, over net/http.
func TestInterceptorReceives(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithNative(false),
		commgrpc.WithStreamInterceptors(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := ss.RecvMsg(new(grpc_testing.StreamingOutputCallRequest)); err != nil {
				return err
			}
			return next(srv, ss)
		})))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	both, err := testClient(t, m).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const size = 2 * commgrpc.MaxAhead << 14 // more reads than may wait
	for n := range 3 {
		if err := both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(size).GetPayload()}); err != nil {
			t.Fatal(n, err)
		}
		if n == 0 {
			continue
		}
		if in, err := both.Recv(); err != nil || len(in.GetPayload().GetBody()) != size {
			t.Fatalf("message %d: %v", n, err)
		}
	}
}
