package graphql_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/internal/memnet"
)

// memoryNews serves a handler that stands alone in memory, for fake time.
func memoryNews(t *testing.T, opts ...graphql.HandlerOption) (n *newsroom, h *graphql.Handler, dial func(context.Context, string, string) (net.Conn, error)) {
	t.Helper()
	n = new(newsroom)
	h, err := graphql.NewHandler(n.schema(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	var network memnet.Network
	l, err := network.Listen("news:80")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
		if open, _ := n.state(); open != 0 {
			t.Errorf("%d sources are open after the end", open)
		}
	})
	return n, h, network.DialContext
}

const newsURL = "http://news:80/"

func TestInitTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, dial := memoryNews(t, graphql.WithInitTimeout(3*time.Second))
		c := dialWS(t, newsURL, dial, newProtocol)
		began := time.Now()
		c.say(`{"type":"ping"}`) // keeps nothing open
		c.hears(`{"type":"pong"}`, `close 4408 Connection initialisation timeout`)
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, dial := memoryNews(t, graphql.WithKeepAlive(4*time.Second))
		c := dialWS(t, newsURL, dial, oldProtocol)
		c.say(`{"type":"connection_init"}`)
		began := time.Now()
		c.hears(`{"type":"connection_ack"}`, `{"type":"ka"}`, `{"type":"ka"}`, `{"type":"ka"}`)
		if d := time.Since(began); d != 8*time.Second {
			t.Errorf("two more after %v", d)
		}
	})
}

// A peer that is gone without a word is found by WebSocket's own pings, and its sources end.
func TestPeerIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, _, dial := memoryNews(t)
		c := initWS(t, newsURL, dial)
		subscribe(c, "f", `subscription { forever }`)
		c.hears(next("f", "forever", ""))
		time.Sleep(time.Hour) // the client reads nothing, so no pong is sent
		if open, _ := n.state(); open != 0 {
			t.Errorf("%d sources are open", open)
		}
	})
}

// A client that does not read makes its source wait, and loses its connection when a write times out.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)){
		"websocket": func(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) {
			c := initWS(t, newsURL, dial)
			subscribe(c, "f", `subscription { forever(pad: 10000) }`)
		},
		"sse": func(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) {
			c, err := dial(t.Context(), "tcp", "news:80")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			body := `{"query":"subscription { forever(pad: 10000) }"}`
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: news\r\nAccept: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", streamType, len(body), body)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n, _, dial := memoryNews(t)
				begin(t, dial)
				time.Sleep(time.Second)
				open, asked := n.state()
				if open != 1 || asked < 2 || asked > 200 { // as many as fit into the buffers of the network
					t.Errorf("%d sources were asked for %d events", open, asked)
				}
				time.Sleep(5 * time.Second)
				if _, again := n.state(); again != asked {
					t.Errorf("the source went on, to %d from %d", again, asked)
				}
				time.Sleep(time.Minute)
				if open, again := n.state(); open != 0 || again != asked {
					t.Errorf("%d sources are open, asked for %d events", open, again)
				}
			})
		})
	}
}

// Reservations end with their time, and free their places.
func TestReservationsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, dial := memoryNews(t, graphql.WithReservations(1, 30*time.Second))
		tr := &http.Transport{DialContext: dial}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}
		first := request(t, c, "PUT", newsURL, "")
		if got := request(t, c, "PUT", newsURL, ""); first.status != 201 || got.status != 503 || got.header.Get("Retry-After") != "30" {
			t.Error(first, got)
		}
		time.Sleep(31 * time.Second)
		second := request(t, c, "PUT", newsURL, "")
		if got := request(t, c, "GET", newsURL+"?token="+first.body, "", "Accept", streamType); second.status != 201 || got.status != 404 {
			t.Error(second, got)
		}
		e := openStream(t, c, "GET", newsURL+"?token="+second.body, "")
		if got := request(t, c, "PUT", newsURL, ""); got.status != 201 { // an open stream is no reservation
			t.Error(got)
		}
		e.cancel()
	})
}

