package graphql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// Operations that begin with a field of the hub reach it in the order in which they have come.
func TestHubTurns(t *testing.T) {
	t.Parallel()
	g := startMeeting(t, openAccess)
	var mu sync.Mutex
	var got, want []string
	comm.On(g.Manager, "n", func(_ context.Context, c *comm.Conn, s string) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, s)
		return nil
	})
	c := initWS(t, g.url, nil)
	const rounds, each = 20, 48 // at most 100 operations may run at once
	for r := range rounds {
		for i := range each {
			id := fmt.Sprintf("%d.%d", r, i)
			switch i % 8 {
			case 3:
				subscribe(c, id, `{ connection { id } }`)
				continue
			case 5:
				subscribe(c, id, `mutation { call(type: "nobody's") { content } }`)
				continue
			case 7:
				subscribe(c, id, `mutation { send(type: "") { id } }`)
				continue
			}
			want = append(want, id, id+"+")
			subscribe(c, id, `mutation { a: send(type: "n", content: "`+id+`") { id } }`)
			subscribe(c, id+"+", `mutation { b: call(type: "n", content: "`+id+`+") { content } }`)
		}
		for range each + each*5/8 {
			for s := c.hear(); !strings.Contains(s, `"type":"complete"`) && !strings.Contains(s, `"type":"error"`); {
				s = c.hear()
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("handled in the order\n%q\nwant\n%q", got, want)
	}
}

// slowly holds the operations of a schema up by the argument that its field has.
var slowly = []graphql.SchemaOption{
	graphql.Hub(), graphql.SDL(`type Mutation { wait(seconds: Int!): Int }`),
	graphql.Resolve("Mutation.wait", func(ctx context.Context, _ graphql.Root, a struct{ Seconds int }) (int, error) {
		select {
		case <-time.After(time.Duration(a.Seconds) * time.Second):
		case <-ctx.Done():
		}
		return a.Seconds, nil
	}),
}

// Who waits for an answer holds nobody up, nor does an operation of the user's, and answers go past all.
func TestHubTurnsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var opts []graphql.Option
		for _, o := range slowly {
			opts = append(opts, o.(graphql.Option))
		}
		g := memoryMeetingOf(t, graphql.New(opts...), openAccess)
		var said []string
		comm.OnCall(g.Manager, "ask", func(ctx context.Context, c *comm.Conn, _ any) (string, error) {
			msg, err := comm.NewMessage("name", nil)
			if err != nil {
				return "", err
			}
			r, err := c.Call(ctx, msg)
			if err != nil {
				return "", err
			}
			said = append(said, "ask")
			return comm.Decode[string](r)
		})
		comm.On(g.Manager, "n", func(_ context.Context, _ *comm.Conn, s string) error { said = append(said, s); return nil })
		c, _ := g.greet(`{"comm":{}}`)
		c.patience = time.Hour
		c.listen()
		c.happens("HubWelcome")
		began := time.Now()
		subscribe(c, "w", `mutation { wait(seconds: 20) send(type: "n", content: "late") { id } }`)
		subscribe(c, "ask", `mutation { call(type: "ask") { content } }`)
		e := c.happens("HubCall")
		for i := range 5 { // behind the handler that waits, and one behind the other
			subscribe(c, fmt.Sprint(i), fmt.Sprintf(`mutation { send(type: "n", content: "%d") { id } }`, i))
			subscribe(c, fmt.Sprintf("j%d", i), fmt.Sprintf(`mutation { join(group: "g%d") { group } }`, i))
		}
		subscribe(c, "r", `mutation { reply(id: "`+e.ID+`", content: "ann") }`)
		var all string
		for !strings.Contains(all, `{"id":"j4","type":"complete"}`) || !strings.Contains(all, `{"content":"ann"}`) || strings.Count(all, "HubJoined") < 5 {
			all += c.hear() + "\n"
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		for !strings.Contains(all, `{"id":"w","type":"complete"}`) {
			all += c.hear() + "\n"
		}
		if want := []string{"ask", "0", "1", "2", "3", "4", "late"}; !slices.Equal(said, want) || time.Since(began) != 20*time.Second {
			t.Errorf("%q after %v, want %q", said, time.Since(began), want)
		}
	})
}

// One that its client gives up while it waits for its turn holds nobody up either.
func TestHubTurnGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		p := graphql.New(graphql.Hub(), graphql.WithFieldMiddleware(func(next graphql.FieldFunc) graphql.FieldFunc {
			return func(ctx context.Context, f *graphql.Field) (any, error) {
				if f.Alias == "held" {
					<-block
				}
				return next(ctx, f)
			}
		}, "Mutation.send").(graphql.Option))
		g := memoryMeetingOf(t, p, openAccess)
		var said []string
		comm.On(g.Manager, "n", func(_ context.Context, _ *comm.Conn, s string) error { said = append(said, s); return nil })
		c := initWS(t, g.url, g.DialContext)
		for _, s := range []string{"held", "b", "c"} {
			subscribe(c, s, `mutation { `+s+`: send(type: "n", content: "`+s+`") { id } }`)
		}
		synctest.Wait()
		c.say(`{"id":"b","type":"complete"}`)
		synctest.Wait()
		if len(said) != 0 {
			t.Errorf("%q overtook", said)
		}
		close(block)
		synctest.Wait()
		if !slices.Equal(said, []string{"held", "c"}) {
			t.Errorf("said %q", said)
		}
	})
}

// Whatever a client says counts once against its rate.
func TestHubRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, openAccess, comm.WithMessageRate(1, 20))
		comm.On(g.Manager, "n", func(context.Context, *comm.Conn, int) error { return nil })
		c, _ := g.greet(`{"comm":{}}`)
		c.listen() // belongs to the hello
		c.happens("HubWelcome")
		for query, n := range map[string]int{
			`mutation { send(type: "n", content: 1) { id } }`:                                          3,
			`mutation { a: send(type: "n", content: 1) { id } b: send(type: "n", content: 2) { id } }`: 2, // two messages each
			`mutation { call(type: "n", content: 1) { content } }`:                                     2,
			`mutation { reply(id: "x", content: 1) }`:                                                  1,
			`mutation { ack(id: "x") }`:                                                                1,
			`{ connection { id } }`:                                                                    3,
			`mutation { send(type: "") { id } }`:                                                       1, // refused before the hub hears of it
			`{ nonsense }`:                                                                             1,
			`mutation { join(group: "lobby") { group } }`:                                              1,
		} {
			for range n {
				if got, _ := c.answer(query); strings.Contains(got, "RATE_LIMITED") {
					t.Fatalf("%s: %s", query, got)
				}
			}
		}
		c.watch("m", `group: "other"`) // the eighteenth, behind it a ping
		c.say(`{"type":"ping"}`)
		for c.hear() != `{"type":"pong"}` {
		}
		synctest.Wait()
		c.say(`{"id":"m","type":"complete"}`) // the twentieth is its leave
		synctest.Wait()
		const one = `mutation { send(type: "n", content: 1) { matched } }`
		if got, _ := c.answer(one); !strings.Contains(got, `"code":"RATE_LIMITED"`) {
			t.Errorf("the twenty-first: %s", got)
		}
		time.Sleep(time.Second)
		c.does(one, `{"data":{"send":{"matched":0}}}`)
	})
}
