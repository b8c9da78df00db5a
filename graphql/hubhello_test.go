package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// memoryMeeting is a gateway with the hub's schema in memory, for fake time.
func memoryMeeting(t *testing.T, opts ...comm.Option) *gateway {
	t.Helper()
	return memoryMeetingOf(t, graphql.New(graphql.Hub()), opts...)
}

func memoryMeetingOf(t *testing.T, p *graphql.Provider, opts ...comm.Option) *gateway {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithInMemory(), comm.WithAddr("news:80"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(p),
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
	})
	return &gateway{Manager: m, t: t, url: "http://news:80/graphql"}
}

// greet connects with a hello, and returns what it is answered.
func (g *gateway) greet(hello string) (*wsClient, *comm.Frame) {
	g.t.Helper()
	c := dialWS(g.t, g.url, g.DialContext, newProtocol)
	c.say(`{"type":"connection_init","payload":` + hello + `}`)
	ack := jsonOf[struct {
		Type    string
		Payload struct{ Comm json.RawMessage }
	}](g.t, c.hear())
	f, err := comm.JSON().ParseFrame(ack.Payload.Comm)
	if err != nil || ack.Type != "connection_ack" || f.Op != comm.OpWelcome {
		g.t.Fatalf("acknowledged by %+v, %v", ack, err)
	}
	return c, f
}

// listen subscribes to events.
func (c *wsClient) listen() { subscribe(c, "e", allEvents) }

// happens is the next event.
func (c *wsClient) happens(typename string) hubEvent {
	c.t.Helper()
	return eventIn(c.t, strings.TrimPrefix(c.hear(), "close "), typename)
}

// eventIn is the event of the operation "e" that a message brings.
func eventIn(t testing.TB, text, typename string) hubEvent {
	t.Helper()
	m := jsonOf[struct {
		ID      string
		Payload struct{ Data struct{ Events hubEvent } }
	}](t, text)
	if m.ID != "e" || m.Payload.Data.Events.Typename != typename {
		t.Fatalf("heard %s\nwant %s", text, typename)
	}
	return m.Payload.Data.Events.plain()
}

// A client that says hello is told welcome twice, and goes on where its session was cut.
func TestHubHello(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, tokenAuth, openAccess, comm.WithLogs(true, true, true))
		c, f := g.greet(`{"token":"ann","comm":{"version":1,"groups":["lobby","closed"],"metadata":{"device":"phone"},"id":"h"}}`)
		w := f.Welcome
		conn := g.Connection(w.Conn)
		if conn == nil || w.Session != conn.Session() || w.User != "ann" || w.Node != g.Node() || w.Version != 1 || w.Resumed || w.MaxMessage != 1<<20 || conn.Metadata()["device"] != "phone" {
			t.Fatalf("%+v", w)
		}
		c.listen()
		e := c.happens("HubWelcome")
		if e.Connection != w.Conn || e.Session != w.Session || e.User != "ann" || e.Node != w.Node || e.MaxMessage != w.MaxMessage || e.Heartbeat != w.Heartbeat.Seconds() || e.Position != "" || e.Expires != nil {
			t.Errorf("%+v", e)
		}
		if e := c.happens("HubError"); e.Group != "closed" || e.Code != "FORBIDDEN" || e.ID != "h" || e.Message == "" {
			t.Errorf("%+v", e)
		}
		for _, log := range []string{"all", "user:ann", "group:lobby"} {
			if e := c.happens("HubJoined"); !strings.HasPrefix(e.Place, log+"@") || "group:"+e.Group != log && e.Group != "" {
				t.Errorf("%+v", e)
			}
		}
		g.post(comm.ToGroup("lobby"), "1")
		g.post(comm.ToUser("ann"), "2")
		first, last := c.happens("HubMessage"), c.happens("HubMessage")
		if !strings.HasSuffix(first.Place, ":1") || first.Ack || string(last.Content) != `"2"` || strings.Count(last.Position, "@") != 3 {
			t.Errorf("%+v\n%+v", first, last)
		}
		c.CloseNow()
		<-conn.Done()

		g.post(comm.ToGroup("lobby"), "3")
		g.post(comm.ToUser("ann"), "4")
		g.post(comm.ToAll(), "5")
		c, f = g.greet(fmt.Sprintf(`{"token":"ann","comm":{"session":%q,"groups":["lobby"],"position":%q}}`, w.Session, last.Position))
		if !f.Welcome.Resumed || f.Welcome.Conn == w.Conn {
			t.Errorf("%+v", f.Welcome)
		}
		c.listen()
		if e := c.happens("HubWelcome"); !e.Resumed {
			t.Errorf("%+v", e)
		}
		missed := make(map[string]bool)
		for range 6 { // three joins among them
			s := c.hear()
			for _, content := range []string{"1", "2", "3", "4", "5"} {
				if strings.Contains(s, `"content":"`+content+`"`) {
					missed[content] = true
				}
			}
		}
		if len(missed) != 3 || missed["1"] || missed["2"] {
			t.Errorf("missed were %v, want 3, 4 and 5", missed)
		}
		g.post(comm.ToGroup("lobby"), "6")
		if e := c.happens("HubMessage"); string(e.Content) != `"6"` {
			t.Errorf("%+v", e)
		}
		// Of another session there is a notice.
		d, f := g.greet(`{"token":"bob","comm":{"session":"nobody's","id":"h2"}}`)
		d.listen()
		d.happens("HubWelcome")
		if e := d.happens("HubError"); f.Welcome.Resumed || e.Code != "SESSION_UNKNOWN" || e.ID != "h2" {
			t.Errorf("%+v", e)
		}
	})
}

