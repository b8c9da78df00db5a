package commgrpc_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// received counts the bytes of a client's incoming messages, as they are and as they came.
type received struct{ plain, wire atomic.Int64 }

func (*received) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (*received) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (*received) HandleConn(context.Context, stats.ConnStats) {}

func (r *received) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InPayload); ok {
		r.plain.Add(int64(in.Length))
		r.wire.Add(int64(in.CompressedLength))
	}
}

// The hub compresses what it sends if it is told to, for clients that say they take that; one that compresses its own
// frames is no reason.
func TestHubCompression(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		on, native, compressed bool
		call                   []grpc.CallOption
	}{
		"off":           {false, true, false, nil},
		"in kind":       {false, true, false, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}},
		"on":            {true, true, true, nil},
		"over net/http": {true, false, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := gateway(t, commgrpc.New(commgrpc.WithHubCompression(row.on), commgrpc.WithNative(row.native)))
			got := new(received)
			c := hubClient(t, m, grpc.WithStatsHandler(got), grpc.WithDefaultCallOptions(row.call...))
			p := connect(t, c, hello())
			id := p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
			text := strings.Repeat("the same again ", 1000)
			for range 10 {
				if _, err := m.Send(t.Context(), comm.ToConn(id), newMessage(t, "n", text)); err != nil {
					t.Fatal(err)
				}
				if f := p.expect(commv1.Op_OP_MESSAGE); !strings.Contains(string(f.GetMessage().GetContent()), text) {
					t.Fatalf("%.100q", f.GetMessage().GetContent())
				}
			}
			if plain, wire := got.plain.Load(), got.wire.Load(); (wire < plain/10) != row.compressed {
				t.Errorf("%d bytes came as %d", plain, wire)
			}
		})
	}
}

// One message to clients of which some compress is made once for all, and comes whole to each: whoever is first, and
// whether the hub compresses.
func TestHubCompressionOfMany(t *testing.T) {
	t.Parallel()
	inKind := grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))
	for name, row := range map[string]struct {
		on      bool
		clients [][]grpc.DialOption
	}{
		"plain first": {false, [][]grpc.DialOption{nil, {inKind}, nil}},
		"plain last":  {false, [][]grpc.DialOption{{inKind}, nil, {inKind}, nil}},
		"on":          {true, [][]grpc.DialOption{nil, {inKind}, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := gateway(t, commgrpc.New(commgrpc.WithHubCompression(row.on)))
			var peers []*frames
			var counts []*received
			for _, opts := range row.clients {
				got := new(received)
				p := connect(t, hubClient(t, m, append(opts, grpc.WithStatsHandler(got))...), hello("g"))
				p.expect(commv1.Op_OP_WELCOME)
				p.expect(commv1.Op_OP_JOINED)
				peers, counts = append(peers, p), append(counts, got)
			}
			text := strings.Repeat("the same again ", 100) // so little that no mark goes along
			for range 10 {
				if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", text)); err != nil {
					t.Fatal(err)
				}
				for i, p := range peers {
					if f := p.expect(commv1.Op_OP_MESSAGE); !strings.Contains(string(f.GetMessage().GetContent()), text) {
						t.Fatalf("client %d: %.100q", i, f.GetMessage().GetContent())
					}
				}
			}
			for i, got := range counts {
				if plain, wire := got.plain.Load(), got.wire.Load(); (wire < plain/2) != row.on {
					t.Errorf("client %d: %d bytes came as %d", i, plain, wire)
				}
			}
		})
	}
}

// A client that does not say what it takes is sent nothing that is compressed.
func TestHubCompressionNotTold(t *testing.T) {
	t.Parallel()
	p := newPeer(t, gateway(t, commgrpc.New(commgrpc.WithHubCompression(true))), "gateway:80")
	p.WriteSettings()
	p.WriteHeaders(headers(1, callTo("/comm.v1.HubService/Subscribe", "application/grpc", "grpc-go/1.85"), true))
	p.WriteData(1, true, rawFrame(0, nil))
	if f := until[*http2.DataFrame](t, p); f.Data()[0] != 0 {
		t.Errorf("%q", f.Data())
	}
}

// A stream that is compressed and not read ends by the write timeout like all others, and is told why.
func TestStalledCompressedStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(commgrpc.WithHubCompression(true)), comm.WithQueue(10_000, 64<<20), comm.WithWriteTimeout(5*time.Second))
		c := hubClient(t, m, grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20))
		stalled, reader := connect(t, c, hello("g")), connect(t, c, hello("g"))
		conn := m.Connection(stalled.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
		reader.expect(commv1.Op_OP_WELCOME)
		reader.expect(commv1.Op_OP_JOINED)
		start := time.Now()
		for range 60 {
			if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", noise(8<<10))); err != nil {
				t.Fatal(err)
			}
			reader.expect(commv1.Op_OP_MESSAGE)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the reader waited for %v", took)
		}
		<-conn.Done()
		if took := time.Since(start); took > 7*time.Second || comm.ReasonOf(conn.Err()) != comm.ReasonSlow {
			t.Errorf("closed after %v with %v", took, conn.Err())
		}
		_, s := stalled.end()
		refused(t, "stalled", s.Err(), codes.ResourceExhausted, "slow_consumer")
	})
}

// noise is text that hardly gets smaller.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}
