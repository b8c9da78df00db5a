package graphql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// calls begins calls of a connection, and returns their answers.
func (g *gateway) calls(conn string, n int) <-chan error {
	answers := make(chan error, n)
	for range n {
		go func() {
			msg, err := comm.NewMessage("who", strings.Repeat("x", 100<<10))
			if err == nil {
				ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
				defer cancel()
				_, err = g.Call(ctx, conn, msg)
			}
			answers <- err
		}()
	}
	return answers
}

// leaves ends the subscription to events. Every call that the client has not been told of by then is declined.
func (c *wsClient) leaves(answers <-chan error) {
	c.t.Helper()
	c.say(`{"type":"complete","id":"e"}`)
	synctest.Wait() // or the client reads what it would not have been told
	told := make(map[string]bool)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, b, err := c.Read(context.Background(), nil)
			if err != nil {
				return
			}
			told[jsonOf[struct {
				Payload struct{ Data struct{ Events hubEvent } }
			}](c.t, string(b)).Payload.Data.Events.ID] = true
		}
	}()
	synctest.Wait()
	n, answered := cap(answers), len(answers)
	for range answered {
		err := <-answers
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeUnknownType {
			c.t.Error(err)
		}
	}
	_ = c.CloseNow()
	<-ended
	if len(told) == n || answered != n-len(told) {
		c.t.Errorf("%d of %d calls are answered, and the client was told of %d", answered, n, len(told))
	}
}

// Calls that wait for a subscription when it ends are answered at once: their callers would wait until they give up.
func TestHubLeavesNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c, f := g.greet(`{"comm":{}}`)
		c.listen()
		c.happens("HubWelcome")
		answers := g.calls(f.Welcome.Conn, 10)
		synctest.Wait() // the client reads nothing
		c.leaves(answers)
	})
}

// A call that two subscriptions have taken is left when both have ended, and not before.
func TestHubLeavesNoSharedCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess)
		c, f := g.greet(`{"comm":{}}`)
		c.listen()
		c.happens("HubWelcome")
		subscribe(c, "two", allEvents)
		if s := c.hear(); !strings.Contains(s, "HubWelcome") {
			t.Fatal(s)
		}
		answers := g.calls(f.Welcome.Conn, 10) // more than the network holds
		synctest.Wait()
		c.say(`{"type":"complete","id":"two"}`)
		synctest.Wait()
		if len(answers) != 0 {
			t.Errorf("declined while another subscription has it: %v", <-answers)
		}
		c.leaves(answers)
	})
}

// The id of a message is its sender's, whatever it looks like.
func TestHubMessageOfAnyID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, tokenAuth)
		ann, _ := g.greet(`{"token":"ann","comm":{}}`)
		ann.watch("own", "")
		ann.event("HubJoined")
		bob, _ := g.greet(`{"token":"bob","comm":{}}`)
		bob.does(`mutation { send(to: "user:ann", type: "x", id: "graphql.mine") { id matched } }`, `{"data":{"send":{"id":"graphql.mine","matched":1}}}`)
		bob.does(`mutation { send(to: "user:ann", type: "x", id: "next") { matched } }`, `{"data":{"send":{"matched":1}}}`)
		for _, want := range []string{"graphql.mine", "next"} {
			if e := ann.event("HubMessage"); e.ID != want {
				t.Errorf("heard %q, want %q", e.ID, want)
			}
		}
	})
}

// A subscription that asks for an epoch that is over is told so, and events, which have lost nothing, are not.
func TestHubGapOfOneSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithLogs(true, false, false))
		c, _ := g.greet(`{"comm":{"groups":["lobby"]}}`)
		c.listen()
		c.happens("HubWelcome")
		c.happens("HubJoined")
		over := `group: \"lobby\", after: \"group:lobby@over:7\"`
		for _, more := range [][]string{nil, {"HubMessage"}} { // an empty log, and one that is kept
			c.say(`{"type":"subscribe","id":"m","payload":{"query":"subscription { messages(` + over + `) { __typename } }"}}`)
			for _, typename := range append([]string{"HubJoined", "HubGap"}, more...) {
				c.hears(`{"id":"m","type":"next","payload":{"data":{"messages":{"__typename":"` + typename + `"}}}}`)
			}
			c.say(`{"type":"complete","id":"m"}`)
			synctest.Wait()
			g.post(comm.ToGroup("lobby"), "1")
			c.happens("HubMessage")
		}
		// One that the client has asked events for, by joining, is told there.
		_, events := c.answer(`mutation { leave(group: "lobby") { __typename } }`)
		_, more := c.answer(`mutation { join(group: "lobby", after: "group:lobby@over:7") { __typename } }`)
		for events = append(events, more...); len(events) < 5; {
			events = append(events, c.hear())
		}
		for i, typename := range []string{"HubLeft", "HubJoined", "HubGap", "HubMessage", "HubMessage"} {
			if !strings.Contains(events[i], typename) {
				t.Errorf("%s, want %s", events[i], typename)
			}
		}
	})
}
