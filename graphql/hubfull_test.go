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
	"github.com/anasamu/comm/graphql"
)

// fullHub is a gateway whose handlers wait until they are let go, and a client whose operations fill their inbox.
func fullHub(t *testing.T, opts ...comm.Option) (g *gateway, c *wsClient, conn *comm.Conn, letGo func()) {
	t.Helper()
	g = memoryMeetingOf(t, graphql.New(graphql.Hub(), graphql.WithMaxOperations(40)), append(opts, openAccess)...)
	hold := make(chan struct{})
	comm.On(g.Manager, "*", func(context.Context, *comm.Conn, *comm.Message) error { <-hold; return nil })
	c = initWS(t, g.url, g.DialContext)
	conn = slices.Collect(g.Connections(comm.ToAll()))[0]
	for i := range 40 { // 1 with its handler, 16 in the inbox, 1 that has no room, 22 behind it
		subscribe(c, fmt.Sprint(i), `mutation { send(type: "n") { id } }`)
	}
	synctest.Wait()
	return g, c, conn, func() { close(hold) }
}

// While the hub has no room for what operations say, the client's pings are answered, what it completes is over and
// makes room for other operations, and its answers are counted.
func TestFullHubHearsTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, conn, letGo := fullHub(t)
		began := time.Now()
		for range 10 {
			c.say(`{"type":"ping"}`)
			c.hears(`{"type":"pong"}`)
		}
		subscribe(c, "more", `{ __typename }`)
		if got := c.hear(); !strings.Contains(got, "limit of 40 operations at once") {
			t.Fatal(got)
		}
		for i := 20; i < 40; i++ {
			c.say(fmt.Sprintf(`{"id":"%d","type":"complete"}`, i))
		}
		c.do(`{ __typename }`)
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		letGo()
		synctest.Wait()
		for range 2 * 20 { // next and complete of those that were not completed
			c.hear()
		}
		c.say(`{"type":"ping"}`)
		c.hears(`{"type":"pong"}`)
		if s := conn.Stats(); s.MessagesIn != 20 {
			t.Errorf("%d messages came to the hub, want those of the 20 operations that were not completed", s.MessagesIn)
		}
	})
}

// A client that goes while the hub has no room is not there any more, though the handler is.
func TestFullHubNoticesTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, conn, letGo := fullHub(t)
		c.say(`{"type":"ping"}`)
		c.hears(`{"type":"pong"}`)
		_ = c.Conn.CloseNow()
		synctest.Wait()
		if conn.Err() == nil {
			t.Error("the connection lives on")
		}
		letGo()
	})
}

// What a client says meanwhile counts against its rate when the hub has room again, and of one that goes on and on
// not more is read.
func TestFullHubCountsSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, conn, letGo := fullHub(t, comm.WithMessageRate(1, 60))
		var pongs atomic.Int32
		go func() {
			for !strings.HasPrefix(c.hear(), "close ") {
				pongs.Add(1)
			}
		}()
		for range 200 {
			c.say(`{"type":"ping"}`)
		}
		synctest.Wait()
		if n := pongs.Load(); n != 16 {
			t.Errorf("%d pings were answered, want 16", n)
		}
		if err := conn.Err(); err != nil {
			t.Error(err)
		}
		letGo()
		<-conn.Done()
		if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonRateLimited {
			t.Error(conn.Err())
		}
	})
}

// Thousands of operations whose handlers take their time are all answered, or refused for their number.
func TestFloodOfOperations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const flood = 3000
		g := memoryMeeting(t, openAccess, comm.WithMessageRate(1e6, 1e6))
		handled := 0
		comm.On(g.Manager, "*", func(context.Context, *comm.Conn, *comm.Message) error {
			handled++
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		c := initWS(t, g.url, g.DialContext)
		go func() {
			for i := range flood {
				c.say(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"query":"mutation { send(type: \"n\") { id } }"}}`, i))
			}
		}()
		answered, refused := 0, 0
		for answered+refused < flood {
			switch s := c.hear(); {
			case strings.Contains(s, `"type":"complete"`):
				answered++
			case strings.Contains(s, "LIMIT_EXCEEDED"):
				refused++
			}
		}
		if answered != handled || answered < 100 {
			t.Errorf("%d answered, %d refused, %d handled", answered, refused, handled)
		}
	})
}