// TestShutdown: queries and mutations are answered, subscriptions are not completed, so that clients come back for them.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, h, dial := memoryNews(t)
		tr := &http.Transport{DialContext: dial}
		defer tr.CloseIdleConnections()
		hc := &http.Client{Transport: tr}
		c, early := initWS(t, newsURL, dial), dialWS(t, newsURL, dial, newProtocol)
		subscribe(c, "f", `subscription { forever }`)
		c.hears(next("f", "forever", ""))
		subscribe(c, "q", `{ slow }`)
		single := request(t, hc, "PUT", newsURL, "").body
		one := openStream(t, hc, "GET", newsURL, "", "X-GraphQL-Event-Stream-Token", single)
		s := openStream(t, hc, "POST", newsURL, `{"query":"subscription { forever }"}`)
		s.hears(`next {"data":{"forever":""}}`)
		q := openStream(t, hc, "POST", newsURL, `{"query":"{ slow }"}`)
		synctest.Wait()
		if open, _ := n.state(); open != 4 {
			t.Fatalf("%d are open", open)
		}
		done := make(chan error, 1)
		go func() { done <- h.Shutdown(t.Context()) }()
		synctest.Wait()
		subscribe(c, "late", `{ a }`) // not begun, and not refused: the client comes back for it
		c.hears(`{"id":"q","type":"next","payload":{"data":{"slow":3}}}`, `{"id":"q","type":"complete"}`, `close 1001 Going away`)
		early.hears(`close 1001 Going away`)
		s.hears(`end`)
		q.hears(`next {"data":{"slow":3}}`, `complete`, `end`)
		one.hears(`end`)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, got := range []reply{
			request(t, hc, "PUT", newsURL, ""),
			request(t, hc, "POST", newsURL, `{"query":"{ a }"}`, "Accept", streamType),
			request(t, hc, "GET", newsURL, "", "Upgrade", "websocket"),
		} {
			if got.status != 503 || got.header.Get("Retry-After") == "" {
				t.Error(got)
			}
		}
	})
}

// The manager drains its subscribers like all other connections, and loses no mutation.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := new(newsroom)
		m, err := comm.New(comm.WithInMemory(), comm.WithAddr("news:80"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(n.options()...)))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		const url = "http://news:80/graphql"
		tr := &http.Transport{DialContext: m.DialContext}
		defer tr.CloseIdleConnections()
		hc := &http.Client{Transport: tr}
		c, early := initWS(t, url, m.DialContext), dialWS(t, url, m.DialContext, newProtocol)
		subscribe(c, "f", `subscription { forever }`)
		c.hears(next("f", "forever", ""))
		subscribe(c, "q", `{ slow }`)
		single := request(t, hc, "PUT", url, "").body
		one := openStream(t, hc, "GET", url, "", "X-GraphQL-Event-Stream-Token", single)
		if got := request(t, hc, "POST", url, `{"query":"{ slow }","extensions":{"operationId":"x"}}`, "X-GraphQL-Event-Stream-Token", single); got.status != 202 {
			t.Error(got)
		}
		s := openStream(t, hc, "POST", url, `{"query":"subscription { forever }"}`)
		s.hears(`next {"data":{"forever":""}}`)
		synctest.Wait()
		if open, _ := n.state(); open != 4 || m.ConnectionCount(comm.ToAll()) != 3 {
			t.Fatalf("%d are open, of %d connections", open, m.ConnectionCount(comm.ToAll()))
		}
		done := make(chan error, 1)
		go func() { done <- m.Drain(t.Context()) }()
		synctest.Wait()
		c.say(`{"type":"ping"}`)
		c.hears(`{"type":"pong"}`, `{"id":"q","type":"next","payload":{"data":{"slow":3}}}`, `{"id":"q","type":"complete"}`, `close 1001 Going away`)
		early.hears(`close 1001 Going away`)
		one.hears(`next {"id":"x","payload":{"data":{"slow":3}}}`, `complete {"id":"x"}`, `end`)
		s.hears(`end`)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if open, _ := n.state(); open != 0 || m.ConnectionCount(comm.ToAll()) != 0 {
			t.Errorf("%d are open, of %d connections", open, m.ConnectionCount(comm.ToAll()))
		}
	})
}

// An identity that ends closes the socket with the code on which clients fetch a fresh token.
func TestIdentityExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{User: "ann", Expires: time.Now().Add(time.Minute)}, nil
		}))
		c := initWS(t, g.url, g.DialContext)
		began := time.Now()
		c.patience = time.Hour
		c.hears(`close 4403 Forbidden`)
		if d := time.Since(began); d < time.Minute || d > 2*time.Minute {
			t.Error(d)
		}
	})
}

