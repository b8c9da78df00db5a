package commquic_test

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	commhttp "github.com/anasamu/comm/http"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// answer is a schema of one field.
var answer = []graphql.Option{
	graphql.SDL("type Query { answer: Int }"),
	graphql.Resolve("Query.answer", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 42, nil }),
}

// GraphQL's WebSocket is reached by extended CONNECT as the WebSocket provider is.
func TestGraphQLOverHTTP3(t *testing.T) {
	t.Parallel()
	g := newGateway(t, graphql.New(answer...), commhttp.New(), commquic.New())
	addr := g.addr(t, "graphql")
	c, _, err := ws.Dial(within(t), "wss://"+addr+"/graphql", ws.WithSubprotocols("graphql-transport-ws"),
		ws.WithRoundTripper(commquic.ExtendedConnect(g.h3(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, step := range [][2]string{
		{`{"type":"connection_init"}`, "connection_ack"},
		{`{"id":"1","type":"subscribe","payload":{"query":"{ answer }"}}`, `"answer":42`},
	} {
		if err := c.Write(within(t), ws.Text, []byte(step[0])); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(within(t), nil); err != nil || !strings.Contains(string(b), step[1]) {
			t.Errorf("%s, %v: want %s", b, err, step[1])
		}
	}
}

// Pages of other origins open no WebSocket over HTTP/3, and other odd requests by CONNECT are refused by name.
func TestConnectIsGuarded(t *testing.T) {
	t.Parallel()
	g := newGateway(t, graphql.New(answer...), ws.New(), commquic.New())
	addr := g.addr(t, "graphql")
	for _, path := range []string{"/ws", "/graphql", "/wt"} {
		for name, c := range map[string]struct {
			protocol string
			header   http.Header
			status   int
		}{
			"another origin":   {"websocket", http.Header{"Origin": {"https://elsewhere.example"}, "Sec-Websocket-Version": {"13"}}, http.StatusForbidden},
			"no version":       {"websocket", http.Header{}, http.StatusBadRequest},
			"two versions":     {"websocket", http.Header{"Sec-Websocket-Version": {"13", "8"}}, http.StatusBadRequest},
			"another protocol": {"connect-ip", http.Header{"Sec-Websocket-Version": {"13"}}, http.StatusNotImplemented},
			"no protocol":      {"", http.Header{}, 0},
			"a page's WT":      {"webtransport", http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden},
		} {
			want := c.status
			switch {
			case path == "/wt" && c.protocol != "webtransport" && want > 0 && want != http.StatusForbidden:
				want = http.StatusMethodNotAllowed
			case path != "/wt" && c.protocol == "webtransport":
				want = 0 // which of the two faults is named does not matter
			}
			r := mustRequest(t, "https://"+addr+path)
			r.Method, r.Proto, r.Header = http.MethodConnect, c.protocol, c.header
			resp, err := g.h3(t).RoundTrip(r)
			if err != nil {
				if want != 0 {
					t.Errorf("%s, %s: %v", path, name, err)
				}
				continue
			}
			_ = resp.Body.Close()
			if resp.StatusCode < 400 || want != 0 && resp.StatusCode != want {
				t.Errorf("%s, %s: %s, want %d", path, name, resp.Status, want)
			}
		}
	}
}

// A client that vanished without a word is welcome again at once: nobody waits for its old connection's goodbye.
func TestWebSocketIsBackAtOnce(t *testing.T) {
	t.Parallel()
	g := newGateway(t, ws.New(), commquic.New())
	addr := g.addr(t, "websocket")
	hello := helloFrame()
	// Who waits for the goodbye's time to be over does so each time; the quickest of some is not the machine's doing.
	const soon = 800 * time.Millisecond
	quickest := time.Duration(math.MaxInt64)
	for i := 0; i < 20 && quickest > soon; i++ {
		socket := udp(t)
		tr := &http3.Transport{TLSClientConfig: g.client, Dial: func(ctx context.Context, addr string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				return nil, err
			}
			return quic.Dial(ctx, socket, to, tc, qc)
		}}
		start := time.Now()
		c, err := ws.Dialer("wss://"+addr+"/ws", ws.WithRoundTripper(commquic.ExtendedConnect(tr))).Dial(within(t), hello)
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.Receive(within(t))
		if err != nil || f.Op != comm.OpWelcome || f.Welcome.Resumed != (i > 0) {
			t.Fatal(f, err)
		}
		if i > 0 {
			quickest = min(quickest, time.Since(start))
		}
		hello.Hello.Session = f.Welcome.Session
		_ = socket.Close()
		_ = c.Close(canceled(t))
		_ = tr.Close()
	}
	if quickest > soon {
		t.Errorf("the client was back after %v at the earliest", quickest)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// With the least of streams HTTP/3 still has those that it cannot do without.
func TestFewStreams(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(commquic.WithMaxStreams(1)))
	conn, err := bare(t, addrOf(t, m), "h3")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if _, err := conn.OpenUniStream(); (err != nil) != (n == 3) {
			t.Errorf("stream %d: %v", n, err)
		}
	}
}

// Asking whether a datagram fits costs nothing once it is known, over WebTransport too.
func TestDatagramQuestionIsCheap(t *testing.T) {
	m := gateway(t, commquic.New())
	c, err := commquic.WebTransportDialer("https://"+addrOf(t, m)+"/wt", trusting()...).Dial(within(t), helloFrame())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(within(t))
	if !commquic.FitsDatagram(c, 100) || commquic.FitsDatagram(c, 3000) {
		t.Error("100 bytes fit, and 3,000 do not")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 1000 {
		commquic.FitsDatagram(c, 100)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("1,000 questions cost %d bytes", n)
	}
}
