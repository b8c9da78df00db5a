package comm

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/limit"
	"github.com/anasamu/comm/internal/stat"
)

// maxTypes bounds the message types that statistics tell apart; all others count as "other".
const maxTypes = 200

// Why messages are dropped, as keys of Stats.Drops.
const (
	dropOverflow = "overflow" // the overflow policy
	dropClosed   = "closed"   // the connection was cut with messages waiting
)

// connCounters is what one connection counts.
type connCounters struct {
	messagesIn, bytesIn   atomic.Int64
	failedIn              atomic.Int64
	drops                 atomic.Int64
	lastActivity          atomic.Int64 // Unix nanoseconds of the last frame from the client
	gate                  limit.Gate   // owned by the reader
	messagesOut, bytesOut atomic.Int64
}

// Metered is a Transport for whose provider Host.Traffic is told the bytes of the network connection below it, with a
// nil Conn, as of one that carries several clients or other traffic. What is counted for its Conn then counts for that
// alone.
type Metered interface {
	Transport
	// Metered reports whether it is so. It is called before the first Write.
	Metered() bool
}

// ConnStats is what one connection has done.
type ConnStats struct {
	MessagesIn, MessagesOut int64
	BytesIn, BytesOut       int64 // on the wire, as far as the carrier counts them
	FailedIn                int64 // frames that were no frame, over the rate, or whose handler failed
	Drops                   int64 // messages that the overflow policy, or the end, kept from the client
	QueueMessages           int   // waiting now
	QueueBytes              int
	LastActivity            time.Time     // of the client
	RoundTrip               time.Duration // as the carrier's heartbeat measured it; 0 if it has not
}

// Stats returns what the connection has done so far.
func (c *Conn) Stats() ConnStats {
	s := ConnStats{
		MessagesIn: c.stats.messagesIn.Load(), MessagesOut: c.stats.messagesOut.Load(),
		BytesIn: c.stats.bytesIn.Load(), BytesOut: c.stats.bytesOut.Load(),
		FailedIn: c.stats.failedIn.Load(), Drops: c.stats.drops.Load(),
		LastActivity: time.Unix(0, c.stats.lastActivity.Load()),
	}
	s.QueueMessages, s.QueueBytes = c.waiting()
	if rt, ok := c.transport.(RoundTripper); ok {
		s.RoundTrip = rt.RoundTrip()
	}
	return s
}

// allowed applies the message rate. Only the reader calls it.
func (c *Conn) allowed(now time.Time) bool {
	ok, _ := c.stats.gate.Allow(1, now)
	switch {
	case !ok:
		c.excess++
	case c.excess > 0:
		c.excess--
	}
	return ok
}

// countFailed counts a frame that was none, was over the rate, or whose handler failed.
func (c *Conn) countFailed() {
	c.stats.failedIn.Add(1)
	c.provider.stats.failedIn.Add(1)
}

func (c *Conn) countOut(batch []Outbound) {
	n := int64(0)
	for _, o := range batch {
		if o.e.frame.Op == OpMessage || o.e.frame.Op == OpCall {
			n++
		}
	}
	c.stats.messagesOut.Add(n)
	c.provider.stats.messagesOut.Add(n)
}

func (c *Conn) countDrops(reason string, n int) {
	if n == 0 {
		return
	}
	c.stats.drops.Add(int64(n))
	c.provider.stats.failedOut.Add(int64(n))
	c.provider.stats.drop(reason, n)
}

// providerCounters is what one provider counts, across its starts.
type providerCounters struct {
	connections, active     stat.Counter
	messagesIn, messagesOut stat.Counter
	failedIn, failedOut     stat.Counter
	bytesIn, bytesOut       stat.Counter
	requests, failed        stat.Counter
	denied, undecided       stat.Counter // by the authorizer
	latency                 stat.Histogram
	byName                  atomic.Pointer[stat.Vec[callCounters]] // nil before the first call
	mu                      sync.Mutex
	drops                   map[string]int64 // by this package's reasons
	ends                    [reasonCount]atomic.Int64
}

func (p *providerCounters) opened() { p.connections.Add(1); p.active.Add(1) }

