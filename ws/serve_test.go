package ws_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/anasamu/comm/ws"
)

func TestServeStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		go func() {
			for i := range 4 {
				client.Write(t.Context(), ws.Text, fmt.Append(nil, i))
			}
		}()
		stop := errors.New("stop")
		got := ""
		err := server.Serve(t.Context(), func(_ ws.Type, p []byte) error {
			if got += string(p); got == "01" {
				return stop
			}
			return nil
		})
		if err != stop || got != "01" {
			t.Fatalf("%v after %q", err, got)
		}
		if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "2" {
			t.Fatalf("%q, %v", p, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = server.Serve(ctx, func(_ ws.Type, p []byte) error { got += string(p); cancel(); return nil })
		if !errors.Is(err, context.Canceled) || got != "013" || server.Err() != nil {
			t.Fatalf("%v after %q, %v", err, got, server.Err())
		}
	})
}

// Replies to one read leave in one write; a slow function does not hold back
// the replies before it.
func TestServeCoalesces(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		return c.Serve(ctx, func(typ ws.Type, p []byte) error {
			if string(p) == "slow" {
				<-gate
			}
			return c.Write(ctx, typ, p)
		})
	})
	p := dialPeer(t, url)
	var out []frame
	for i := range 50 {
		out = append(out, text(fmt.Sprint("message ", i)))
	}
	p.send(append(out, text("slow"), text("last"))...)
	p.want(out...) // while the function blocks
	close(gate)
	p.want(text("slow"), text("last"))
	bye(p)
}

// A connection that waits on a socket holds no buffer. Its portable twin does,
// and everything else about them is the same.
func TestServeHoldsNoBuffer(t *testing.T) {
	direct, portable := idleCost(t), idleCost(t, ws.WithPortableIO())
	s, _ := tcpPair(t)
	if ws.Direct(s) && portable-direct < 3000 {
		t.Errorf("%d bytes directly, %d portably", direct, portable)
	}
}

// idleCost returns the memory of an idle connection after one message, its
// test client's socket included.
func idleCost(t *testing.T, opts ...ws.AcceptOption) int {
	const n = 200
	url := echoServer(t, opts...)
	before := memory()
	for range n {
		p := dialPeer(t, url)
		p.send(text("x"))
		p.want(text("x"))
		p.br = nil
	}
	return (memory() - before) / n
}

func memory() int {
	var m runtime.MemStats
	for range 3 { // empties the pools, too
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
