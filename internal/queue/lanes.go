package queue

import "math"

// Policy says what happens to a message that finds the queue full.
type Policy uint8

// The overflow policies.
const (
	Disconnect  Policy = iota // the connection is closed
	DropOldest                // the oldest message that may be dropped makes room
	DropNewest                // the new message is dropped
	LatestByKey               // a queued message with the same key is replaced; else as DropOldest
	Block                     // the caller waits for room
)

// Result says what Push did with a message.
type Result uint8

// The results of Push.
const (
	Queued   Result = iota
	Replaced        // queued in the place of an older one with the same key, which was dropped
	Evicted         // queued, and at least one older message was dropped for it
	Dropped         // not queued
	Full            // not queued: the policy leaves it to the caller (Disconnect, Block, or a kept message)
)

// Message is what the queue must know of one.
type Message interface {
	Size() int     // as it counts against the bounds
	Key() string   // for LatestByKey; empty means no key
	Awaited() bool // somebody waits for what comes of it: when it is dropped, TakeDropped tells
}

// item is a message in its lane.
type item[T Message] struct {
	value T
	seq   uint64
	kept  bool // never dropped: when it does not fit, Push answers Full, and the caller replays it from its log
	gone  bool // dropped in place: its place stays taken
}

// Queue is the outbound queue of one connection: a control ring that is never dropped and
// always leaves first, and three priority lanes bounded together by messages and bytes.
// Every message comes with a sequence number of the caller's, which tells its place among messages
// that wait elsewhere. The zero value is empty with no bounds; it must not be used before Limit.
type Queue[T Message] struct {
	control Ring[T]
	normal  Ring[item[T]]
	others  *others[T]
	keys    map[string]uint64 // LatestByKey: key -> place in its lane
	limits  *Limits
	bytes   int
	count   int32
	rounds  Rounds
}

// others is what most queues never need.
type others[T Message] struct {
	lanes   [Lanes]Ring[item[T]] // high and low
	dropped []T                  // that are awaited
}

// other returns what most queues never need.
func (q *Queue[T]) other() *others[T] {
	if q.others == nil {
		q.others = new(others[T])
	}
	return q.others
}

// TakeDropped returns the awaited messages that were dropped, for other ones or for their successors, since it was
// called last. Those that Clear drops are not among them, and none that Push did not queue.
func (q *Queue[T]) TakeDropped() []T {
	if q.others == nil {
		return nil
	}
	dropped := q.others.dropped
	q.others.dropped = nil
	return dropped
}

// lose notes a message that is dropped.
func (q *Queue[T]) lose(v T) {
	if v.Awaited() {
		o := q.other()
		o.dropped = append(o.dropped, v)
	}
}

// Limits bound queues, which share them. An empty queue admits one message of any size.
type Limits struct {
	Messages, Bytes int
	Policy          Policy
}

// Limit sets the bounds and the policy, which must not change.
func (q *Queue[T]) Limit(l *Limits) { q.limits = l }

// Len returns the number of messages in the lanes; Bytes their size; Control the number of control items.
func (q *Queue[T]) Len() int { return int(q.count) }

// Bytes returns the counted size of the messages in the lanes.
func (q *Queue[T]) Bytes() int { return q.bytes }

// Control returns the number of control items waiting.
func (q *Queue[T]) Control() int { return q.control.Len() }

// Empty reports whether nothing at all is waiting.
func (q *Queue[T]) Empty() bool { return q.count == 0 && q.control.Len() == 0 }

// lane returns a lane, or nil for one that was never used.
func (q *Queue[T]) lane(i int) *Ring[item[T]] {
	switch {
	case i == normalLane:
		return &q.normal
	case q.others == nil:
		return nil
	}
	return &q.others.lanes[i]
}

// use returns a lane to be put into.
func (q *Queue[T]) use(i int) *Ring[item[T]] {
	if i != normalLane {
		q.other()
	}
	return q.lane(i)
}

// PushControl appends v to the control ring.
func (q *Queue[T]) PushControl(v T) { q.control.Push(v) }

// PushOrdered appends v to a lane behind all that is there, past every bound: for control
// items that must keep their place between messages.
func (q *Queue[T]) PushOrdered(lane int, v T, seq uint64) {
	q.use(lane).Push(item[T]{value: v, seq: seq, kept: true})
	q.count++
	q.bytes += v.Size()
}

// Push appends v to a lane, or applies the policy when the queue is full. A kept message is never
// dropped. dropped is how many messages were lost for it, itself not included.
func (q *Queue[T]) Push(lane int, v T, seq uint64, kept bool) (r Result, dropped int) {
	it := item[T]{value: v, seq: seq, kept: kept}
	size := v.Size()
	if q.limits.Policy == LatestByKey && !kept && v.Key() != "" {
		replaced, gone := q.replace(lane, it)
		if replaced {
			return Replaced, 1
		}
		dropped = gone
	}
	if q.fits(size) {
		q.put(lane, it)
		if dropped > 0 {
			return Evicted, dropped
		}
		return Queued, 0
	}
	switch {
	case kept || q.limits.Policy == Disconnect || q.limits.Policy == Block:
		return Full, 0
	case q.limits.Policy == DropNewest:
		return Dropped, 0
	}
	for !q.fits(size) {
		if !q.dropOldest() {
			return Dropped, dropped
		}
		dropped++
	}
	q.put(lane, it)
	return Evicted, dropped
}

// Barrier returns a mark behind all that is queued in a lane now; Passed reports whether all of it has left.
func (q *Queue[T]) Barrier(lane int) uint64 {
	r := q.lane(lane)
	if r == nil {
		return 0
	}
	return r.Put()
}

