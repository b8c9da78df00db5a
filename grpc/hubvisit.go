package commgrpc

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
	"github.com/anasamu/comm/internal/places"
)

// visit is the connection of one call: whoever calls is admitted like every client, does what it has come for,
// and goes. It is told nothing but the answer.
type visit struct {
	hub  *hub
	conn *comm.Conn

	mu     sync.Mutex // guards the fields below
	asked  string     // the id of what it waits for
	answer chan *comm.Frame
}

// maxVisits bounds the calls under way. They are counted apart from handshakes, whose rates are for connections: a
// call is more like a message, and the provider's call rate is its limit.
const maxVisits = 1000

// visit admits the caller. The visit's end must be called.
func (h *hub) visit(ctx context.Context) (*visit, error) {
	switch h.visits.Enter(maxVisits) {
	case nil:
	case places.ErrFull:
		return nil, &comm.LimitError{Limit: "calls of the hub at once", Max: maxVisits, Retry: time.Second}
	default:
		return nil, errStopping
	}
	v := &visit{hub: h}
	if err := v.attach(ctx); err != nil {
		h.visits.Leave()
		return nil, err
	}
	return v, nil
}

func (v *visit) attach(ctx context.Context) (err error) {
	within, cancel := v.hub.within(ctx)
	defer cancel()
	v.conn, err = v.hub.host.Attach(within, v, handshakeOf(ctx))
	return late(within, err)
}

// end lets the caller go. The connection has left everything when it returns.
func (v *visit) end() {
	v.hub.host.Detach(v.conn, comm.CloseReason{Kind: comm.ReasonClient, Text: "the call has been answered"})
	<-v.conn.Done()
	v.hub.visits.Leave()
}

// TellWaiting implements comm.WaitTeller: nothing here waits.
func (v *visit) TellWaiting(comm.Waiter) bool { return true }

// Write implements comm.Transport.
func (v *visit) Write(frames []comm.Outbound, _ time.Time) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, o := range frames {
		f := o.Frame()
		if v.answer == nil || f.ID != v.asked || f.Op != comm.OpAck && f.Op != comm.OpError {
			continue
		}
		v.answer <- f // it has room
		v.answer = nil
	}
	return len(frames), nil
}

// Close implements comm.Transport.
func (v *visit) Close(comm.CloseReason, time.Time) error { return nil }

// send gives the manager a message in the caller's name, and waits until its handler has returned or it has been
// sent on.
func (v *visit) send(ctx context.Context, f *comm.Frame) error {
	answer := make(chan *comm.Frame, 1)
	v.mu.Lock()
	v.asked, v.answer = f.ID, answer
	v.mu.Unlock()
	if err := v.hub.host.Receive(v.conn, f); err != nil {
		return err
	}
	select {
	case a := <-answer:
		if a.Op == comm.OpError {
			return &comm.PeerError{Code: a.Code, Message: a.Text}
		}
		return nil
	case <-v.conn.Context().Done():
		return context.Cause(v.conn.Context())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reaches reports whether an address names the visit's own connection too.
func (v *visit) reaches(to string) bool {
	switch {
	case to == "all", to == "user:"+v.conn.User():
		return true
	}
	return slices.ContainsFunc(v.conn.Groups(), func(g string) bool { return to == "group:"+g })
}

// messageOf makes the frame of a message that a call sends.
func (h *hub) messageOf(id string, w *commv1.Message, size int) (*comm.Frame, error) {
	if most := h.maxFrame(); size > most {
		return nil, &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("a request of %d bytes: at most %d", size, most)}
	}
	if id == "" {
		id = rand.Text()
	}
	f, err := fromWire(&commv1.Frame{Op: commv1.Op_OP_MESSAGE, Id: id, Message: w, Ack: true})
	if err != nil {
		return nil, frameError("", err)
	}
	return f, nil
}