func memoryHub(t *testing.T, opts ...comm.Option) *gateway {
	t.Helper()
	m, err := comm.New(append([]comm.Option{
		comm.WithInMemory(), comm.WithAddr("news:80"), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(graphql.New(hubOptions()...)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &gateway{Manager: m, t: t, url: "http://news:80/graphql"}
}

// Frames over the manager's rate close the connection as they do everyone's.
func TestMessageRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, comm.WithMessageRate(10, 20))
		c := initWS(t, g.url, g.DialContext)
		conn := slices.Collect(g.Connections(comm.ToAll()))[0]
		for range 50 {
			c.say(`{"type":"pong"}`)
		}
		if got := c.hear(); !strings.HasPrefix(got, "close 1013 ") {
			t.Error(got)
		}
		<-conn.Done()
		if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonRateLimited {
			t.Error(kind)
		}
	})
}

// An operation that tells the hub something counts once against the rate, with it.
func TestTellRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, comm.WithMessageRate(1, 20))
		var heard atomic.Int32
		comm.On(g.Manager, "n", func(context.Context, *comm.Conn, int) error { heard.Add(1); return nil })
		c := initWS(t, g.url, g.DialContext)
		for n := range 22 {
			if got := c.do(fmt.Sprintf(`{ tell(n: %d) }`, n)); got != `{"data":{"tell":true}}` {
				t.Fatal(got)
			}
		}
		synctest.Wait()
		if n := heard.Load(); n != 20 {
			t.Errorf("the hub has taken %d of 22, want 20", n)
		}
	})
}

// A client that does not read its socket while the hub sends to it loses its connection as a slow one, and what
// waits for it is bounded by the manager.
func TestSlowSocketInTheHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, comm.WithQueue(1000, 64<<10))
		c := initWS(t, g.url, g.DialContext)
		subscribe(c, "f", `subscription { frames }`)
		synctest.Wait()
		conn := slices.Collect(g.Connections(comm.ToAll()))[0]
		text := strings.Repeat("x", 1000)
		sent := 0
		for conn.Err() == nil && sent < 10_000 {
			m, err := comm.NewMessage("chat", text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Send(t.Context(), comm.ToAll(), m); err != nil {
				t.Fatal(err)
			}
			sent++
			synctest.Wait()
		}
		if sent < 100 || sent > 2000 { // buffers of the network, a taker's 16, one batch, and the queue's 64 KiB
			t.Errorf("ended after %d messages", sent)
		}
		<-conn.Done()
		if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonSlow {
			t.Error(conn.Err())
		}
	})
}

// A subscriber that a join anew does not let in again: the operations that had the group end with an error, and a
// membership that the server has given is restored.
func TestJoinAnewIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		g := memoryHub(t, comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error {
			if closed.Load() {
				return comm.ErrForbidden
			}
			return nil
		}), comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
			a.Groups = []string{"given"}
			return nil
		}))
		c := initWS(t, g.url, g.DialContext)
		conn := slices.Collect(g.Connections(comm.ToAll()))[0]
		subscribe(c, "a", `subscription { group(name: "own") }`)
		c.hears(next("a", "group", "joined@0"))
		closed.Store(true)
		subscribe(c, "b", `subscription { group(name: "own", after: "group:own@0:0") }`)
		heard := []string{c.hear(), c.hear(), c.hear()}
		slices.Sort(heard)
		for i, part := range []string{`"id":"a","type":"complete"`, `"id":"a","type":"next","payload":{"data":{"group":null},"errors":[{"message":"over"`, `"id":"b","type":"error","payload":[{"message":"refused: forbidden"`} {
			if !strings.Contains(heard[i], part) {
				t.Errorf("%s is not in %s", part, heard[i])
			}
		}
		subscribe(c, "c", `subscription { group(name: "given", after: "group:given@0:0") }`)
		if got := c.hear(); !strings.Contains(got, `refused: forbidden`) {
			t.Error(got)
		}
		if groups := conn.Groups(); !slices.Equal(groups, []string{"given"}) {
			t.Errorf("the connection is in %q", groups)
		}
	})
}
