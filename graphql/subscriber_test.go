package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// hubOptions are a schema that takes what the hub sends to the connection of an operation.
func hubOptions() []graphql.Option {
	return []graphql.Option{
		graphql.SDL(`type Query { user: String conn: String ask(group: String!): String tell(n: Int!): Boolean } type Subscription { group(name: String!, after: String = ""): String frames: String answers: String slow: String }`),
		graphql.Resolve("Query.user", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			t := graphql.TransportOf(ctx)
			id, _ := t.Handshake.Identity()
			if t.Manager == nil || t.Subscriber != nil && t.Subscriber.Conn() != t.Conn {
				return "", graphql.Errorf("no manager, or another connection")
			}
			return id.User, nil
		}),
		graphql.Resolve("Query.conn", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			if c := graphql.TransportOf(ctx).Conn; c != nil {
				return c.ID(), nil
			}
			return "", nil
		}),
		graphql.Resolve("Query.ask", func(ctx context.Context, _ graphql.Root, a struct{ Group string }) (string, error) {
			f, err := comm.JSON().ParseFrame([]byte(`{"id":"1","type":"chat","content":"asked","to":"group:` + a.Group + `","ack":true}`))
			if err != nil {
				return "", err
			}
			f, err = graphql.TransportOf(ctx).Subscriber.Ask(ctx, f)
			if pe, ok := errors.AsType[*comm.PeerError](err); ok {
				return "", graphql.Errorf("refused: %s", pe.Code)
			}
			if err != nil {
				return "", err
			}
			return f.Op.String(), nil
		}),
		graphql.Resolve("Query.tell", func(ctx context.Context, _ graphql.Root, a struct{ N int }) (bool, error) {
			f, err := comm.JSON().ParseFrame(fmt.Appendf(nil, `{"type":"n","content":%d}`, a.N))
			if err != nil {
				return false, err
			}
			return true, graphql.TransportOf(ctx).Subscriber.Tell(ctx, f)
		}),
		graphql.Subscribe("Subscription.group", func(ctx context.Context, a struct{ Name, After string }) (iter.Seq2[string, error], error) {
			after, err := comm.ParsePosition(a.After)
			if err != nil {
				return nil, graphql.Errorf("%w", err)
			}
			frames, err := graphql.TransportOf(ctx).Subscriber.Join(ctx, a.Name, after)
			if pe, ok := errors.AsType[*comm.PeerError](err); ok {
				return nil, graphql.Errorf("refused: %s", pe.Code)
			}
			return shown(frames), err
		}),
		graphql.Subscribe("Subscription.frames", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			frames, err := graphql.TransportOf(ctx).Subscriber.Frames(ctx, nil)
			return shown(frames), err
		}),
		graphql.Subscribe("Subscription.answers", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			s := graphql.TransportOf(ctx).Subscriber
			frames, err := s.Frames(ctx, func(f *comm.Frame) bool { return f.Op == comm.OpCall })
			return func(yield func(string, error) bool) {
				for f := range frames {
					reply, err := comm.JSON().ParseFrame(fmt.Appendf(nil, `{"op":"reply","id":%q,"content":"told"}`, f.ID))
					if err == nil {
						err = s.Tell(ctx, reply)
					}
					if !yield(f.Message.Type(), err) {
						return
					}
				}
			}, err
		}),
		graphql.Subscribe("Subscription.slow", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			frames, err := graphql.TransportOf(ctx).Subscriber.Frames(ctx, nil)
			return func(yield func(string, error) bool) {
				for range frames {
					<-ctx.Done()
				}
			}, err
		}),
	}
}

// shown is frames as texts: what they are, and the offset.
func shown(frames iter.Seq2[*comm.Frame, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for f, err := range frames {
			s := ""
			if err == nil {
				s = fmt.Sprintf("%s@%d", f.Op, f.Log.Offset)
				if f.Message != nil {
					s += " " + string(f.Message.Content())
				}
				if f.Op == comm.OpGap {
					s += fmt.Sprintf(" from %d", f.GapFrom)
				}
			} else {
				err = graphql.Errorf("over")
			}
			if !yield(strings.ReplaceAll(s, `"`, ""), err) {
				return
			}
		}
	}
}

