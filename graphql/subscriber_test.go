package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

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
