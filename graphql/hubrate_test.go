package graphql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm"
)

// left is how many messages more the connection may give the hub now: it spends them.
func (c *wsClient) left() (n int) {
	c.t.Helper()
	for limited := false; !limited; n++ {
		subscribe(c, "spend", `mutation { send(type: "spend") { id } }`)
		for s := ""; s != `{"id":"spend","type":"complete"}`; s = c.hear() {
			limited = limited || strings.Contains(s, `"RATE_LIMITED"`)
		}
	}
	return n - 1
}

// What an operation costs of the rate, each alone: one for what the client says with it, whatever that has the hub do.
func TestHubOperationCosts(t *testing.T) {
	t.Parallel()
	const budget = 20
	for name, row := range map[string]struct {
		query string
		cost  int
		ended bool // the client completes it, which costs too
	}{
		"send":         {`mutation { send(type: "n", content: 1) { id } }`, 1, false},
		"send to":      {`mutation { send(type: "n", to: "group:lobby") { id } }`, 1, false},
		"broadcast":    {`mutation { broadcast(type: "n") { id } }`, 1, false},
		"call":         {`mutation { call(type: "c") { content } }`, 1, false},
		"reply":        {`mutation { reply(id: "x") }`, 1, false},
		"ack":          {`mutation { ack(id: "x") }`, 1, false},
		"join":         {`mutation { join(group: "own") { group } }`, 1, false},
		"leave":        {`mutation { leave(group: "lobby") { group } }`, 1, false},
		"refresh":      {`mutation { refresh(token: "t") { user } }`, 1, false},
		"close":        {`mutation { close(id: "nobody") }`, 1, false},
		"connection":   {`{ connection { id } }`, 1, false},
		"connections":  {`{ connections { nodes { id } } }`, 1, false},
		"presence":     {`{ presence(group: "lobby") { user } }`, 1, false},
		"stats":        {`{ stats { connectionsTotal } }`, 1, false},
		"events":       {`subscription { events { position } }`, 1, false},
		"messages":     {`subscription { messages { position } }`, 1, false},
		"group":        {`subscription { messages(group: "other") { position } }`, 1, false},
		"group again":  {`subscription { messages(group: "lobby") { position } }`, 1, false},
		"group, after": {`subscription { messages(group: "lobby", after: "group:lobby@0:0") { position } }`, 1, false},
		"group, ended": {`subscription { messages(group: "other") { position } }`, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := memoryMeeting(t, openAccess, comm.WithMessageRate(1, budget), comm.WithHistory(&comm.MemoryStore{}),
					comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) { return comm.Identity{User: "ann"}, nil }),
					comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
						a.Groups = []string{"lobby"}
						return nil
					}))
				comm.On(g.Manager, "*", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
				comm.OnCall(g.Manager, "c", func(context.Context, *comm.Conn, *comm.Message) (int, error) { return 1, nil })
				c := initWS(t, g.url, g.DialContext)
				subscribe(c, "op", row.query)
				synctest.Wait()
				if row.ended {
					c.say(`{"id":"op","type":"complete"}`)
					synctest.Wait()
				}
				if got := budget - c.left(); got != row.cost {
					t.Errorf("it costs %d, want %d", got, row.cost)
				}
			})
		})
	}
}

// A subscription that the rate refuses, for which the connection would have left and joined its group anew, takes it
// from nobody.
func TestHubRateRefusesRejoin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithMessageRate(1, 5), comm.WithHistory(&comm.MemoryStore{}))
		c := initWS(t, g.url, g.DialContext)
		subscribe(c, "a", `subscription { messages(group: "own") { __typename } }`)
		c.hears(`{"id":"a","type":"next","payload":{"data":{"messages":{"__typename":"HubJoined"}}}}`)
		comm.On(g.Manager, "*", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
		c.left()
		subscribe(c, "b", `subscription { messages(group: "own", after: "group:own@0:0") { __typename } }`)
		if got := c.hear(); !strings.Contains(got, `"id":"b","type":"error"`) || !strings.Contains(got, "RATE_LIMITED") {
			t.Fatal(got)
		}
		m, err := comm.NewMessage("n", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Send(t.Context(), comm.ToGroup("own"), m); err != nil {
			t.Fatal(err)
		}
		if got := c.hear(); !strings.Contains(got, `"id":"a"`) || !strings.Contains(got, "HubMessage") {
			t.Error(got)
		}
	})
}

// What the authorizer refused and what it could not decide is counted for clients too that may ask.
func TestHubStatsOfAuthorizer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
			switch a.Target.String() {
			case "group:vault":
				return comm.ErrForbidden
			case "group:undecided":
				return errors.New("no idea")
			}
			return nil
		}))
		c := initWS(t, g.url, g.DialContext)
		for _, to := range []string{"group:vault", "group:vault", "group:undecided"} {
			if got := c.do(`mutation { send(type: "n", to: "` + to + `") { id } }`); !strings.Contains(got, "errors") {
				t.Fatal(got)
			}
		}
		if got := c.do(`{ stats(provider: "graphql") { accessDenied accessFailed } }`); got != `{"data":{"stats":{"accessDenied":2,"accessFailed":1}}}` {
			t.Error(got)
		}
	})
}