// startHub is a gateway with that schema.
func startHub(t *testing.T, opts ...comm.Option) *gateway {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(hubOptions()...)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if n := m.ConnectionCount(comm.ToAll()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	g := &gateway{Manager: m, t: t, client: http.DefaultClient}
	g.url = "http://" + g.host() + "/graphql"
	return g
}

func (g *gateway) post(to comm.Target, content string, opts ...comm.SendOption) comm.Delivery {
	g.t.Helper()
	m, err := comm.NewMessage("chat", content)
	if err != nil {
		g.t.Fatal(err)
	}
	d, err := g.Send(g.t.Context(), to, m, opts...)
	if err != nil {
		g.t.Fatal(err)
	}
	return d
}

// settle returns when the server has read all that was said; nothing more is said of operations that were completed.
func (c *wsClient) settle() {
	c.t.Helper()
	c.say(`{"type":"ping"}`)
	c.hears(`{"type":"pong"}`)
}

// reaches posts until an operation takes it.
func (g *gateway) reaches(to comm.Target, content string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	eventually(g.t, "somebody to take it", func() bool {
		_, err := g.post(to, content, comm.WithAck()).Pending.Wait(ctx)
		return err == nil
	})
}

func subscribe(c *wsClient, id, query string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, query))
}

func next(id, field, text string) string {
	return fmt.Sprintf(`{"id":%q,"type":"next","payload":{"data":{%q:%q}}}`, id, field, text)
}

// one executes a query over the socket and returns its only string.
func (c *wsClient) one(query string) string {
	c.t.Helper()
	subscribe(c, "one", query)
	s := c.hear()
	c.hears(`{"id":"one","type":"complete"}`)
	parts := strings.Split(s, `"`)
	return parts[len(parts)-2]
}

var openAccess = comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
	if a.Group == "closed" {
		return comm.ErrForbidden
	}
	return nil
})

var tokenAuth = comm.WithAuthenticator(func(ctx context.Context, hs *comm.Handshake) (comm.Identity, error) {
	if hs.Token == "slow" {
		<-ctx.Done()
		return comm.Identity{}, ctx.Err()
	}
	if hs.Token == "" {
		return comm.Identity{}, errors.New("who is it")
	}
	return comm.Identity{User: hs.Token, Labels: map[string]string{"payload": string(graphql.TransportOf(ctx).InitPayload)}}, nil
})

// A WebSocket with all its operations is one connection, an event stream another; a request is none.
func TestSubscriberIsAConnection(t *testing.T) {
	t.Parallel()
	g := startHub(t, tokenAuth, openAccess)
	c := dialWS(t, g.url, nil, newProtocol)
	c.say(`{"type":"connection_init","payload":{"token":"ann","x":1}}`)
	c.hears(`{"type":"connection_ack"}`)
	if user := c.one(`{ user }`); user != "ann" {
		t.Error(user)
	}
	conns := slices.Collect(g.Connections(comm.ToUser("ann")))
	if len(conns) != 1 || conns[0].Provider() != "graphql" || conns[0].ID() != c.one(`{ conn }`) || conns[0].Label("payload") != `{"token":"ann","x":1}` {
		t.Fatal(conns)
	}
	if len(conns[0].Metadata()) != 0 {
		t.Error("the payload is shown to others:", conns[0].Metadata())
	}
	if r := g.ask(`{ conn user }`, "Authorization", "Bearer bob"); r.body != `{"data":{"conn":"","user":"bob"}}` {
		t.Error(r)
	}
	e := openStream(t, g.client, "POST", g.url, `{"query":"subscription { frames }"}`, "Authorization", "Bearer eve")
	eventually(t, "the stream", func() bool { return g.ConnectionCount(comm.ToUser("eve")) == 1 })
	g.reaches(comm.ToUser("eve"), "hi")
	e.hears(`next {"data":{"frames":"message@0 hi"}}`)
	stats, err := g.Stats("graphql")
	if err != nil || stats.ConnectionsActive != 2 {
		t.Error(stats, err)
	}
	e.cancel()
	eventually(t, "the stream's end", func() bool { return g.ConnectionCount(comm.ToAll()) == 1 })
	if s := conns[0].Stats(); s.BytesIn == 0 || s.BytesOut == 0 {
		t.Error(s)
	}
	if r := g.do("POST", g.url, `{"query":"{ user }"}`, "Content-Type", "application/json", "Accept", streamType); r.status != 401 {
		t.Error(r)
	}
}

