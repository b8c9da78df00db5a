package comm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

func (p *adjacent) TryWriteMany(o comm.Outbound, all []comm.Attempt) { tryEach(o, all) }

// tryEach is TryWriteMany by TryWrite, of transports that write a byte each time.
func tryEach(o comm.Outbound, all []comm.Attempt) {
	for i := range all {
		ok, err := all[i].Transport.(comm.TryWriter).TryWrite(o)
		if all[i].Err = err; ok {
			all[i].Bytes = 1
		}
	}
}

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

// fragile is one whose transport has a fault.
type fragile struct{ adjacent }

func (p *fragile) TryWrite(comm.Outbound) (bool, error) { panic("on purpose") }

func (p *fragile) TryWriteMany(comm.Outbound, []comm.Attempt) { panic("on purpose") }

// A transport that panics ends the connections that it was given, and neither who sends nor those to whom it sends
// besides: nobody is left with a writer that is no more.
func TestSenderMeetsPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sane := &fake{name: "sane"}
		m, f := gateway(t, comm.WithProvider(sane), comm.WithPresenceGrace(0))
		bad, good := &fragile{adjacent{trying: trying{peer: newPeer()}}}, &adjacent{trying: trying{peer: newPeer()}}
		if _, err := f.host().Attach(t.Context(), bad, &comm.Handshake{}); err != nil {
			t.Fatal(err)
		}
		if _, err := sane.host().Attach(t.Context(), good, &comm.Handshake{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		send(t, m, comm.ToAll(), message(t, "a", nil))
		synctest.Wait()
		if r := bad.closed(); r == nil || r.Kind != comm.ReasonLost {
			t.Errorf("closed with %v", r)
		}
		same(t, "messages of the other", good.types(), []string{"a"})
		time.Sleep(time.Second)
		send(t, m, comm.ToAll(), message(t, "b", nil))
		synctest.Wait()
		same(t, "messages of the other", good.types(), []string{"a", "b"})
	})
}

// So does one that panics when it is answered by a handler.
func TestAnswerMeetsPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		comm.On(m, "ask", func(ctx context.Context, c *comm.Conn, _ *comm.Message) error {
			_, err := c.Send(ctx, message(t, "a", nil))
			return err
		})
		bad := &fragile{adjacent{trying: trying{peer: newPeer()}}}
		c, err := f.host().Attach(t.Context(), bad, &comm.Handshake{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		receive(t, f, c, comm.OpMessage, "1", "ask")
		synctest.Wait()
		if r := bad.closed(); r == nil || r.Kind != comm.ReasonLost {
			t.Errorf("closed with %v", r)
		}
	})
}

// broken is one whose writer meets the fault.
type broken struct{ *peer }

func (p *broken) Write([]comm.Outbound, time.Time) (int, error) { panic("on purpose") }

