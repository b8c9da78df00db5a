package commgrpc_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// The fan-out: one message of 100 bytes to 1,000 streams on 10 connections over loopback, until all have it.
const (
	benchStreams = 1000
	benchConns   = 10
	benchWindow  = 16 // messages under way
)

// BenchmarkFanOut is the hub's; its bare rival is a loop over the streams of grpc-go with a message that was encoded
// once.
func BenchmarkFanOut(b *testing.B) {
	b.Run("hub", func(b *testing.B) {
		m, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithOpenAccess(), comm.WithProvider(commgrpc.New()),
			comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithMaxConnectionsPerAddr(1e6), comm.WithHandshakeRate(1e6, 1e6))
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close()
		if err := m.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		addrs, err := m.Addrs("grpc")
		if err != nil {
			b.Fatal(err)
		}
		msg := newMessage(b, "n", strings.Repeat("x", 100))
		fanOut(b, addrs[0], func() int { return m.ConnectionCount(comm.ToGroup("g")) }, func() {
			if _, err := m.Send(context.Background(), comm.ToGroup("g"), msg); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := new(bareHub)
		g := grpc.NewServer()
		commv1.RegisterHubServiceServer(g, s)
		go g.Serve(l)
		defer g.Stop()
		m := newMessage(b, "n", strings.Repeat("x", 100))
		message := &commv1.SubscribeResponse{Frames: []*commv1.Frame{commgrpc.ToWire(&comm.Frame{
			Op: comm.OpMessage, ID: m.ID(), Message: m, Log: comm.LogPosition{Log: "group:g", Epoch: "x1y2z3.1", Offset: 1000},
		})}}
		message.Frames[0].Message.To = "group:g"
		fanOut(b, l.Addr().String(), s.count, func() { s.send(message) })
	})
}

// bareHub is what one would write with grpc-go alone.
type bareHub struct {
	commv1.UnimplementedHubServiceServer
	mu      sync.Mutex
	streams []grpc.ServerStream
}

func (h *bareHub) Subscribe(_ *commv1.SubscribeRequest, s grpc.ServerStreamingServer[commv1.SubscribeResponse]) error {
	h.mu.Lock()
	h.streams = append(h.streams, s)
	h.mu.Unlock()
	<-s.Context().Done()
	return nil
}

func (h *bareHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

func (h *bareHub) send(m *commv1.SubscribeResponse) {
	var once grpc.PreparedMsg
	if err := once.Encode(h.streams[0], m); err != nil {
		panic(err)
	}
	for _, s := range h.streams {
		_ = s.SendMsg(&once)
	}
}

// fanOut measures send until every stream has every message.
func fanOut(b *testing.B, addr string, joined func() int, send func()) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var readers sync.WaitGroup
	got := make(chan int, benchStreams)
	for range benchConns {
		cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		defer cc.Close()
		for range benchStreams / benchConns {
			s, err := commv1.NewHubServiceClient(cc).Subscribe(ctx, &commv1.SubscribeRequest{Groups: []string{"g"}})
			if err != nil {
				b.Fatal(err)
			}
			readers.Go(func() { countMessages(s, got) })
		}
	}
	for joined() < benchStreams {
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	due := 0
	await := func(left int) {
		for ; due > left; due -= <-got {
		}
	}
	for b.Loop() {
		send()
		due += benchStreams
		await(benchWindow * benchStreams)
	}
	await(0)
	b.ReportMetric(float64(b.N)*benchStreams/b.Elapsed().Seconds(), "deliveries/s")
	cancel()
	readers.Wait()
}

// countMessages tells of every message that a stream brings.
func countMessages(s grpc.ServerStreamingClient[commv1.SubscribeResponse], got chan<- int) {
	for {
		r, err := s.Recv()
		if err != nil {
			return
		}
		n := 0
		for _, f := range r.GetFrames() {
			if f.GetOp() == commv1.Op_OP_MESSAGE {
				n++
			}
		}
		got <- n
	}
}