// TestRefusals are the close codes of what a gateway refuses and of how it ends connections.
func TestRefusals(t *testing.T) {
	t.Parallel()
	g := startHub(t, tokenAuth, comm.WithMaxConnectionsPerUser(1), comm.WithHandshakeTimeout(3*time.Second))
	begin := func(payload string, protocols ...string) *wsClient {
		c := dialWS(t, g.url, nil, append(protocols, newProtocol)[0])
		c.say(`{"type":"connection_init","payload":` + payload + `}`)
		return c
	}
	begin(`{}`).hears(`close 4403 Forbidden`)
	begin(`{}`, oldProtocol).hears(`{"type":"connection_error","payload":{"message":"unauthenticated","extensions":{"code":"UNAUTHENTICATED"}}}`, `close 4403 Forbidden`)
	for _, payload := range []string{`{"access_token":"T"}`, `{"authToken":"T"}`, `{"Authorization":"Bearer T"}`, `{"authorization":"T"}`, `{"headers":{"Authorization":"Bearer T"}}`} {
		c := begin(payload)
		c.hears(`{"type":"connection_ack"}`)
		if user := c.one(`{ user }`); user != "T" {
			t.Error(payload, user)
		}
		conn := slices.Collect(g.Connections(comm.ToUser("T")))[0]
		c.CloseNow()
		<-conn.Done()
	}
	begin(`{"token":"slow"}`).hears(`close 4504 Connection acknowledgement timeout`)
	c := begin(`{"token":"ann"}`)
	c.hears(`{"type":"connection_ack"}`)
	if got := begin(`{"token":"ann"}`).hear(); !strings.HasPrefix(got, "close 1013 ") {
		t.Error(got)
	}
	conn := slices.Collect(g.Connections(comm.ToUser("ann")))[0]
	subscribe(c, "f", `subscription { frames }`)
	if user := c.one(`{ user }`); user != "ann" {
		t.Error(user)
	}
	go conn.Close(t.Context(), "good night") // it waits for the client's answer
	c.hears(`{"id":"f","type":"complete"}`, `close 1000 good night`)
	<-conn.Done()
	c = begin(`{"token":"ann"}`)
	c.hears(`{"type":"connection_ack"}`)
	conn = slices.Collect(g.Connections(comm.ToUser("ann")))[0]
	go conn.Kick(t.Context(), "")
	c.hears(`close 4401 Unauthorized`)
	dialWS(t, g.url, nil, newProtocol).hears(`close 4408 Connection initialisation timeout`)
}