// So does one that panics in its writer, which goes on with others.
func TestWriterMeetsPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		bad, good := &broken{newPeer()}, newPeer()
		for _, tr := range []comm.Transport{bad, good} {
			if _, err := f.host().Attach(t.Context(), tr, &comm.Handshake{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if r := bad.closed(); r == nil || r.Kind != comm.ReasonLost {
			t.Errorf("closed with %v", r)
		}
		send(t, m, comm.ToAll(), message(t, "a", nil))
		synctest.Wait()
		same(t, "messages of the other", good.types(), []string{"a"})
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

// moody is one that is now written to at once, now waits, and checks that nobody writes beside another.
type moody struct {
	*peer
	rng   *rand.Rand
	busy  atomic.Bool
	tried int
}

func (p *moody) WritesDirectly() bool { return true }

func (p *moody) TryWriteMany(o comm.Outbound, all []comm.Attempt) { tryEach(o, all) }

func (p *moody) Write(batch []comm.Outbound, _ time.Time) (int, error) {
	if p.busy.Swap(true) {
		return 0, errors.New("two write at once")
	}
	defer p.busy.Store(false)
	time.Sleep(time.Duration(p.rng.IntN(4)) * 30 * time.Microsecond)
	return p.peer.Write(batch[:1+p.rng.IntN(len(batch))], time.Time{})
}

func (p *moody) TryWrite(o comm.Outbound) (bool, error) {
	if p.busy.Swap(true) {
		return false, errors.New("two write at once")
	}
	defer p.busy.Store(false)
	if p.rng.IntN(4) == 0 {
		return false, nil
	}
	p.tried++
	n, err := p.peer.Write([]comm.Outbound{o}, time.Time{})
	return n == 1, err
}

// gapless checks that what a client got of each sender follows one another: to all without a gap, to the group
// without one from joining until leaving.
func (p *moody) gapless(t *testing.T, who int) {
	t.Helper()
	next := map[string]int{}
	for _, f := range p.got(comm.OpMessage, comm.OpJoined, comm.OpLeft) {
		if f.Op != comm.OpMessage {
			maps.DeleteFunc(next, func(from string, _ int) bool { return strings.HasPrefix(from, "g") })
			continue
		}
		n, err := comm.Decode[int](f.Message)
		if before, ok := next[f.Message.Type()]; err != nil || ok && n != before {
			t.Errorf("client %d got %d of %s where %d must be (%v)", who, n, f.Message.Type(), before, err)
		}
		next[f.Message.Type()] = n + 1
	}
}

// What senders write themselves leaves no gap and keeps its place beside what writers write, between joins and
// leaves, and to clients that end meanwhile. At last everybody is at rest: a sender can write to them again.
func TestSendersBesideComingAndGoing(t *testing.T) {
	for _, logs := range []bool{false, true} {
		t.Run(fmt.Sprint("logs ", logs), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const senders, messages, clients = 3, 80, 6
				m, f := gateway(t, comm.WithLogs(logs, logs, logs))
				var peers []*moody
				var conns []*comm.Conn
				for i := range clients {
					p := &moody{peer: newPeer(), rng: rand.New(rand.NewPCG(uint64(i), 7))}
					c, err := f.host().Attach(t.Context(), p, &comm.Handshake{})
					if err != nil {
						t.Fatal(err)
					}
					peers, conns = append(peers, p), append(conns, c)
				}
				var all sync.WaitGroup
				for s := range senders {
					all.Go(func() {
						for i := range messages {
							send(t, m, comm.ToGroup("g"), message(t, fmt.Sprint("g", s), i))
							send(t, m, comm.ToAll(), message(t, fmt.Sprint("all", s), i))
							time.Sleep(time.Duration((s*7+i*3)%5) * 40 * time.Microsecond)
						}
					})
				}
				for i, c := range conns[:clients-1] {
					all.Go(func() {
						for k := range 20 {
							if err := errors.Join(c.Join("g"), c.Leave("g")); k < 19 && err != nil {
								t.Error(err)
							}
							time.Sleep(time.Duration(50+i*20) * time.Microsecond)
							if err := c.Join("g"); err != nil {
								t.Error(err)
							}
							time.Sleep(time.Duration(100+i*70) * time.Microsecond)
						}
						if i < 2 {
							if err := c.Close(t.Context(), ""); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				synctest.Wait()
				time.Sleep(time.Second)
				tried := 0
				for _, p := range peers {
					tried -= p.tried
				}
				for range 20 { // of which some are refused
					same(t, "queued", send(t, m, comm.ToAll(), message(t, "last", nil)).Queued, clients-2)
					time.Sleep(time.Millisecond)
				}
				for i, p := range peers {
					tried += p.tried
					if r := p.closed(); (r != nil) != (i < 2) || r != nil && r.Kind != comm.ReasonNormal {
						t.Errorf("client %d closed with %v", i, r)
					}
					if i >= 2 {
						same(t, fmt.Sprint("messages to all at ", i), len(p.got(comm.OpMessage))-p.count("g"), senders*messages+20)
						p.frames = slices.DeleteFunc(p.frames, func(f *comm.Frame) bool { return f.Op == comm.OpMessage && f.Message.Type() == "last" })
					}
					p.gapless(t, i)
				}
				if tried < 20*(clients-2)/2 {
					t.Errorf("%d of the last were written by their sender", tried)
				}
			})
		})
	}
}

// count is how many messages have come whose type begins so.
func (p *moody) count(prefix string) (n int) {
	for _, typ := range p.types() {
		if strings.HasPrefix(typ, prefix) {
			n++
		}
	}
	return n
}

// What comes while a sender writes is written behind it, without anything else that would wake a writer.
func TestWhatComesWhileSenderWrites(t *testing.T) {
	ways := map[string]func(t *testing.T, m *comm.Manager, c *comm.Conn) error{
		"to it alone": func(t *testing.T, m *comm.Manager, c *comm.Conn) error {
			_, err := c.Send(t.Context(), message(t, "b", nil))
			return err
		},
		"to the group": func(t *testing.T, m *comm.Manager, _ *comm.Conn) error {
			_, err := m.Send(t.Context(), comm.ToGroup("g"), message(t, "b", nil))
			return err
		},
		"with another priority": func(t *testing.T, m *comm.Manager, _ *comm.Conn) error {
			_, err := m.Send(t.Context(), comm.ToGroup("g"), message(t, "b", nil), comm.WithoutHistory(), comm.WithPriority(comm.PriorityHigh))
			return err
		},
		"joined": func(_ *testing.T, _ *comm.Manager, c *comm.Conn) error { return c.Join("h") },
		"left":   func(_ *testing.T, _ *comm.Manager, c *comm.Conn) error { return c.Leave("g") },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, peers := audience(t, 1)
				p, before := peers[0], len(peers[0].got())
				var c *comm.Conn
				for c = range m.Connections(comm.ToAll()) {
				}
				p.halt()
				first := message(t, "a", nil)
				go func() {
					if _, err := m.Send(t.Context(), comm.ToGroup("g"), first); err != nil {
						t.Error(err)
					}
				}()
				synctest.Wait()
				if err := way(t, m, c); err != nil {
					t.Fatal(err)
				}
				p.resume()
				synctest.Wait()
				got := p.got()[before:]
				if len(got) != 2 || got[0].Op != comm.OpMessage || got[0].Message.Type() != "a" {
					t.Errorf("got %d frames, %v", len(got), p.types())
				}
			})
		})
	}
}
