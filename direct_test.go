package comm_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// adjacent is a transport that a sender may write to itself.
type adjacent struct {
	trying
	no bool // it would rather not
}

func (p *adjacent) WritesDirectly() bool { return !p.no }

// audience is a gateway with so many of them in the group g, after their joined frames.
func audience(t *testing.T, n int) (*comm.Manager, []*adjacent) {
	t.Helper()
	m, f := gateway(t)
	peers := make([]*adjacent, n)
	for i := range peers {
		peers[i] = &adjacent{trying: trying{peer: newPeer()}}
		c, err := f.host().Attach(t.Context(), peers[i], &comm.Handshake{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Join("g"); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	time.Sleep(time.Millisecond)
	return m, peers
}

// When Send returns, what is sent to a quiet group has been written. What follows at once is left to the writers,
// and comes behind it.
func TestSenderWritesToQuietGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, peers := audience(t, 3)
		var want []string
		for i := range 3 {
			first, second := fmt.Sprint("first", i), fmt.Sprint("second", i)
			want = append(want, first, second)
			d := send(t, m, comm.ToGroup("g"), message(t, first, nil))
			same(t, "queued", d.Queued, 3)
			for _, p := range peers {
				if n := len(p.tried); n != i+1 || p.tried[i] != first {
					t.Fatalf("tried were %v", p.tried)
				}
			}
			send(t, m, comm.ToGroup("g"), message(t, second, nil))
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		for i, p := range peers {
			same(t, fmt.Sprint("tried of ", i), len(p.tried), 3)
			if got := p.types(); !slices.Equal(got, want) {
				t.Errorf("client %d got %v, want %v", i, got, want)
			}
		}
		for c := range m.Connections(comm.ToAll()) {
			same(t, "messages counted", c.Stats().MessagesOut, int64(len(want)))
		}
	})
}

// A client that would have to be waited for holds nobody up, and loses nothing.
func TestSenderDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, peers := audience(t, 3)
		peers[1].waits = true
		peers[1].halt()
		send(t, m, comm.ToGroup("g"), message(t, "a", nil))
		same(t, "messages of the last", len(peers[2].types()), 1)
		time.Sleep(time.Millisecond)
		send(t, m, comm.ToGroup("g"), message(t, "b", nil))
		close(peers[1].stall)
		synctest.Wait()
		for i, p := range peers {
			if got := p.types(); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("client %d got %v", i, got)
			}
		}
	})
}

// One that breaks ends alone.
func TestSenderMeetsBrokenClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, peers := audience(t, 3)
		peers[0].broken = errors.New("cut")
		send(t, m, comm.ToGroup("g"), message(t, "a", nil))
		synctest.Wait()
		if r := peers[0].closed(); r == nil || r.Kind != comm.ReasonLost || !errors.Is(r, peers[0].broken) {
			t.Errorf("closed with %v", r)
		}
		for _, p := range peers[1:] {
			same(t, "messages", len(p.types()), 1)
		}
		same(t, "connections", m.ConnectionCount(comm.ToAll()), 2)
	})
}

// One that says no is left to its writer, and so is whoever is being written to.
func TestSenderLeavesOthersToWriters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		p := &adjacent{trying: trying{peer: newPeer()}, no: true}
		if _, err := f.host().Attach(t.Context(), p, &comm.Handshake{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		send(t, m, comm.ToAll(), message(t, "a", nil))
		synctest.Wait()
		same(t, "tried", len(p.tried), 0)
		same(t, "messages", len(p.types()), 1)
	})
}

// Each sender's messages arrive in the order in which they were sent, whoever writes them.
func TestSendersKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const senders, messages = 4, 60
		m, peers := audience(t, 5)
		var all sync.WaitGroup
		for s := range senders {
			all.Go(func() {
				for i := range messages {
					to := []comm.Target{comm.ToGroup("g"), comm.ToAll(), comm.ToGroup("g").Except("nobody")}[(s+i)%3]
					send(t, m, to, message(t, fmt.Sprintf("%d %03d", s, i), nil))
					time.Sleep(time.Duration((s*7+i*3)%5) * 20 * time.Microsecond)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for i, p := range peers {
			got := p.types()
			same(t, fmt.Sprint("messages of ", i), len(got), senders*messages)
			slices.SortStableFunc(got, func(a, b string) int { return int(a[0]) - int(b[0]) })
			if !slices.IsSorted(got) {
				t.Errorf("client %d got %v", i, got)
			}
			if len(p.tried) == 0 || len(p.tried) == len(got) {
				t.Errorf("%d of %d were written by senders: the test wants both", len(p.tried), len(got))
			}
		}
	})
}
