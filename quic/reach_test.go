package commquic_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

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
