package ws_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// A refusal is final only where it is the gateway's own: something in between may stop WebSocket and
// let another carrier pass.
func TestDialerTellsWhoseRefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"error":"upgrade blocked"}`))
		}))
		t.Cleanup(between.Close)
		_, err := ws.Dialer("ws"+strings.TrimPrefix(between.URL, "http")).Dial(t.Context(), &comm.Frame{Op: comm.OpHello})
		if got := comm.ReasonOf(err); err == nil || got != comm.ReasonLost {
			t.Errorf("%d of something in between: %v", status, err)
		}
	}
	m := gateway(t)
	evil := ws.WithHeader(http.Header{"Origin": {"https://evil.example"}})
	_, err := ws.Dialer("ws://"+addr(t, m)+"/ws", evil).Dial(t.Context(), &comm.Frame{Op: comm.OpHello})
	if comm.ReasonOf(err) != comm.ReasonUnauthorized || !strings.Contains(err.Error(), "evil.example") {
		t.Errorf("the gateway's own: %v", err)
	}
}

// A client that has too much to say is told so, and stays: the server would close it for good.
func TestDialerRefusesOversize(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithMaxMessage(1024))
	comm.On(m, "note", func(context.Context, *comm.Conn, string) error { return nil })
	c, err := comm.NewClient([]comm.Dialer{ws.Dialer("ws://" + addr(t, m) + "/ws")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	for _, size := range []int{900, 1000, 5000, 900} {
		msg, err := comm.NewMessage("note", strings.Repeat("x", size))
		if err != nil {
			t.Fatal(err)
		}
		err = c.SendAck(ctx, msg)
		refused, ok := errors.AsType[*comm.PeerError](err)
		if over := size > 900; over && (!ok || refused.Code != comm.CodeTooLarge) || !over && err != nil {
			t.Errorf("%d bytes of content: %v", size, err)
		}
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 1 {
		t.Errorf("%d connections, want the one", n)
	}
	if s, err := m.Stats("websocket"); err != nil || s.ConnectionsTotal != 1 {
		t.Errorf("%d connections in all, want 1 (%v)", s.ConnectionsTotal, err)
	}
}

// A client whose dialer could never work ends at once, and says what is wrong, instead of trying for ever.
func TestDialerThatCannotWork(t *testing.T) {
	t.Parallel()
	for part, d := range map[string]comm.Dialer{
		`"http"`:         ws.Dialer("http://gateway/ws"),
		"first path":     ws.Dialer("127.0.0.1:80"),
		"WithTLS":        ws.Dialer("ws://gateway/ws", ws.WithTLS(nil)),
		"without a frag": ws.Dialer("ws://gateway/ws#x"),
	} {
		c, err := comm.NewClient([]comm.Dialer{d})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); comm.ReasonOf(err) != comm.ReasonProtocol || !strings.Contains(err.Error(), part) {
			t.Errorf("Run: %v, want one with %s", err, part)
		}
	}
}
