package graphql

import (
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/anasamu/comm"
)

// taker is one loop that takes frames which the hub sends to a connection. Its queue is between the hub's
// writer and the loop.
type taker struct {
	keep   func(*comm.Frame) bool // asked by the hub's writer, in order, under hubSide.mu
	events bool                   // it is of a subscription to events

	mu    sync.Mutex // guards the fields below
	queue []handed
	bytes int
	room  chan struct{} // closed when there is room again; nil while nobody waits
	last  bool          // the next frame is the last one
	over  bool
	err   error         // why it is over, if the loop is to be told
	works bool          // the loop has taken frames and is not through with them
	idle  chan struct{} // closed when it is, and none waits; nil while nobody waits for that

	more chan struct{} // holds one when there is something for the loop
}

// handed is a frame as a taker has it.
type handed struct {
	*comm.Frame
	open *atomic.Int32 // the takers that have not dropped it; nil if nobody waits for an answer
}

// handedTo is a frame for several takers.
func handedTo(takers int, f *comm.Frame) handed {
	if !wantsAnswer(f) {
		return handed{Frame: f}
	}
	open := new(atomic.Int32)
	open.Store(int32(takers))
	return handed{f, open}
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

// put queues a frame, unless the loop is over, or returns a channel to wait on while there is no room.
func (t *taker) put(f handed, size int) (room <-chan struct{}, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return nil, true
	case t.isFull():
		if t.room == nil {
			t.room = make(chan struct{})
		}
		return t.room, false
	}
	t.queue = append(t.queue, f)
	t.bytes += size
	t.over = t.last
	t.wake()
	return nil, false
}

// add queues one frame more than there may be room for.
func (t *taker) add(f *comm.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.queue = append(t.queue, handed{Frame: f})
	t.over = t.last
	t.wake()
}

func (t *taker) wake() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// take returns what waits, in place of which spare is filled next.
func (t *taker) take(spare []handed) (list []handed, over bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, t.queue, t.bytes = t.queue, spare, 0
	t.works = len(list) > 0
	t.release()
	return list, t.over, t.err
}

// worked is said by the loop when it is through with what it took.
func (t *taker) worked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.works = false; len(t.queue) == 0 {
		t.rest()
	}
}

func (t *taker) rest() {
	if t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// settle waits until the loop is through with all that was put, has ended, or ctx ends.
func (t *taker) settle(ctx context.Context) {
	t.mu.Lock()
	if !t.works && len(t.queue) == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

func (t *taker) release() {
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// end takes nothing more. What is queued is still the loop's if it is told of an error, and else left.
func (t *taker) end(err error) (left []handed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil { // nobody takes any more
		left, t.queue, t.works = t.queue, nil, false
		t.rest()
	}
	if t.over {
		return left
	}
	t.over, t.err = true, err
	t.release()
	t.wake()
	return left
}

// endAfter has the loop end behind the frame that is put next.
func (t *taker) endAfter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = true
}

// add lets t take what the hub sends from now on. Its client has begun without events.
func (h *hubSide) add(t *taker) {
	h.dropFirst(nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.takers = append(slices.Clip(h.takers), t)
}

func (h *hubSide) remove(t *taker) {
	h.mu.Lock()
	h.takers = slices.DeleteFunc(slices.Clone(h.takers), func(o *taker) bool { return o == t })
	h.mu.Unlock()
	h.drop(t.end(nil))
}

// drop is for frames that a loop has taken and does not come to.
func (h *hubSide) drop(list []handed) {
	for _, f := range list {
		if f.open != nil && f.open.Add(-1) == 0 && h.s.ctx.Err() == nil {
			h.decline(f.Frame)
		}
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
	return h.loop(ctx, t, true, func() { h.remove(t) }), nil
}

// loop yields what t takes, and acknowledges it if it acks; release runs once, when the loop or ctx has ended,
// whichever comes first: a loop that is never begun must not hold up the connection.
func (h *hubSide) loop(ctx context.Context, t *taker, acks bool, release func()) iter.Seq2[*comm.Frame, error] {
	release = sync.OnceFunc(release)
	stop := context.AfterFunc(ctx, release)
	return func(yield func(*comm.Frame, error) bool) {
		defer release()
		defer stop()
		var spare []handed
		for {
			select {
			case <-t.more:
			case <-ctx.Done():
				return
			}
			list, over, err := t.take(spare[:0])
			if !h.work(ctx, list, acks, yield) {
				return
			}
			if over {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			t.worked()
			spare = list
		}
	}
}

// work has a loop's body work on frames, and reports whether it goes on. A context that has ended says that the body
// was not told of the frame with which it ended.
func (h *hubSide) work(ctx context.Context, list []handed, acks bool, yield func(*comm.Frame, error) bool) bool {
	for i, f := range list {
		list[i] = handed{}
		on := yield(f.Frame, nil)
		over := ctx.Err() != nil
		switch {
		case on && acks:
			h.acknowledge(f.Frame)
		case !on && over:
			h.drop([]handed{f})
		}
		if !on || over {
			h.drop(list[i+1:])
			return false
		}
	}
	return true
}

// acknowledge tells the sender of a message that waits for it that the loop's body has worked on it.
func (h *hubSide) acknowledge(f *comm.Frame) {
	if f.Ack && f.Op == comm.OpMessage {
		_ = h.tell(&comm.Frame{Op: comm.OpAck, ID: f.ID}) // it has closed: then nobody waits for the ack
	}
}

// ownPrefix begins the ids of frames that are given to the hub in the client's name. againPrefix begins those with
// which a connection leaves a group in order to join it anew, and joins one that it is in already.
const (
	ownPrefix   = "graphql."
	againPrefix = ownPrefix + "again."
)

func newAskID() string { return ownPrefix + rand.Text() }

func newAgainID() string { return againPrefix + rand.Text() }

func isOwn(id string) bool { return strings.HasPrefix(id, ownPrefix) }

// answersOwn reports whether a frame is the answer to one of those. The id of a message is its sender's.
func answersOwn(f *comm.Frame) bool {
	return isOwn(f.ID) && f.Op != comm.OpMessage && f.Op != comm.OpCall
}

func comesAgain(id string) bool { return strings.HasPrefix(id, againPrefix) }
