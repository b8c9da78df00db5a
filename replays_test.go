package comm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// lagging is a client that now reads and now does not, and comes back.
type lagging struct {
	conn *comm.Conn
	peer *halting
}

// halting is one that a sender may write to itself, but while it reads.
type halting struct{ adjacent }

func (p *halting) TryWrite(o comm.Outbound) (bool, error) {
	if p.stalled() {
		return false, nil
	}
	return p.adjacent.TryWrite(o)
}

func (p *halting) TryWriteMany(o comm.Outbound, all []comm.Attempt) { tryEach(o, all) }

// A topic knows how many of its members are being replayed, whichever way they come to that and out of it: it looks
// at none of them otherwise.
func TestReplaysAreCounted(t *testing.T) {
	for _, policy := range []comm.Policy{comm.DropOldest, comm.Disconnect} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const clients, steps = 6, 3000
				m, f := gateway(t, comm.WithLogs(true, true, true), comm.WithQueue(4, 1<<20), comm.WithOverflow(policy))
				rng := rand.New(rand.NewPCG(7, uint64(policy)))
				list := make([]*lagging, clients)
				seen := 0
				for step := range steps {
					i := rng.IntN(clients)
					if list[i] == nil || list[i].conn.Err() != nil {
						list[i] = returning(t, f, list[i], rng)
					}
					list[i].act(t, m, f, rng)
					counted, are := comm.Replays(m)
					same(t, fmt.Sprint("replays after step ", step), counted, are)
					if t.Failed() {
						return
					}
					seen += are["group:g"] + are["all"]
					time.Sleep(time.Duration(rng.IntN(3)) * 30 * time.Microsecond)
				}
				if seen < steps/20 {
					t.Errorf("%d members were seen being replayed in %d steps: the test wants many", seen, steps)
				}
				for _, l := range list {
					if l != nil {
						l.peer.proceed()
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				counted, _ := comm.Replays(m)
				for key, n := range counted {
					same(t, "replays of "+key+" when all has been read", n, 0)
				}
			})
		})
	}
}

// returning attaches a client, from the beginning of the logs, from the offset before the last, or as a new one.
func returning(t *testing.T, f *fake, before *lagging, rng *rand.Rand) *lagging {
	t.Helper()
	hs := comm.Handshake{Hello: &comm.Hello{Groups: []string{"g"}}}
	if before != nil {
		hs.Hello.Session = before.conn.Session()
	}
	if rng.IntN(2) == 0 {
		position, err := comm.ParsePosition("group:g@0:0,all@0:0")
		if err != nil {
			t.Fatal(err)
		}
		hs.Position = position
	}
	p := &halting{adjacent{trying: trying{peer: newPeer()}, no: rng.IntN(2) == 0}}
	c, err := f.host().Attach(t.Context(), p, &hs)
	if err != nil {
		t.Fatal(err)
	}
	return &lagging{c, p}
}

// act does one thing of many.
func (l *lagging) act(t *testing.T, m *comm.Manager, f *fake, rng *rand.Rand) {
	t.Helper()
	switch rng.IntN(12) {
	case 0:
		_ = l.conn.Join("g") // it may have been closed for its queue
	case 1:
		_ = l.conn.Leave("g")
	case 2:
		if l.peer.stalled() {
			l.peer.proceed()
		} else {
			l.peer.halt()
		}
	case 3:
		f.host().Detach(l.conn, comm.CloseReason{Kind: comm.ReasonLost})
	case 4:
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_ = l.conn.Close(ctx, "")
	case 5:
		send(t, m, comm.ToGroup("g"), message(t, "unlogged", nil), comm.WithoutHistory())
	case 6, 7, 8:
		send(t, m, comm.ToAll(), message(t, "all", nil))
	default:
		send(t, m, comm.ToGroup("g"), message(t, "g", nil))
	}
}

func (p *halting) stalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stall != nil
}

// proceed lets a halted peer go on, and does nothing to others.
func (p *halting) proceed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}