func (p *providerCounters) closed(k ReasonKind) {
	p.active.Add(-1)
	if k < reasonCount {
		p.ends[k].Add(1)
	}
}

func (p *providerCounters) drop(reason string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drops == nil {
		p.drops = make(map[string]int64)
	}
	p.drops[reason] += int64(n)
}

// Stats is what a provider, or all of them, have done since the manager was made.
type Stats struct {
	ConnectionsTotal, ConnectionsActive int64
	Requests, RequestsFailed            int64 // HTTP requests and calls; failed are those answered with 5xx, or by the service's fault
	MessagesIn, MessagesInFailed        int64
	MessagesOut, MessagesOutFailed      int64
	BytesIn, BytesOut                   int64
	AccessDenied, AccessFailed          int64            // what the authorizer refused, and what it could not decide: those are logged
	Drops                               map[string]int64 // by reason: overflow, closed
	Closed                              map[string]int64 // ended connections, by reason
	ResponseAverage                     time.Duration    // of requests and calls that are no streams
	ResponseP50, ResponseP95            time.Duration
	ResponseP99, ResponseMax            time.Duration
	Types                               map[string]TypeStats // handlers by message type; totals only
	Calls                               map[string]CallStats // of one provider, by method; nil for providers without
}

// TypeStats is what the handler of one message type has done.
type TypeStats struct {
	Handled, Failed int64
	Average         time.Duration
	P50, P99        time.Duration
}

// Stats returns the statistics of the named provider, or with "" the totals. Errors: ErrNotFound.
func (m *Manager) Stats(provider string) (Stats, error) {
	states, err := m.named(provider)
	if err != nil {
		return Stats{}, err
	}
	s := Stats{Drops: make(map[string]int64), Closed: make(map[string]int64)}
	var latency stat.Snapshot
	for _, p := range states {
		p.stats.addTo(&s, &latency)
	}
	s.ResponseAverage, s.ResponseMax = latency.Mean(), latency.Max
	s.ResponseP50, s.ResponseP95, s.ResponseP99 = latency.Quantile(.5), latency.Quantile(.95), latency.Quantile(.99)
	if provider == "" {
		s.Types = m.stats.types()
	} else {
		s.Calls = states[0].stats.callStats()
	}
	return s, nil
}

func (p *providerCounters) addTo(s *Stats, latency *stat.Snapshot) {
	s.ConnectionsTotal += p.connections.Load()
	s.ConnectionsActive += p.active.Load()
	s.Requests += p.requests.Load()
	s.RequestsFailed += p.failed.Load()
	s.MessagesIn += p.messagesIn.Load()
	s.MessagesInFailed += p.failedIn.Load()
	s.MessagesOut += p.messagesOut.Load()
	s.MessagesOutFailed += p.failedOut.Load()
	s.BytesIn += p.bytesIn.Load()
	s.BytesOut += p.bytesOut.Load()
	s.AccessDenied += p.denied.Load()
	s.AccessFailed += p.undecided.Load()
	p.mu.Lock()
	for reason, n := range maps.All(p.drops) {
		s.Drops[reason] += n
	}
	p.mu.Unlock()
	for k := range p.ends {
		if n := p.ends[k].Load(); n > 0 {
			s.Closed[ReasonKind(k).String()] += n
		}
	}
	snap := p.latency.Snapshot()
	latency.Add(&snap)
}

// managerCounters is what belongs to no provider.
type managerCounters struct {
	sends  stat.Counter
	byType *stat.Vec[typeCounters]
}

type typeCounters struct {
	failed  atomic.Int64
	latency stat.Histogram
}

// handled counts one run of a handler.
func (s *managerCounters) handled(typ string, d time.Duration, err error) {
	t := s.byType.Get(typ)
	t.latency.Observe(d)
	if err != nil {
		t.failed.Add(1)
	}
}

func (s *managerCounters) types() map[string]TypeStats {
	types := make(map[string]TypeStats)
	for name, t := range s.byType.All() {
		snap := t.latency.Snapshot()
		types[name] = TypeStats{
			Handled: int64(snap.Count), Failed: t.failed.Load(), Average: snap.Mean(),
			P50: snap.Quantile(.5), P99: snap.Quantile(.99),
		}
	}
	return types
}
