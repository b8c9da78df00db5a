package graphql_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm/graphql"
)

// serveBoard serves a board by a handler that stands alone.
func serveBoard(t *testing.T) (b *board, h *graphql.Handler, url string) {
	t.Helper()
	b = newBoard(t)
	h, err := graphql.NewHandler(b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return b, h, srv.URL
}

// has waits until the topic has n subscriptions.
func (b *board) has(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " subscriptions"), func() bool { return b.ticks.Len() == n })
}

// One event reaches the clients of every transport; those that leave, by their protocol's word or without one, are out
// of the topic, and the others hear its end.
func TestTopicTransports(t *testing.T) {
	t.Parallel()
	b, h, url := serveBoard(t)
	const query = `subscription { tick { n } }`
	const body = `{"query":"` + query + `"}`

	transport := initWS(t, url, nil)
	subscribe(transport, "1", query)
	subscribe(transport, "2", query)
	old := dialWS(t, url, nil, oldProtocol)
	old.say(`{"type":"connection_init"}`)
	old.hears(`{"type":"connection_ack"}`, `{"type":"ka"}`)
	old.say(`{"id":"1","type":"start","payload":` + body + `}`)
	distinct := openStream(t, http.DefaultClient, "POST", url, body)
	vanishes := openStream(t, http.DefaultClient, "POST", url, body)
	token := request(t, http.DefaultClient, "PUT", url, "").body
	const header = "X-GraphQL-Event-Stream-Token"
	single := openStream(t, http.DefaultClient, "GET", url, "", header, token)
	for _, id := range []string{"1", "2"} {
		got := request(t, http.DefaultClient, "POST", url, `{"query":"`+query+`","extensions":{"operationId":"`+id+`"}}`, header, token)
		if got.status != http.StatusAccepted {
			t.Fatal(got)
		}
	}
	b.has(t, 7)

	b.publish(1, 1)
	const one = `{"data":{"tick":{"n":1}}}`
	both := func(first, second, format string) {
		t.Helper()
		if all := first + second; !strings.Contains(all, fmt.Sprintf(format, "1")) || !strings.Contains(all, fmt.Sprintf(format, "2")) {
			t.Error(all)
		}
	}
	both(transport.hear(), transport.hear(), `{"id":"%s","type":"next","payload":`+one+`}`)
	old.hears(`{"id":"1","type":"data","payload":` + one + `}`)
	distinct.hears(`next ` + one)
	vanishes.hears(`next ` + one)
	both(single.next(), single.next(), `next {"id":"%s","payload":`+one+`}`)

	transport.say(`{"id":"1","type":"complete"}`)
	vanishes.cancel()
	if got := request(t, http.DefaultClient, "DELETE", url+"?operationId=1", "", header, token); got.status != http.StatusOK {
		t.Error(got)
	}
	b.has(t, 4)
	b.publish(2, 2)
	b.ticks.End(nil)
	const two = `{"data":{"tick":{"n":2}}}`
	transport.hears(`{"id":"2","type":"next","payload":`+two+`}`, `{"id":"2","type":"complete"}`)
	old.hears(`{"id":"1","type":"data","payload":`+two+`}`, `{"id":"1","type":"complete"}`)
	distinct.hears(`next `+two, `complete`, `end`)
	single.hears(`next {"id":"2","payload":`+two+`}`, `complete {"id":"2"}`)
	b.has(t, 0)

	// The ids are free again; and a connection that is lost takes its subscriptions along.
	subscribe(transport, "2", query)
	b.has(t, 1)
	transport.CloseNow()
	b.has(t, 0)
	old.CloseNow()
	single.cancel()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A drain ends subscriptions to a topic without completing them, so that the libraries come back for them.
func TestTopicDrain(t *testing.T) {
	t.Parallel()
	b, h, url := serveBoard(t)
	c := initWS(t, url, nil)
	subscribe(c, "1", `subscription { tick { n } }`)
	b.has(t, 1)
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(t.Context()) }()
	if got := c.hear(); !strings.HasPrefix(got, "close 1001") {
		t.Error(got)
	}
	if err := <-down; err != nil || b.ticks.Len() != 0 {
		t.Error(err, b.ticks.Len())
	}
}

// A client that does not read its socket is told, when it reads again, that it has missed something.
func TestTopicSlowSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var topic graphql.Topic[string]
		g := memoryMeetingOf(t, graphql.New(
			graphql.SDL(`type Query { a: Int } type Subscription { text: String }`), value("Query.a", 1).(graphql.Option),
			graphql.SubscribeTo("Subscription.text", func(context.Context, graphql.NoArgs) (graphql.Source[string], error) {
				return &topic, nil
			}, graphql.Queue(3)).(graphql.Option)))
		c := initWS(t, g.url, g.DialContext)
		subscribe(c, "1", `subscription { text }`)
		synctest.Wait()
		text := strings.Repeat("x", 10_000)
		published := 0
		for topic.Publish(text) == 1 { // until the network is full, one is being written, and three wait
			published++
			synctest.Wait()
		}
		if published < 4 || published > 1000 {
			t.Errorf("%d were taken", published)
		}
		for range published {
			c.hears(next("1", "text", text))
		}
		if s := c.hear(); !strings.HasPrefix(s, `{"id":"1","type":"next","payload":{"data":{"text":null},"errors":[`) || !strings.Contains(s, `"code":"SLOW_CONSUMER"`) {
			t.Error(s)
		}
		c.hears(`{"id":"1","type":"complete"}`)
		if topic.Len() != 0 {
			t.Error("it is still there")
		}
	})
}

// An operation that a middleware refuses, over a transport for subscriptions, is an error and nothing more; so is an
// event of a subscription, which ends with it and leaves its topic.
func TestRefusedByMiddleware(t *testing.T) {
	t.Parallel()
	b := newBoard(t, graphql.WithOperationMiddleware(func(graphql.OperationFunc) graphql.OperationFunc {
		return func(context.Context, *graphql.Operation) error { return graphql.Errorf("not today") }
	}))
	h, err := graphql.NewHandler(b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := initWS(t, srv.URL, nil)
	for id, query := range map[string]string{"q": `{ a }`, "s": `subscription { tick { n } }`} {
		subscribe(c, id, query)
		if id == "s" {
			eventually(t, "the subscription", func() bool { return b.ticks.Len() == 1 })
			b.publish(1, 2)
		}
		if got, want := c.hear(), `{"id":"`+id+`","type":"error","payload":[{"message":"not today"`; !strings.HasPrefix(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
		c.say(`{"type":"ping"}`)
		c.hears(`{"type":"pong"}`)
	}
	eventually(t, "the end", func() bool { return b.ticks.Len() == 0 })
	c.CloseNow()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
