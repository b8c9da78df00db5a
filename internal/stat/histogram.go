// Package stat counts what happens on hot paths without a lock: [Histogram] for durations, [Counter] for totals that
// many goroutines add to, [Vec] for values by a label that clients choose and that must not grow without end.
package stat

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Buckets are log-linear: 8 of equal width in every power of two, so that a bucket is at most an eighth of its value
// wide and its middle at most 6.25 % off (3 % on average). Below 2 µs the width is 256 ns.
const (
	unitBits = 8 // a unit is 256 ns
	subBits  = 3
	sub      = 1 << subBits
	buckets  = 30 * sub
)

// Horizon is the longest duration that a [Histogram] tells apart, about 18 minutes; what is longer counts as that
// long, and only Max keeps it.
const Horizon = time.Duration(sub << (buckets/sub - 1) << unitBits)

// Histogram counts durations in 1.9 KB that never grow. The zero value is ready; it is safe for concurrent use and
// must not be copied. Observe is two atomic additions.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
	max    atomic.Int64
}

// Observe counts d; a negative one, from a clock that was set back, as 0.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for most := h.max.Load(); int64(d) > most && !h.max.CompareAndSwap(most, int64(d)); {
		most = h.max.Load()
	}
}

// bucketOf finds the bucket of d: the highest four bits of its units, after the first eight units, which are linear.
func bucketOf(d time.Duration) int {
	units := uint64(d) >> unitBits
	if units < sub {
		return int(units)
	}
	shift := bits.Len64(units) - subBits - 1
	return min((shift+1)*sub+int(units>>shift)-sub, buckets-1)
}

// bounds are the least duration of bucket i and of the one after it.
func bounds(i int) (low, high time.Duration) { return lowest(i), lowest(i + 1) }

func lowest(i int) time.Duration {
	group, in := i/sub, i%sub
	if group == 0 {
		return time.Duration(in << unitBits)
	}
	return time.Duration((sub + in) << (group - 1) << unitBits)
}

// Snapshot copies what was observed so far. An Observe that runs beside it is counted wholly, in part or not at all.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load()), Max: time.Duration(h.max.Load())}
	for i := range h.counts {
		n := h.counts[i].Load()
		s.counts[i] = n
		s.Count += n
	}
	return s
}

// Snapshot is a histogram at one moment: a value of 1.9 KB. The zero value is an empty one.
type Snapshot struct {
	Count  uint64
	Sum    time.Duration
	Max    time.Duration // exact
	counts [buckets]uint64
}

// Mean is exact, 0 if there is nothing.
func (s *Snapshot) Mean() time.Duration {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / time.Duration(s.Count)
}

// Quantile is the duration that a share q (0 to 1; others are cut to that) of the observations does not exceed, off
// by at most 6.25 % or 128 ns; 0 if there is nothing. Quantile(1) is Max.
func (s *Snapshot) Quantile(q float64) time.Duration {
	rank := uint64(max(min(q, 1), 0) * float64(s.Count))
	if s.Count == 0 || rank >= s.Count {
		return s.Max
	}
	var below uint64
	for i, n := range s.counts {
		if below += n; below > rank {
			low, high := bounds(i)
			return min(low+(high-low)/2, s.Max)
		}
	}
	return s.Max
}

// Add joins what another histogram observed, for the total of several.
func (s *Snapshot) Add(other *Snapshot) {
	s.Count += other.Count
	s.Sum += other.Sum
	s.Max = max(s.Max, other.Max)
	for i, n := range other.counts {
		s.counts[i] += n
	}
}

// Cumulative counts, for each of ascending bounds, the observations up to it, as a Prometheus histogram wants them.
// A bucket that a bound cuts is taken to be evenly filled.
func (s *Snapshot) Cumulative(upTo []time.Duration) []uint64 {
	out := make([]uint64, len(upTo))
	var below uint64
	i := 0
	for j, bound := range upTo {
		for ; i < buckets; i++ {
			low, high := bounds(i)
			if bound < high {
				out[j] = below + uint64(float64(s.counts[i])*max(float64(bound-low), 0)/float64(high-low))
				break
			}
			below += s.counts[i]
		}
		if i == buckets {
			out[j] = below
		}
	}
	return out
}

// LatencyBounds are the bounds that the metrics page uses, from 100 µs to 10 s. The slice is the caller's own.
func LatencyBounds() []time.Duration { return slices.Clone(latencyBounds[:]) }

var latencyBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}
