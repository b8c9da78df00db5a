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
	carrier carrier
	write   bool            // which of the carrier's deadlines
	own     <-chan struct{} // Done of a context that ends only with the connection

	mu     sync.Mutex
	poked  bool // a context has put the deadline into the past
	closed bool
	until  time.Time // the direction's own deadline
	ctx    *watched  // nil until the first context that can end
}

// watched is the context that a direction follows.
type watched struct {
	round uint32          // makes registrations of earlier contexts void
	keep  bool            // the registration outlives the call
	done  <-chan struct{} // of the context registered now
	last  <-chan struct{} // of the context of the last call
	stop  func() bool
}

var past = time.Unix(1, 0)

// set sets the carrier's deadline. A dead carrier shows itself in the next
// read or write.
func (w *watch) set(t time.Time) {
	if w.write {
		_ = w.carrier.SetWriteDeadline(t)
	} else {
		_ = w.carrier.SetReadDeadline(t)
	}
}

// follow makes ctx the one that interrupts. Only the direction's owner calls it.
func (w *watch) follow(ctx context.Context) {
	done := ctx.Done()
	if done == w.own {
		done = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.ctx == nil && done == nil {
		return
	}
	if w.ctx == nil {
		w.ctx = new(watched)
	}
	x := w.ctx
	if done == x.done {
		return
	}
	w.drop()
	x.keep, x.last, x.done = done == x.last, done, done
	if done != nil {
		round := x.round
		x.stop = context.AfterFunc(ctx, func() { w.poke(round) })
	}
}

// leave ends the call that follow began.
func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil && w.ctx.done != nil && !w.ctx.keep {
		w.drop()
	}
}

// drop forgets the registered context and undoes what it did.
func (w *watch) drop() {
	x := w.ctx
	x.round++
	if x.stop != nil {
		x.stop()
	}
	x.done, x.stop = nil, nil
	if w.poked {
		w.poked = false
		w.set(w.until)
	}
}

func (w *watch) poke(round uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if round == w.ctx.round && !w.closed {
		w.poked = true
		w.set(past)
	}
}

// arm sets the direction's own deadline; a context's interruption outranks it.
func (w *watch) arm(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = t
	if !w.poked {
		w.set(t)
	}
}

// close ends all watching.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.ctx != nil && w.ctx.stop != nil {
		w.ctx.stop()
		*w.ctx = watched{round: w.ctx.round}
	}
}
