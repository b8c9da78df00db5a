// Package limit bounds what one peer may do: [Limiter] how often per key, [Gate] how often on one connection,
// [Counter] how much at once per key; [AddrKey] says which addresses are one peer.
//
// Rates are GCRA (ITU-T I.371, the leaky bucket as a virtual schedule): all that a key needs is one number, the time
// at which it will have fully recovered. Nothing ticks, and no goroutine runs.
package limit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Never is the wait for what no wait allows: more events at once than the burst.
const Never = time.Duration(math.MaxInt64)

// ErrRate is a rate that cannot be kept.
var ErrRate = errors.New("limit: bad rate")

// Rate is so many events per time, with a burst. The zero value allows everything.
type Rate struct {
	interval int64 // nanoseconds that one event costs
	limit    int64 // nanoseconds of debt a key may have: burst times interval
}

// NewRate allows events per time on average, and burst of them at once after a pause. All three must be positive, one
// event must cost at least a nanosecond, and a burst must recover within 292 years.
func NewRate(events int, per time.Duration, burst int) (Rate, error) {
	if events <= 0 || per <= 0 || burst <= 0 {
		return Rate{}, fmt.Errorf("%w: %d per %v with burst %d: allowed are positive values", ErrRate, events, per, burst)
	}
	interval := int64(per) / int64(events)
	if interval == 0 || int64(burst) > math.MaxInt64/4/interval {
		return Rate{}, fmt.Errorf("%w: %d per %v with burst %d: too fast or too long", ErrRate, events, per, burst)
	}
	return Rate{interval, interval * int64(burst)}, nil
}

// Burst is how many events are allowed at once; 0 for the zero Rate, which has no bound.
func (r Rate) Burst() int {
	if r.interval == 0 {
		return 0
	}
	return int(r.limit / r.interval)
}

// setBack is how far a clock must have gone back to be taken for set, rather than for two goroutines that read it and
// came here in the other order.
const setBack = int64(time.Second)

// take is GCRA: a key that recovers at tat asks for n events now. It gives the new tat, to keep in any case, and how
// long to wait if the events are refused.
//
// Times are of the wall clock, so that a zero tat is a key never seen. A clock set back leaves tats in a far future;
// as no honest one is further than limit away, the cut to that bounds the damage to one burst.
func (r Rate) take(tat int64, n int, now int64) (next int64, wait time.Duration) {
	if r.interval == 0 || n <= 0 {
		return tat, 0
	}
	if int64(n) > r.limit/r.interval {
		return tat, Never
	}
	if tat > now+r.limit+setBack {
		tat = now + r.limit
	}
	tat = max(tat, now)
	next = tat + int64(n)*r.interval
	if wait = time.Duration(next - r.limit - now); wait > 0 {
		return tat, wait
	}
	return next, 0
}

// refund takes n events back.
func (r Rate) refund(tat int64, n int) int64 {
	if n <= 0 || r.interval == 0 {
		return tat
	}
	return tat - min(int64(n), r.limit/r.interval)*r.interval
}

// Gate is the limiter of one owner, such as the messages of a connection: 16 bytes, no lock. The zero value allows
// everything. One goroutine at a time may use it.
type Gate struct {
	rate *Rate
	tat  int64
}

// NewGate shares rate, which must not change, among any number of gates; nil allows everything.
func NewGate(rate *Rate) Gate { return Gate{rate: rate} }

// Allow counts n events at now if the rate has room for all of them, else it counts none and tells the wait until it
// would have: [Never] if n is more than the burst.
func (g *Gate) Allow(n int, now time.Time) (ok bool, retryAfter time.Duration) {
	if g.rate == nil {
		return true, 0
	}
	g.tat, retryAfter = g.rate.take(g.tat, n, now.UnixNano())
	return retryAfter == 0, retryAfter
}
