package graphql_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// startMeeting is a gateway where clients of GraphQL, WebSocket and Server-Sent Events meet.
func startMeeting(t *testing.T, opts ...comm.Option) *gateway {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(graphql.New(graphql.Hub()), ws.New(), sse.New()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if n := m.ConnectionCount(comm.ToAll()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	g := &gateway{Manager: m, t: t, client: &http.Client{Transport: tr}}
	g.url = "http://" + g.host() + "/graphql"
	return g
}

// everything is allowed but what names the vault.
var lockedVault = comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
	if strings.HasPrefix(a.Target.String(), "group:vault") {
		return comm.ErrForbidden
	}
	return nil
})

// meeter is a client of the WebSocket or SSE provider and what it hears.
type meeter struct {
	*comm.Client
	heard chan *comm.Message
}

func (g *gateway) meet(d comm.Dialer, group string) *meeter {
	g.t.Helper()
	c, err := comm.NewClient([]comm.Dialer{d})
	if err != nil {
		g.t.Fatal(err)
	}
	m := &meeter{c, make(chan *comm.Message, 100)}
	c.On("*", func(_ context.Context, msg *comm.Message) error { m.heard <- msg; return nil })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx) }()
	g.t.Cleanup(func() { cancel(); <-ended })
	if err := c.Join(g.t.Context(), group); err != nil {
		g.t.Fatal(err)
	}
	return m
}

func (m *meeter) next(t *testing.T) *comm.Message {
	t.Helper()
	select {
	case msg := <-m.heard:
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
		return nil
	}
}

const everyField = `__typename position ... on HubMessage { id type content contentType from to timestamp headers metadata ack place }
	... on HubCall { id type content contentType from timestamp headers metadata }
	... on HubJoined { joined: group place } ... on HubLeft { group } ... on HubGap { log epoch first last }
	... on HubWelcome { connection session user node heartbeat maxMessage resumed expires }
	... on HubError { error: id refused: group code message } ... on HubClosing { code text: message reconnect after } ... on HubExpiring { until: expires }`

// hubEvent is any event of messages.
type hubEvent struct {
	Typename                                    string `json:"__typename"`
	Position, Group                             string
	ID, Type, From, To, Log, Epoch, First, Last string
	Content, Headers, Metadata                  json.RawMessage
	ContentType                                 string
	Timestamp                                   time.Time
	Ack                                         bool
	Place                                       string
	Connection, Session, User, Node             string
	Heartbeat                                   float64
	MaxMessage                                  int
	Resumed                                     bool
	Expires                                     *time.Time
	Code, Message                               string
	Reconnect                                   bool
	After                                       float64

	Joined, Refused, Error, Text string
	Until                        *time.Time
}

// plain undoes the aliases of everyField: types differ in what may be null, and so do the names.
func (e hubEvent) plain() hubEvent {
	e.Group, e.ID = cmp.Or(e.Group, e.Joined, e.Refused), cmp.Or(e.ID, e.Error)
	e.Message, e.Expires = cmp.Or(e.Message, e.Text), cmp.Or(e.Expires, e.Until)
	return e
}

// watch subscribes to messages.
func (c *wsClient) watch(id, args string) {
	c.t.Helper()
	if args != "" {
		args = "(" + args + ")"
	}
	subscribe(c, id, `subscription { messages`+args+` { `+everyField+` } }`)
}

// event is the next event of any subscription to messages.
func (c *wsClient) event(typename string) hubEvent {
	c.t.Helper()
	s := c.hear()
	var m struct {
		Payload struct {
			Data struct{ Messages hubEvent }
		}
	}
	if err := json.Unmarshal([]byte(s), &m); err != nil || m.Payload.Data.Messages.Typename != typename {
		c.t.Fatalf("heard %s\nwant %s (%v)", s, typename, err)
	}
	return m.Payload.Data.Messages.plain()
}

// do executes a query or a mutation over the socket: its data, or its errors.
func (c *wsClient) do(query string) string {
	c.t.Helper()
	subscribe(c, "do", query)
	var m struct {
		ID, Type string
		Payload  json.RawMessage
	}
	s := c.hear()
	if err := json.Unmarshal([]byte(s), &m); err != nil || m.ID != "do" {
		c.t.Fatal(s, err)
	}
	if m.Type == "next" {
		c.hears(`{"id":"do","type":"complete"}`)
	}
	return string(m.Payload)
}

