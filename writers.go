package comm

import (
	"sync"

	"github.com/anasamu/comm/internal/queue"
	"github.com/anasamu/comm/internal/warm"
)

// writers are the goroutines that write for many connections, one connection after the other. A send to
// a thousand connections so needs a few goroutines, whose stacks have grown once, and not a thousand.
// They end when there is nothing to write.
//
// A write that waits for its peer would hold the others up. So only transports that tell are written this
// way, and one that waits keeps its goroutine for itself, while another takes its place.
type writers struct {
	mu      sync.Mutex
	ready   queue.Ring[*Conn]
	running int // goroutines that take from ready
	most    int
	pool    *warm.Pool
	loop    func() // run, stored: a go statement with a method allocates
}

// writer is one of them.
type writer struct {
	all   *writers
	taken []*Conn // from ready, to be written by this one
	left  bool    // it waited for a peer, and takes nothing more from ready
}

// submit has connections written whose outboxes were woken.
func (w *writers) submit(list []*Conn) {
	shared := 0
	for _, c := range list {
		if c.out.shared {
			shared++
		} else {
			go c.out.run()
		}
	}
	if shared == 0 {
		return
	}
	w.mu.Lock()
	for _, c := range list {
		if c.out.shared {
			w.ready.Push(c)
		}
	}
	start := w.startLocked(shared)
	w.mu.Unlock()
	for range start {
		w.pool.Go(w.loop)
	}
}

// startLocked counts the goroutines that the caller must start for n more connections.
func (w *writers) startLocked(n int) int {
	n = min(n, w.most-w.running)
	w.running += max(n, 0)
	return n
}

func (w *writers) run() {
	s := batches.Get().(*scratch)
	defer s.free()
	me := writer{all: w}
	for me.take(&s.taken) {
		for len(me.taken) > 0 {
			c := me.taken[0]
			me.taken = me.taken[1:]
			more := c.writeBatch(s, &me)
			if me.left { // c has this goroutine for itself
				for more {
					more = c.writeBatch(s, nil)
				}
				return
			}
			if more {
				w.again(c)
			}
		}
	}
}

// takenAtOnce is how many connections a writer takes, if there are many: neighbours in a group often share what
// is below them, such as the streams of one HTTP/2 connection, and two writers would get in each other's way there.
const takenAtOnce = 32

// take returns false when the goroutine must end. Of few connections it leaves some for others.
func (me *writer) take(room *[takenAtOnce]*Conn) bool {
	w := me.all
	w.mu.Lock()
	defer w.mu.Unlock()
	me.taken = room[:0]
	for range min(max(1, w.ready.Len()/(2*w.most)), takenAtOnce) {
		c, ok := w.ready.Pop()
		if !ok {
			w.running--
			return false
		}
		me.taken = append(me.taken, c)
	}
	return true
}

// again puts a connection behind the others.
func (w *writers) again(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready.Push(c)
}

// leave lets another goroutine take the place of one whose write waits.
func (me *writer) leave() {
	if me.left {
		return
	}
	me.left = true
	w := me.all
	w.mu.Lock()
	w.running--
	for _, c := range me.taken {
		w.ready.Push(c)
	}
	me.taken = nil
	start := w.startLocked(w.ready.Len())
	w.mu.Unlock()
	for range start {
		w.pool.Go(w.loop)
	}
}

// startWriter has the outbox written, which was woken.
func (c *Conn) startWriter() { c.manager.writers.submit([]*Conn{c}) }
