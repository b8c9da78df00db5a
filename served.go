package comm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/prom"
	"github.com/anasamu/comm/internal/stat"
)

// Served is one call that a provider has answered by itself: see Host.Served.
type Served struct {
	Name   string        // of what was called; at most 200 are told apart
	Code   string        // how it ended; at most 32 are told apart
	Failed bool          // by the service's own fault
	Stream bool          // its duration says nothing about the service
	Took   time.Duration // from its beginning to its end
}

// maxCodes bounds the endings that statistics tell apart.
const maxCodes = 32

// callCounters is what one name of a provider's calls counts.
type callCounters struct {
	failed  atomic.Int64
	latency stat.Histogram
	codes   atomic.Pointer[stat.Vec[atomic.Int64]]
}

// endings is the table of codes, made when it is asked for first.
func (c *callCounters) endings() *stat.Vec[atomic.Int64] {
	if v := c.codes.Load(); v != nil {
		return v
	}
	c.codes.CompareAndSwap(nil, stat.NewVec[atomic.Int64](maxCodes))
	return c.codes.Load()
}

// CallStats is what one method of a provider has done.
type CallStats struct {
	Calls, Failed int64            // failed are those that did by the service's own fault
	Codes         map[string]int64 // calls by how they ended
	Average       time.Duration
	P50, P99      time.Duration
}

// Served counts a call. One that came as an HTTP request counts as that already.
func (h *host) Served(ctx context.Context, s Served) {
	p := &h.p.stats
	c := p.calls().Get(s.Name)
	c.latency.Observe(s.Took)
	c.endings().Get(s.Code).Add(1)
	if s.Failed {
		c.failed.Add(1)
		p.failed.Add(1)
	}
	if mark, ok := ctx.Value(streamKey{}).(*streamMark); ok {
		if s.Stream {
			mark.stream.Store(true)
		}
		return
	}
	p.requests.Add(1)
	if !s.Stream {
		p.latency.Observe(s.Took)
	}
}

// calls is the table of calls, made for the first.
func (p *providerCounters) calls() *stat.Vec[callCounters] {
	if v := p.byName.Load(); v != nil {
		return v
	}
	p.byName.CompareAndSwap(nil, stat.NewVec[callCounters](maxTypes))
	return p.byName.Load()
}

// callStats is what the calls of a provider have done, nil without any.
func (p *providerCounters) callStats() map[string]CallStats {
	if p.byName.Load() == nil {
		return nil
	}
	all := make(map[string]CallStats)
	for name, c := range p.calls().All() {
		snap := c.latency.Snapshot()
		s := CallStats{Calls: int64(snap.Count), Failed: c.failed.Load(), Codes: make(map[string]int64), Average: snap.Mean(), P50: snap.Quantile(.5), P99: snap.Quantile(.99)}
		for code, n := range c.endings().All() {
			s.Codes[code] = n.Load()
		}
		all[name] = s
	}
	return all
}

// writeCalls writes the calls of a provider.
func (p *providerCounters) writeCalls(page *prom.Page, provider prom.Label) {
	if p.byName.Load() == nil {
		return
	}
	for name, c := range p.calls().All() {
		l := prom.L("method", name)
		snap := c.latency.Snapshot()
		page.Histogram("comm_call_duration_seconds", "Duration of calls, from the first byte to the last.", histogram(&snap), provider, l)
		for code, n := range c.endings().All() {
			page.Counter("comm_calls_total", "Calls that have ended, by how they did.", float64(n.Load()), provider, l, prom.L("code", code))
		}
	}
}
