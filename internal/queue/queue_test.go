package queue_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/queue"
)

func TestRing(t *testing.T) {
	t.Parallel()
	var r queue.Ring[int]
	if _, ok := r.Pop(); ok || r.Len() != 0 || r.At(0) != nil {
		t.Fatal("the zero ring is not empty")
	}
	// Against a slice, with random pushes and pops that wrap, grow and empty it.
	rng := rand.New(rand.NewPCG(1, 2))
	var model []int
	next, taken := 0, 0
	for range 100_000 {
		if rng.IntN(100) < 50+rng.IntN(3)-1 {
			r.Push(next)
			model = append(model, next)
			next++
		} else if v, ok := r.Pop(); ok != (len(model) > 0) || ok && v != model[0] {
			t.Fatalf("popped %d, %v, want the front of %v", v, ok, model)
		} else if ok {
			model = model[1:]
			taken++
		}
		if r.Len() != len(model) || r.Put() != uint64(next) || r.Taken() != uint64(taken) {
			t.Fatalf("len %d, put %d, taken %d, want %d, %d, %d", r.Len(), r.Put(), r.Taken(), len(model), next, taken)
		}
		if len(model) > 0 {
			i := rng.IntN(len(model))
			if p := r.At(uint64(taken + i)); p == nil || *p != model[i] {
				t.Fatalf("At(%d) = %v, want %d", taken+i, p, model[i])
			}
		}
		if r.At(r.Put()) != nil || taken > 0 && r.At(uint64(taken-1)) != nil {
			t.Fatal("At outside of the ring is not nil")
		}
	}
	r.Clear()
	if r.Len() != 0 || r.Put() != uint64(next) || r.Taken() != r.Put() {
		t.Fatal("Clear keeps items, or forgets the sequence")
	}
}

// message is one for tests.
type message struct {
	name, key string
	size      int
	kept      bool
}

func (m message) Size() int     { return m.size }
func (m message) Key() string   { return m.key }
func (m message) Awaited() bool { return strings.HasSuffix(m.name, "?") }

// full is a queue of 4 messages and 100 bytes.
func full(p queue.Policy) *queue.Queue[message] {
	q := new(queue.Queue[message])
	q.Limit(&queue.Limits{Messages: 4, Bytes: 100, Policy: p})
	return q
}

func item(name string, size int) message { return message{name: name, size: size} }

func keyed(name, key string, size int) message { return message{name: name, key: key, size: size} }

func names(list []message) (s []string) {
	for _, m := range list {
		s = append(s, m.name)
	}
	return s
}

func drain(q *queue.Queue[message]) []string { return names(q.Take(nil, 1000, 1<<30)) }

