package park

import (
	"math/bits"
	"time"
)

// tick is a point in time in steps of 1/30 s, the precision of deadlines here. Heartbeats need no more, and
// those that fall into one step cost one wake-up of the poller.
type tick int64

const step = 1 << 25 // nanoseconds

// epoch is what ticks count from. The first has number 1, since 0 is never.
var epoch = time.Now().Add(-step)

func now() tick { return tick(time.Since(epoch) / step) }

// after is the first tick that is not before d from now.
func after(d time.Duration) tick { return tick((time.Since(epoch) + d + step - 1) / step) }

func (t tick) time() time.Time { return epoch.Add(time.Duration(t) * step) }

// slots is the number of ticks in one turn of the wheel, half a minute. A deadline beyond it is looked at
// once in each turn.
const slots = 1024

// wheel holds waiters by their deadline. To add, to remove and to find the next slot in use cost the same
// whatever their number.
type wheel struct {
	seen tick // all slots up to it have been emptied
	used [slots / 64]uint64
	slot [slots]*Waiter
}

// add puts w into its slot. One whose time has passed already is found at the next tick.
func (h *wheel) add(w *Waiter) {
	w.due = max(w.due, h.seen+1)
	i := w.due % slots
	w.prev, w.next = nil, h.slot[i]
	if w.next != nil {
		w.next.prev = w
	}
	h.slot[i] = w
	h.used[i/64] |= 1 << (i % 64)
}

func (h *wheel) remove(w *Waiter) {
	if w.due == 0 {
		return
	}
	i := w.due % slots
	if w.prev != nil {
		w.prev.next = w.next
	} else if h.slot[i] = w.next; w.next == nil {
		h.used[i/64] &^= 1 << (i % 64)
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.due = nil, nil, 0
}

// expire calls f with every waiter whose time has come by now; f removes it.
func (h *wheel) expire(now tick, f func(*Waiter)) {
	for t := max(h.seen+1, now-slots+1); t <= now; t++ {
		for w := h.slot[t%slots]; w != nil; {
			next := w.next
			if w.due <= now {
				f(w)
			}
			w = next
		}
	}
	h.seen = max(h.seen, now)
}

// soonest is the tick of the next slot in use, 0 if there is none. Its waiters may be those of a later turn.
func (h *wheel) soonest() tick {
	from := h.seen + 1
	for n := tick(0); n < slots; {
		i := (from + n) % slots
		if rest := h.used[i/64] >> (i % 64); rest != 0 {
			return from + n + tick(bits.TrailingZeros64(rest))
		}
		n += 64 - i%64
	}
	return 0
}
