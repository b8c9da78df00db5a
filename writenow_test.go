package comm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// trying is a transport that can write one frame without waiting.
type trying struct {
	*peer
	tried  []string // types of what TryWrite was given, "" for control frames
	waits  bool     // it would have to wait
	broken error
}

func (p *trying) TryWrite(o comm.Outbound) (bool, error) {
	typ := ""
	if m := o.Frame().Message; m != nil {
		typ = m.Type()
	}
	p.tried = append(p.tried, typ)
	if p.waits || p.broken != nil {
		return false, p.broken
	}
	_, err := p.Write([]comm.Outbound{o}, time.Time{})
	return true, err
}

// answering is a client whose every message is answered by the given number of others.
func answering(t *testing.T, p *trying, answers int) (*comm.Manager, func(op comm.Op, typ string)) {
	m, f := gateway(t)
	comm.OnCall(m, "call", func(context.Context, *comm.Conn, *comm.Message) (string, error) { return "yes", nil })
	comm.On(m, "ask", func(ctx context.Context, c *comm.Conn, _ *comm.Message) error {
		for i := range answers {
			if _, err := c.Send(ctx, message(t, fmt.Sprint("answer", i), nil)); err != nil {
				return err
			}
		}
		return nil
	})
	c, err := f.host().Attach(t.Context(), p, &comm.Handshake{Header: map[string][]string{}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return m, func(op comm.Op, typ string) {
		if err := f.host().Receive(c, &comm.Frame{Op: op, ID: "1", Message: message(t, typ, nil)}); err != nil {
			t.Fatal(err)
		}
	}
}

// The first answer of a handler is tried at once, every time, and what comes behind it stays behind it.
func TestFirstAnswerIsTried(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprint("waits=", waits), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &trying{peer: newPeer(), waits: waits}
				m, receive := answering(t, p, 3)
				var want, tried []string
				for range 4 {
					receive(comm.OpMessage, "ask")
					synctest.Wait()
					want, tried = append(want, "answer0", "answer1", "answer2"), append(tried, "answer0")
				}
				if got := p.types(); !slices.Equal(got, want) {
					t.Errorf("the client got %v, want %v", got, want)
				}
				if !slices.Equal(p.tried, tried) {
					t.Errorf("tried were %v, want %v", p.tried, tried)
				}
				for c := range m.Connections(comm.ToAll()) {
					same(t, "messages counted", c.Stats().MessagesOut, int64(len(want)))
				}
			})
		})
	}
}

// So is the reply to a call.
func TestReplyIsTried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &trying{peer: newPeer()}
		_, receive := answering(t, p, 0)
		receive(comm.OpCall, "call")
		synctest.Wait()
		same(t, "tried", len(p.tried), 1)
		same(t, "replies", len(p.got(comm.OpReply)), 1)
	})
}

// What no handler sends is left to the writer.
func TestOthersAreNotTried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &trying{peer: newPeer()}
		m, _ := answering(t, p, 0)
		send(t, m, comm.ToAll(), message(t, "news", nil))
		synctest.Wait()
		same(t, "tried", len(p.tried), 0)
		same(t, "messages", len(p.got(comm.OpMessage)), 1)
	})
}

// An error ends the connection, as one of Write does.
func TestTriedWriteFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &trying{peer: newPeer(), broken: errors.New("cut")}
		_, receive := answering(t, p, 1)
		receive(comm.OpMessage, "ask")
		synctest.Wait()
		if r := p.closed(); r == nil || r.Kind != comm.ReasonLost || !errors.Is(r, p.broken) {
			t.Errorf("closed with %v, want a lost connection for %v", r, p.broken)
		}
	})
}
