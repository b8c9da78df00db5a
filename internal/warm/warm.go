// Package warm keeps goroutines for what is short and comes often. A new goroutine begins with a small stack
// and copies it each time that it grows; one that is used again has grown already.
package warm

import "sync"

// Pool runs functions on goroutines of which it keeps those that have nothing to do, up to Most. The zero value
// keeps none. Its methods are safe for concurrent use; Most must not be changed once Go was called.
type Pool struct {
	Most int

	mu     sync.Mutex    // guards the fields below
	idle   []chan func() // what they wait on: the one that was busy last is taken first
	closed bool
}

// Go runs f on a goroutine, as a go statement would.
func (p *Pool) Go(f func()) {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		go p.run(f)
		return
	}
	next := p.idle[n-1]
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	next <- f // there is room for one
}

func (p *Pool) run(f func()) {
	var next chan func() // nil until it has rested
	for f != nil {
		f()
		if next = p.rest(next); next == nil {
			return
		}
		f = <-next
	}
}

// rest returns what a goroutine must wait on, or nil if there are enough.
func (p *Pool) rest(next chan func()) chan func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.Most {
		return nil
	}
	if next == nil {
		next = make(chan func(), 1)
	}
	p.idle = append(p.idle, next)
	return next
}

// Close ends the goroutines that have nothing to do; the others end with what they run. Go still runs what it
// is given, and keeps no goroutine.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, next := range p.idle {
		close(next)
	}
	p.idle = nil
}
