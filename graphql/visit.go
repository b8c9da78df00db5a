package graphql

import (
	"context"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// visit is the connection of a request over plain HTTP: it is made when an operation first acts in its
// client's name, and ends with the request.
type visit struct {
	l *hall
	t *Transport // of the request

	mu   sync.Mutex // guards the fields below
	over bool       // it was tried, or there is to be none any more
	s    *Subscriber
	op   *running // so that a drain waits for the answer
	err  error
}

// actor is the subscriber in whose name an operation acts.
func actor(ctx context.Context) (*Subscriber, error) {
	t := TransportOf(ctx)
	switch {
	case t.Subscriber != nil && t.Subscriber.Conn() != nil:
		return t.Subscriber, nil
	case t.visit != nil:
		return t.visit.open(ctx)
	}
	return nil, ErrNoGateway
}

// open makes the connection at the first call.
func (v *visit) open(ctx context.Context) (*Subscriber, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.over = true
		v.err = v.attach(ctx)
	}
	return v.s, v.err
}

// attach has the gateway admit the client, who is authenticated already. Its resolvers read the request's
// Transport meanwhile, so the connection gets one of its own.
func (v *visit) attach(ctx context.Context) error {
	done, err := v.l.host.Admit(v.t.Handshake.RemoteAddr)
	if err != nil {
		return err
	}
	defer done()
	t := *v.t
	t.visit = nil
	s := newSubscriber(v.l.ctx, v.l.h, silent{}, &t)
	within, cancel := context.WithCancel(v.l.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	if err := v.l.attach(within, s, &t, t.Handshake); err != nil {
		s.cancel(err)
		return err
	}
	v.l.keep(s)
	v.s = s
	v.op, _ = s.enter("", new(Request)) // it fails only when the subscriber is leaving: then the hub refuses what it is asked
	return nil
}

// end ends the connection, if there is one.
func (v *visit) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over = true; v.s == nil {
		v.err = comm.ErrClosed
		return
	}
	if v.op != nil {
		v.s.leave(v.op)
	}
	r := comm.CloseReason{Kind: comm.ReasonClient, Text: "the request has been answered"}
	v.s.cancel(r)
	v.s.hub.detach(r)
	v.l.forget(v.s)
	v.s.wait()
}

// silent is the carrier of a visit, whose client hears of nothing but the response.
type silent struct{}

func (silent) next(string, []byte) error             { return nil }
func (silent) refuse(string, []byte, []*Error) error { return nil }
func (silent) complete(string) error                 { return nil }
func (silent) close(comm.CloseReason, time.Time)     {}
