package queue

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

// Lanes is the number of priorities: 0 is high, 1 normal, 2 low.
const Lanes = 3

// shares is how many messages of each lane go into one round, so that a full high lane
// never starves the low one.
var shares = [Lanes]int{8, 4, 1}

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

// Item is what the queue must know of a message. A kept message is never dropped from the queue;
// when it does not fit, Push answers Full and the caller replays it from its log.
type Item[T any] struct {
	Value T
	Size  int
	Key   string // for LatestByKey; empty means no key
	Kept  bool
	gone  bool // dropped in place: its sequence number stays taken
}

// Queue is the outbound queue of one connection: a control ring that is never dropped and
// always leaves first, and three priority lanes bounded together by messages and bytes.
// The zero value is empty with no bounds; it must not be used before Limit.
type Queue[T any] struct {
	control Ring[T]
	lanes   [Lanes]Ring[Item[T]]
	keys    map[string]uint64 // LatestByKey: key -> sequence number in its lane
	turn    int               // the lane whose round it is
	left    int               // messages left in that round
	count   int
	bytes   int
	policy  Policy

	maxCount, maxBytes int
}

// Limit sets the bounds and the policy. An empty queue admits one message of any size.
func (q *Queue[T]) Limit(messages, bytes int, p Policy) {
	q.maxCount, q.maxBytes, q.policy = messages, bytes, p
	q.turn = Lanes - 1 // the first round begins with high
}

// Len returns the number of messages in the lanes; Bytes their size; Control the number of control items.
func (q *Queue[T]) Len() int { return q.count }

// Bytes returns the counted size of the messages in the lanes.
func (q *Queue[T]) Bytes() int { return q.bytes }

// Control returns the number of control items waiting.
func (q *Queue[T]) Control() int { return q.control.Len() }

// Empty reports whether nothing at all is waiting.
func (q *Queue[T]) Empty() bool { return q.count == 0 && q.control.Len() == 0 && q.reserved() == 0 }

func (q *Queue[T]) reserved() int {
	n := 0
	for i := range q.lanes {
		n += q.lanes[i].Len()
	}
	return n
}

// PushControl appends v to the control ring.
func (q *Queue[T]) PushControl(v T) { q.control.Push(v) }

// PushOrdered appends v to a lane behind all that is there, past every bound: for control
// items that must keep their place between messages.
func (q *Queue[T]) PushOrdered(lane int, v T) {
	q.lanes[lane].Push(Item[T]{Value: v, Kept: true})
	q.count++
}

// Push appends it to a lane, or applies the policy when the queue is full.
// dropped is how many messages were lost for it, itself not included.
func (q *Queue[T]) Push(lane int, it Item[T]) (r Result, dropped int) {
	if q.policy == LatestByKey && it.Key != "" && !it.Kept {
		replaced, gone := q.replace(lane, it)
		if replaced {
			return Replaced, 1
		}
		dropped = gone
	}
	if q.fits(it.Size) {
		q.put(lane, it)
		if dropped > 0 {
			return Evicted, dropped
		}
		return Queued, 0
	}
	switch {
	case it.Kept || q.policy == Disconnect || q.policy == Block:
		return Full, 0
	case q.policy == DropNewest:
		return Dropped, 0
	}
	for !q.fits(it.Size) {
		if !q.dropOldest() {
			return Dropped, dropped
		}
		dropped++
	}
	q.put(lane, it)
	return Evicted, dropped
}

// Barrier returns a mark behind all that is queued in a lane now; Passed reports whether all of it has left.
func (q *Queue[T]) Barrier(lane int) uint64 { return q.lanes[lane].Put() }

// Passed reports whether every item that stood in the lane at the time of the barrier has left.
func (q *Queue[T]) Passed(lane int, barrier uint64) bool { return q.lanes[lane].Taken() >= barrier }