func TestPolicies(t *testing.T) {
	t.Parallel()
	type push struct {
		lane    int
		item    message
		want    queue.Result
		dropped int
	}
	four := []push{
		{1, item("a", 10), queue.Queued, 0},
		{1, item("b", 10), queue.Queued, 0},
		{1, item("c", 10), queue.Queued, 0},
		{1, item("d", 10), queue.Queued, 0},
	}
	kept := message{name: "kept", size: 10, kept: true}
	for _, c := range []struct {
		name   string
		policy queue.Policy
		pushes []push
		want   []string
	}{
		{"disconnect", queue.Disconnect, append(four[:4:4], push{1, item("e", 1), queue.Full, 0}), []string{"a", "b", "c", "d"}},
		{"block", queue.Block, append(four[:4:4], push{1, item("e", 1), queue.Full, 0}), []string{"a", "b", "c", "d"}},
		{"drop newest", queue.DropNewest, append(four[:4:4], push{1, item("e", 1), queue.Dropped, 0}), []string{"a", "b", "c", "d"}},
		{"drop oldest", queue.DropOldest, append(four[:4:4], push{1, item("e", 1), queue.Evicted, 1}), []string{"b", "c", "d", "e"}},
		{"drop oldest by bytes", queue.DropOldest, append(four[:4:4], push{1, item("e", 85), queue.Evicted, 3}), []string{"d", "e"}},
		{
			"drop oldest of the lowest priority", queue.DropOldest,
			append(four[:3:3], push{2, item("low", 10), queue.Queued, 0}, push{0, item("high", 10), queue.Evicted, 1}),
			[]string{"high", "a", "b", "c"},
		},
		{"larger than everything", queue.DropOldest, append(four[:2:2], push{1, item("big", 1000), queue.Evicted, 2}), []string{"big"}},
		{"empty queue takes any size", queue.Disconnect, []push{{1, item("big", 1000), queue.Queued, 0}, {1, item("x", 1), queue.Full, 0}}, []string{"big"}},
		{
			"kept messages are not evicted", queue.DropOldest,
			[]push{
				{1, kept, queue.Queued, 0},
				{1, kept, queue.Queued, 0},
				{1, kept, queue.Queued, 0},
				{1, kept, queue.Queued, 0},
				{1, item("e", 1), queue.Dropped, 0},
				{1, kept, queue.Full, 0},
			},
			[]string{"kept", "kept", "kept", "kept"},
		},
		{"kept messages come back", queue.DropNewest, append(four[:4:4], push{1, kept, queue.Full, 0}), []string{"a", "b", "c", "d"}},
		{
			"latest by key", queue.LatestByKey,
			[]push{
				{1, keyed("a1", "a", 10), queue.Queued, 0},
				{1, keyed("b1", "b", 10), queue.Queued, 0},
				{1, keyed("a2", "a", 20), queue.Replaced, 1},
				{1, item("plain", 10), queue.Queued, 0},
				{1, keyed("c1", "c", 10), queue.Queued, 0},
				{1, keyed("d1", "d", 10), queue.Evicted, 1},
			},
			[]string{"b1", "plain", "c1", "d1"},
		},
		{
			"latest by key in two lanes", queue.LatestByKey,
			[]push{{1, keyed("a1", "a", 10), queue.Queued, 0}, {0, keyed("a2", "a", 10), queue.Queued, 0}, {0, keyed("a3", "a", 10), queue.Replaced, 1}},
			[]string{"a3", "a1"},
		},
		{
			"latest by key that no longer fits", queue.LatestByKey,
			[]push{
				{1, keyed("a1", "a", 10), queue.Queued, 0},
				{1, item("b", 40), queue.Queued, 0},
				{1, item("c", 40), queue.Queued, 0},
				{1, keyed("a2", "a", 50), queue.Evicted, 2},
			},
			[]string{"c", "a2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := full(c.policy)
			for _, p := range c.pushes {
				if r, dropped := q.Push(p.lane, p.item, 0, p.item.kept); r != p.want || dropped != p.dropped {
					t.Fatalf("Push(%q) = %v, %d, want %v, %d", p.item.name, r, dropped, p.want, p.dropped)
				}
				if q.Len() > 4 || q.Len() > 1 && q.Bytes() > 100 {
					t.Fatalf("the queue holds %d messages of %d bytes", q.Len(), q.Bytes())
				}
			}
			if got := drain(q); !slices.Equal(got, c.want) {
				t.Fatalf("left %q, want %q", got, c.want)
			}
			if q.Len() != 0 || q.Bytes() != 0 || !q.Empty() {
				t.Fatalf("after all have left: %d messages of %d bytes", q.Len(), q.Bytes())
			}
		})
	}
}

// TestShares holds the rounds to 8 high, 4 normal and 1 low.
func TestShares(t *testing.T) {
	t.Parallel()
	var q queue.Queue[message]
	q.Limit(&queue.Limits{Messages: 1000, Bytes: 1 << 20, Policy: queue.Disconnect})
	for i := range 130 {
		for lane, name := range []string{"h", "n", "l"} {
			q.Push(lane, item(fmt.Sprint(name, i), 1), 0, false)
		}
	}
	for round := range 10 {
		count := map[byte]int{}
		for _, v := range q.Take(nil, 13, 1<<20) {
			count[v.name[0]]++
		}
		if count['h'] != 8 || count['n'] != 4 || count['l'] != 1 {
			t.Fatalf("round %d: %v, want 8, 4 and 1", round, count)
		}
	}
	// An empty lane leaves its share to the others.
	var low queue.Queue[message]
	low.Limit(&queue.Limits{Messages: 1000, Bytes: 1 << 20, Policy: queue.Disconnect})
	for i := range 100 {
		low.Push(2, item(fmt.Sprint("l", i), 1), 0, false)
	}
	if got := low.Take(nil, 100, 1<<20); len(got) != 100 || got[0].name != "l0" || got[99].name != "l99" {
		t.Fatalf("took %d of 100", len(got))
	}
}

