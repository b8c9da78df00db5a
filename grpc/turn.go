package commgrpc

import "sync/atomic"

// turn is the right to send on a stream. Nearly always it is free, and then taking and giving it are one addition
// each. Who has to wait does so at a channel: a synctest bubble's time stands still while a sync.Mutex is waited for.
type turn struct {
	wanted atomic.Int32  // who has it and who waits
	next   chan struct{} // from who gives it to who waits
}

func newTurn() turn { return turn{next: make(chan struct{}, 1)} }

// try takes the turn if it is free.
func (t *turn) try() bool { return t.wanted.CompareAndSwap(0, 1) }

// take waits for the turn, if it must.
func (t *turn) take() {
	if t.wanted.Add(1) > 1 {
		<-t.next
	}
}

// taken reports whether somebody has the turn.
func (t *turn) taken() bool { return t.wanted.Load() > 0 }

func (t *turn) give() {
	if t.wanted.Add(-1) > 0 {
		t.next <- struct{}{}
	}
}
