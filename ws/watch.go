package ws

import (
	"context"
	"sync"
	"time"
)

// watch lets contexts interrupt one direction of a carrier through its
// deadline, beside the deadline that the direction needs for itself. A context
// without Done costs nothing, and neither does the one used the time before:
// its registration is kept.
type watch struct {
	set func(time.Time) error // the direction's SetDeadline
	own <-chan struct{}       // Done of a context that ends only with the connection

	mu     sync.Mutex
	until  time.Time       // the direction's own deadline
	poked  bool            // a context has put the deadline into the past
	round  uint32          // makes registrations of earlier contexts void
	done   <-chan struct{} // of the context registered now
	last   <-chan struct{} // of the context of the last call
	keep   bool            // the registration outlives the call
	stop   func() bool
	closed bool
}

var past = time.Unix(1, 0)

// follow makes ctx the one that interrupts. Only the direction's owner calls it.
func (w *watch) follow(ctx context.Context) {
	done := ctx.Done()
	if done == w.own {
		done = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if done == w.done || w.closed {
		return
	}
	w.drop()
	w.keep, w.last, w.done = done == w.last, done, done
	if done == nil {
		return
	}
	round := w.round
	w.stop = context.AfterFunc(ctx, func() { w.poke(round) })
}

// leave ends the call that follow began.
func (w *watch) leave() {
	w.mu.Lock()
	if w.done != nil && !w.keep {
		w.drop()
	}
	w.mu.Unlock()
}

// drop forgets the registered context and undoes what it did.
func (w *watch) drop() {
	w.round++
	if w.stop != nil {
		w.stop()
	}
	w.done, w.stop = nil, nil
	if w.poked {
		w.poked = false
		_ = w.set(w.until) // a dead carrier shows itself in the next read or write
	}
}

func (w *watch) poke(round uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if round == w.round && !w.closed {
		w.poked = true
		_ = w.set(past)
	}
}

// arm sets the direction's own deadline; a context's interruption outranks it.
func (w *watch) arm(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = t
	if !w.poked {
		_ = w.set(t)
	}
}

// close ends all watching.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.stop != nil {
		w.stop()
	}
	w.stop, w.done, w.last = nil, nil, nil
}
