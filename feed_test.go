package comm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm"
)

// resume lets a halted peer go on.
func (p *peer) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stall)
	p.stall = nil
}

// busy is a client whose writer is at work and gets nowhere: a first message to it alone is on its way.
func busy(t *testing.T, f *fake, hs comm.Handshake, groups ...string) (*comm.Conn, *peer) {
	t.Helper()
	c, p := f.attach(t, hs)
	for _, g := range groups {
		if err := c.Join(g); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	p.halt()
	if _, err := c.Send(t.Context(), message(t, "first", nil)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c, p
}

// What is sent to a client over groups, over its user and to it alone leaves in the order in which it was
// sent, although the groups hold their messages for it.
func TestOrderOverSeveralTargets(t *testing.T) {
	for _, logs := range []bool{true, false} {
		t.Run(fmt.Sprint("logs ", logs), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, tokenIsUser(), comm.WithLogs(logs, false, false))
				c, p := busy(t, f, as("ann"), "a", "b")
				targets := []comm.Target{
					comm.ToGroup("a"), comm.ToGroup("b"), comm.ToConn(c.ID()), comm.ToUser("ann"), comm.ToAll(),
					comm.ToGroups("a", "b"), comm.ToGroup("a").Except("nobody"),
				}
				rng := rand.New(rand.NewPCG(1, 2))
				want := []string{"first"}
				for i := range 700 {
					typ := fmt.Sprint("n", i)
					if d := send(t, m, targets[rng.IntN(len(targets))], message(t, typ, nil)); d.Matched != 1 || d.Queued != 1 {
						t.Fatalf("message %d: %+v", i, d)
					}
					want = append(want, typ)
				}
				same(t, "waiting", c.Stats().QueueMessages, 700)
				p.resume()
				synctest.Wait()
				same(t, "messages", p.types(), want)
				same(t, "waiting at last", c.Stats().QueueMessages, 0)
			})
		})
	}
}

// Two senders at once, each to two groups and to the client: each one's messages stay in order.
func TestOrderOfEachSender(t *testing.T) {
	m, f := gateway(t)
	c, p := f.attach(t, comm.Handshake{})
	for _, g := range []string{"a", "b"} {
		if err := c.Join(g); err != nil {
			t.Fatal(err)
		}
	}
	targets := []comm.Target{comm.ToGroup("a"), comm.ToGroup("b"), comm.ToConn(c.ID())}
	const senders, each = 4, 200
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				d, err := m.Send(t.Context(), targets[(i*7+s)%3], message(t, fmt.Sprint(s), i))
				if err != nil || d.Queued != 1 {
					t.Errorf("sender %d: %+v, %v", s, d, err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.Close(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, fr := range p.got(comm.OpMessage) {
		n, err := comm.Decode[int](fr.Message)
		if err != nil || n != next[fr.Message.Type()] {
			t.Fatalf("sender %s: %d came where %d must (%v)", fr.Message.Type(), n, next[fr.Message.Type()], err)
		}
		next[fr.Message.Type()]++
	}
	for s := range senders {
		same(t, fmt.Sprint("messages of sender ", s), next[fmt.Sprint(s)], each)
	}
}

// A client that leaves a group still gets what was published before, and the left frame behind it.
func TestLeaveBehindWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := busy(t, f, comm.Handshake{}, "a", "b")
		for i := range 10 {
			send(t, m, comm.ToGroup("a"), message(t, fmt.Sprint("a", i), nil))
			send(t, m, comm.ToGroup("b"), message(t, fmt.Sprint("b", i), nil))
		}
		if err := c.Leave("a"); err != nil {
			t.Fatal(err)
		}
		same(t, "matched after the leave", send(t, m, comm.ToGroup("a"), message(t, "late", nil)).Matched, 0)
		same(t, "waiting", c.Stats().QueueMessages, 21) // 20 and the left frame
		if err := c.Join("a"); err != nil {
			t.Fatal(err)
		}
		send(t, m, comm.ToGroup("a"), message(t, "again", nil))
		p.resume()
		synctest.Wait()
		var got []string
		for _, fr := range p.got(comm.OpMessage, comm.OpLeft, comm.OpJoined)[2:] { // behind the two joins
			if fr.Op == comm.OpMessage {
				got = append(got, fr.Message.Type())
			} else {
				got = append(got, map[comm.Op]string{comm.OpLeft: "left", comm.OpJoined: "joined"}[fr.Op])
			}
		}
		want := []string{"first"}
		for i := range 10 {
			want = append(want, fmt.Sprint("a", i), fmt.Sprint("b", i))
		}
		same(t, "frames", got, append(want, "left", "joined", "again"))
	})
}

