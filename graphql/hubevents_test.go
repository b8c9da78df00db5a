package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// answer executes an operation beside events, and returns its response and the events that came before its end.
func (c *wsClient) answer(query string) (response string, events []string) {
	c.t.Helper()
	subscribe(c, "do", query)
	for {
		switch s := c.hear(); {
		case s == `{"id":"do","type":"complete"}`:
			return response, events
		case strings.HasPrefix(s, `{"id":"do","type":"next","payload":`):
			response = strings.TrimSuffix(strings.TrimPrefix(s, `{"id":"do","type":"next","payload":`), "}")
		case strings.HasPrefix(s, `{"id":"do","type":"error"`):
			return s, events
		default:
			events = append(events, s)
		}
	}
}

// does expects a response, and says nothing of events.
func (c *wsClient) does(query, want string) {
	c.t.Helper()
	if got, _ := c.answer(query); got != want {
		c.t.Errorf("%s\n got %s\nwant %s", query, got, want)
	}
}

// A call of the service is an event, and the client answers it by a mutation, with headers or by an error.
func TestHubCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c, f := g.greet(`{"comm":{}}`)
		c.listen()
		c.happens("HubWelcome")
		type result struct {
			m   *comm.Message
			err error
		}
		call := func() chan result {
			done := make(chan result, 1)
			go func() {
				msg, err := comm.NewMessage("who", 1, comm.WithHeader("h", "v"))
				if err == nil {
					msg, err = g.Call(t.Context(), f.Welcome.Conn, msg)
				}
				done <- result{msg, err}
			}()
			return done
		}
		done := call()
		e := c.happens("HubCall")
		if e.Type != "who" || string(e.Content) != "1" || string(e.Headers) != `{"h":"v"}` || e.ContentType != "application/json" {
			t.Errorf("%+v", e)
		}
		c.does(`mutation { reply(id: "`+e.ID+`", content: "me", contentType: "text/plain", headers: {h: "w"}) }`, `{"data":{"reply":true}}`)
		if r := <-done; r.err != nil || string(r.m.Content()) != "me" || !r.m.Text() || r.m.Header("h") != "w" {
			t.Errorf("%+v", r)
		}
		c.does(`mutation { reply(id: "`+e.ID+`", content: "again") }`, `{"data":{"reply":true}}`)

		done = call()
		e = c.happens("HubCall")
		c.does(`mutation { reply(id: "`+e.ID+`", error: {code: "UNKNOWN_TYPE", message: "never heard of"}) }`, `{"data":{"reply":true}}`)
		if pe, ok := errors.AsType[*comm.PeerError]((<-done).err); !ok || pe.Code != comm.CodeUnknownType || pe.Message != "never heard of" {
			t.Errorf("%+v", pe)
		}
		for query, want := range map[string]string{
			`mutation { reply(id: "x", error: {code: ""}) }`:                     `error.code: \"\": allowed is 1 to 128 bytes.|BAD_ARGUMENT`,
			`mutation { reply(id: "x", content: 1, contentType: "text/plain") }`: `reply to \"x\": message: content|BAD_MESSAGE`,
			`mutation { reply(id: "x", headers: [1]) }`:                          `member \"headers\"|BAD_FRAME`,
		} {
			text, code, _ := strings.Cut(want, "|")
			if got, _ := c.answer(query); !strings.Contains(got, text) || !strings.Contains(got, `"code":"`+code+`"`) {
				t.Errorf("%s: %s", query, got)
			}
		}
	})
}

