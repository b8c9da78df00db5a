package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

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
