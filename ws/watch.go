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
	mu     sync.Mutex
	write  bool // which of the carrier's deadlines
	poked  bool // a context has put the deadline into the past
	closed bool
	parked bool     // nobody waits in the carrier: see shift
	until  instant  // the direction's own deadline
	ctx    *watched // nil while no context that can end is followed
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
func (w *watch) set(c *Conn, t time.Time) {
	if w.write {
		_ = c.rwc.SetWriteDeadline(t)
	} else {
		_ = c.rwc.SetReadDeadline(t)
	}
}

// deadline is what the carrier's is to be.
func (w *watch) deadline(c *Conn) time.Time {
	switch {
	case w.poked, w.parked && c.raw == nil:
		return past
	case w.parked:
		return time.Time{}
	}
	return w.until.time()
}

// shift moves the direction's own deadline away from the carrier, because
// somebody else keeps it while the connection is parked, or back. Meanwhile a
// read on the direct path, which does not wait, has none, and one of another
// carrier does not wait because its deadline has passed. Only the direction's
// owner calls it.
func (w *watch) shift(c *Conn, parked bool) {
	if w.parked == parked { // only the owner changes it
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = parked
	w.set(c, w.deadline(c))
}

// interrupted reports whether a context has ended the direction's waiting.
func (w *watch) interrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.poked
}

// follow makes ctx the one that interrupts. Only the direction's owner calls it.
func (w *watch) follow(c *Conn, ctx context.Context) {
	var done <-chan struct{}
	if !c.ownContext(ctx) {
		done = ctx.Done()
	}
	if c.done.Is(done) { // one that carries values besides
		done = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
	case done != nil:
		w.register(c, ctx, done)
	case w.ctx != nil: // those who go on without one, as Serve may for long, need not keep the last
		w.drop(c)
		w.ctx = nil
	}
}

func (w *watch) register(c *Conn, ctx context.Context, done <-chan struct{}) {
	if w.ctx == nil {
		w.ctx = new(watched)
	}
	x := w.ctx
	if done == x.done {
		return
	}
	w.drop(c)
	x.keep, x.last, x.done = done == x.last, done, done
	round := x.round
	x.stop = context.AfterFunc(ctx, func() { w.poke(c, x, round) })
}

// leave ends the call that follow began.
func (w *watch) leave(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil && w.ctx.done != nil && !w.ctx.keep {
		w.drop(c)
	}
}

// drop forgets the registered context and undoes what it did.
func (w *watch) drop(c *Conn) {
	x := w.ctx
	x.round++
	if x.stop != nil {
		x.stop()
	}
	x.done, x.stop = nil, nil
	if w.poked {
		w.poked = false
		w.set(c, w.deadline(c))
	}
}

func (w *watch) poke(c *Conn, x *watched, round uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x == w.ctx && round == x.round && !w.closed {
		w.poked = true
		w.set(c, past)
		if p := c.parking.Load(); p != nil && !w.write {
			p.Wake()
		}
	}
}

// arm sets the direction's own deadline; a context's interruption outranks it.
func (w *watch) arm(c *Conn, t instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = t
	if !w.poked && !w.parked {
		w.set(c, t.time())
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
