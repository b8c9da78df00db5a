package graphql

import (
	"context"
	"crypto/rand"
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
	awake func()        // tells the loop that there is something for it; nil before it begins
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
	return &taker{keep: keep}
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

// wake tells the loop. t.mu is held.
func (t *taker) wake() {
	if t.awake != nil {
		t.awake()
	}
}

func (t *taker) begin(wake func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.awake = wake
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
