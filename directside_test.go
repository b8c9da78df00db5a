package comm_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// A tap sees what a sender writes itself, once per client, and what nobody was sent not at all.
func TestTapSeesWhatSendersWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, peers := audience(t, 3)
		peers[2].broken = errors.New("cut")
		tap, err := m.Tap(t.Context(), comm.TapFilter{Type: "a"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		send(t, m, comm.ToGroup("g"), message(t, "a", nil))
		same(t, "tried", []int{len(peers[0].tried), len(peers[1].tried), len(peers[2].tried)}, []int{1, 1, 1})
		synctest.Wait()
		seen := map[string]int{}
		for range 2 {
			e := <-tap.Events()
			seen[e.Conn]++
		}
		same(t, "clients seen", len(seen), 2)
		select {
		case e := <-tap.Events():
			t.Errorf("seen besides: %+v", e)
		default:
		}
	})
}

// Acknowledgements of what a sender writes itself are waited for like all others: a client that breaks meanwhile is one
// that has gone, and those whom the filter excludes are none.
func TestAcksOfWhatSendersWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, tokenIsUser())
		var peers []*adjacent
		var conns []*comm.Conn
		for _, user := range []string{"ann", "ben", "eve", "mia"} {
			p := &adjacent{trying: trying{peer: newPeer()}}
			hs := as(user)
			c, err := f.host().Attach(t.Context(), p, &hs)
			if err != nil {
				t.Fatal(err)
			}
			peers, conns = append(peers, p), append(conns, c)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		peers[1].broken = errors.New("cut")
		d := send(t, m, comm.ToAll().ExceptUser("mia"), message(t, "a", nil, comm.WithID("m")), comm.WithAck())
		same(t, "matched and queued", []int{d.Matched, d.Queued}, []int{3, 3})
		same(t, "tried", []int{len(peers[0].tried), len(peers[1].tried), len(peers[2].tried), len(peers[3].tried)}, []int{1, 1, 1, 0})
		for _, i := range []int{0, 2} {
			if err := f.host().Receive(conns[i], &comm.Frame{Op: comm.OpAck, ID: "m"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		acked, err := d.Pending.Wait(ctx)
		if acked != 2 || !errors.Is(err, comm.ErrDisconnected) || ctx.Err() != nil {
			t.Errorf("%d have acknowledged, %v", acked, err)
		}
	})
}

// A client that ends while its sender writes gets what had been published for it, and nothing later, and its goodbye
// comes last.
func TestCloseWhileSenderWrites(t *testing.T) {
	for name, end := range map[string]func(f *fake, c *comm.Conn){
		"closed": func(_ *fake, c *comm.Conn) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.Close(ctx, "")
		},
		"killed": func(f *fake, c *comm.Conn) { f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t)
				p := &interrupted{adjacent: adjacent{trying: trying{peer: newPeer()}}}
				c, err := f.host().Attach(t.Context(), p, &comm.Handshake{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				p.meanwhile = func() {
					end(f, c)
					same(t, "queued behind the end", send(t, m, comm.ToAll(), message(t, "late", nil)).Queued, 0)
				}
				send(t, m, comm.ToAll(), message(t, "a", nil))
				select {
				case <-c.Done():
				case <-time.After(time.Minute):
					t.Fatal("it has not ended")
				}
				same(t, "messages", p.types(), []string{"a"})
				same(t, "counted", c.Stats().MessagesOut, int64(1))
			})
		})
	}
}

// interrupted is one to which something happens while its sender writes.
type interrupted struct {
	adjacent
	meanwhile func()
}

func (p *interrupted) TryWrite(o comm.Outbound) (bool, error) {
	if f := p.meanwhile; f != nil {
		p.meanwhile = nil
		f()
	}
	return p.adjacent.TryWrite(o)
}

func (p *interrupted) TryWriteMany(o comm.Outbound, all []comm.Attempt) { tryEach(o, all) }
