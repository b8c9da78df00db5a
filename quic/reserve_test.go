//lint:file-ignore SA1019 net/http's Transport refuses the header ":protocol"; that of x/net takes it

package commquic_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// oneEach is a gateway with WebSocket and WebTransport in which the given limits are tight. Tokens are users.
func oneEach(t *testing.T, opts ...comm.Option) *tlsGateway {
	t.Helper()
	return gatewayOf(t, append(opts, comm.WithProvider(ws.New(), commquic.New()),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{User: hs.Token}, nil
		}))...)
}

// ways are the round trippers by which extended CONNECT reaches the gateway.
func (g *tlsGateway) ways(t *testing.T) map[string]http.RoundTripper {
	ways := map[string]http.RoundTripper{"HTTP/3": commquic.ExtendedConnect(g.h3(t))}
	if xconnect {
		rt := &http2.Transport{TLSClientConfig: g.client}
		t.Cleanup(rt.CloseIdleConnections)
		ways["HTTP/2"] = rt
	}
	return ways
}

// refusedForNow fails unless a response says by its status and headers that a limit is reached.
func refusedForNow(t *testing.T, resp *http.Response, limit string) {
	t.Helper()
	if resp == nil {
		t.Fatal("no answer")
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), limit) {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body)
	}
}

// Over extended CONNECT too the limits refuse by status who says no hello, and the place is free afterwards.
func TestWebSocketLimitsBeforeTheStream(t *testing.T) {
	t.Parallel()
	for limit, opt := range map[string]comm.Option{
		"connections": comm.WithMaxConnections(1), "connections per user": comm.WithMaxConnectionsPerUser(1),
		"connections per address": comm.WithMaxConnectionsPerAddr(1),
	} {
		g := oneEach(t, opt)
		for name, rt := range g.ways(t) {
			t.Run(limit+"/"+name, func(t *testing.T) {
				dial := func() (*ws.Conn, *http.Response, error) {
					return ws.Dial(within(t), "wss://"+g.addr(t, "websocket")+"/ws", ws.WithRoundTripper(rt), ws.WithHeader(http.Header{"Authorization": {"Bearer ann"}}))
				}
				for range 2 {
					c, _, err := dial()
					if err != nil {
						t.Fatal(err)
					}
					if _, b, err := c.Read(within(t), nil); err != nil || !strings.Contains(string(b), `"user":"ann"`) {
						t.Fatalf("%s %v", b, err)
					}
					_, resp, _ := dial()
					refusedForNow(t, resp, limit+": at most 1")
					for one := range g.Connections(comm.ToAll()) {
						_ = c.CloseNow()
						<-one.Done()
					}
				}
			})
		}
	}
}

// welcomed dials with a hello, and returns the first frame that comes.
func welcomed(t *testing.T, d comm.Dialer, hello *comm.Frame) *comm.Frame {
	t.Helper()
	c, err := d.Dial(within(t), hello)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	f, err := c.Receive(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The CONNECT of a WebTransport client is refused by the bound on all connections, as its QUIC connection would be.
func TestWebTransportLimitInAll(t *testing.T) {
	t.Parallel()
	g := oneEach(t, comm.WithMaxConnections(1))
	s := &site{addr: g.addr(t, "quic"), client: g.client}
	_, h := s.raw(t)
	welcomed(t, commquic.WebTransportDialer(s.url("/wt"), commquic.WithTLS(g.client)), helloFrame())
	_, resp := connect(t, h, s.url("/wt"), nil)
	refusedForNow(t, resp, "connections: at most 1")
}

// By the other bounds it is refused behind its hello, which may take the place of its own connection.
func TestWebTransportLimitOfUser(t *testing.T) {
	t.Parallel()
	g := oneEach(t, comm.WithMaxConnectionsPerUser(1))
	d := commquic.WebTransportDialer("https://"+g.addr(t, "quic")+"/wt", commquic.WithTLS(g.client),
		commquic.WithHeader(http.Header{"Authorization": {"Bearer ann"}}))
	hello := helloFrame()
	for _, resumes := range []bool{false, true} {
		f := welcomed(t, d, hello)
		if f.Op != comm.OpWelcome || f.Welcome.Resumed != resumes {
			t.Fatalf("%+v", f)
		}
		hello.Hello.Session = f.Welcome.Session
	}
	if f := welcomed(t, d, helloFrame()); f.Code != comm.CodeLimit {
		t.Errorf("a second connection of ann: %+v", f)
	}
}