// Groups: order, positions, several operations, a resume without a seam.
func TestJoin(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "lobby") }`)
	c.hears(next("a", "group", "joined@0"))
	for i := range 3 {
		g.post(comm.ToGroup("lobby"), fmt.Sprint(i+1))
	}
	c.hears(next("a", "group", "message@1 1"), next("a", "group", "message@2 2"), next("a", "group", "message@3 3"))
	conn := slices.Collect(g.Connections(comm.ToGroup("lobby")))[0]
	epoch := g.post(comm.ToGroup("lobby"), "4").Position.Epoch
	c.hears(next("a", "group", "message@4 4"))

	// A second operation of the connection begins at its own place; the first one sees nothing twice.
	subscribe(c, "b", fmt.Sprintf(`subscription { group(name: "lobby", after: "group:lobby@%s:2") }`, epoch))
	c.hears(next("b", "group", "joined@2"), next("b", "group", "message@3 3"), next("b", "group", "message@4 4"))
	g.post(comm.ToGroup("lobby"), "5")
	both := []string{c.hear(), c.hear()}
	slices.Sort(both)
	if want := []string{next("a", "group", "message@5 5"), next("b", "group", "message@5 5")}; !slices.Equal(both, want) {
		t.Errorf("heard %q", both)
	}
	// A third comes from now on, and shares the membership.
	subscribe(c, "c", `subscription { group(name: "lobby") }`)
	c.hears(next("c", "group", "joined@5"))
	if n := len(conn.Groups()); n != 1 {
		t.Errorf("%d groups", n)
	}
	c.say(`{"id":"a","type":"complete"}`)
	c.say(`{"id":"c","type":"complete"}`)
	c.settle()
	g.post(comm.ToGroup("lobby"), "6")
	c.hears(next("b", "group", "message@6 6"))
	c.say(`{"id":"b","type":"complete"}`)
	eventually(t, "the group to be left", func() bool { return len(conn.Groups()) == 0 })

	// What is not allowed, and an epoch that is over.
	subscribe(c, "d", `subscription { group(name: "closed") }`)
	if got := c.hear(); !strings.HasPrefix(got, `{"id":"d","type":"error","payload":[{"message":"refused: forbidden"`) {
		t.Fatal(got)
	}
	subscribe(c, "e", `subscription { group(name: "lobby", after: "group:lobby@old:9") }`)
	c.hears(next("e", "group", "joined@0"), next("e", "group", "gap@0 from 10"), next("e", "group", "message@1 1"))
	c.say(`{"id":"e","type":"complete"}`)
}

// An operation that asks for what comes behind a position which the log has not reached is told nothing before that;
// it takes nothing from another one.
func TestJoinAhead(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "lobby") }`)
	c.hears(next("a", "group", "joined@0"))
	epoch := g.post(comm.ToGroup("lobby"), "1").Position.Epoch
	c.hears(next("a", "group", "message@1 1"))
	subscribe(c, "b", fmt.Sprintf(`subscription { group(name: "lobby", after: "group:lobby@%s:3") }`, epoch))
	c.hears(next("b", "group", "joined@1"))
	var want, heard []string
	for i := 2; i <= 4; i++ {
		text := fmt.Sprint(i)
		g.post(comm.ToGroup("lobby"), text)
		want = append(want, next("a", "group", "message@"+text+" "+text))
	}
	want = append(want, next("b", "group", "message@4 4"))
	for range want {
		heard = append(heard, c.hear())
	}
	if slices.Sort(heard); !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// A message to several groups reaches the operations of each, though the connection is given one copy.
func TestJoinSeveralGroups(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	for _, name := range []string{"a", "b"} {
		subscribe(c, name, `subscription { group(name: "`+name+`") }`)
		c.hears(next(name, "group", "joined@0"))
	}
	pair := func(text string) {
		t.Helper()
		got := []string{c.hear(), c.hear()}
		slices.Sort(got)
		if want := []string{next("a", "group", text), next("b", "group", text)}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	g.post(comm.ToGroups("b", "a"), "1")
	pair("message@1 1")
	// What another operation has replayed is not new to them.
	subscribe(c, "again", `subscription { group(name: "a", after: "group:a@0:0") }`)
	c.hears(next("again", "group", "joined@0"), next("again", "group", "message@1 1"))
	c.say(`{"id":"again","type":"complete"}`)
	c.settle()
	g.post(comm.ToGroups("b", "a"), "2")
	pair("message@2 2")
}

// A group without history: what comes is taken, and a membership that the server ends ends the operation.
func TestJoinWithoutHistory(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess, comm.WithLogs(false, false, false), comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
		a.Groups = append(a.Groups, "given")
		return nil
	}))
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "plain") }`)
	c.hears(next("a", "group", "joined@0"))
	g.post(comm.ToGroups("other", "plain"), "x")
	g.post(comm.ToAll(), "not for the group")
	g.post(comm.ToGroup("plain"), "y")
	c.hears(next("a", "group", "message@0 x"), next("a", "group", "message@0 y"))
	subscribe(c, "g", `subscription { group(name: "given") }`)
	c.hears(next("g", "group", "joined@0"))
	c.say(`{"id":"g","type":"complete"}`)
	conn := slices.Collect(g.Connections(comm.ToGroup("plain")))[0]
	if err := conn.Leave("plain"); err != nil {
		t.Fatal(err)
	}
	c.hears(next("a", "group", "left@0"), `{"id":"a","type":"complete"}`)
	if got := c.one(`{ ask(group: "given") }`); got != "ack" {
		t.Error(got)
	}
	if groups := conn.Groups(); !slices.Equal(groups, []string{"given"}) {
		t.Errorf("after the operation the connection is in %q", groups)
	}
}

// Where there is no gateway, and over plain HTTP, there is no connection.
func TestNoGateway(t *testing.T) {
	t.Parallel()
	var s *graphql.Subscriber
	_, err := s.Join(t.Context(), "g", comm.Position{})
	_, err2 := s.Frames(t.Context(), nil)
	_, err3 := s.Ask(t.Context(), &comm.Frame{})
	for _, err := range []error{err, err2, err3, s.Tell(t.Context(), &comm.Frame{})} {
		if !errors.Is(err, graphql.ErrNoGateway) {
			t.Error(err)
		}
	}
}

// Acknowledgements and calls.
func TestFrames(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	id := c.one(`{ conn }`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d := g.post(comm.ToConn(id), "nobody takes it", comm.WithAck())
	if _, err := d.Pending.Wait(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a message that no operation takes: %v", err)
	}
	m, _ := comm.NewMessage("ask", nil)
	if _, err := g.Call(ctx, id, m); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that no operation takes: %v", err)
	}
	subscribe(c, "f", `subscription { frames }`)
	if got := c.one(`{ conn }`); got != id {
		t.Error(got)
	}
	g.reaches(comm.ToConn(id), "taken")
	c.hears(next("f", "frames", "message@0 taken"))
	c.say(`{"id":"f","type":"complete"}`)
	subscribe(c, "a", `subscription { answers }`)
	if got := c.one(`{ conn }`); got != id {
		t.Error(got)
	}
	var reply *comm.Message
	eventually(t, "the subscription to take a call", func() (ok bool) {
		var err error
		reply, err = g.Call(ctx, id, m)
		if pe, no := errors.AsType[*comm.PeerError](err); err != nil && (!no || pe.Code != comm.CodeUnknownType) {
			t.Fatal(err)
		}
		return err == nil
	})
	if string(reply.Content()) != `"told"` {
		t.Errorf("the answer to a call: %s", reply.Content())
	}
	c.hears(next("a", "answers", "ask"))
}

// A client that does not read its socket costs itself only, and its source waits.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess, comm.WithWriteTimeout(3*time.Second))
	slow, witness := initWS(t, g.url, nil), initWS(t, g.url, nil)
	id := slow.one(`{ conn }`)
	subscribe(slow, "s", `subscription { slow }`)
	subscribe(witness, "w", `subscription { frames }`)
	if witness.one(`{ conn }`) == id {
		t.Fatal("two sockets are one connection")
	}
	conn := g.Connection(id)
	g.reaches(comm.ToAll().Except(id), "0")
	witness.hears(next("w", "frames", "message@0 0"))
	for i := range 60 {
		g.post(comm.ToAll(), fmt.Sprint(i+1))
	}
	for i := range 60 {
		witness.hears(next("w", "frames", fmt.Sprintf("message@0 %d", i+1)))
	}
	m, err := comm.NewMessage("chat", "more")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slow one to be closed", func() bool { // its operation may begin after the messages to all
		_, _ = g.Send(t.Context(), comm.ToConn(id), m)
		return conn.Err() != nil
	})
	if comm.ReasonOf(conn.Err()) != comm.ReasonSlow {
		t.Error(conn.Err())
	}
	if got := slow.hear(); !strings.HasPrefix(got, "close 4002 ") {
		t.Error(got)
	}
}

// HandleWebSocket brings a trusted client, which is a connection before it says anything.
func TestHandleWebSocket(t *testing.T) {
	t.Parallel()
	g := startHub(t, tokenAuth)
	enter := func() (*comm.Conn, *wsClient) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-WebSocket-Protocol", newProtocol)
		conn, stream, err := g.HandleWebSocket(t.Context(), "graphql", r, comm.WithUser("inside"))
		if err != nil {
			t.Fatal(err)
		}
		socket, err := ws.NewConn(stream, ws.Client)
		if err != nil {
			t.Fatal(err)
		}
		return conn, &wsClient{t, socket, patience}
	}
	conn, c := enter()
	c.say(`{"type":"connection_init"}`)
	c.hears(`{"type":"connection_ack"}`)
	if user := c.one(`{ user }`); user != "inside" || conn.User() != "inside" {
		t.Error(user, conn.User())
	}
	_ = c.CloseNow()
	<-conn.Done()

	// It is welcome already: a hello comes too late for what it may ask.
	conn, c = enter()
	c.say(`{"type":"connection_init","payload":{"comm":{"version":1}}}`)
	if got := c.hear(); !strings.HasPrefix(got, `{"type":"connection_ack","payload":{"comm":{"op":"welcome","version":1,"conn":"`+conn.ID()) {
		t.Error(got)
	}
	_ = c.CloseNow()
	<-conn.Done()
	conn, c = enter()
	c.say(`{"type":"connection_init","payload":{"comm":{"groups":["lobby"]}}}`)
	c.hears(`close 4400 unexpected_hello: the connection is already welcome`)
	<-conn.Done()
}