// A hello that is refused is told by the protocol's code and text, and by a close code with which libraries do right.
func TestHubHelloRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, comm.WithMaxMessage(4096), comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, _ *comm.Admission) error {
			if hs.Hello.Metadata["day"] == "Sunday" {
				return &comm.PeerError{Code: comm.CodeForbidden, Message: "closed on Sundays"}
			}
			return nil
		}))
		_, f := g.greet(`{"comm":{}}`)
		if err := g.CloseConnection(t.Context(), f.Welcome.Conn, "out"); err != nil {
			t.Fatal(err)
		}
		for payload, want := range map[string]string{
			`{"comm":null}`:                         `{"type":"connection_ack"}`,
			`{}`:                                    `{"type":"connection_ack"}`,
			`{"comm":{"version":9}}`:                `close 4400 unsupported_version: version 9: allowed is 1`,
			`{"comm":[]}`:                           `close 4400 bad_frame: the hello is no object`,
			`{"comm": { "groups":1}}`:               `close 4400 bad_frame: member "groups"`,
			`{"comm":{"op":"join"}}`:                `close 4400 bad_frame: op "join": allowed is hello`,
			`{"comm":{"op":"hello","op":"hello"}}`:  `close 4400 bad_frame: member "op" stands twice`,
			`{"comm":{"position":"?"}}`:             `close 4400 bad_position: position entry "?"`,
			`{"comm":{"metadata":{"a\u0001":"b"}}}`: `close 4400 bad_message: `,
			`{"comm":{"token":"` + strings.Repeat("x", 4096) + `"}}`: `close 1009 a hello of 4108 bytes: at most 4096`,
			`{"comm":{"metadata":{"day":"Sunday"}}}`:                 `close 4403 forbidden: closed on Sundays`,
			`{"comm":{"session":"` + f.Welcome.Session + `"}}`:       `close 4401 session_revoked: the session was closed by the server`,
		} {
			c := dialWS(t, g.url, g.DialContext, newProtocol)
			c.say(`{"type":"connection_init","payload":` + payload + `}`)
			if got := c.hear(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", payload, got, want)
			}
			c.CloseNow()
		}
		old := dialWS(t, g.url, g.DialContext, oldProtocol)
		old.say(`{"type":"connection_init","payload":{"comm":{"version":9}}}`)
		old.hears(`{"type":"connection_error","payload":{"message":"version 9: allowed is 1","extensions":{"code":"UNSUPPORTED_VERSION"}}}`,
			`close 4400 unsupported_version: version 9: allowed is 1`)
	})
}