// Passed reports whether every item that stood in the lane at the time of the barrier has left.
func (q *Queue[T]) Passed(lane int, barrier uint64) bool {
	r := q.lane(lane)
	return r == nil || r.Taken() >= barrier
}

// Take moves items to dst until it holds max items or at least bytes bytes: control first, then the
// lanes in rounds.
func (q *Queue[T]) Take(dst []T, maxItems, maxBytes int) []T {
	dst = q.TakeControl(dst, maxItems)
	for size := 0; len(dst) < maxItems && size < maxBytes; {
		lane, n := q.rounds.Next(q.waiting())
		if n == 0 {
			break
		}
		before := len(dst)
		var bytes int
		dst, bytes = q.TakeLane(dst, lane, math.MaxUint64, min(n, maxItems-len(dst)), maxBytes-size)
		q.rounds.Spend(len(dst) - before)
		size += bytes
	}
	return dst
}

// waiting tells the lanes with messages.
func (q *Queue[T]) waiting() (w [Lanes]bool) {
	if q.count == 0 {
		return w
	}
	for lane := range w {
		r := q.lane(lane)
		w[lane] = r != nil && r.Len() > 0
	}
	return w
}

// TakeControl moves control items to dst until it holds max items.
func (q *Queue[T]) TakeControl(dst []T, maxItems int) []T {
	for len(dst) < maxItems {
		v, ok := q.control.Pop()
		if !ok {
			break
		}
		dst = append(dst, v)
	}
	return dst
}

// Head returns the sequence number of the first message in a lane.
func (q *Queue[T]) Head(lane int) (seq uint64, ok bool) {
	r := q.lane(lane)
	if r == nil || r.Len() == 0 {
		return 0, false
	}
	return r.At(r.Taken()).seq, true
}

// TakeLane moves messages of one lane with sequence numbers up to upTo to dst: at most n of them,
// and none more once they have at least maxBytes.
func (q *Queue[T]) TakeLane(dst []T, lane int, upTo uint64, n, maxBytes int) (out []T, bytes int) {
	r := q.use(lane)
	for n > 0 && bytes < maxBytes {
		place := r.Taken()
		if it := r.At(place); it == nil || it.seq > upTo {
			break
		}
		taken, _ := r.Pop()
		q.trim(r)
		size := taken.value.Size()
		q.count--
		q.bytes -= size
		if q.keys != nil {
			q.forget(taken.value.Key(), lane, place)
		}
		dst = append(dst, taken.value)
		bytes += size
		n--
	}
	return dst, bytes
}

// Clear drops everything and returns how many messages were lost.
func (q *Queue[T]) Clear() int {
	n := q.Len()
	q.control.Clear()
	for i := range Lanes {
		if r := q.lane(i); r != nil {
			r.Clear()
		}
	}
	q.keys, q.count, q.bytes = nil, 0, 0
	return n
}

func (q *Queue[T]) fits(size int) bool {
	return q.count == 0 || q.Len() < q.limits.Messages && q.bytes+size <= q.limits.Bytes
}

func (q *Queue[T]) put(lane int, it item[T]) {
	if q.limits.Policy == LatestByKey && !it.kept {
		q.remember(it.value.Key(), lane)
	}
	q.use(lane).Push(it)
	q.count++
	q.bytes += it.value.Size()
}

// remember notes where the next message of a lane, which has the key, will stand.
func (q *Queue[T]) remember(key string, lane int) {
	if key == "" {
		return
	}
	if q.keys == nil {
		q.keys = make(map[string]uint64)
	}
	q.keys[key] = q.use(lane).Put()<<2 | uint64(lane)
}

// replace puts it in the place of the queued message with its key, in the same lane. One that is
// too large for that place takes it away instead: dropped is then 1.
func (q *Queue[T]) replace(lane int, it item[T]) (replaced bool, dropped int) {
	at, ok := q.keys[it.value.Key()]
	if !ok || int(at&3) != lane {
		return false, 0
	}
	old := q.use(lane).At(at >> 2)
	if old == nil || old.gone {
		return false, 0
	}
	grows := it.value.Size() - old.value.Size()
	if q.count > 1 && q.bytes+grows > q.limits.Bytes {
		q.drop(lane, at>>2, old)
		return false, 1
	}
	q.bytes += grows
	q.lose(old.value)
	*old = it
	return true, 0
}

// drop takes a queued message out of its place.
func (q *Queue[T]) drop(lane int, place uint64, it *item[T]) {
	q.forget(it.value.Key(), lane, place)
	q.lose(it.value)
	q.count--
	q.bytes -= it.value.Size()
	*it = item[T]{gone: true}
	q.trim(q.use(lane))
}

// dropOldest drops the oldest message that may be dropped, of the lowest priority first.
func (q *Queue[T]) dropOldest() bool {
	for lane := Lanes - 1; lane >= 0; lane-- {
		r := q.lane(lane)
		if r == nil {
			continue
		}
		for place := r.Taken(); place < r.Put(); place++ {
			it := r.At(place)
			if it.kept || it.gone {
				continue
			}
			q.drop(lane, place, it)
			return true
		}
	}
	return false
}

// trim removes dropped items from the front of a lane, where none ever stands.
func (q *Queue[T]) trim(r *Ring[item[T]]) {
	for {
		if it := r.At(r.Taken()); it == nil || !it.gone {
			return
		}
		r.Pop()
	}
}

func (q *Queue[T]) forget(key string, lane int, place uint64) {
	if q.keys != nil && key != "" && q.keys[key] == place<<2|uint64(lane) {
		delete(q.keys, key)
	}
}
