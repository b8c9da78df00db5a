package comm

import "sync"

// readiness tells those who wait that something about the gateway's health has changed.
type readiness struct {
	mu sync.Mutex
	ch chan struct{} // nil while nobody waits
}

func (r *readiness) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ch == nil {
		r.ch = make(chan struct{})
	}
	return r.ch
}

func (r *readiness) change() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ch != nil {
		close(r.ch)
		r.ch = nil
	}
}

// Readiness returns the result of the last health checks, as ReadyHandler answers, and a channel that is closed
// when it may have changed: a provider starts, stops, fails or becomes well again, a drain begins, or its delay is
// over (see Leaving).
func (m *Manager) Readiness() (h Health, changed <-chan struct{}) {
	changed = m.ready.changed()
	return m.cachedHealth(), changed
}

// changesReadiness reports whether an event may change what Readiness says.
func (k EventKind) changesReadiness() bool {
	switch k {
	case EventStart, EventStop, EventFail, EventHealth, EventDrain:
		return true
	}
	return false
}