// Without a gateway the member comm is the user's.
func TestHelloAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, dial := memoryNews(t)
		c := dialWS(t, newsURL, dial, newProtocol)
		c.say(`{"type":"connection_init","payload":{"comm":{"version":9}}}`)
		c.hears(`{"type":"connection_ack"}`)
		if got := c.do(`{ who }`); !strings.Contains(got, `{\"comm\":{\"version\":9}}`) {
			t.Error(got)
		}
	})
}

// What the hub says to a client that has said hello waits for its subscription, but neither for ever nor at its cost.
func TestHubFirstEvents(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]int{"few": 3, "more than wait": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := memoryMeeting(t, openAccess, comm.WithHeartbeat(time.Hour),
					comm.WithWriteTimeout(4*time.Second), comm.WithHandshakeTimeout(6*time.Second))
				c, f := g.greet(`{"comm":{"groups":["lobby"]}}`)
				conn := g.Connection(f.Welcome.Conn)
				began, called := time.Now(), make(chan error, 1)
				go func() {
					_, err := comm.CallAs[int](t.Context(), g.Manager, conn.ID(), "who", 1)
					called <- err
				}()
				for i := range sent {
					synctest.Wait()
					g.post(comm.ToGroup("lobby"), fmt.Sprint(i))
				}
				err := <-called
				wait := 6 * time.Second
				if sent > 16 {
					wait = 4 * time.Second
				}
				if d := time.Since(began); err == nil || !strings.Contains(err.Error(), "unknown_type") || d != wait {
					t.Errorf("%v after %v", err, d)
				}
				time.Sleep(time.Minute)
				if conn.Err() != nil {
					t.Fatal(conn.Err())
				}
				c.listen()
				if e := c.happens("HubWelcome"); !strings.HasSuffix(e.Position, fmt.Sprintf(":%d", sent)) {
					t.Errorf("%+v", e)
				}
				g.post(comm.ToGroup("lobby"), "now")
				if e := c.happens("HubMessage"); string(e.Content) != `"now"` {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

// An event stream says hello in the extensions of its request, and hears the same.
func TestHubHelloSSE(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, openAccess)
	body := func(hello string) string {
		b, err := json.Marshal(map[string]any{"query": allEvents, "extensions": map[string]any{"comm": json.RawMessage(hello)}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s := openStream(t, g.client, "POST", g.url, body(`{"groups":["lobby"],"position":"group:lobby@0:0"}`))
	event := func() hubEvent {
		t.Helper()
		return jsonOf[struct{ Data struct{ Events hubEvent } }](t, strings.TrimPrefix(s.next(), "next ")).Data.Events.plain()
	}
	w := event()
	if conn := g.Connection(w.Connection); w.Typename != "HubWelcome" || conn == nil || conn.Session() != w.Session {
		t.Fatalf("%+v", w)
	}
	if e := event(); e.Typename != "HubJoined" || e.Group != "lobby" {
		t.Errorf("%+v", e)
	}
	g.post(comm.ToGroup("lobby"), "1")
	if e := event(); string(e.Content) != `"1"` || e.Position == "" {
		t.Errorf("%+v", e)
	}
	if err := g.CloseConnection(t.Context(), w.Connection, "out"); err != nil {
		t.Fatal(err)
	}
	if e := event(); e.Typename != "HubClosing" || e.Code != "KICKED" || e.Message != "out" || e.Reconnect {
		t.Errorf("%+v", e)
	}
	s.hears("complete", "end")
	for hello, want := range map[string]string{
		`{"version":9}`:                   `400 {"errors":[{"message":"version 9: allowed is 1","extensions":{"code":"UNSUPPORTED_VERSION"}}]}`,
		`{"session":"` + w.Session + `"}`: `403 {"errors":[{"message":"the session was closed by the server","extensions":{"code":"SESSION_REVOKED"}}]}`,
	} {
		r := g.do("POST", g.url, body(hello), "Content-Type", "application/json", "Accept", streamType)
		if got := fmt.Sprint(r.status, " ", r.body); got != want {
			t.Errorf("%s:\n got %s\nwant %s", hello, got, want)
		}
	}
}

// A client with a hello that subscribes to messages alone waits for nothing.
func TestHubFirstMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c, _ := g.greet(`{"comm":{"groups":["lobby"]}}`)
		c.watch("m", `group: "lobby"`)
		c.event("HubJoined")
		began := time.Now()
		for i := range 50 {
			g.post(comm.ToGroup("lobby"), fmt.Sprint(i))
			if e := c.event("HubMessage"); string(e.Content) != fmt.Sprintf("%q", fmt.Sprint(i)) {
				t.Fatalf("%+v", e)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// Where the server keeps logs of users and of everyone, messages without a group tell how far they have come.
func TestHubOwnPositions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, tokenAuth, openAccess, comm.WithLogs(true, true, true))
		g.post(comm.ToAll(), "before")
		c, _ := g.greet(`{"token":"ann","comm":{"groups":["lobby"]}}`)
		c.watch("own", "")
		if e := c.event("HubJoined"); !strings.HasPrefix(e.Position, "all@") || !strings.Contains(e.Position, ":1,user:ann@") || strings.Contains(e.Position, "lobby") {
			t.Errorf("%+v", e)
		}
		g.post(comm.ToUser("ann"), "1")
		if e := c.event("HubMessage"); !strings.HasPrefix(e.Place, "user:ann@") || !strings.HasSuffix(e.Position, ":1") {
			t.Errorf("%+v", e)
		}
	})
}

// A service's own schema has the hello too, and what its operations give the hub counts once.
func TestHelloWithoutHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, tokenAuth, openAccess, comm.WithMessageRate(1, 3))
		c, f := g.greet(`{"comm":{"token":"ann","metadata":{"device":"phone"}}}`)
		conn := g.Connection(f.Welcome.Conn)
		if f.Welcome.User != "ann" || conn == nil || conn.Metadata()["device"] != "phone" {
			t.Fatalf("%+v", f.Welcome)
		}
		for _, group := range []string{"a", "b", "c"} {
			subscribe(c, group, `subscription { group(name: "`+group+`") }`)
			synctest.Wait()
		}
		if got := conn.Groups(); len(got) != 3 {
			t.Errorf("in %q", got)
		}
		subscribe(c, "d", `subscription { group(name: "d") }`)
		for s := ""; !strings.Contains(s, `"id":"d"`); {
			if s = c.hear(); strings.Contains(s, `"id":"d"`) && !strings.Contains(s, "rate") {
				t.Error(s)
			}
		}
	})
}