func TestControlAndOrdered(t *testing.T) {
	t.Parallel()
	q := full(queue.DropOldest)
	q.Push(1, item("a", 10), 0, false)
	q.PushOrdered(1, item("joined", 0), 0)
	q.Push(1, item("b", 10), 0, false)
	q.PushControl(item("pong", 0))
	if q.Control() != 1 || q.Empty() {
		t.Fatalf("control %d", q.Control())
	}
	for range 5 { // the ordered one is never dropped
		q.Push(1, item("x", 10), 0, false)
	}
	if got := drain(q); got[0] != "pong" || got[1] != "joined" {
		t.Fatalf("got %q, want the control item first and the ordered one kept", got)
	}
	q.Push(1, item("c", 60), 0, false)
	q.Push(1, item("d", 30), 0, false)
	if got := names(q.Take(nil, 10, 50)); !slices.Equal(got, []string{"c"}) {
		t.Fatalf("took %q, want to stop behind 50 bytes", got)
	}
	q.PushControl(item("pong", 0))
	if n := q.Clear(); n != 1 || !q.Empty() || q.Control() != 0 || q.Bytes() != 0 {
		t.Fatalf("Clear = %d, control %d", n, q.Control())
	}
}

// TestLane takes one lane up to a sequence number.
func TestLane(t *testing.T) {
	t.Parallel()
	var q queue.Queue[message]
	q.Limit(&queue.Limits{Messages: 10, Bytes: 1000, Policy: queue.DropOldest})
	if _, ok := q.Head(1); ok {
		t.Fatal("an empty lane has a head")
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		q.Push(1, item(name, 10), uint64(10+i), false)
	}
	q.Push(0, item("high", 10), 20, false)
	if seq, ok := q.Head(1); !ok || seq != 10 {
		t.Fatalf("Head = %d, %v, want 10", seq, ok)
	}
	for _, take := range []struct {
		upTo     uint64
		n, bytes int
		want     []string
	}{
		{9, 10, 1000, nil}, {11, 1, 1000, []string{"a"}}, {11, 10, 1000, []string{"b"}}, {99, 10, 5, []string{"c"}}, {99, 10, 1000, []string{"d"}},
	} {
		got, size := q.TakeLane(nil, 1, take.upTo, take.n, take.bytes)
		if !slices.Equal(names(got), take.want) || size != 10*len(take.want) {
			t.Fatalf("TakeLane(%v) = %q of %d bytes", take, names(got), size)
		}
	}
	if q.Len() != 1 || q.Bytes() != 10 {
		t.Fatalf("%d messages of %d bytes are left, want the one of the other lane", q.Len(), q.Bytes())
	}
}

func TestBarrier(t *testing.T) {
	t.Parallel()
	q := full(queue.DropOldest)
	if !q.Passed(1, q.Barrier(1)) {
		t.Fatal("nothing stands before the barrier of an empty lane")
	}
	q.Push(1, item("a", 10), 0, false)
	q.Push(1, item("b", 10), 0, false)
	b := q.Barrier(1)
	q.Push(1, item("c", 10), 0, false)
	if q.Take(nil, 1, 1000); q.Passed(1, b) {
		t.Fatal("passed with b in the lane")
	}
	if q.Take(nil, 1, 1000); !q.Passed(1, b) {
		t.Fatal("not passed although b has left")
	}
	b = q.Barrier(1)
	if q.Clear(); !q.Passed(1, b) {
		t.Fatal("not passed although the lane was cleared")
	}
}

// numbered is a message with a number.
type numbered struct {
	n, size int
	key     string
}

