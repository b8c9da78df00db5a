package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// service runs the service in memory.
func service(t *testing.T) *comm.Manager {
	t.Helper()
	gw, err := newService(comm.WithInMemory(), comm.WithAddr("ticks:80"), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gw.Close() })
	if err := gw.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return gw
}

func hubClient(t *testing.T, gw *comm.Manager) commv1.HubServiceClient {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///ticks:80", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return gw.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return commv1.NewHubServiceClient(cc)
}

// Both clients show what is sent, in order.
func TestTicks(t *testing.T) {
	t.Parallel()
	gw := service(t)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	shown := make([]chan tick, 2)
	for i := range shown {
		shown[i] = make(chan tick, 10)
	}
	clients.Go(func() {
		if err := listen(ctx, commgrpc.Dialer("ticks:80", commgrpc.WithDialContext(gw.DialContext)), func(t tick) { shown[0] <- t }); err != nil {
			t.Error(err)
		}
	})
	hub := hubClient(t, gw)
	clients.Go(func() {
		if err := subscribe(ctx, hub, func(t tick) { shown[1] <- t }); err != nil {
			t.Error(err)
		}
	})
	for gw.ConnectionCount(comm.ToGroup(ticks)) < len(shown) {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
		time.Sleep(time.Millisecond)
	}
	for n := range 3 {
		if err := sendTick(ctx, gw, tick{N: n}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range shown {
		for n := range 3 {
			if got := <-c; got.N != n {
				t.Errorf("tick %d, want %d", got.N, n)
			}
		}
	}
	cancel()
	clients.Wait()
}

// Whoever wants more than to listen is refused.
func TestOnlyListen(t *testing.T) {
	t.Parallel()
	hub := hubClient(t, service(t))
	_, err := hub.Send(t.Context(), &commv1.SendRequest{Message: &commv1.Message{Type: "tick", To: "group:ticks"}})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("Send: %v", err)
	}
	if _, err := hub.ListConnections(t.Context(), new(commv1.ListConnectionsRequest)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("ListConnections: %v", err)
	}
}
