package graphql_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// forgotten is longer than a group that everybody has left is kept for: its log goes, and the next one has another
// epoch.
const forgotten = time.Hour

// A group that was emptied, forgotten and made anew counts from one again. Whoever comes back with a position of its
// former life is told that what was behind that is lost, and nobody knows how much; and then gets all of the new one.
func TestHubGroupMadeAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithLogs(true, false, false))
		c, _ := g.greet(`{"comm":{}}`)
		c.watch("m", `group: "lobby"`)
		c.event("HubJoined")
		for _, content := range []string{"1", "2", "3"} {
			g.post(comm.ToGroup("lobby"), content)
		}
		c.event("HubMessage")
		old := c.event("HubMessage") // and the third gets lost
		epoch := strings.TrimSuffix(strings.TrimPrefix(old.Position, "group:lobby@"), ":2")
		c.CloseNow()
		time.Sleep(forgotten)
		g.post(comm.ToGroup("lobby"), "new 1")

		lost := func(e hubEvent, joined string) {
			t.Helper()
			if e.Log != "group:lobby" || e.Epoch != epoch || e.First != "3" || e.Last != "" || e.Position != joined {
				t.Errorf("%+v, want the end of epoch %s behind 2, at %s", e, epoch, joined)
			}
		}
		c, _ = g.greet(`{"comm":{}}`)
		c.watch("m", fmt.Sprintf("group: %q, after: %q", "lobby", old.Position))
		joined := c.event("HubJoined")
		if strings.Contains(joined.Position, epoch) || !strings.HasSuffix(joined.Position, ":0") {
			t.Errorf("%+v: the group is not a new one", joined)
		}
		lost(c.event("HubGap"), joined.Position)
		e := c.event("HubMessage")
		if string(e.Content) != `"new 1"` || !strings.HasSuffix(e.Position, ":1") {
			t.Errorf("%+v", e)
		}
		// It is told once: the next position is of the new life.
		c.say(`{"id":"m","type":"complete"}`)
		c.watch("again", fmt.Sprintf("group: %q, after: %q", "lobby", e.Position))
		c.event("HubJoined")
		g.post(comm.ToGroup("lobby"), "new 2")
		if e := c.event("HubMessage"); string(e.Content) != `"new 2"` {
			t.Errorf("%+v", e)
		}

		// By the position of a hello it is the same, in events.
		d, _ := g.greet(fmt.Sprintf(`{"comm":{"groups":["lobby"],"position":%q}}`, old.Position))
		d.listen()
		d.happens("HubWelcome")
		joined = d.happens("HubJoined")
		lost(d.happens("HubGap"), joined.Position)
		for _, want := range []string{"new 1", "new 2"} {
			if e := d.happens("HubMessage"); string(e.Content) != `"`+want+`"` {
				t.Errorf("%+v, want %s", e, want)
			}
		}
	})
}

// The same for a connection that has been there all the time, and was in the group in both of its lives.
func TestHubGroupMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithLogs(true, false, false), comm.WithHeartbeat(2*forgotten)) // nobody reads meanwhile
		c, _ := g.greet(`{"comm":{}}`)
		c.watch("m", `group: "lobby"`)
		c.event("HubJoined")
		g.post(comm.ToGroup("lobby"), "1")
		old := c.event("HubMessage")
		c.say(`{"id":"m","type":"complete"}`)
		time.Sleep(forgotten)
		c.watch("n", `group: "lobby"`) // its offset, 0, is before the old one
		if e := c.event("HubJoined"); e.Position == old.Position || !strings.HasSuffix(e.Position, ":0") {
			t.Errorf("%+v: the group is not a new one", e)
		}
		g.post(comm.ToGroup("lobby"), "new 1") // it has the old one's offset
		if e := c.event("HubMessage"); string(e.Content) != `"new 1"` {
			t.Errorf("%+v", e)
		}
		// A second subscription goes back to the former life: it alone is told, and each has each message once.
		c.watch("m", fmt.Sprintf("group: %q, after: %q", "lobby", old.Position))
		c.event("HubJoined")
		if e := c.event("HubGap"); e.First != "2" || e.Last != "" {
			t.Errorf("%+v", e)
		}
		if e := c.event("HubMessage"); string(e.Content) != `"new 1"` {
			t.Errorf("%+v", e)
		}
		g.post(comm.ToGroup("lobby"), "new 2")
		heard := map[string]int{}
		for range 2 {
			s := c.hear()
			for _, id := range []string{"m", "n"} {
				if strings.Contains(s, `"id":"`+id+`"`) && strings.Contains(s, "new 2") {
					heard[id]++
				}
			}
		}
		if heard["m"] != 1 || heard["n"] != 1 {
			t.Error(heard)
		}
	})
}