func jsonOf[T any](t testing.TB, s string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return v
}

type delivered struct {
	Data struct {
		Send, Broadcast struct {
			ID                               string
			Matched, Queued, Dropped, Closed int
			Place                            string
			Remote                           bool
		}
	}
}

const deliveryFields = `{ id matched queued dropped closed place remote }`

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

// What a position is good for, a client reads in the schema.
func TestHubDescribesPositions(t *testing.T) {
	t.Parallel()
	var r struct {
		Type struct {
			Fields []struct {
				Name string
				Args []struct{ Name, Description string }
			}
		} `json:"__type"`
	}
	err := graphql.NewClient(schema(t, graphql.Hub())).Do(t.Context(), `{ __type(name: "Subscription") { fields { name args { name description } } } }`, nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	messages := r.Type.Fields[0]
	if after := messages.Args[1]; messages.Name != "messages" || after.Name != "after" || !strings.Contains(after.Description, "Without a group it is refused as BAD_POSITION") {
		t.Errorf("%+v", messages)
	}
}

// Refusals name what was to be done and why not, and have the codes of the client protocol.
func TestHubRefusals(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, lockedVault, comm.WithMaxMessage(200), comm.WithMaxGroups(1))
	c := initWS(t, g.url, nil)
	long := strings.Repeat("x", 200)
	for query, want := range map[string]string{
		`mutation { send(to: "group:vault", type: "x") { id } }`:                                       `send to \"group:vault\": forbidden|FORBIDDEN`,
		`mutation { send(to: "conn:nobody", type: "x") { id } }`:                                       `send to \"conn:nobody\": not found|NOT_FOUND`,
		`mutation { send(to: "lobby", type: "x") { id } }`:                                             `to \"lobby\"|NOT_FOUND`,
		`mutation { send(to: "", type: "x") { id } }`:                                                  `send: no target|NOT_FOUND`,
		`mutation { send(type: "nobody's") { id } }`:                                                   `no handler for messages of type|UNKNOWN_TYPE`,
		`mutation { send(to: "all", type: "") { id } }`:                                                `type|BAD_MESSAGE`,
		`mutation { send(to: "all", type: "x", headers: [1]) { id } }`:                                 `headers|BAD_FRAME`,
		`mutation { send(to: "all", type: "x", content: "eA==", contentType: "` + long + `") { id } }`: `content_type|BAD_MESSAGE`,
		`mutation { broadcast(type: "x", content: "` + long + `") { id } }`:                            `broadcast to \"all\": a message of|TOO_LARGE`,
		`mutation { call(to: "group:lobby", type: "x") { content } }`:                                  `call \"x\" to \"group:lobby\": no target|NOT_FOUND`,
		`{ connections(group: "vault") { total } }`:                                                    `connections of \"group:vault\": forbidden|FORBIDDEN`,
		`mutation { leave(group: "") { group } }`:                                                      `leave of \"group:\": |BAD_MESSAGE`,
		`{ connections(group: "") { total } }`:                                                         `group: \"\": allowed is 1 to|BAD_ARGUMENT`,
		`{ connections(first: 0) { total } }`:                                                          `first: 0: allowed is 1 to 1000.|BAD_ARGUMENT`,
		`{ connections(provider: "fax") { total } }`:                                                   `provider: \"fax\": allowed is graphql, websocket, sse.|BAD_ARGUMENT`,
		`{ stats(provider: "fax") { requests } }`:                                                      `provider: \"fax\"|BAD_ARGUMENT`,
		`subscription { messages(group: "vault") { position } }`:                                       `messages of \"group:vault\": forbidden|FORBIDDEN`,
		`subscription { messages(group: "") { position } }`:                                            `group|BAD_MESSAGE`,
		`subscription { messages(group: "a", after: "?") { position } }`:                               `allowed is log@epoch:offset|BAD_POSITION`,
		`subscription { messages(group: "a", after: "all@x:1") { position } }`:                         `is of other logs|BAD_POSITION`,
		`subscription { messages(after: "all@x:1") { position } }`:                                     `after \"all@x:1\" without a group: allowed is a position together with its group|BAD_POSITION`,
	} {
		text, code, _ := strings.Cut(want, "|")
		got := c.do(query)
		if !strings.Contains(got, text) || !strings.Contains(got, `"code":"`+code+`"`) {
			t.Errorf("%s:\n got %s\nwant %s with %s", query, got, text, code)
		}
	}
	c.watch("a", `group: "a"`)
	c.event("HubJoined")
	if got := c.do(`subscription { messages(group: "b") { position } }`); !strings.Contains(got, `groups per connection: at most 1`) || !strings.Contains(got, `"code":"LIMIT"`) {
		t.Error(got)
	}
	// The same by a request, and by nobody's: without an authorizer all is refused.
	if r := g.ask(`mutation { send(to: "group:vault", type: "x") { id } }`); !strings.Contains(r.body, `"code":"FORBIDDEN"`) {
		t.Error(r)
	}
	closed := startMeeting(t)
	for _, query := range []string{`{ stats { requests } }`, `{ connections { total } }`, `{ connection(id: "x") { id } }`, `mutation { broadcast(type: "x") { id } }`} {
		if r := closed.ask(query); !strings.Contains(r.body, `"code":"FORBIDDEN"`) {
			t.Error(query, r)
		}
	}
	alone := schema(t, graphql.Hub())
	for _, query := range []string{`{ stats { requests } }`, `mutation { broadcast(type: "x") { id } }`} {
		if got := ask(t, alone, query); !strings.Contains(got, `"code":"NO_GATEWAY"`) {
			t.Error(query, got)
		}
	}
	for _, field := range []string{`messages(group: "a")`, `messages`, `events`} {
		if _, err := graphql.NewClient(alone).Subscribe(t.Context(), `subscription { `+field+` { position } }`, nil); err == nil || !strings.Contains(err.Error(), graphql.ErrNoGateway.Error()) {
			t.Error(field, err)
		}
	}
}

