// Package places counts what a server holds open, so that its end can refuse what comes and wait for what
// is there. A sync.WaitGroup cannot: what comes while it waits is a race.
package places

import (
	"context"
	"errors"
	"sync"
)

// Why there is no place.
var (
	ErrClosed = errors.New("places: closed")
	ErrFull   = errors.New("places: all taken")
)

// Places counts the places that are taken. The zero value is open. Its methods are safe for concurrent use.
type Places struct {
	mu     sync.Mutex
	closed bool
	taken  int
	idle   chan struct{} // closed when no place is taken; nil while nobody waits
}

// Enter takes a place, unless Close was called or most are taken already; 0 is no bound.
func (p *Places) Enter(most int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case most > 0 && p.taken >= most:
		return ErrFull
	}
	p.taken++
	return nil
}

// Leave gives a place back.
func (p *Places) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken--; p.taken == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// Close lets nobody enter any more. It does not wait.
func (p *Places) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// Closed reports whether Close was called.
func (p *Places) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Wait returns when every place is free, or with the cause of ctx's end.
func (p *Places) Wait(ctx context.Context) error {
	p.mu.Lock()
	if p.taken == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
