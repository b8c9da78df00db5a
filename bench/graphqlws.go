package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// What a subscription costs with its transport: a server process, and clients
// that have one or many on each WebSocket.

// A graphQLHubber serves the schema's subscriptions by graphql-transport-ws.
type graphQLHubber interface {
	GraphQLHub(s *spec) (hub, error)
}

var (
	subscriptionRSS  = column{"rss", "RSS, B/subscription", "%.0f", true}
	subscriptionAnon = column{"anon", "RssAnon, B/subscription", "%.0f", true}

	socketRows = []row{
		socketRow("graphqlws", "1,000 WebSockets (graphql-transport-ws) with a subscription of one source each, after each has had three events", 1000, 1),
		socketRow("graphqlwsmany", "the same 1,000 subscriptions on 20 WebSockets", 20, 50),
	}
)

func socketRow(name, title string, conns, each int) row {
	return row{
		name: name, title: "GraphQL: " + title, wants: wantsGraphQLHub, columns: []column{subscriptionRSS, subscriptionAnon}, target: target{ratio: 1 / 2.0},
		spec: spec{Scenario: "graphqlws", Conns: conns, Flight: each, Rounds: 3, Groups: 1},
	}
}

// graphQLHub is a server whose one group are all subscriptions.
type graphQLHub struct {
	entry  entry
	source eventSource
	seq    int
}

// serveGraphQL serves a GraphQL handler and its WebSockets with net/http.
func serveGraphQL(s *spec, h http.Handler, source eventSource) (hub, error) {
	addr, err := serveHTTP(s, h)
	return &graphQLHub{entry: entry{Addr: addr, WS: "/", Proto: "graphql-transport-ws", Hello: `{"type":"connection_init"}`}, source: source}, err
}

func (h *graphQLHub) Entry() entry { return h.entry }
func (h *graphQLHub) Members() int { return h.source.Subscribers() }

// Publish publishes the next event, in place of the payload.
func (h *graphQLHub) Publish(int, []byte) error {
	h.seq++
	h.source.Publish(&gqlschema.Tick{Seq: h.seq, Text: tickText(h.seq)})
	return nil
}

// graphQLSockets are the clients.
type graphQLSockets struct {
	loop   *loop
	each   int // subscriptions of one
	acked  int
	events int
	seen   map[subscriptionKey]int // the last event of each subscription
}

type subscriptionKey struct {
	client int
	id     string
}

func driveGraphQLHub(s *spec) (metrics, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	before, err := c.ask(request{Op: "begin"})
	if err != nil {
		return nil, err
	}
	g := &graphQLSockets{loop: l, each: s.Flight, seen: make(map[subscriptionKey]int)}
	if err := g.subscribe(s, c); err != nil {
		return nil, err
	}
	for n := range s.Rounds {
		if err := c.send(request{Op: "burst", Messages: 1}); err != nil {
			return nil, err
		}
		if err := g.until(&g.events, (n+1)*s.Conns*s.Flight); err != nil {
			return nil, err
		}
		if _, err := c.receive(); err != nil {
			return nil, err
		}
	}
	after, err := c.ask(request{Op: "end"})
	n := float64(s.Conns * s.Flight)
	return metrics{"rss": float64(after.RSS-before.RSS) / n, "anon": float64(after.Anon-before.Anon) / n}, err
}

// subscribe connects all and waits until the source has them.
func (g *graphQLSockets) subscribe(s *spec, c *control) error {
	if err := connect(s, g.loop, dialWebSocket); err != nil {
		return err
	}
	if err := g.until(&g.acked, s.Conns); err != nil {
		return err
	}
	return c.join(s.Conns * s.Flight)
}

func (g *graphQLSockets) until(count *int, want int) error {
	for end := time.Now().Add(patience); *count < want; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d messages came", *count, want)
		}
		if err := g.loop.turn(100, g.take); err != nil {
			return err
		}
	}
	return nil
}

// take answers an acknowledgement by the subscriptions, and checks an event.
func (g *graphQLSockets) take(w *wire, f serverFrame) error {
	if f.op != opText {
		return fmt.Errorf("a frame of opcode %d: %q", f.op, f.payload)
	}
	if w.done++; w.done == 1 {
		g.acked++
		return errors.Join(sameJSON(f.payload, object{"type": "connection_ack"}), g.ask(w))
	}
	g.events++
	var m struct{ ID string }
	if err := json.Unmarshal(f.payload, &m); err != nil {
		return err
	}
	key := subscriptionKey{w.index, m.ID}
	g.seen[key]++
	tick := object{"seq": g.seen[key], "text": tickText(g.seen[key])}
	return sameJSON(f.payload, object{"id": m.ID, "type": "next", "payload": object{"data": object{"tick": tick}}})
}

// ask begins a client's subscriptions.
func (g *graphQLSockets) ask(w *wire) error {
	var frames []byte
	for i := range g.each {
		frames = appendClientFrame(frames, opText, false, mustJSON(object{"id": strconv.Itoa(i), "type": "subscribe", "payload": object{"query": tickQuery}}))
	}
	return w.write(frames)
}