// The old subprotocol has all of it too.
func TestHubHelloOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c := dialWS(t, g.url, g.DialContext, oldProtocol)
		c.say(`{"type":"connection_init","payload":{"comm":{"groups":["lobby"]}}}`)
		if got := c.hear(); !strings.HasPrefix(got, `{"type":"connection_ack","payload":{"comm":{"op":"welcome","version":1,"conn":"`) {
			t.Error(got)
		}
		c.hears(`{"type":"ka"}`)
		c.say(`{"id":"e","type":"start","payload":{"query":"subscription { events { __typename } }"}}`)
		for _, want := range []string{"HubWelcome", "HubJoined"} {
			c.hears(`{"id":"e","type":"data","payload":{"data":{"events":{"__typename":"` + want + `"}}}}`)
		}
		for own := range g.Connections(comm.ToGroup("lobby")) {
			go own.Close(t.Context(), "bye")
		}
		c.hears(`{"id":"e","type":"data","payload":{"data":{"events":{"__typename":"HubClosing"}}}}`, `{"id":"e","type":"complete"}`, `close 1000 bye`)
	})
}

// A hello may say that it is one, as it does in the client protocol.
func TestHubHelloWithOp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		for _, hello := range []string{`{"op":"hello"}`, `{ "version":1, "op" : "hello","groups":["lobby"]}`, `{ }`} {
			_, f := g.greet(`{"comm":` + hello + `}`)
			if got := len(g.Connection(f.Welcome.Conn).Groups()); (got == 1) != strings.Contains(hello, "lobby") {
				t.Errorf("%s: in %d groups", hello, got)
			}
		}
	})
}