// Whoever sends a message can wait for the client: events leaves the word to it, messages has it said.
func TestHubAcks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c, f := g.greet(`{"comm":{}}`)
		c.listen()
		c.happens("HubWelcome")
		send := func() *comm.Pending {
			msg, err := comm.NewMessage("n", 1)
			if err != nil {
				t.Fatal(err)
			}
			d, err := g.Send(t.Context(), comm.ToConn(f.Welcome.Conn), msg, comm.WithAck())
			if err != nil {
				t.Fatal(err)
			}
			return d.Pending
		}
		sent := send()
		e := c.happens("HubMessage")
		if !e.Ack {
			t.Errorf("%+v", e)
		}
		c.does(`mutation { ack(id: "`+e.ID+`") }`, `{"data":{"ack":true}}`)
		if n, err := sent.Wait(t.Context()); n != 1 || err != nil {
			t.Error(n, err)
		}
		sent = send()
		e = c.happens("HubMessage")
		c.does(`mutation { ack(id: "`+e.ID+`", error: {code: "MY_OWN", message: "no"}) }`, `{"data":{"ack":true}}`)
		n, err := sent.Wait(t.Context())
		if pe, ok := errors.AsType[*comm.PeerError](err); n != 0 || !ok || pe.Code != "my_own" || pe.Message != "no" {
			t.Error(n, err)
		}
		c.say(`{"id":"e","type":"complete"}`)
		c.watch("own", "")
		c.event("HubJoined")
		sent = send()
		if e := c.event("HubMessage"); e.Ack {
			t.Errorf("%+v", e)
		}
		if n, err := sent.Wait(t.Context()); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

// Groups that a client joins and leaves by mutations are its own, beside those of its subscriptions.
func TestHubMembership(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithLogs(true, false, false))
		c, f := g.greet(`{"comm":{}}`)
		conn := g.Connection(f.Welcome.Conn)
		groups := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := conn.Groups(); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("in %q, want %q", got, want)
			}
		}
		g.post(comm.ToGroup("lobby"), "1")
		c.listen()
		c.happens("HubWelcome")

		// With after comes what was said before.
		joined, events := c.answer(`mutation { join(group: "lobby", after: "group:lobby@0:0") { group place } }`)
		if !strings.HasPrefix(joined, `{"data":{"join":{"group":"lobby","place":"group:lobby@`) {
			t.Error(joined)
		}
		for range 2 - len(events) {
			events = append(events, c.hear())
		}
		if !strings.Contains(events[0], "HubJoined") || !strings.Contains(events[1], `"content":"1"`) {
			t.Errorf("%q", events)
		}

		// A subscription that goes back to the beginning has what it wants; events tell nothing twice.
		c.watch("m", `group: "lobby", after: "group:lobby@0:0"`)
		c.event("HubJoined")
		if e := c.event("HubMessage"); string(e.Content) != `"1"` {
			t.Errorf("%+v", e)
		}
		g.post(comm.ToGroup("lobby"), "2")
		for range 2 {
			if s := c.hear(); !strings.Contains(s, `"content":"2"`) || !strings.Contains(s, `:2"`) {
				t.Error(s)
			}
		}
		c.say(`{"id":"m","type":"complete"}`)
		groups("lobby") // it was joined by itself

		// A group of a subscription that is joined by itself too is kept.
		c.watch("m", `group: "other"`)
		for range 2 {
			if s := c.hear(); !strings.Contains(s, "HubJoined") {
				t.Error(s)
			}
		}
		c.answer(`mutation { join(group: "other") { group } }`)
		c.say(`{"id":"m","type":"complete"}`)
		groups("lobby", "other")

		// Leaving ends subscriptions, and what was joined by them alone ends with them.
		c.watch("m", `group: "other"`)
		synctest.Wait()
		left, events := c.answer(`mutation { leave(group: "other") { group } }`)
		if left != `{"data":{"leave":{"group":"other"}}}` {
			t.Error(left)
		}
		groups("lobby")
		for all := strings.Join(events, "\n"); !strings.Contains(all, `{"id":"m","type":"complete"}`) || strings.Count(all, "HubLeft") < 2; {
			all += "\n" + c.hear()
		}
		c.watch("m", `group: "third"`)
		synctest.Wait()
		groups("lobby", "third")
		c.say(`{"id":"m","type":"complete"}`)
		groups("lobby")
		for _, want := range []string{`"joined":"third"`, `"joined":"third"`, `"__typename":"HubLeft"`} {
			if s := c.hear(); !strings.Contains(s, want) {
				t.Errorf("heard %s, want %s", s, want)
			}
		}

		// The service's own doing, which is told once.
		c.watch("m", `group: "fourth"`)
		c.hear()
		c.hear()
		if err := conn.Leave("fourth"); err != nil {
			t.Fatal(err)
		}
		var all string
		for range 3 {
			all += c.hear() + "\n"
		}
		if strings.Count(all, "HubLeft") != 2 || !strings.Contains(all, `{"id":"m","type":"complete"}`) {
			t.Error(all)
		}
		synctest.Wait()
		if err := errors.Join(conn.Join("staff"), conn.Leave("lobby")); err != nil {
			t.Fatal(err)
		}
		if e := c.happens("HubJoined"); e.Group != "staff" {
			t.Errorf("%+v", e)
		}
		if e := c.happens("HubLeft"); e.Group != "lobby" || strings.Contains(e.Position, "lobby") {
			t.Errorf("%+v", e)
		}
		if got, _ := c.answer(`mutation { join(group: "closed") { group } }`); !strings.Contains(got, `join of \"group:closed\": forbidden`) || !strings.Contains(got, `"code":"FORBIDDEN"`) {
			t.Error(got)
		}
		if got, _ := c.answer(`mutation { join(group: "a", after: "all@x:1") { group } }`); !strings.Contains(got, `"code":"BAD_POSITION"`) {
			t.Error(got)
		}
	})
}

