package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	"github.com/anasamu/comm/ws"
)

// A gRPC client and a WebSocket client are in one group of the gateway as it is built, at one address and at two, and
// the page's list of connections has both.
func TestGRPCMeetsWebSocket(t *testing.T) {
	for name, f := range map[string]flags{
		"one address": {addr: "127.0.0.1:0"},
		"its own":     {addr: "127.0.0.1:0", grpc: "127.0.0.1:" + freePort(t)},
	} {
		t.Run(name, func(t *testing.T) {
			gw, token, err := open(f)
			if err != nil || token != "" {
				t.Fatal(token, err)
			}
			if err := gw.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer gw.Close()
			web, rpc := at(t, gw, "http"), at(t, gw, "grpc")
			if (web == rpc) != (f.grpc == "") {
				t.Errorf("gRPC is at %s, HTTP at %s", rpc, web)
			}
			one, heard := member(t, ws.Dialer("ws://"+web+"/ws"))
			other, echoed := member(t, commgrpc.Dialer(rpc))
			for _, from := range []*comm.Client{one, other} {
				f, err := comm.JSON().ParseFrame([]byte(`{"id":"m","type":"chat","to":"group:lobby","content":"hello"}`))
				if err != nil {
					t.Fatal(err)
				}
				if err := from.SendAck(t.Context(), f.Message); err != nil {
					t.Fatal(err)
				}
				for _, c := range []chan string{heard, echoed} { // everybody in the group, the sender too
					if got := <-c; got != `"hello"` {
						t.Errorf("got %s", got)
					}
				}
			}
			listed(t, web, one.Welcome().Conn, "websocket")
			listed(t, web, other.Welcome().Conn, "grpc")
		})
	}
}

// at is the address of a provider.
func at(t *testing.T, gw *comm.Manager, provider string) string {
	t.Helper()
	addrs, err := gw.Addrs(provider)
	if err != nil || len(addrs) != 1 {
		t.Fatal(addrs, err)
	}
	return addrs[0]
}

// member is a client in the group lobby, and what it hears there.
func member(t *testing.T, d comm.Dialer) (*comm.Client, chan string) {
	t.Helper()
	heard := make(chan string, 10)
	c := client(t, d)
	c.On("chat", func(_ context.Context, m *comm.Message) error { heard <- string(m.Content()); return nil })
	if err := c.Join(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	return c, heard
}

// listed looks for a connection where the page does.
func listed(t *testing.T, host, id, provider string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get("http://" + host + "/api/connections")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Connections []comm.ConnInfo `json:"connections"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Connections {
		if c.ID == id && c.Provider == provider {
			return
		}
	}
	t.Errorf("%s of %s is not in %v", id, provider, list)
}

// An address of gRPC's own that others can reach needs the token too, and nobody gets in without it.
func TestGRPCNeedsToken(t *testing.T) {
	gw, token, err := open(flags{addr: "127.0.0.1:0", grpc: ":" + freePort(t)})
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	if err := gw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	_, port, err := net.SplitHostPort(at(t, gw, "grpc"))
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": "unauthenticated", "ann:" + token: "ann"} {
		c, err := comm.NewClient([]comm.Dialer{commgrpc.Dialer("127.0.0.1:" + port)},
			comm.WithTokenSource(func(context.Context) (string, error) { return given, nil }))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		if given == "" {
			if err := <-ended; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("without a token: %v", err)
			}
		} else if err := c.Join(ctx, "lobby"); err != nil || c.Welcome().User != want {
			t.Errorf("with the token: %v, user %q", err, c.Welcome().User)
		}
		cancel()
	}
}
