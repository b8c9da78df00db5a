package ws_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// gateway runs a manager with the WebSocket provider until the test ends.
func gateway(t *testing.T, opts ...comm.Option) *comm.Manager {
	t.Helper()
	return gatewayWith(t, ws.New(), opts...)
}

func gatewayWith(t *testing.T, p *ws.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	m, err := comm.New(append([]comm.Option{comm.WithAddr("127.0.0.1:0"), comm.WithProvider(p)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	go func() { ran <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return m
}

func addr(t *testing.T, m *comm.Manager) string {
	t.Helper()
	list, err := m.Addrs("websocket")
	if err != nil || len(list) != 1 {
		t.Fatalf("Addrs: %v, %v", list, err)
	}
	return list[0]
}

// inbox is a comm.Client that keeps what it receives.
type inbox struct {
	*comm.Client
	got chan *comm.Message
}

func dialClient(t *testing.T, m *comm.Manager, opts ...comm.ClientOption) *inbox {
	t.Helper()
	c, err := comm.NewClient([]comm.Dialer{ws.Dialer("ws://" + addr(t, m) + "/ws")}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox{c, make(chan *comm.Message, 1000)}
	c.On("*", func(_ context.Context, m *comm.Message) error { in.got <- m; return nil })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return in
}

func (in *inbox) next(t *testing.T) *comm.Message {
	t.Helper()
	select {
	case m := <-in.got:
		return m
	case <-time.After(time.Minute):
		t.Fatal("no message")
		return nil
	}
}

func TestProviderGroupMessage(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithOpenAccess())
	comm.OnCall(m, "sum", func(_ context.Context, _ *comm.Conn, v []int) (int, error) { return v[0] + v[1], nil })
	a, b := dialClient(t, m), dialClient(t, m)
	for _, c := range []*inbox{a, b} {
		if err := c.Join(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
	}
	msg, _ := comm.NewMessage("chat.message", map[string]string{"text": "hello"})
	d, err := m.Send(t.Context(), comm.ToGroup("lobby"), msg)
	if err != nil || d.Matched != 2 || d.Queued != 2 {
		t.Fatalf("Send: %+v, %v", d, err)
	}
	for _, c := range []*inbox{a, b} {
		if got := c.next(t); got.ID() != msg.ID() || string(got.Content()) != `{"text":"hello"}` {
			t.Fatalf("got %s %s", got.ID(), got.Content())
		}
	}
	call, _ := comm.NewMessage("sum", []int{1, 2})
	reply, err := a.Call(t.Context(), call)
	if err != nil || string(reply.Content()) != "3" {
		t.Fatalf("Call: %v, %v", reply, err)
	}
}

func TestHandleWebSocket(t *testing.T) {
	t.Parallel()
	m := gateway(t)
	r, _ := http.NewRequest("GET", "/ws", nil)
	c, stream, err := m.HandleWebSocket(t.Context(), "", r, comm.WithUser("ann"), comm.WithConnMetadata(map[string]string{"k": "v"}))
	if err != nil {
		t.Fatal(err)
	}
	if c.User() != "ann" || c.Metadata()["k"] != "v" {
		t.Fatalf("user %q, metadata %v", c.User(), c.Metadata())
	}
	conn, err := ws.NewConn(net.Conn(stream), ws.Client)
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := conn.Read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var welcome struct{ Op, Conn, User string }
	if err := json.Unmarshal(b, &welcome); err != nil || welcome.Op != "welcome" || welcome.Conn != c.ID() || welcome.User != "ann" {
		t.Fatalf("welcome %s: %v", b, err)
	}
	if err := conn.Close(t.Context(), ws.StatusNormal, ""); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
}