func (m numbered) Size() int     { return m.size }
func (m numbered) Key() string   { return m.key }
func (m numbered) Awaited() bool { return m.n%3 == 0 }

// TestRandom holds the queue to a simple model under each policy: bounds, order in each lane, and
// that every message is accounted for once.
func TestRandom(t *testing.T) {
	t.Parallel()
	for _, policy := range []queue.Policy{queue.Disconnect, queue.DropOldest, queue.DropNewest, queue.LatestByKey, queue.Block} {
		rng := rand.New(rand.NewPCG(7, uint64(policy)))
		var q queue.Queue[numbered]
		q.Limit(&queue.Limits{Messages: 50, Bytes: 2000, Policy: policy})
		pushed, left, lost, told := 0, 0, 0, 0
		last, lanes := [queue.Lanes]int{-1, -1, -1}, map[int]int{}
		for range 50_000 {
			if rng.IntN(3) > 0 {
				lane := rng.IntN(queue.Lanes)
				it := numbered{n: pushed, size: rng.IntN(100)}
				if policy == queue.LatestByKey && rng.IntN(2) == 0 {
					it.key = fmt.Sprint(rng.IntN(20))
				}
				lanes[pushed] = lane
				r, dropped := q.Push(lane, it, uint64(pushed), rng.IntN(10) == 0)
				awaited := q.TakeDropped()
				if len(awaited) > dropped || slices.ContainsFunc(awaited, func(m numbered) bool { return m.n%3 != 0 || m.n == pushed }) {
					t.Fatalf("policy %d: of %d dropped, awaited were %v", policy, dropped, awaited)
				}
				told += len(awaited)
				if r == queue.Dropped || r == queue.Full {
					dropped++
				}
				pushed++
				lost += dropped
			} else {
				for _, v := range q.Take(nil, 1+rng.IntN(3), 500) {
					lane := lanes[v.n]
					if policy != queue.LatestByKey && v.n <= last[lane] {
						t.Fatalf("policy %d: %d left lane %d after %d", policy, v.n, lane, last[lane])
					}
					last[lane] = v.n
					left++
				}
			}
			if q.Len() > 50 || q.Len() > 1 && q.Bytes() > 2000 || q.Bytes() < 0 {
				t.Fatalf("policy %d: %d messages of %d bytes", policy, q.Len(), q.Bytes())
			}
			if pushed != left+lost+q.Len() {
				t.Fatalf("policy %d: %d pushed, %d left, %d lost, %d queued", policy, pushed, left, lost, q.Len())
			}
		}
		if drops := policy == queue.DropOldest || policy == queue.LatestByKey; told > 0 != drops {
			t.Errorf("policy %d: %d awaited messages were dropped", policy, told)
		}
		left += len(q.Take(nil, 1000, 1<<30))
		if pushed != left+lost || !q.Empty() || q.Bytes() != 0 {
			t.Fatalf("policy %d: %d pushed, %d left, %d lost, %d bytes", policy, pushed, left, lost, q.Bytes())
		}
	}
}

// Awaited messages that others took the place of are told once, in their order; what was never queued is not, nor what
// left or was cleared.
func TestTakeDropped(t *testing.T) {
	t.Parallel()
	for policy, want := range map[queue.Policy]string{
		queue.DropOldest: "a? b?", queue.DropNewest: "", queue.LatestByKey: "b? a? b2?", queue.Disconnect: "", queue.Block: "",
	} {
		q := full(policy)
		for _, name := range []string{"gone?", "a?", "b?", "c", "d?"} {
			q.Push(1, message{name: name, key: name[:1], size: 10}, 0, false)
			if name == "gone?" {
				q.Take(nil, 1, 1)
			}
		}
		q.Push(1, message{name: "b2?", key: "b", size: 10}, 0, false)
		q.Push(1, item("large?", 75), 0, false)
		var got []string
		for _, m := range q.TakeDropped() {
			got = append(got, m.name)
		}
		q.Clear()
		if text := strings.Join(got, " "); text != want || len(q.TakeDropped()) != 0 {
			t.Errorf("policy %d: %q, want %q", policy, text, want)
		}
	}
}
