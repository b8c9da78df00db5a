package graphql

import (
	"sync"
	"sync/atomic"
)

// pump takes the events of one feed to who is given the responses. It has no goroutine of its own: what is woken stands
// in line for those of the schema's pumps.
type pump struct {
	st    *Stream
	to    receiver
	state atomic.Int32
	next  *pump // in line
}

// The states of a pump.
const (
	pumpIdle  = iota // waits to be woken
	pumpReady        // stands in line
	pumpRuns
	pumpWoken // runs, and was woken meanwhile
	pumpOver
)

// newPump begins to take the events of a stream's feed.
func newPump(st *Stream, to receiver) {
	p := &pump{st: st, to: to}
	st.feed.begin(p.wake)
	p.wake()
}

// wake has the feed be asked. It never waits.
func (p *pump) wake() {
	for {
		switch p.state.Load() {
		case pumpIdle:
			if p.state.CompareAndSwap(pumpIdle, pumpReady) {
				p.st.s.pumps.add(p)
				return
			}
		case pumpRuns:
			if p.state.CompareAndSwap(pumpRuns, pumpWoken) {
				return
			}
		default:
			return
		}
	}
}

// run takes the events that there are, as many as one turn allows.
func (p *pump) run() {
	w, _ := workbenches.Get().(*workbench)
	defer w.put()
	for {
		p.state.Store(pumpRuns)
		switch p.turn(w) {
		case anEvent: // others first
			p.state.Store(pumpReady)
			p.st.s.pumps.add(p)
			return
		case theEnd:
			p.state.Store(pumpOver)
			p.finish()
			return
		}
		if p.state.CompareAndSwap(pumpRuns, pumpIdle) {
			return
		}
	}
}

// eventsInTurn is how many events of one subscription are executed before it stands in line again.
const eventsInTurn = 16

// turn executes events until there is nothing, or the end, or the turn is over with an event.
func (p *pump) turn(w *workbench) found {
	st := p.st
	for range eventsInTurn {
		if st.ctx.Err() != nil {
			return theEnd
		}
		v, is, err := st.feed.next()
		if is != anEvent {
			return is
		}
		var out Outcome
		w.ev = event{v, err}
		w.buf, out = st.s.execute(st.ctx, w.buf[:0], st.op, st.vars, &w.ev)
		if !p.to.response(w.buf, out) {
			return theEnd
		}
		st.feed.took()
	}
	return anEvent
}

// finish is the end of a subscription.
func (p *pump) finish() {
	p.st.closeFeed()
	p.st.cancel()
	p.to.over()
}

// workbench is what one turn works with.
type workbench struct {
	buf []byte
	ev  event
}

var workbenches = sync.Pool{New: func() any { return new(workbench) }}

// keptResponse is the largest buffer that is kept for other turns.
const keptResponse = 64 << 10

func (w *workbench) put() {
	w.ev = event{}
	if cap(w.buf) <= keptResponse {
		workbenches.Put(w)
	}
}

// pumps runs the pumps of a schema that have something to do. Nobody says before that a turn will wait, for a resolver
// or for a client that does not read, so one goroutine more than those that work is always on its way while pumps stand
// in line: it comes to run as soon as there is a processor for it, and ends if nothing is left. So there are about as
// many goroutines as turns that wait, and processors; and none while nothing happens.
type pumps struct {
	mu          sync.Mutex // guards the fields below
	first, last *pump
	coming      bool // a goroutine has been started that has not run yet
}

// add puts a pump in line.
func (l *pumps) add(p *pump) {
	l.mu.Lock()
	if l.first == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	start := !l.coming
	l.coming = true
	l.mu.Unlock()
	if start {
		go l.work()
	}
}

// work runs pumps until none stands in line.
func (l *pumps) work() {
	l.arrived()
	for {
		p, another := l.take()
		if p == nil {
			return
		}
		if another {
			go l.work()
		}
		p.run()
	}
}

func (l *pumps) arrived() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coming = false
}

// take returns the first in line, and whether another goroutine must come for those behind it.
func (l *pumps) take() (p *pump, another bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p = l.first; p == nil {
		return nil, false
	}
	l.first, p.next = p.next, nil
	if l.first == nil {
		l.last = nil
		return p, false
	}
	another = !l.coming
	l.coming = true
	return p, another
}