// A rejoin that is refused takes the client out of the group, and events say so.
func TestHubRejoinRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		allowed := true
		g := memoryMeeting(t, comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error {
			if !allowed {
				return comm.ErrForbidden
			}
			return nil
		}))
		c, _ := g.greet(`{"comm":{}}`)
		c.listen()
		c.happens("HubWelcome")
		c.watch("m", `group: "lobby"`)
		c.hear()
		c.hear()
		allowed = false
		c.watch("n", `group: "lobby", after: "group:lobby@0:0"`)
		var all string
		for range 4 { // the refusal, and the ends of the first subscription and of the membership
			all += c.hear() + "\n"
		}
		if !strings.Contains(all, `{"id":"n","type":"error"`) || !strings.Contains(all, `HubLeft`) || !strings.Contains(all, `{"id":"m","type":"complete"}`) {
			t.Error(all)
		}
	})
}

// Every subscription to events hears all of it, whenever it begins, and why the connection ends.
func TestHubClosing(t *testing.T) {
	t.Parallel()
	for reason, end := range map[string]func(g *gateway, c *comm.Conn) error{
		"KICKED":   func(g *gateway, c *comm.Conn) error { return g.CloseConnection(context.Background(), c.ID(), "bye") },
		"NORMAL":   func(_ *gateway, c *comm.Conn) error { return c.Close(context.Background(), "bye") },
		"DRAIN":    func(g *gateway, _ *comm.Conn) error { return g.Drain(context.Background()) },
		"by hand":  func(g *gateway, c *comm.Conn) error { return nil },
		"overrun":  func(*gateway, *comm.Conn) error { return nil },
		"replaced": func(*gateway, *comm.Conn) error { return nil },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := memoryMeeting(t, openAccess, comm.WithMessageRate(10, 20))
				c := initWS(t, g.url, g.DialContext) // no hello is needed
				c.listen()
				w := c.happens("HubWelcome")
				ended := make(chan error, 1)
				conn := g.Connection(w.Connection)
				go func() { ended <- end(g, conn) }()
				code, closed := reason, map[string]string{
					"KICKED": "close 4401 bye", "NORMAL": "close 1000 bye", "DRAIN": "close 1001 Going away", "by hand": "close 4401 closed by conn:" + w.Connection,
					"overrun": "close 1013 frames went on over the rate", "replaced": "close 1000 the session came back on another connection",
				}
				switch reason {
				case "by hand":
					code = "KICKED"
					subscribe(c, "do", `mutation { close(id: "`+w.Connection+`") }`)
				case "overrun":
					code = "RATE_LIMITED"
					for range 60 {
						c.say(`{"type":"pong"}`)
					}
				case "replaced":
					code = "SUPERSEDED"
					done := make(chan struct{})
					go func() { defer close(done); g.greet(`{"comm":{"session":"` + w.Session + `"}}`) }()
					defer func() { <-done }()
				}
				var all []string
				for s := ""; !strings.HasPrefix(s, "close "); all = append(all, s) {
					s = c.hear()
				}
				if last := all[len(all)-1]; last != closed[reason] {
					t.Errorf("%s, want %s", last, closed[reason])
				}
				returns := map[string]bool{"DRAIN": true, "RATE_LIMITED": true}[code]
				if s := strings.Join(all, "\n"); !strings.Contains(s, `"__typename":"HubClosing"`) || !strings.Contains(s, fmt.Sprintf(`"code":%q`, code)) || !strings.Contains(s, fmt.Sprintf(`"reconnect":%t`, returns)) {
					t.Error(s)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A client is told when its identity is about to end, and renews it in place.
func TestHubRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithHeartbeat(time.Hour), comm.WithExpiryGrace(10*time.Second),
			comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
				user, life, _ := strings.Cut(hs.Token, "/")
				d, err := time.ParseDuration(life)
				return comm.Identity{User: user, Expires: time.Now().Add(d)}, err
			}))
		c, f := g.greet(`{"token":"ann/100s","comm":{}}`)
		c.patience = time.Hour
		c.listen()
		began := time.Now()
		if e := c.happens("HubWelcome"); e.Expires == nil || !e.Expires.Equal(f.Expires) || f.Expires.Sub(began) != 100*time.Second {
			t.Errorf("%+v, %v", e, f.Expires)
		}
		if e := c.happens("HubExpiring"); e.Expires == nil || !e.Expires.Equal(f.Expires) || time.Since(began) != 80*time.Second {
			t.Errorf("%+v after %v", e, time.Since(began))
		}
		for token, want := range map[string]string{"bob/1m": "the token is of another user", "?": "unauthenticated"} {
			if got, _ := c.answer(`mutation { refresh(token: "` + token + `") { user } }`); !strings.Contains(got, "refresh: "+want) || !strings.Contains(got, `"code":"UNAUTHENTICATED"`) {
				t.Error(got)
			}
		}
		want := time.Now().Add(200 * time.Second).UTC().Format(time.RFC3339Nano)
		c.does(`mutation { refresh(token: "ann/200s") { user expires } }`, `{"data":{"refresh":{"user":"ann","expires":"`+want+`"}}}`)
		began = time.Now()
		c.happens("HubExpiring")
		if d := time.Since(began); d != 160*time.Second {
			t.Errorf("told after %v", d)
		}
		if e := c.happens("HubClosing"); e.Code != "EXPIRED" || !e.Reconnect {
			t.Errorf("%+v", e)
		}
		c.hears(`close 4403 Forbidden`)
	})
}

// Presence is asked for under the authorizer's rules, over any transport.
func TestHubPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, tokenAuth, openAccess)
		c, _ := g.greet(`{"token":"ann","comm":{"groups":["lobby"]}}`)
		c.listen()
		c.happens("HubWelcome")
		c.happens("HubJoined")
		c.does(`{ presence(group: "lobby") { user connections } nobody: presence(group: "empty") { user } }`,
			`{"data":{"presence":[{"user":"ann","connections":1}],"nobody":[]}}`)
		for query, code := range map[string]string{
			`{ presence(group: "closed") { user } }`: "FORBIDDEN", `{ presence(group: "") { user } }`: "BAD_ARGUMENT",
			`mutation { close(id: "nobody") }`: "NOT_FOUND", `mutation { close(id: "") }`: "NOT_FOUND",
		} {
			if got, _ := c.answer(query); !strings.Contains(got, `"code":"`+code+`"`) {
				t.Errorf("%s: %s", query, got)
			}
		}
	})
}
