package comm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Health is the state of the gateway.
type Health struct {
	Ready     bool                      `json:"ready"` // every provider runs and is well, and no drain is under way
	Draining  bool                      `json:"draining"`
	Providers map[string]ProviderHealth `json:"providers"`
}

// ProviderHealth is the state of one provider.
type ProviderHealth struct {
	Running bool      `json:"running"`
	Healthy bool      `json:"healthy"`
	Error   string    `json:"error,omitempty"`
	Checked time.Time `json:"checked"`
}

// Health checks every provider now and returns the result; see WithHealthInterval for the checks
// that the manager makes by itself.
func (m *Manager) Health(ctx context.Context) Health {
	m.checkHealth(ctx)
	return m.cachedHealth()
}

// Leaving reports whether a drain is past its delay: nobody new is admitted, and each HTTP response
// ends its connection, behind which the door is shut. A carrier whose clients come with one request
// after the other must tell them all that is left in one.
func (m *Manager) Leaving() bool { return m.refusing.Load() }

// cachedHealth is the result of the last checks.
func (m *Manager) cachedHealth() Health {
	h := Health{Ready: true, Draining: m.draining.Load(), Providers: make(map[string]ProviderHealth)}
	states, _ := m.named()
	for _, p := range states {
		p.mu.Lock()
		ph := ProviderHealth{Running: p.status == statusRunning, Healthy: p.status == statusRunning && p.health == nil, Checked: p.healthAt}
		if p.health != nil {
			ph.Error = p.health.Error()
		}
		p.mu.Unlock()
		h.Providers[p.name] = ph
		h.Ready = h.Ready && ph.Healthy
	}
	h.Ready = h.Ready && !h.Draining && !m.closed.Load()
	return h
}

// healthTimeout bounds one provider's check.
const healthTimeout = 5 * time.Second

func (m *Manager) checkHealth(ctx context.Context) {
	states, _ := m.named()
	for _, p := range states {
		p.checkHealth(ctx)
	}
}

// checkHealth asks the provider and its listener. Each change is one log line and one event. While
// the gateway drains its listeners are closed on purpose, so nothing is asked.
func (p *providerState) checkHealth(ctx context.Context) {
	p.mu.Lock()
	running, e := p.status == statusRunning, p.endpoint
	p.mu.Unlock()
	if !running || p.manager.draining.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	err := p.askHealth(ctx)
	if e != nil {
		err = errors.Join(err, e.health())
	}
	p.mu.Lock()
	changed := p.status == statusRunning && (err == nil) != (p.health == nil)
	if p.status == statusRunning {
		p.health, p.healthAt = err, time.Now()
	}
	p.mu.Unlock()
	if changed {
		p.manager.log.Warn("provider health changed", "provider", p.name, "healthy", err == nil, "error", err)
		p.manager.observe(Event{Kind: EventHealth, Provider: p.name, Err: err})
	}
}

func (p *providerState) askHealth(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("comm: health check panicked: %v", r)
		}
	}()
	return p.impl.Health(ctx)
}

// LiveHandler answers 200 while the process works: for /livez.
func (m *Manager) LiveHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if m.closed.Load() {
			http.Error(w, "closed", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, "ok")
	})
}

// ReadyHandler answers 200 while every provider is well and 503 otherwise, at once when a drain
// begins, with a Health as JSON: for /readyz. It answers from the last checks.
func (m *Manager) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := m.cachedHealth()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !h.Ready {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h)
	})
}
