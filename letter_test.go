package comm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// oblivious is a transport that keeps nothing but bytes, and takes what it is given in parts. It checks that a frame
// is the same as long as it has it.
type oblivious struct {
	t   *testing.T
	mu  sync.Mutex
	rng *rand.Rand
	got []string // "TYPE to TO with CONTENT"
}

// saysSo is one that tells the manager.
type saysSo struct{ *oblivious }

func (saysSo) Forgets() {}

func (p *oblivious) Close(comm.CloseReason, time.Time) error { return nil }

func (p *oblivious) Write(batch []comm.Outbound, _ time.Time) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch = batch[:1+p.rng.IntN(len(batch))]
	var texts [][]byte
	for _, o := range batch {
		b, err := o.Bytes(jsonFormat{})
		if err != nil {
			p.t.Error(err)
		}
		texts = append(texts, b)
	}
	time.Sleep(time.Duration(p.rng.IntN(3)) * time.Microsecond)
	for i, o := range batch {
		now, _ := comm.JSON().AppendFrame(nil, o.Frame())
		if !bytes.Equal(now, texts[i]) {
			p.t.Errorf("a frame that was %s became %s", texts[i], now)
		}
		if m := o.Frame().Message; m != nil {
			p.got = append(p.got, fmt.Sprintf("%s to %s with %s", m.Type(), m.To(), m.Content()))
		}
	}
	return len(batch), nil
}

// TryWrite says no at times.
func (p *oblivious) TryWrite(o comm.Outbound) (bool, error) {
	p.mu.Lock()
	no := p.rng.IntN(2) == 0
	p.mu.Unlock()
	if no {
		return false, nil
	}
	n, err := p.Write([]comm.Outbound{o}, time.Time{})
	return n == 1, err
}

// jsonFormat is the words of the protocol.
type jsonFormat struct{}

func (jsonFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	return comm.JSON().AppendFrame(dst, f)
}

// peek opens taps one after the other until done, and checks at last that what they showed is still what it was.
func peek(t *testing.T, m *comm.Manager, done <-chan struct{}) {
	var frames []*comm.Frame
	var texts []string
	for over := false; !over; {
		tap, err := m.Tap(t.Context(), comm.TapFilter{Type: "n"}, 16)
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case <-done:
			over = true
		case <-time.After(10 * time.Microsecond):
		}
		tap.Close()
		for e := range tap.Events() {
			b, _ := comm.JSON().AppendFrame(nil, e.Frame)
			frames, texts = append(frames, e.Frame), append(texts, string(b))
		}
		if !over {
			time.Sleep(10 * time.Microsecond)
		}
	}
	if len(frames) == 0 {
		t.Error("the taps showed nothing")
	}
	for i, f := range frames {
		if b, _ := comm.JSON().AppendFrame(nil, f); string(b) != texts[i] {
			t.Errorf("a tap showed %s, which became %s", texts[i], b)
		}
	}
}

// What is sent to single connections arrives as it was sent, each once, under every policy, with taps that come and
// go: nothing is used again that anybody may still read.
func TestLettersAreUsedAgainWhenTheyHaveLeft(t *testing.T) {
	policies := map[string]comm.Policy{
		"block": comm.Disconnect, "oldest": comm.DropOldest, "newest": comm.DropNewest, "by key": comm.LatestByKey,
	}
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, comm.WithOverflow(policy), comm.WithQueue(8, 1<<20))
				var conns []*comm.Conn
				var peers []*oblivious
				for i := range 4 {
					p := &oblivious{t: t, rng: rand.New(rand.NewPCG(uint64(i), 1))}
					var carrier comm.Transport = saysSo{p}
					if i == 0 {
						carrier = p
					}
					c, err := f.host().Attach(t.Context(), carrier, &comm.Handshake{})
					if err != nil {
						t.Fatal(err)
					}
					conns, peers = append(conns, c), append(peers, p)
				}
				done := make(chan struct{})
				var tapping, sending sync.WaitGroup
				tapping.Go(func() { peek(t, m, done) })
				var opts []comm.SendOption
				if policy == comm.Disconnect {
					opts = append(opts, comm.WithBlock())
				}
				const senders, each = 3, 150
				matched := make([][]int, senders) // and not dropped at once, by connection
				for s := range senders {
					matched[s] = make([]int, len(conns))
					sending.Go(func() {
						for i := range each {
							msg := message(t, "n", 1000*(s+1)+i)
							if i%3 == 0 {
								msg = somebodys(t, msg)
							}
							for k, c := range conns { // the same message to all
								d := send(t, m, comm.ToConn(c.ID()), msg, append(opts, comm.WithKey(fmt.Sprint("key", i%5)))...)
								matched[s][k] += d.Queued
							}
							time.Sleep(time.Duration(i%4) * time.Microsecond)
						}
					})
				}
				sending.Wait()
				close(done)
				tapping.Wait()
				synctest.Wait()
				time.Sleep(time.Millisecond)
				for k, p := range peers {
					queued, dropped := 0, int(conns[k].Stats().Drops)
					for s := range senders {
						queued += matched[s][k]
						dropped -= each - matched[s][k]
					}
					same(t, fmt.Sprint("messages of ", k), len(p.got), queued-dropped)
					p.check(conns[k].ID(), policy != comm.LatestByKey)
				}
			})
		})
	}
}

// somebodys is a message with an address of its own, as one that a client sent has.
func somebodys(t *testing.T, m *comm.Message) *comm.Message {
	v := m.Members()
	v.To = "somebody"
	m, err := v.Message()
	if err != nil {
		t.Error(err)
	}
	return m
}

// check looks at what has come: each once, with its address, and in order where that is kept.
func (p *oblivious) check(id string, ordered bool) {
	last := map[int]int{}
	seen := map[int]bool{}
	for _, got := range p.got {
		var to string
		var n int
		if _, err := fmt.Sscanf(got, "n to %s with %d", &to, &n); err != nil {
			p.t.Errorf("%q: %v", got, err)
			continue
		}
		s, i := n/1000, n%1000
		want := "conn:" + id
		if i%3 == 0 {
			want = "somebody"
		}
		if to != want || seen[n] || ordered && i < last[s] {
			p.t.Errorf("%q came behind %d of its sender (seen before: %t), the address must be %q", got, last[s], seen[n], want)
		}
		last[s], seen[n] = i, true
	}
}
