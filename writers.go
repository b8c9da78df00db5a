package comm

import (
	"runtime"
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
	all  *writers
	left bool // it waited for a peer, and takes nothing more from ready
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
	if w.most == 0 {
		w.most = runtime.GOMAXPROCS(0)
	}
	n = min(n, w.most-w.running)
	w.running += max(n, 0)
	return n
}

func (w *writers) run() {
	me := writer{all: w}
	s := batches.Get().(*scratch)
	defer s.free()
	for c := w.take(); c != nil; c = w.take() {
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

// take returns the next connection, or nil when the goroutine must end.
func (w *writers) take() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.ready.Pop()
	if !ok {
		w.running--
	}
	return c
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
	start := w.startLocked(w.ready.Len())
	w.mu.Unlock()
	for range start {
		w.pool.Go(w.loop)
	}
}

// startWriter has the outbox written, which was woken.
func (c *Conn) startWriter() { c.manager.writers.submit([]*Conn{c}) }