// A client that takes nothing is closed when a group has as much for it as its queue may hold, and what it
// did not get is counted; the others miss nothing.
func TestStalledFollowerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithQueue(50, 1<<20))
		slow, p := busy(t, f, comm.Handshake{}, "a")
		quick, other := f.attach(t, comm.Handshake{})
		if err := quick.Join("a"); err != nil {
			t.Fatal(err)
		}
		closed := 0
		for i := range 60 {
			d := send(t, m, comm.ToGroup("a"), message(t, fmt.Sprint("n", i), nil))
			same(t, "sum", d.Matched, d.Queued+d.Dropped+d.Closed)
			closed += d.Closed
			synctest.Wait()
		}
		p.resume()
		synctest.Wait()
		same(t, "closed", closed, 1)
		if r := p.closed(); r == nil || r.Kind != comm.ReasonSlow {
			t.Fatalf("the slow client ended with %v", r)
		}
		same(t, "drops of the slow client", slow.Stats().Drops, int64(51))
		same(t, "messages of the other", len(other.types()), 60)
	})
}

// Messages that are not for a client do not count against its queue.
func TestExceptDoesNotFillTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithQueue(50, 1<<20))
		c, p := busy(t, f, comm.Handshake{}, "a")
		for i := range 500 {
			to := comm.ToGroup("a")
			if i%20 != 0 {
				to = to.Except(c.ID())
			}
			d := send(t, m, to, message(t, fmt.Sprint("n", i), nil))
			same(t, "closed", d.Closed, 0)
		}
		p.resume()
		synctest.Wait()
		want := []string{"first"}
		for i := 0; i < 500; i += 20 {
			want = append(want, fmt.Sprint("n", i))
		}
		same(t, "messages", p.types(), want)
	})
}

// High overtakes what waits in a group's feed; the rest of the feed keeps its order.
func TestPriorityOvertakesTheFeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithLogs(false, false, false))
		_, p := busy(t, f, comm.Handshake{}, "a")
		for i := range 5 {
			send(t, m, comm.ToGroup("a"), message(t, fmt.Sprint("n", i), nil))
		}
		send(t, m, comm.ToGroup("a"), message(t, "high", nil), comm.WithPriority(comm.PriorityHigh))
		p.resume()
		synctest.Wait()
		got := p.types()
		if i := slices.Index(got, "high"); i != 1 {
			t.Fatalf("got %q, want the high one behind the one that was on its way", got)
		}
		same(t, "the others", slices.DeleteFunc(got, func(s string) bool { return s == "high" }), []string{"first", "n0", "n1", "n2", "n3", "n4"})
	})
}

// What waits in a feed leaves before the closing frame of a good end.
func TestCloseBehindTheFeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := busy(t, f, comm.Handshake{}, "a")
		for i := range 300 { // more than one batch
			send(t, m, comm.ToGroup("a"), message(t, fmt.Sprint("n", i), nil))
		}
		ended := make(chan error)
		go func() { ended <- c.Close(t.Context(), "good bye") }()
		synctest.Wait()
		same(t, "closed", send(t, m, comm.ToGroup("a"), message(t, "late", nil)).Closed, 1)
		p.resume()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		got := p.types()
		same(t, "messages", len(got), 301)
		same(t, "the last", got[300], "n299")
	})
}
