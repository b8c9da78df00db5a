package ws

import "sync"

// lock is a mutex that can be waited for with a context: 24 bytes, and a
// channel only once somebody waits.
type lock struct {
	mu   sync.Mutex
	held bool
	free chan struct{} // one signal for each release; nil until somebody waits
}

// try takes l if it is free.
func (l *lock) try() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return false
	}
	l.held = true
	return true
}

// wait returns the channel that signals that l may be free. Whoever takes the
// signal must try to take l, for there is one signal for all who wait.
func (l *lock) wait() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free == nil {
		l.free = make(chan struct{}, 1)
	}
	if !l.held { // released meanwhile
		l.signal()
	}
	return l.free
}

func (l *lock) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	if l.free != nil {
		l.signal()
	}
}

func (l *lock) signal() {
	select {
	case l.free <- struct{}{}:
	default:
	}
}
