package graphql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// A subscription that is being replayed, and has not come far because its client reads slowly, loses nothing when
// another one of the connection has it join anew from further on.
func TestJoinAnewBehindReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryHub(t, openAccess, comm.WithLogs(true, false, false))
		c := initWS(t, g.url, g.DialContext)
		const n = 300
		pad := strings.Repeat("x", 2000)
		var epoch string
		for i := 1; i <= n; i++ {
			epoch = g.post(comm.ToGroup("lobby"), fmt.Sprint(i, " ", pad)).Position.Epoch
		}
		subscribe(c, "now", `subscription { group(name: "lobby") }`) // so that the connection knows of all
		c.hears(next("now", "group", fmt.Sprintf("joined@%d", n)))
		from := func(id string, offset int) {
			subscribe(c, id, fmt.Sprintf(`subscription { group(name: "lobby", after: "group:lobby@%s:%d") }`, epoch, offset))
		}
		from("all", 0)
		synctest.Wait() // it waits for the client to read
		from("few", n-2)
		synctest.Wait()
		heard := map[string][]string{}
		for len(heard["all"]) < n+1 || len(heard["few"]) < 3 {
			m := jsonOf[struct {
				ID      string
				Payload struct{ Data struct{ Group string } }
			}](t, c.hear())
			what, _, _ := strings.Cut(m.Payload.Data.Group, " ")
			heard[m.ID] = append(heard[m.ID], what)
		}
		want := []string{"joined@0"}
		for i := 1; i <= n; i++ {
			want = append(want, fmt.Sprintf("message@%d", i))
		}
		if !slices.Equal(heard["all"], want) {
			t.Errorf("heard %q", heard["all"])
		}
		if few := heard["few"]; !slices.Equal(few[1:], want[n-1:]) || heard["now"] != nil {
			t.Errorf("heard %q, and what came before again: %q", few, heard["now"])
		}
	})
}

// slowDoor is an authorizer that lets joins wait once it is closed.
func slowDoor(closed *atomic.Bool, wait time.Duration) comm.Option {
	return comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		if closed.Load() && a.Action == comm.ActionJoin {
			time.Sleep(wait)
		}
		return nil
	})
}

// A subscription that is given up while the hub thinks about its join leaves no membership behind.
func TestJoinGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		closed.Store(true)
		g := memoryHub(t, slowDoor(&closed, 3*time.Second))
		c := initWS(t, g.url, g.DialContext)
		conn := slices.Collect(g.Connections(comm.ToAll()))[0]
		subscribe(c, "a", `subscription { group(name: "lobby") }`)
		synctest.Wait()
		c.say(`{"id":"a","type":"complete"}`)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if groups := conn.Groups(); len(groups) != 0 {
			t.Errorf("the connection is in %q", groups)
		}
		closed.Store(false)
		subscribe(c, "b", `subscription { group(name: "lobby") }`)
		c.hears(next("b", "group", "joined@0"))
	})
}

// When the hub does not answer a join anew in time, those who had the group are told that they have it no more, and the
// connection is not in it behind their backs.
func TestJoinAnewUnanswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		g := memoryHub(t, slowDoor(&closed, 12*time.Second))
		c := initWS(t, g.url, g.DialContext)
		c.patience = time.Minute
		conn := slices.Collect(g.Connections(comm.ToAll()))[0]
		subscribe(c, "a", `subscription { group(name: "lobby") }`)
		c.hears(next("a", "group", "joined@0"))
		closed.Store(true)
		subscribe(c, "b", `subscription { group(name: "lobby", after: "group:lobby@0:0") }`)
		var heard []string
		for range 3 {
			heard = append(heard, c.hear())
		}
		slices.Sort(heard)
		for i, part := range []string{`"id":"a","type":"complete"`, `"id":"a","type":"next","payload":{"data":{"group":null},"errors":[{"message":"over"`, `"id":"b","type":"error"`} {
			if !strings.Contains(heard[i], part) {
				t.Errorf("%s is not in %s", part, heard[i])
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if groups := conn.Groups(); len(groups) != 0 {
			t.Errorf("the connection is in %q", groups)
		}
	})
}