// Connections are listed in pages, whose order does not change while others come and go.
func TestHubPages(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, tokenAuth, openAccess)
	sockets := make(map[string]*wsClient)
	for i := range 7 {
		c := dialWS(t, g.url, nil, newProtocol)
		c.say(fmt.Sprintf(`{"type":"connection_init","payload":{"token":"user%d"}}`, i))
		c.hears(`{"type":"connection_ack"}`)
		sockets[fmt.Sprintf("user%d", i)] = c
	}
	type page struct {
		Data struct {
			Connections struct {
				Nodes []struct{ ID, Provider, User string }
				Total int
				Next  string
			}
		}
	}
	var users, ids []string
	pages := 0
	for after := ""; pages == 0 || after != ""; pages++ {
		p := jsonOf[page](t, sockets["user0"].do(fmt.Sprintf(`{ connections(first: 3, after: %q) { total next nodes { id provider user labels metadata since groups } } }`, after))).Data.Connections
		for _, n := range p.Nodes {
			users, ids = append(users, n.User), append(ids, n.ID)
		}
		if after = p.Next; p.Total != 7 || pages > 2 {
			t.Fatalf("%+v", p)
		}
	}
	if pages != 3 || len(ids) != 7 || !slices.IsSorted(ids) || len(slices.Compact(slices.Sorted(slices.Values(users)))) != 7 {
		t.Errorf("%d pages: %q %q", pages, users, ids)
	}
	if p := jsonOf[page](t, sockets["user0"].do(`{ connections(provider: "websocket") { total } }`)); p.Data.Connections.Total != 0 {
		t.Errorf("%+v", p)
	}
	// By a request they are the same and one more; nobody of that id is null.
	r := g.ask(`{ connections(first: 1000) { total } nobody: connection(id: "x") { id } one: connection(id: "`+ids[0]+`") { id user } me: connection { provider user }
		stats { connectionsActive } own: stats(provider: "graphql") { connectionsActive closed drops } }`, "Authorization", "Bearer ann")
	want := fmt.Sprintf(`{"data":{"connections":{"total":8},"nobody":null,"one":{"id":%q,"user":%q},"me":{"provider":"graphql","user":"ann"},"stats":{"connectionsActive":8},"own":{"connectionsActive":8,"closed":{},"drops":{}}}}`, ids[0], users[0])
	if r.body != want {
		t.Errorf("\n got %s\nwant %s", r.body, want)
	}
}

