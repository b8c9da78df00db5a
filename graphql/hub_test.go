package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// Clients of three protocols are in one group: whatever one says, each of the others gets.
func TestHubMeeting(t *testing.T) {
	t.Parallel()
	var passed []string // by the middleware, one connection after the other
	g := startMeeting(t, lockedVault, comm.WithMiddleware(func(next comm.Handler) comm.Handler {
		return func(ctx context.Context, c *comm.Conn, m *comm.Message) error {
			passed = append(passed, c.Provider()+" "+m.Type())
			return next(ctx, c, m)
		}
	}))
	byWS, bySSE := g.meet(ws.Dialer("ws://"+g.host()+"/ws"), "lobby"), g.meet(sse.Dialer("http://"+g.host()+"/events"), "lobby")
	c := initWS(t, g.url, nil)
	c.watch("m", `group: "lobby"`)
	if e := c.event("HubJoined"); e.Group != "lobby" || !strings.HasPrefix(e.Position, "group:lobby@") {
		t.Errorf("%+v", e)
	}

	f, err := comm.JSON().ParseFrame([]byte(`{"id":"1","type":"chat","to":"group:lobby","content":{"n":1},"headers":{"h":"v"},"metadata":{"k":2}}`))
	if err != nil {
		t.Fatal(err)
	}
	msg := f.Message
	if err := byWS.Send(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	e := c.event("HubMessage")
	if e.ID != msg.ID() || e.Type != "chat" || string(e.Content) != `{"n":1}` || e.ContentType != "application/json" || e.To != "group:lobby" ||
		!strings.HasPrefix(e.From, "conn:") || string(e.Headers) != `{"h":"v"}` || string(e.Metadata) != `{"k":2}` || time.Since(e.Timestamp) > time.Minute || e.Position == "" {
		t.Errorf("%+v", e)
	}
	bySSE.next(t)
	byWS.next(t)

	own := jsonOf[struct {
		Data struct {
			Connection struct {
				ID, Provider string
				Groups       []string
			}
		}
	}](t, c.do(`{ connection { id provider groups } }`)).Data.Connection
	if own.Provider != "graphql" || !slices.Equal(own.Groups, []string{"lobby"}) || g.Connection(own.ID) == nil {
		t.Errorf("%+v", own)
	}
	subscribe(c, "send", `mutation { send(to: "group:lobby", type: "answer", content: {a: [1, 2.5, null, "x"]}, headers: {h: "w"}, metadata: {k: true}, id: "mine") `+deliveryFields+` }`)
	var d delivered
	for range 3 { // the message itself, the answer and its completion, the first wherever it is
		if s := c.hear(); strings.Contains(s, `"id":"send","type":"next"`) {
			d = delivered(jsonOf[struct{ Payload delivered }](t, s).Payload)
		}
	}
	if got := d.Data.Send; got.ID != "mine" || got.Matched != 3 || got.Queued != 3 || got.Dropped+got.Closed != 0 || !strings.HasPrefix(got.Place, "group:lobby@") || got.Remote {
		t.Errorf("%+v", got)
	}
	for _, m := range []*meeter{byWS, bySSE} {
		if got := m.next(t); got.ID() != "mine" || string(got.Content()) != `{"a":[1,2.5,null,"x"]}` || got.From() != "conn:"+own.ID || got.Header("h") != "w" || string(got.Metadata()) != `{"k":true}` {
			t.Errorf("%+v", got)
		}
	}
	if !slices.Equal(passed, []string{"websocket chat", "graphql answer"}) {
		t.Errorf("the middleware saw %q", passed)
	}

	// What the connection itself gets, and everybody.
	c.watch("own", "")
	if e := c.event("HubJoined"); e.Group != "" || e.Position != "" {
		t.Errorf("%+v", e)
	}
	note, err := comm.NewMessage("note", []byte{1, 2}, comm.WithFrom("service"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent, err := g.Send(ctx, comm.ToConn(own.ID), note, comm.WithAck())
	if err != nil {
		t.Fatal(err)
	}
	if acked, err := sent.Pending.Wait(ctx); acked != 1 || err != nil {
		t.Error(acked, err)
	}
	if e := c.event("HubMessage"); string(e.Content) != `"AQI="` || e.ContentType != "application/octet-stream" || e.From != "service" || e.Position != "" {
		t.Errorf("%+v", e)
	}
	if r := g.ask(`mutation { broadcast(type: "all", content: "<b>", contentType: "text/html") ` + deliveryFields + ` }`); jsonOf[delivered](t, r.body).Data.Broadcast.Matched != 4 {
		t.Error(r) // three who are there, and the connection of the request
	}
	if e := c.event("HubMessage"); e.Type != "all" || string(e.Content) != `"\u003cb\u003e"` && string(e.Content) != `"<b>"` {
		t.Errorf("%+v %s", e, e.Content)
	}
	if got := byWS.next(t); got.ContentType() != "text/html" || string(got.Content()) != "<b>" {
		t.Errorf("%+v", got)
	}
	eventually(t, "the request's connection to be gone", func() bool { return g.ConnectionCount(comm.ToAll()) == 3 })

	if err := g.Connection(own.ID).Leave("lobby"); err != nil {
		t.Fatal(err)
	}
	if e := c.event("HubLeft"); e.Group != "lobby" {
		t.Errorf("%+v", e)
	}
	c.hears(`{"id":"m","type":"complete"}`)
}

// A client that was cut off goes on behind the position of its last event; what is lost it is told.
func TestHubResume(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, lockedVault, comm.WithHistory(&comm.MemoryStore{Messages: 4}))
	c := initWS(t, g.url, nil)
	c.watch("m", `group: "lobby"`)
	c.event("HubJoined")
	g.post(comm.ToGroup("lobby"), "1")
	first := c.event("HubMessage")
	if string(first.Content) != `"1"` {
		t.Fatalf("%+v", first)
	}
	at := first.Position
	c.CloseNow()
	eventually(t, "the cut", func() bool { return g.ConnectionCount(comm.ToAll()) == 0 })
	for i := range 3 {
		g.post(comm.ToGroup("lobby"), strconv.Itoa(2+i))
	}
	c = initWS(t, g.url, nil)
	c.watch("m", fmt.Sprintf("group: %q, after: %q", "lobby", at))
	if e := c.event("HubJoined"); e.Position != at {
		t.Errorf("%+v, want to go on at %s", e, at)
	}
	for _, want := range []string{`"2"`, `"3"`, `"4"`} {
		if e := c.event("HubMessage"); string(e.Content) != want {
			t.Errorf("%+v %s, want %s", e, e.Content, want)
		}
	}
	c.CloseNow()
	eventually(t, "the cut", func() bool { return g.ConnectionCount(comm.ToAll()) == 0 })
	for i := range 4 {
		g.post(comm.ToGroup("lobby"), strconv.Itoa(5+i))
	}
	// Of the eight the log holds four: 2 to 4 are lost, and over an event stream it is the same.
	for name, next := range map[string]func() hubEvent{
		"websocket": func() func() hubEvent {
			c := initWS(t, g.url, nil)
			c.watch("m", fmt.Sprintf("group: %q, after: %q", "lobby", at))
			return func() hubEvent {
				return jsonOf[struct {
					Payload struct{ Data struct{ Messages hubEvent } }
				}](t, c.hear()).Payload.Data.Messages
			}
		}(),
		"sse": func() func() hubEvent {
			query := fmt.Sprintf(`subscription { messages(group: %q, after: %q) { %s } }`, "lobby", at, everyField)
			body, _ := json.Marshal(map[string]string{"query": query})
			s := openStream(t, g.client, "POST", g.url, string(body))
			return func() hubEvent {
				return jsonOf[struct{ Data struct{ Messages hubEvent } }](t, strings.TrimPrefix(s.next(), "next ")).Data.Messages
			}
		}(),
	} {
		next()
		gap, first := next(), next()
		if gap.Typename != "HubGap" || gap.Log != "group:lobby" || gap.First != "2" || gap.Last != "4" || !strings.HasSuffix(gap.Position, ":4") || string(first.Content) != `"5"` {
			t.Errorf("%s: %+v, %+v", name, gap, first)
		}
	}
}

// A drain answers the mutation of a request whose handler still works, and leaves subscriptions to come back.
func TestHubDrain(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, openAccess)
	began, release := make(chan struct{}), make(chan struct{})
	comm.OnCall(g.Manager, "slow", func(context.Context, *comm.Conn, any) (string, error) {
		close(began)
		<-release
		return "done", nil
	})
	c := initWS(t, g.url, nil)
	c.watch("m", `group: "lobby"`)
	c.event("HubJoined")
	answer := make(chan string, 1)
	go func() { answer <- g.ask(`mutation { call(type: "slow") { content } }`).body }()
	<-began
	drained := make(chan error, 1)
	go func() { drained <- g.Drain(context.WithoutCancel(t.Context())) }()
	eventually(t, "the drain", g.Leaving)
	close(release)
	if got := <-answer; got != `{"data":{"call":{"content":"done"}}}` {
		t.Error(got)
	}
	c.hears(`close 1001 Going away`)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A client that does not read is closed as a slow one, and costs nobody else anything.
func TestHubSlow(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, openAccess, comm.WithQueue(8, 1<<20))
	slow, witness := initWS(t, g.url, nil), initWS(t, g.url, nil)
	slow.watch("m", `group: "lobby"`)
	witness.watch("m", `group: "lobby"`)
	slow.event("HubJoined")
	witness.event("HubJoined")
	if g.ConnectionCount(comm.ToGroup("lobby")) != 2 {
		t.Fatal("both are to be in the group")
	}
	text := strings.Repeat("x", 64<<10)
	for range 2000 {
		d := g.post(comm.ToGroup("lobby"), text)
		witness.event("HubMessage")
		if d.Closed == 1 {
			eventually(t, "the slow one's end", func() bool { return g.ConnectionCount(comm.ToAll()) == 1 })
			eventually(t, "its place in the counters", func() bool {
				s, err := g.Stats("graphql")
				return err == nil && s.Closed["slow_consumer"] == 1
			})
			return
		}
	}
	t.Error("the slow client holds everything")
}
