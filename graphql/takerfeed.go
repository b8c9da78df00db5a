package graphql

import (
	"context"
	"iter"
	"sync"

	"github.com/anasamu/comm"
)

// takerFeed is what a taker takes, as a feed. A frame is acknowledged, if it acks, when the response to it has been
// taken.
type takerFeed struct {
	*taker
	h       *hubSide
	ctx     context.Context
	acks    bool
	release func() // runs once

	// Of who asks.
	list []handed // what was taken; list[:at] was given
	at   int
	hand handed // what was given last; empty when its response was taken
	last bool   // nothing comes behind list but err
	err  error
}

// feed is what t takes, until ctx ends or nobody asks any more; then release runs.
func (h *hubSide) feed(ctx context.Context, t *taker, acks bool, release func()) *takerFeed {
	return &takerFeed{taker: t, h: h, ctx: ctx, acks: acks, release: sync.OnceFunc(release)}
}

// loop yields the frames. One that is never begun does not hold up the connection for longer than ctx lives.
func (f *takerFeed) loop() iter.Seq2[*comm.Frame, error] {
	stop := context.AfterFunc(f.ctx, f.end)
	frames := iterate(f.ctx, f)
	return func(yield func(*comm.Frame, error) bool) {
		defer stop()
		defer f.close()
		frames(yield)
	}
}

func (f *takerFeed) next() (*comm.Frame, found, error) {
	for f.at == len(f.list) {
		switch err := f.err; {
		case err != nil:
			f.err = nil
			return nil, anEvent, err
		case f.last:
			return nil, theEnd, nil
		}
		f.worked()
		f.list, f.last, f.err = f.take(f.list[:0])
		if f.at = 0; len(f.list) == 0 && !f.last {
			return nil, nothing, nil
		}
	}
	f.hand, f.list[f.at] = f.list[f.at], handed{}
	f.at++
	return f.hand.Frame, anEvent, nil
}

func (f *takerFeed) took() {
	if f.acks && f.hand.Frame != nil {
		f.h.acknowledge(f.hand.Frame)
	}
	f.hand = handed{}
}

func (f *takerFeed) end() { f.release() }

// close gives up what was not come to. If the context has ended, that is what was given last, too: its response was
// not taken.
func (f *takerFeed) close() {
	f.end()
	if f.hand.Frame != nil && f.ctx.Err() != nil {
		f.h.drop([]handed{f.hand})
	}
	f.h.drop(f.list[f.at:])
	f.hand, f.list, f.at = handed{}, nil, 0
}

// acknowledge tells the sender of a message that waits for it that the loop's body has worked on it.
func (h *hubSide) acknowledge(f *comm.Frame) {
	if f.Ack && f.Op == comm.OpMessage {
		_ = h.tell(&comm.Frame{Op: comm.OpAck, ID: f.ID}) // it has closed: then nobody waits for the ack
	}
}

// Frames yields what the hub sends to the connection from now on, in its order, as far as keep wants it: by
// default messages and calls, among them those of groups. f.Log is the position of a message of a log; what a
// second Join of a group has replayed does not come again. It takes until the loop or ctx ends; ctx is that of a
// subscription's source, or any other that surely ends. The frames must not be modified. A call is answered by
// [Subscriber.Tell] with a reply of its id.
//
// keep is called on the connection's writer with all frames but those that answer Ask: it must be quick, and
// call no method of the subscriber. Errors: [ErrNoGateway].
func (s *Subscriber) Frames(ctx context.Context, keep func(*comm.Frame) bool) (iter.Seq2[*comm.Frame, error], error) {
	f, err := s.frames(ctx, keep)
	if err != nil {
		return nil, err
	}
	return f.loop(), nil
}

func (s *Subscriber) frames(ctx context.Context, keep func(*comm.Frame) bool) (*takerFeed, error) {
	if s.Conn() == nil {
		return nil, ErrNoGateway
	}
	h := s.hub
	t := newTaker(func(f *comm.Frame) bool {
		switch {
		case f.Op == comm.OpWelcome || answersOwn(f) || h.replayed:
			return false
		case keep == nil:
			return f.Op == comm.OpMessage || f.Op == comm.OpCall
		}
		return keep(f)
	})
	h.add(t)
	return h.feed(ctx, t, true, func() { h.remove(t) }), nil
}
