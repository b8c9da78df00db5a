package commquic_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/lossy"
	commquic "github.com/anasamu/comm/quic"
)

// through puts a bad network before a gateway.
func through(t *testing.T, m *comm.Manager, c lossy.Config) *lossy.Proxy {
	t.Helper()
	return network(t, addrOf(t, m), c)
}

// network puts a bad network before a server.
func network(t *testing.T, addr string, c lossy.Config) *lossy.Proxy {
	t.Helper()
	server, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := lossy.New(udp(t), func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") }, server, c)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Over a network that loses, doubles and reorders packets, everything arrives once and in order, in both directions.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []lossy.Config{
		{Seed: 1, Loss: 0.05},
		{Seed: 2, Reorder: 0.2, Delay: time.Millisecond},
		{Seed: 3, Duplicate: 0.2},
		{Seed: 4, Loss: 0.03, Duplicate: 0.05, Reorder: 0.1, Delay: time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			const n = 300
			var mu sync.Mutex
			var up []string
			m := gateway(t, commquic.New())
			comm.On(m, "up", func(_ context.Context, _ *comm.Conn, s string) error {
				mu.Lock()
				defer mu.Unlock()
				up = append(up, s)
				return nil
			})
			proxy := through(t, m, c)
			p := dial(t, proxy.Addr().String(), []string{"g"})
			go func() {
				for i := range n {
					_, _ = m.Send(context.Background(), comm.ToGroup("g"), message(t, "n", fmt.Sprint(i)))
				}
			}()
			for i := range n {
				msg := message(t, "up", fmt.Sprint(i))
				if err := p.Send(t.Context(), &comm.Frame{ID: msg.ID(), Message: msg}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range n {
				if f := p.next(); f.Op != comm.OpMessage || string(f.Message.Content()) != fmt.Sprintf("%q", fmt.Sprint(i)) {
					t.Fatalf("got %s, want number %d", canonical(t, f), i)
				}
			}
			eventually(t, "all that was sent upward", func() bool { mu.Lock(); defer mu.Unlock(); return len(up) == n })
			if !slices.Equal(up, sequence(n)) {
				t.Errorf("upward came %q", up)
			}
			if s := proxy.Stats(); c.Loss > 0 && s.Lost == 0 || c.Duplicate > 0 && s.Doubled == 0 || c.Reorder > 0 && s.Reordered == 0 {
				t.Errorf("the network was not bad: %+v", s)
			}
		})
	}
}

// A client whose port changes stays the same connection.
func TestChangedPort(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	comm.OnCall(m, "double", func(_ context.Context, _ *comm.Conn, n int) (int, error) { return 2 * n, nil })
	proxy := through(t, m, lossy.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := commquic.Dial(ctx, proxy.Addr().String(), trusting()...)
	if err != nil {
		t.Fatal(err)
	}
	before := c.Welcome().Conn
	for i := range 5 {
		reply, err := c.Call(ctx, message(t, "double", i))
		if err != nil || string(reply.Content()) != fmt.Sprint(2*i) {
			t.Fatalf("%v, %v", reply, err)
		}
		if err := proxy.Rebind(); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := c.Call(ctx, message(t, "double", 21)); err != nil || string(reply.Content()) != "42" {
		t.Fatalf("%v, %v", reply, err)
	}
	if after := c.Welcome().Conn; after != before {
		t.Errorf("another connection, %s after %s", after, before)
	}
	cancel()
	eventually(t, "the end", func() bool { return c.State() == comm.ClientClosed })
}

// Where nothing comes any more, the idle timeout ends both sides; the client is back when the network is.
func TestSilentNetwork(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(commquic.WithMaxIdleTimeout(3*time.Second), commquic.WithKeepAlivePeriod(300*time.Millisecond)))
	proxy := through(t, m, lossy.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := make(chan comm.StateChange, 100)
	opts := trusting(commquic.WithMaxIdleTimeout(3*time.Second), commquic.WithKeepAlivePeriod(300*time.Millisecond), commquic.WithClientOptions(
		comm.WithOnState(func(s comm.StateChange) { states <- s }), comm.WithBackoff(comm.Backoff{Base: 10 * time.Millisecond, Max: 50 * time.Millisecond}),
	), commquic.WithHandshakeTimeout(3*time.Second))
	c, err := commquic.Dial(ctx, proxy.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	conn := m.Connection(c.Welcome().Conn)
	proxy.Cut(true)
	select {
	case <-conn.Done():
	case <-time.After(patience):
		t.Fatal("the server keeps it")
	}
	if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonHeartbeat {
		t.Errorf("closed with %v, want heartbeat", conn.Err())
	}
	proxy.Cut(false)
	for connected := 0; connected < 2; {
		select {
		case s := <-states:
			if s.State == comm.ClientConnected {
				connected++
			}
			if connected == 2 && !s.Resumed {
				t.Error("not resumed")
			}
		case <-time.After(patience):
			t.Fatal("the client does not come back")
		}
	}
	cancel()
	eventually(t, "the end", func() bool { return c.State() == comm.ClientClosed })
}