// Take moves items to dst until it holds max items or at least bytes bytes: control first, then the
// lanes in rounds of 8 high, 4 normal and 1 low.
func (q *Queue[T]) Take(dst []T, maxItems, maxBytes int) []T {
	for len(dst) < maxItems {
		v, ok := q.control.Pop()
		if !ok {
			break
		}
		dst = append(dst, v)
	}
	size := 0
	for len(dst) < maxItems && size < maxBytes {
		it, ok := q.next()
		if !ok {
			break
		}
		dst = append(dst, it.Value)
		size += it.Size
	}
	return dst
}

// Clear drops everything and returns how many messages were lost.
func (q *Queue[T]) Clear() int {
	n := q.count
	q.control.Clear()
	for i := range q.lanes {
		q.lanes[i].Clear()
	}
	q.keys, q.count, q.bytes = nil, 0, 0
	return n
}

func (q *Queue[T]) fits(size int) bool {
	return q.count == 0 || q.count < q.maxCount && q.bytes+size <= q.maxBytes
}

func (q *Queue[T]) put(lane int, it Item[T]) {
	if q.policy == LatestByKey && it.Key != "" && !it.Kept {
		if q.keys == nil {
			q.keys = make(map[string]uint64)
		}
		q.keys[it.Key] = q.lanes[lane].Put()<<2 | uint64(lane)
	}
	q.lanes[lane].Push(it)
	q.count++
	q.bytes += it.Size
}

// replace puts it in the place of the queued message with its key, in the same lane. One that is
// too large for that place takes it away instead: dropped is then 1.
func (q *Queue[T]) replace(lane int, it Item[T]) (replaced bool, dropped int) {
	at, ok := q.keys[it.Key]
	if !ok || int(at&3) != lane {
		return false, 0
	}
	old := q.lanes[lane].At(at >> 2)
	if old == nil || old.gone {
		return false, 0
	}
	if q.count > 1 && q.bytes-old.Size+it.Size > q.maxBytes {
		q.drop(lane, at>>2, old)
		return false, 1
	}
	q.bytes += it.Size - old.Size
	*old = it
	return true, 0
}

// drop takes a queued message out of its place.
func (q *Queue[T]) drop(lane int, seq uint64, it *Item[T]) {
	q.forget(it.Key, lane, seq)
	q.count--
	q.bytes -= it.Size
	*it = Item[T]{gone: true}
	q.trim(&q.lanes[lane])
}

// dropOldest drops the oldest message that may be dropped, of the lowest priority first.
func (q *Queue[T]) dropOldest() bool {
	for lane := Lanes - 1; lane >= 0; lane-- {
		r := &q.lanes[lane]
		for seq := r.Taken(); seq < r.Put(); seq++ {
			it := r.At(seq)
			if it.Kept || it.gone {
				continue
			}
			q.drop(lane, seq, it)
			return true
		}
	}
	return false
}

// trim removes dropped items from the front of a lane, so that repeated drops stay cheap.
func (q *Queue[T]) trim(r *Ring[Item[T]]) {
	for {
		if it := r.At(r.Taken()); it == nil || !it.gone {
			return
		}
		r.Pop()
	}
}

func (q *Queue[T]) forget(key string, lane int, seq uint64) {
	if q.keys != nil && key != "" && q.keys[key] == seq<<2|uint64(lane) {
		delete(q.keys, key)
	}
}

// next pops the next message in the order of the rounds.
func (q *Queue[T]) next() (it Item[T], ok bool) {
	if q.count == 0 {
		for i := range q.lanes { // only dropped items may be left
			q.trim(&q.lanes[i])
		}
		q.turn, q.left = Lanes-1, 0 // what comes next begins with high
		return it, false
	}
	for {
		if q.left == 0 || q.lanes[q.turn].Len() == 0 {
			q.turn = (q.turn + 1) % Lanes
			q.left = shares[q.turn]
			if q.lanes[q.turn].Len() == 0 {
				q.left = 0
				continue
			}
		}
		lane := q.turn
		seq := q.lanes[lane].Taken()
		it, _ = q.lanes[lane].Pop()
		if it.gone {
			continue
		}
		q.left--
		q.count--
		q.bytes -= it.Size
		q.forget(it.Key, lane, seq)
		return it, true
	}
}
