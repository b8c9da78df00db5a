package graphql

import (
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/anasamu/comm"
)

// taker is one loop that takes frames which the hub sends to a connection. Its queue is between the hub's
// writer and the loop.
type taker struct {
	keep func(*comm.Frame) bool // asked by the hub's writer, in order, under hubSide.mu

	mu    sync.Mutex // guards the fields below
	queue []*comm.Frame
	bytes int
	room  chan struct{} // closed when there is room again; nil while nobody waits
	last  bool          // the next frame is the last one
	over  bool
	err   error // why it is over, if the loop is to be told

	more chan struct{} // holds one when there is something for the loop
}

const (
	takerFrames = 16
	takerBytes  = 256 << 10
)

func newTaker(keep func(*comm.Frame) bool) *taker {
	return &taker{keep: keep, more: make(chan struct{}, 1)}
}

// full reports whether put would have somebody wait.
func (t *taker) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isFull()
}

func (t *taker) isFull() bool {
	return !t.over && (len(t.queue) >= takerFrames || t.bytes >= takerBytes)
}

// put queues a frame, or returns a channel to wait on while there is no room.
func (t *taker) put(f *comm.Frame, size int) (room <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return nil
	case t.isFull():
		if t.room == nil {
			t.room = make(chan struct{})
		}
		return t.room
	}
	t.queue = append(t.queue, f)
	t.bytes += size
	t.over = t.last
	t.wake()
	return nil
}

func (t *taker) wake() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// take returns what waits, in place of which spare is filled next.
func (t *taker) take(spare []*comm.Frame) (list []*comm.Frame, over bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, t.queue, t.bytes = t.queue, spare, 0
	t.release()
	return list, t.over, t.err
}

func (t *taker) release() {
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// end takes nothing more. What is queued is still the loop's if it is told of an error.
func (t *taker) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.over, t.err = true, err
	if err == nil {
		t.queue = nil
	}
	t.release()
	t.wake()
}

// endAfter has the loop end behind the frame that is put next.
func (t *taker) endAfter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = true
}

// add lets t take what the hub sends from now on.
func (h *hubSide) add(t *taker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.takers = append(slices.Clip(h.takers), t)
}

func (h *hubSide) remove(t *taker) {
	h.mu.Lock()
	h.takers = slices.DeleteFunc(slices.Clone(h.takers), func(o *taker) bool { return o == t })
	h.mu.Unlock()
	t.end(nil)
}

// Frames yields what the hub sends to the connection from now on, in its order, as far as keep wants it: by
// default messages and calls, among them those of groups. f.Log is the position of a message of a log; what a
// second Join of a group has replayed does not come again. It takes until the loop or ctx ends; ctx is that of a subscription's source, or any other that surely ends. The
// frames must not be modified. A call is answered by [Subscriber.Tell] with a reply of its id.
//
// keep is called on the connection's writer with all frames but those that answer Ask: it must be quick, and
// call no method of the subscriber. Errors: [ErrNoGateway].
func (s *Subscriber) Frames(ctx context.Context, keep func(*comm.Frame) bool) (iter.Seq2[*comm.Frame, error], error) {
	if s.Conn() == nil {
		return nil, ErrNoGateway
	}
	h := s.hub
	t := newTaker(func(f *comm.Frame) bool {
		switch {
		case f.Op == comm.OpWelcome || isOwn(f.ID) || h.replayed:
			return false
		case keep == nil:
			return f.Op == comm.OpMessage || f.Op == comm.OpCall
		}
		return keep(f)
	})
	h.add(t)
	return h.loop(ctx, t, func() { h.remove(t) }), nil
}

// loop yields what t takes; release runs once, when the loop or ctx has ended, whichever comes first: a loop
// that is never begun must not hold up the connection.
func (h *hubSide) loop(ctx context.Context, t *taker, release func()) iter.Seq2[*comm.Frame, error] {
	release = sync.OnceFunc(release)
	stop := context.AfterFunc(ctx, release)
	return func(yield func(*comm.Frame, error) bool) {
		defer release()
		defer stop()
		var spare []*comm.Frame
		for {
			select {
			case <-t.more:
			case <-ctx.Done():
				return
			}
			list, over, err := t.take(spare[:0])
			for i, f := range list {
				list[i] = nil
				if !h.give(f, yield) || ctx.Err() != nil {
					return
				}
			}
			if over {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			spare = list
		}
	}
}

// give has the loop's body work on a frame, and acknowledges it if that went on.
func (h *hubSide) give(f *comm.Frame, yield func(*comm.Frame, error) bool) (more bool) {
	if !yield(f, nil) {
		return false
	}
	if f.Ack && f.Op == comm.OpMessage {
		_ = h.tell(&comm.Frame{Op: comm.OpAck, ID: f.ID}) // it has closed: then nobody waits for the ack
	}
	return true
}

// ownPrefix begins the ids of frames that are given to the hub in the client's name.
const ownPrefix = "graphql."

func newAskID() string { return ownPrefix + rand.Text() }

func isOwn(id string) bool { return strings.HasPrefix(id, ownPrefix) }
