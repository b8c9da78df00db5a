package graphql_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// TestTransportWS are the rules of the subprotocol graphql-transport-ws. A step that begins with ">" is said by
// the client.
func TestTransportWS(t *testing.T) {
	t.Parallel()
	_, _, url := serveNews(t, graphql.WithMaxOperations(3))
	const (
		hello = `>{"type":"connection_init"}`
		ack   = `{"type":"connection_ack"}`
	)
	for name, steps := range map[string][]string{
		"query":                {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}`, `{"id":"1","type":"next","payload":{"data":{"a":1}}}`, `{"id":"1","type":"complete"}`},
		"mutation":             {hello, ack, `>{"id":"m","type":"subscribe","payload":{"query":"mutation { b }"}}`, `{"id":"m","type":"next","payload":{"data":{"b":2}}}`, `{"id":"m","type":"complete"}`},
		"subscription":         {hello, ack, `>{"id":"s","type":"subscribe","payload":{"query":"subscription S($n: Int!) { count(to: $n) }","operationName":"S","variables":{"n":2},"extensions":null}}`, `{"id":"s","type":"next","payload":{"data":{"count":1}}}`, `{"id":"s","type":"next","payload":{"data":{"count":2}}}`, `{"id":"s","type":"complete"}`},
		"one id after another": {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}`, `{"id":"1","type":"next","payload":{"data":{"a":1}}}`, `{"id":"1","type":"complete"}`, `>{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}`, `{"id":"1","type":"next","payload":{"data":{"a":1}}}`, `{"id":"1","type":"complete"}`},
		"an event fails":       {hello, ack, `>{"id":"s","type":"subscribe","payload":{"query":"subscription { broken }"}}`, `{"id":"s","type":"next","payload":{"data":{"broken":null},"errors":[{"message":"one event fails","locations":[{"line":1,"column":16}],"path":["broken"]}]}}`, `{"id":"s","type":"next","payload":{"data":{"broken":2}}}`, `{"id":"s","type":"complete"}`},
		"payload of init":      {`>{"type":"connection_init","payload":{"k":"v"}}`, ack, `>{"id":"1","type":"subscribe","payload":{"query":"{ who }"}}`, `{"id":"1","type":"next","payload":{"data":{"who":"websocket seen {\"k\":\"v\"}"}}}`, `{"id":"1","type":"complete"}`},
		"payload is null":      {`>{"type":"connection_init","payload":null}`, ack},
		// No complete after error: the next thing heard is of the next operation.
		"syntax error":  {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"{"}}`, `{"id":"1","type":"error","payload":[{"message":"Syntax Error: Expected Name, found <EOF>","locations":[{"line":1,"column":2}]}]}`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"no such field": {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"subscription { x }"}}`, `~{"id":"1","type":"error","payload":[{"message":"Cannot query field`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"no source":     {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"subscription { refused }"}}`, `~{"id":"1","type":"error","payload":[{"message":"no source"`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"bad variables": {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"subscription S($n: Int!) { count(to: $n) }"}}`, `~{"id":"1","type":"error","payload":[{"message":"Variable`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"ping":          {`>{"type":"ping"}`, `{"type":"pong"}`, hello, ack, `>{"type":"ping","payload":{"n":1}}`, `{"type":"pong","payload":{"n":1}}`, `>{"type":"pong"}`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"unknown id":    {hello, ack, `>{"id":"nobody","type":"complete"}`, `>{"type":"ping"}`, `{"type":"pong"}`},
		"complete":      {hello, ack, `>{"id":"f","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"f","type":"next","payload":{"data":{"forever":""}}}`, `>{"id":"f","type":"complete"}`, `>{"id":"f","type":"subscribe","payload":{"query":"{ a }"}}`, `{"id":"f","type":"next","payload":{"data":{"a":1}}}`, `{"id":"f","type":"complete"}`},
		"too many operations": {
			hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"1","type":"next","payload":{"data":{"forever":""}}}`,
			`>{"id":"2","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"2","type":"next","payload":{"data":{"forever":""}}}`,
			`>{"id":"3","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"3","type":"next","payload":{"data":{"forever":""}}}`,
			`>{"id":"4","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"4","type":"error","payload":[{"message":"The operation is over the limit of 3 operations at once on one connection.","extensions":{"code":"LIMIT_EXCEEDED"}}]}`,
		},

		"4400, no JSON":            {`>x`, `close 4400 Invalid message received: not valid JSON`},
		"4400, no object":          {hello, ack, `>[]`, `close 4400 Invalid message received: not a JSON object`},
		"4400, no type":            {hello, ack, `>{}`, `close 4400 Invalid message received: type is missing`},
		"4400, type is no string":  {hello, ack, `>{"type":1}`, `close 4400 Invalid message received: type must be a string`},
		"4400, type of the server": {hello, ack, `>{"id":"1","type":"next","payload":{}}`, `close 4400 Invalid message received: the type next is not one that a client says`},
		"4400, type of the old":    {hello, ack, `>{"id":"1","type":"start","payload":{"query":"{a}"}}`, `close 4400 Invalid message received: the type start is not one that a client says`},
		"4400, unknown type first": {`>{"type":"x"}`, `close 4400 Invalid message received: the type x is not one that a client says`},
		"4400, no id":              {hello, ack, `>{"type":"subscribe","payload":{"query":"{a}"}}`, `close 4400 Invalid message received: id is missing`},
		"4400, id is empty":        {hello, ack, `>{"id":"","type":"subscribe","payload":{"query":"{a}"}}`, `close 4400 Invalid message received: id is missing`},
		"4400, id is a number":     {hello, ack, `>{"id":1,"type":"subscribe","payload":{"query":"{a}"}}`, `close 4400 Invalid message received: id must be a string`},
		"4400, id is long":         {hello, ack, `>{"id":"` + strings.Repeat("x", 257) + `","type":"subscribe","payload":{"query":"{a}"}}`, `close 4400 Invalid message received: id is longer than 256 bytes`},
		"4400, no payload":         {hello, ack, `>{"id":"1","type":"subscribe"}`, `close 4400 Invalid message received: payload is missing`},
		"4400, payload no object":  {hello, ack, `>{"id":"1","type":"subscribe","payload":"{a}"}`, `~close 4400 Invalid message received: The request is not a JSON object`},
		"4400, no query":           {hello, ack, `>{"id":"1","type":"subscribe","payload":{}}`, `close 4400 Invalid message received: the payload has no query`},
		"4400, query no string":    {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":1}}`, `close 4400 Invalid message received: The parameter query must be a string.`},
		"4400, variables":          {hello, ack, `>{"id":"1","type":"subscribe","payload":{"query":"{a}","variables":[]}}`, `close 4400 Invalid message received: The parameter variables must be a JSON object.`},
		"4400, payload of init":    {`>{"type":"connection_init","payload":[]}`, `close 4400 Invalid message received: the payload of connection_init must be an object`},
		"4400, a long reason":      {hello, ack, `>{"type":"` + strings.Repeat("é", 600) + `"}`, `~close 4400 Invalid message received: the type éé`},
		"4401":                     {`>{"id":"1","type":"subscribe","payload":{"query":"{a}"}}`, `close 4401 Unauthorized: connection_init must come first`},
		"4409":                     {hello, ack, `>{"id":"f","type":"subscribe","payload":{"query":"subscription { forever }"}}`, `{"id":"f","type":"next","payload":{"data":{"forever":""}}}`, `>{"id":"f","type":"subscribe","payload":{"query":"{a}"}}`, `close 4409 Subscriber for f already exists`},
		"4429":                     {hello, ack, hello, `close 4429 Too many initialisation requests`},
		"complete before init":     {`>{"id":"1","type":"complete"}`, hello, ack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(dialWS(t, url, nil, newProtocol), steps)
		})
	}
}

// play says and expects; "~" expects a beginning.
func play(c *wsClient, steps []string) {
	c.t.Helper()
	for _, step := range steps {
		if said, ok := strings.CutPrefix(step, ">"); ok {
			c.say(said)
		} else if begin, ok := strings.CutPrefix(step, "~"); ok {
			if got := c.hear(); !strings.HasPrefix(got, begin) {
				c.t.Fatalf("heard %s\n want %s...", got, begin)
			}
		} else {
			c.hears(step)
		}
	}
}

// TestOldWS are the rules of the subprotocol graphql-ws, as subscriptions-transport-ws has them.
func TestOldWS(t *testing.T) {
	t.Parallel()
	_, _, url := serveNews(t)
	const (
		hello = `>{"type":"connection_init","payload":{}}`
		ack   = `{"type":"connection_ack"}`
		ka    = `{"type":"ka"}`
	)
	for name, steps := range map[string][]string{
		"query":        {hello, ack, ka, `>{"id":"1","type":"start","payload":{"query":"{ a }"}}`, `{"id":"1","type":"data","payload":{"data":{"a":1}}}`, `{"id":"1","type":"complete"}`},
		"subscription": {hello, ack, ka, `>{"id":"s","type":"start","payload":{"query":"subscription { count }"}}`, `{"id":"s","type":"data","payload":{"data":{"count":1}}}`, `{"id":"s","type":"data","payload":{"data":{"count":2}}}`, `{"id":"s","type":"complete"}`},
		"stop":         {hello, ack, ka, `>{"id":"f","type":"start","payload":{"query":"subscription { forever }"}}`, `{"id":"f","type":"data","payload":{"data":{"forever":""}}}`, `>{"id":"f","type":"stop"}`, `>{"id":"f","type":"start","payload":{"query":"{ a }"}}`, `{"id":"f","type":"data","payload":{"data":{"a":1}}}`, `{"id":"f","type":"complete"}`},
		"begun anew":   {hello, ack, ka, `>{"id":"f","type":"start","payload":{"query":"subscription { forever }"}}`, `{"id":"f","type":"data","payload":{"data":{"forever":""}}}`, `>{"id":"f","type":"start","payload":{"query":"{ a }"}}`, `{"id":"f","type":"data","payload":{"data":{"a":1}}}`, `{"id":"f","type":"complete"}`},
		"refused":      {hello, ack, ka, `>{"id":"1","type":"start","payload":{"query":"{ x }"}}`, `~{"id":"1","type":"error","payload":{"message":"Cannot query field`, `>{"id":"2","type":"start","payload":{"query":"{ a }"}}`, `{"id":"2","type":"data","payload":{"data":{"a":1}}}`},
		"bad message":  {hello, ack, ka, `>{"id":"1","type":"x"}`, `~{"id":"1","type":"error","payload":{"message":"the type x`, `>{"type":"ping"}`, `~{"type":"error","payload":{"message":"the type ping`, `>nothing`, `{"type":"error","payload":{"message":"not valid JSON"}}`},
		"terminate":    {hello, ack, ka, `>{"type":"connection_terminate"}`, `close 1000 Normal Closure`},
		"start first":  {`>{"id":"1","type":"start","payload":{"query":"{ a }"}}`, `{"type":"connection_error","payload":{"message":"connection_init must come first"}}`, `close 4401 Unauthorized: connection_init must come first`},
		"garbage":      {`>{`, `{"type":"connection_error","payload":{"message":"not valid JSON"}}`, `close 4400 Invalid message received: not valid JSON`},
		"init twice":   {hello, ack, ka, hello, `close 4429 Too many initialisation requests`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(dialWS(t, url, nil, oldProtocol), steps)
		})
	}
}

// The better protocol is chosen, and without one of the two the client is told by a code, which browsers show.
func TestSubprotocol(t *testing.T) {
	t.Parallel()
	_, _, url := serveNews(t)
	if c := dialWS(t, url, nil, "x", oldProtocol, newProtocol); c.Subprotocol() != newProtocol {
		t.Error(c.Subprotocol())
	}
	for _, offered := range [][]string{nil, {"x", "comm.v1.json"}} {
		dialWS(t, url, nil, offered...).hears(`close 4406 Subprotocol not acceptable: allowed is graphql-transport-ws or graphql-ws`)
	}
}

func TestBinaryAndOversize(t *testing.T) {
	t.Parallel()
	_, _, url := serveNews(t, graphql.WithMaxBody(100))
	c := initWS(t, url, nil)
	if err := c.Write(t.Context(), ws.Binary, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	c.hears(`close 4400 Invalid message received: it is binary`)
	c = initWS(t, url, nil)
	c.say(`{"type":"ping","payload":{"x":"` + strings.Repeat("x", 100) + `"}}`)
	if got := c.hear(); !strings.HasPrefix(got, "close 1009") {
		t.Error(got)
	}
}

// Pages of other origins are refused before the upgrade, unless they are allowed.
func TestSocketOrigin(t *testing.T) {
	t.Parallel()
	_, h, _ := serveNews(t)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Origin", "https://evil.example.com"}
	if got := send(h, "GET", "/", "", upgrade...); got.status != 403 {
		t.Error(got)
	}
	if got := send(h, "GET", "/", "", "Upgrade", "websocket"); got.status != 426 {
		t.Error(got)
	}
	if _, err := graphql.NewHandler(new(newsroom).schema(t), graphql.WithSocketOptions(ws.WithReadLimit(0), ws.WithOrigins(""))); err == nil {
		t.Error("bad options of the socket are accepted")
	}
}

// Sources end with their client, whether it says goodbye or not.
func TestSocketVanishes(t *testing.T) {
	t.Parallel()
	n, _, url := serveNews(t)
	for name, leave := range map[string]func(c *wsClient){
		"cut":   func(c *wsClient) { _ = c.CloseNow() },
		"close": func(c *wsClient) { _ = c.Close(t.Context(), ws.StatusNormal, "") },
	} {
		c := initWS(t, url, nil)
		for _, id := range []string{"1", "2", "3"} {
			subscribe(c, id, `subscription { forever }`)
			c.hears(next(id, "forever", ""))
		}
		subscribe(c, "4", `subscription { forever(pad: 1000) }`)
		c.hear()
		if open, _ := n.state(); open != 4 {
			t.Errorf("%s: %d sources are open", name, open)
		}
		leave(c)
		eventually(t, "the sources of "+name, func() bool { open, _ := n.state(); return open == 0 })
	}
}

// The context of an operation ends with complete.
func TestCompleteEndsTheSource(t *testing.T) {
	t.Parallel()
	n, _, url := serveNews(t)
	c := initWS(t, url, nil)
	subscribe(c, "1", `subscription { forever }`)
	subscribe(c, "2", `subscription { forever }`)
	c.hear()
	c.hear()
	c.say(`{"id":"1","type":"complete"}`)
	eventually(t, "one source", func() bool { open, _ := n.state(); return open == 1 })
	c.say(`{"id":"2","type":"complete"}`)
	eventually(t, "the other", func() bool { open, _ := n.state(); return open == 0 })
	c.say(`{"type":"ping"}`)
	c.hears(`{"type":"pong"}`) // nothing is said of either
}

// The operations of one connection hold no more than 24 MiB of documents, which are much larger when they are parsed:
// the more the shorter their tokens are. One alone may be larger.
func TestDocumentsHeld(t *testing.T) {
	t.Parallel()
	var topic graphql.Topic[int]
	h, err := graphql.NewHandler(schema(t, graphql.SDL(`type Query { a: Int } type Subscription { n(of: [Int]): Int }`), value("Query.a", 1),
		graphql.WithLimits(graphql.Limits{Tokens: 200_000}),
		graphql.SubscribeTo("Subscription.n", func(context.Context, struct{ Of []int }) (graphql.Source[int], error) { return &topic, nil })))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := initWS(t, srv.URL, nil)
	begin := func(id string, list, pad int) string {
		n := topic.Len()
		subscribe(c, id, `subscription { n(of: [`+strings.Repeat("1 ", list)+strings.Repeat(" ", pad)+`]) }`)
		c.say(`{"type":"ping"}`)
		if s := c.hear(); s != `{"type":"pong"}` {
			c.hears(`{"type":"pong"}`)
			return s
		}
		eventually(t, "the subscription", func() bool { return topic.Len() == n+1 })
		return ""
	}
	const refused = "limit of 25165824 bytes of documents at once on one connection"
	for _, s := range []struct {
		id        string
		list, pad int
		refused   bool
	}{{"1", 130_000, 0, false}, {"2", 1, 0, true}} {
		if got := begin(s.id, s.list, s.pad); strings.Contains(got, refused) != s.refused || got == "" == s.refused {
			t.Errorf("%s: %s", s.id, got)
		}
	}
	c.say(`{"id":"1","type":"complete"}`)
	eventually(t, "the end", func() bool { return topic.Len() == 0 })
	for _, s := range []struct {
		id        string
		list, pad int
		refused   bool
	}{{"3", 100_000, 0, false}, {"4", 30_000, 0, true}, {"5", 1, 900_000, false}} { // what is no token is hardly anything
		if got := begin(s.id, s.list, s.pad); strings.Contains(got, refused) != s.refused || got == "" == s.refused {
			t.Errorf("%s: %s", s.id, got)
		}
	}
	topic.End(nil)
	if ends := c.hear() + c.hear(); !strings.Contains(ends, `{"id":"3","type":"complete"}`) || !strings.Contains(ends, `{"id":"5","type":"complete"}`) {
		t.Error(ends)
	}
	c.CloseNow()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// The requests of one connection hold no more than four of the largest.
func TestRequestsHeld(t *testing.T) {
	t.Parallel()
	_, _, url := serveNews(t, graphql.WithMaxBody(1000))
	c := initWS(t, url, nil)
	pad := strings.Repeat(" ", 800)
	for _, id := range []string{"1", "2", "3", "4"} {
		subscribe(c, id, pad+`subscription { forever }`)
		c.hears(next(id, "forever", ""))
	}
	subscribe(c, "5", pad+`subscription { forever }`)
	if got := c.hear(); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, "limit of 4000 bytes of requests") {
		t.Error(got)
	}
	c.say(`{"id":"1","type":"complete"}`)
	c.say(`{"id":"2","type":"complete"}`)
	eventually(t, "room", func() bool {
		subscribe(c, "6", pad+`{ a }`)
		for got := c.hear(); ; got = c.hear() {
			switch {
			case strings.Contains(got, `"error"`):
				return false
			case strings.Contains(got, `"complete"`):
				return true
			}
		}
	})
}
