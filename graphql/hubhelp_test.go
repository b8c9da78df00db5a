package graphql_test

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
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