// A call is answered by the service's handler, or by another client.
func TestHubCall(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, openAccess)
	comm.OnCall(g.Manager, "double", func(_ context.Context, c *comm.Conn, n int) (int, error) { return 2 * n, nil })
	comm.On(g.Manager, "quiet", func(context.Context, *comm.Conn, any) error { return nil })
	comm.On(g.Manager, "fail", func(context.Context, *comm.Conn, any) error { return errors.New("secret") })
	c := initWS(t, g.url, nil)
	if got := c.do(`mutation { call(type: "double", content: 21) { content } }`); got != `{"data":{"call":{"content":42}}}` {
		t.Error(got)
	}
	if r := g.ask(`mutation { a: call(type: "double", content: 1) { content } b: call(type: "double", content: 2) { content contentType headers } }`); r.body != `{"data":{"a":{"content":2},"b":{"content":4,"contentType":"application/json","headers":null}}}` {
		t.Error(r)
	}
	if got := c.do(`mutation { call(type: "quiet") { content contentType headers } }`); got != `{"data":{"call":{"content":null,"contentType":"application/json","headers":null}}}` {
		t.Error(got)
	}
	if got := c.do(`mutation { send(type: "double", content: 21) { matched } }`); got != `{"data":{"send":{"matched":0}}}` {
		t.Error(got)
	}
	if got := c.do(`mutation { send(type: "fail") { id } }`); !strings.Contains(got, `"INTERNAL"`) || strings.Contains(got, "secret") {
		t.Error(got)
	}
	other := g.meet(ws.Dialer("ws://"+g.host()+"/ws"), "lobby")
	other.OnCall("who", func(context.Context, *comm.Message) (any, error) { return "it is me", nil })
	var id string
	for conn := range g.Connections(comm.ToGroup("lobby")) {
		id = conn.ID()
	}
	if got := c.do(`mutation { call(to: "conn:` + id + `", type: "who") { content } }`); got != `{"data":{"call":{"content":"it is me"}}}` {
		t.Error(got)
	}
}

// The module's fields come into whatever roots the schema has.
func TestHubComposes(t *testing.T) {
	t.Parallel()
	a := graphql.Get("Query.a", func(graphql.Root) int { return 1 })
	for name, c := range map[string]struct {
		opts  []graphql.SchemaOption
		roots string
	}{
		"alone":     {nil, `Query Mutation Subscription`},
		"a query":   {[]graphql.SchemaOption{graphql.SDL(`type Query { a: Int }`), a}, `Query Mutation Subscription`},
		"extending": {[]graphql.SchemaOption{graphql.SDL(`extend type Query { a: Int }`), a}, `Query Mutation Subscription`},
		"named roots": {[]graphql.SchemaOption{
			graphql.SDL(`schema { query: Q } type Q { a: Int } type Mutation { of: Int }`), graphql.Bind[struct{ Of int }]("Mutation"),
			graphql.Get("Q.a", func(graphql.Root) int { return 1 }),
		}, `Q HubMutation Subscription`},
		"federated": {[]graphql.SchemaOption{graphql.WithFederation()}, `Query Mutation Subscription`},
	} {
		s, err := graphql.NewSchema(append(c.opts, graphql.Hub())...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := jsonOf[struct {
			Data struct {
				Schema struct{ Q, M, S struct{ Name string } } `json:"__schema"`
			}
		}](t, ask(t, s, `{ __schema { q: queryType { name } m: mutationType { name } s: subscriptionType { name } } }`)).Data.Schema
		if roots := got.Q.Name + " " + got.M.Name + " " + got.S.Name; roots != c.roots {
			t.Errorf("%s: the roots are %s, want %s", name, roots, c.roots)
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
