package commquic

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go/http3"
)

// wtKind is one of the two kinds of streams, which are counted apart.
type wtKind uint8

const (
	kindBidi wtKind = iota
	kindUni
)

// wtFlow is the flow control of one session, beyond QUIC's own. Nil is none: the peer has not announced it. Its methods
// are safe for concurrent use, call nothing of QUIC and do not wait, but for openSync: some run while QUIC fills a
// packet.
type wtFlow struct {
	wake func() // begins to tell; called with mu held

	mu      sync.Mutex        // guards the fields below
	ended   bool              // nothing is told any more
	telling bool              // somebody takes what is to be told
	sent    uint64            // bytes of the bodies of streams
	maxSent uint64            // as the peer allows
	out     [2]wtOutgoing     // streams of this end, by kind
	more    chan struct{}     // closed when the peer allows more
	arrived uint64            // bytes that have come, read or not
	used    uint64            // of them, those that are read or given up
	maxCome uint64            // as the peer knows
	window  uint64            // how much may wait to be read
	in      [2]wtIncoming     // streams of the peer
	dirty   map[uint64]uint64 // what is to be told: a capsule's type, and its number. At most one of each type
}

type wtOutgoing struct{ opened, max uint64 }

type wtIncoming struct{ opened, ended, max, window uint64 }

// newFlow makes the flow control of a session between two ends that have both announced limits, or nil.
func newFlow(ours, theirs wtLimits, wake func()) *wtFlow {
	if !ours.announced() || !theirs.announced() {
		return nil
	}
	return &wtFlow{
		wake: wake, maxSent: theirs.data, out: [2]wtOutgoing{{max: theirs.bidi}, {max: theirs.uni}}, more: make(chan struct{}),
		maxCome: ours.data, window: ours.data,
		in:    [2]wtIncoming{{max: ours.bidi, window: ours.bidi}, {max: ours.uni, window: ours.uni}},
		dirty: make(map[uint64]uint64),
	}
}

// tell notes a capsule. One of its type that has not left yet is replaced. f.mu is held.
func (f *wtFlow) tell(t http3.CapsuleType, n uint64) {
	if f.ended {
		return
	}
	f.dirty[uint64(t)] = n
	if !f.telling {
		f.telling = true
		f.wake()
	}
}

// next takes out what is to be told; with nil the telling is over.
func (f *wtFlow) next() (b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t, n := range f.dirty {
		b = appendLimit(b, http3.CapsuleType(t), n)
	}
	clear(f.dirty)
	f.telling = b != nil
	return b
}

// end has nothing told any more. Who waits does so no longer than its stream, or its session, lives.
func (f *wtFlow) end() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	clear(f.dirty)
}

// grant takes credit for up to n bytes. It is what quic.SendStream.WriteWithLimit asks for each packet, so that bytes
// count when they are sent: a reset before takes none.
func (f *wtFlow) grant(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = int(min(uint64(n), f.maxSent-f.sent))
	f.sent += uint64(n)
	return n
}

// reserve takes credit for all of n bytes or for none, and refund gives it back.
func (f *wtFlow) reserve(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if uint64(n) > f.maxSent-f.sent {
		f.tell(capsuleDataBlocked, f.maxSent)
		return false
	}
	f.sent += uint64(n)
	return true
}

func (f *wtFlow) refund(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	empty := f.sent == f.maxSent
	if f.sent -= uint64(n); empty {
		f.raised()
	}
}

// blocked tells the peer that data waits for credit, and returns what is closed when there is more; nil where there is
// some now.
func (f *wtFlow) blocked() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent < f.maxSent {
		return nil
	}
	f.tell(capsuleDataBlocked, f.maxSent)
	return f.more
}

// open takes a place for a stream of this end; where there is none it tells the peer, and returns what is closed when
// more is allowed.
func (f *wtFlow) open(k wtKind) (more <-chan struct{}) {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &f.out[k]
	if o.opened < o.max {
		o.opened++
		return nil
	}
	f.tell([2]http3.CapsuleType{capsuleStreamsBlockedBidi, capsuleStreamsBlockedUni}[k], o.max)
	return f.more
}

// openSync is open that waits for a place.
func (f *wtFlow) openSync(ctx context.Context, k wtKind) error {
	for {
		more := f.open(k)
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unopen gives the place of a stream back that QUIC did not open.
func (f *wtFlow) unopen(k wtKind) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out[k].opened--
	f.raised()
}

// raised wakes those who wait. f.mu is held.
func (f *wtFlow) raised() {
	close(f.more)
	f.more = make(chan struct{})
}

// allow takes a capsule of the peer.
func (f *wtFlow) allow(t http3.CapsuleType, n uint64) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch t {
	case capsuleMaxData:
		return f.raise(&f.maxSent, n, 1<<62)
	case capsuleMaxStreamsBidi:
		return f.raise(&f.out[kindBidi].max, n, maxStreamCount)
	case capsuleMaxStreamsUni:
		return f.raise(&f.out[kindUni].max, n, maxStreamCount)
	case capsuleStreamsBlockedBidi, capsuleStreamsBlockedUni:
		if n > maxStreamCount {
			return flowError("the peer is blocked at %d streams: allowed is %d", n, uint64(maxStreamCount))
		}
	case capsuleMaxStreamData, capsuleStreamDataBlocked:
		return flowError("capsule %#x is not allowed over HTTP/3", uint64(t))
	}
	return nil // one that is blocked is told as soon as what has come is used, and not before
}

func (f *wtFlow) raise(limit *uint64, to, most uint64) error {
	if to <= *limit || to > most {
		return flowError("a limit of %d after %d: allowed is a higher one of at most %d", to, *limit, most)
	}
	*limit = to
	f.raised()
	return nil
}

// accept counts a stream of the peer.
func (f *wtFlow) accept(k wtKind) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &f.in[k]
	if i.opened >= i.max {
		return flowError("the peer has opened more than %d streams", i.max)
	}
	i.opened++
	f.makeRoom(k)
	return nil
}

// forget counts the end of one.
func (f *wtFlow) forget(k wtKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in[k].ended++
	f.makeRoom(k)
}

// makeRoom allows as many further streams as have ended: a quarter of them at a time, but each of them at once to a peer
// that has none left, which waits. f.mu is held.
func (f *wtFlow) makeRoom(k wtKind) {
	i := &f.in[k]
	to := i.ended + i.window
	if to == i.max || to > maxStreamCount || to-i.max < i.window/4 && i.opened < i.max {
		return
	}
	i.max = to
	f.tell([2]http3.CapsuleType{capsuleMaxStreamsBidi, capsuleMaxStreamsUni}[k], to)
}

// come counts bytes that have come, and use those that are read or given up, for which the peer may send others, a
// quarter of the window at a time.
func (f *wtFlow) come(n uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.arrived += n; f.arrived > f.maxCome {
		return flowError("the peer has sent %d bytes: allowed was %d", f.arrived, f.maxCome)
	}
	return nil
}

func (f *wtFlow) use(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used += n
	if to := f.used + f.window; to-f.maxCome >= max(1, f.window/4) {
		f.maxCome = to
		f.tell(capsuleMaxData, to)
	}
}
