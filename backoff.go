package comm

import (
	"math"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before the next attempt of something that failed.
// The waits grow exponentially and carry jitter, so that many clients cut by one event do not return in one wave.
//
// The zero value is ready to use and means the defaults named at each field.
// A Backoff is a value: it holds no state, so one may be shared by any number of goroutines.
type Backoff struct {
	// Base is the upper bound of the first wait. Zero means 500 ms.
	Base time.Duration
	// Max is the upper bound of every wait. Zero means 30 s.
	Max time.Duration
	// Factor is the growth of the bound from one attempt to the next. Values below 1 mean 2.
	Factor float64
	// NoJitter makes every wait exactly its bound. By default a wait is drawn evenly from
	// zero to the bound ("full jitter"), which spreads reconnecting clients best.
	NoJitter bool
	// StableAfter is how long a connection must last before its end counts as a fresh failure,
	// that is, before the caller starts again at attempt 0. Zero means 10 s.
	// Delay does not use it; Stable does.
	StableAfter time.Duration
}

const (
	defaultBackoffBase   = 500 * time.Millisecond
	defaultBackoffMax    = 30 * time.Second
	defaultBackoffStable = 10 * time.Second
)

// Bound returns the longest wait before retry number attempt, counted from 0.
// A negative attempt counts as 0.
func (b Backoff) Bound(attempt int) time.Duration {
	base, limit, factor := b.Base, b.Max, b.Factor
	if base <= 0 {
		base = defaultBackoffBase
	}
	if limit <= 0 {
		limit = defaultBackoffMax
	}
	if factor < 1 {
		factor = 2
	}
	d := float64(base) * math.Pow(factor, float64(max(attempt, 0)))
	if d < float64(limit) {
		return time.Duration(d)
	}
	return limit
}

// Delay returns the wait before retry number attempt, counted from 0: a random
// duration in [0, Bound(attempt)], or Bound(attempt) itself with NoJitter.
func (b Backoff) Delay(attempt int) time.Duration {
	bound := b.Bound(attempt)
	if b.NoJitter {
		return bound
	}
	return time.Duration(rand.Uint64N(uint64(bound) + 1))
}

// Stable reports whether a connection that lasted for lived was stable,
// so that the next failure starts again at attempt 0.
func (b Backoff) Stable(lived time.Duration) bool {
	after := b.StableAfter
	if after <= 0 {
		after = defaultBackoffStable
	}
	return lived >= after
}
