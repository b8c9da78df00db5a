// Package lazy holds what most connections never need and would otherwise be made for each.
package lazy

import "sync/atomic"

// Signal is a channel that is closed once, made when somebody asks for it first. The zero value has not been
// fired. Its methods are safe for concurrent use.
type Signal struct{ ch atomic.Pointer[chan struct{}] }

// fired is the channel of those that nobody had asked for before they were fired.
var fired = func() *chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return &ch
}()

// C returns the channel that Fire closes: always the same one until then.
func (s *Signal) C() <-chan struct{} {
	if ch := s.ch.Load(); ch != nil {
		return *ch
	}
	ch := make(chan struct{})
	if s.ch.CompareAndSwap(nil, &ch) {
		return ch
	}
	return *s.ch.Load()
}

// Fire closes the channel. A second time does nothing.
func (s *Signal) Fire() {
	for {
		ch := s.ch.Load()
		if ch == fired {
			return
		}
		if s.ch.CompareAndSwap(ch, fired) {
			if ch != nil {
				close(*ch)
			}
			return
		}
	}
}

// Fired reports whether Fire was called.
func (s *Signal) Fired() bool { return s.ch.Load() == fired }

// Is reports whether ch is the signal's channel.
func (s *Signal) Is(ch <-chan struct{}) bool {
	own := s.ch.Load()
	return own != nil && ch == *own
}
