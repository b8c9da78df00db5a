package commgrpc_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	commgrpc "github.com/anasamu/comm/grpc"
)

// Calls past the rate of their address are told when to come back.
func TestCallRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithCallRate(10, 2)))
		c := testClient(t, m)
		var trailer metadata.MD
		ask := func() error {
			_, err := c.EmptyCall(t.Context(), new(grpc_testing.Empty), grpc.Trailer(&trailer))
			return err
		}
		wantCode(t, "first", ask(), codes.OK)
		wantCode(t, "second", ask(), codes.OK)
		wantCode(t, "third", ask(), codes.ResourceExhausted)
		if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "100" {
			t.Errorf("pushback %q", got)
		}
		time.Sleep(100 * time.Millisecond)
		wantCode(t, "later", ask(), codes.OK)
	})
}
