package stat_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/anasamu/comm/internal/stat"
)

// Quantiles are held against the sorted truth, for durations over nine orders of magnitude.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name string
		draw func() time.Duration
	}{
		{"uniform", func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) }},
		{"exponential", func() time.Duration { return time.Duration(random.ExpFloat64() * float64(5*time.Millisecond)) }},
		{"all magnitudes", func() time.Duration { return time.Duration(1) << random.IntN(40) }},
		{"constant", func() time.Duration { return 3 * time.Millisecond }},
		{"two modes", func() time.Duration { return []time.Duration{time.Microsecond, time.Minute}[random.IntN(2)] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h stat.Histogram
			truth := make([]time.Duration, 20_000)
			var sum time.Duration
			for i := range truth {
				truth[i] = test.draw()
				sum += truth[i]
				h.Observe(truth[i])
			}
			slices.Sort(truth)
			s := h.Snapshot()
			if s.Count != uint64(len(truth)) || s.Sum != sum || s.Max != truth[len(truth)-1] || s.Mean() != sum/time.Duration(len(truth)) {
				t.Errorf("count %d, sum %v, max %v, mean %v", s.Count, s.Sum, s.Max, s.Mean())
			}
			for _, q := range []float64{0, .01, .25, .5, .9, .99, .999, 1} {
				want := truth[min(int(q*float64(len(truth))), len(truth)-1)]
				got := s.Quantile(q)
				if off := max(got-want, want-got); float64(off) > max(float64(want)/16+1, 128) {
					t.Errorf("quantile %v: %v, want %v", q, got, want)
				}
			}
		})
	}
}

func TestHistogramEdges(t *testing.T) {
	t.Parallel()
	var h stat.Histogram
	empty := h.Snapshot()
	if empty.Quantile(.5) != 0 || empty.Mean() != 0 || empty.Quantile(1) != 0 {
		t.Errorf("empty: %v, %v", empty.Quantile(.5), empty.Mean())
	}
	h.Observe(-time.Second)
	h.Observe(0)
	h.Observe(100 * 24 * time.Hour)
	s := h.Snapshot()
	if s.Count != 3 || s.Max != 100*24*time.Hour || s.Quantile(-1) != 128 || s.Quantile(2) != s.Max {
		t.Errorf("count %d, max %v, first %v", s.Count, s.Max, s.Quantile(-1))
	}
	if got := s.Quantile(.9); got < stat.Horizon*15/16 || got > stat.Horizon*17/16 {
		t.Errorf("beyond the horizon: %v", got)
	}
	if size := unsafe.Sizeof(h); size > 2048 {
		t.Errorf("%d bytes", size)
	}
}

// Every duration lies in a bucket that holds it, and buckets follow each other without a hole.
func TestBucketsCoverEverything(t *testing.T) {
	t.Parallel()
	last := 0
	for d := time.Duration(1); d < stat.Horizon; d += max(d/100, 1) {
		i := stat.BucketOf(d)
		low, high := stat.Bounds(i)
		if d < low || d >= high || i < last || i > last+1 {
			t.Fatalf("%v: bucket %d, %v to %v, after %d", d, i, low, high, last)
		}
		last = i
	}
	if _, high := stat.Bounds(last); high != stat.Horizon {
		t.Errorf("last bucket ends at %v, not at %v", high, stat.Horizon)
	}
}

func TestCumulative(t *testing.T) {
	t.Parallel()
	var h stat.Histogram
	for range 100 {
		h.Observe(50 * time.Microsecond)
		h.Observe(3 * time.Millisecond)
		h.Observe(time.Hour)
	}
	s := h.Snapshot()
	got := s.Cumulative([]time.Duration{0, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, time.Second, 2 * time.Hour, 3 * time.Hour})
	if want := []uint64{0, 0, 100, 100, 200, 300, 300}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := s.Cumulative(stat.LatencyBounds()); !slices.IsSorted(got) || len(got) != len(stat.LatencyBounds()) || got[len(got)-1] != 200 {
		t.Errorf("%v", got)
	}
	var total stat.Snapshot
	total.Add(&s)
	total.Add(&s)
	if total.Count != 600 || total.Sum != 2*s.Sum || total.Max != time.Hour || total.Quantile(.5) != s.Quantile(.5) {
		t.Errorf("sum of two: %d, %v, %v", total.Count, total.Sum, total.Quantile(.5))
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	var h stat.Histogram
	var c stat.Counter
	v := stat.NewVec[atomic.Int64](10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Observe(time.Duration(g*1000+i) * time.Microsecond)
				c.Add(2)
				c.Add(-1)
				v.Get(fmt.Sprint("label", i%20)).Add(1)
				if i%100 == 0 {
					h.Snapshot()
					c.Load()
				}
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count != 8000 || s.Max != 7999*time.Microsecond {
		t.Errorf("count %d, max %v", s.Count, s.Max)
	}
	if c.Load() != 8000 {
		t.Errorf("counter %d", c.Load())
	}
	var labels, total int64
	for _, n := range v.All() {
		labels++
		total += n.Load()
	}
	if labels != 11 || total != 8000 {
		t.Errorf("%d labels, %d in all", labels, total)
	}
}

func TestVecIsBounded(t *testing.T) {
	t.Parallel()
	v := stat.NewVec[atomic.Int64](2)
	list := func() string {
		var b strings.Builder
		for label, n := range v.All() {
			fmt.Fprintf(&b, "%s=%d ", label, n.Load())
		}
		return b.String()
	}
	v.Get("b").Add(1)
	v.Get("a").Add(2)
	if got := list(); got != "a=2 b=1 " {
		t.Error(got)
	}
	for _, label := range []string{"c", "d", "", "other", strings.Repeat("x", 129)} {
		v.Get(label).Add(1)
	}
	v.Get("a").Add(1)
	if got := list(); got != "a=3 b=1 other=5 " {
		t.Error(got)
	}
	for label := range v.All() {
		if label != "a" {
			t.Error("iteration does not stop")
		}
		break
	}
	none := stat.NewVec[atomic.Int64](0)
	none.Get("a").Add(1)
	for label := range none.All() {
		if label != stat.Other {
			t.Errorf("a Vec of none keeps %q", label)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	var h stat.Histogram
	var c stat.Counter
	v := stat.NewVec[atomic.Int64](1)
	v.Get("known")
	if n := testing.AllocsPerRun(100, func() {
		h.Observe(time.Millisecond)
		c.Add(1)
		v.Get("known").Add(1)
		v.Get("unknown").Add(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleHistogram() {
	var h stat.Histogram
	for ms := range 100 {
		h.Observe(time.Duration(ms) * time.Millisecond)
	}
	s := h.Snapshot()
	fmt.Println(s.Count, s.Mean(), s.Max, s.Quantile(.99).Round(10*time.Millisecond))
	// Output: 100 49.5ms 99ms 100ms
}

func BenchmarkObserve(b *testing.B) {
	var h stat.Histogram
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(3 * time.Millisecond)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := time.Duration(0); pb.Next(); i++ {
				h.Observe(i * time.Microsecond)
			}
		})
	})
}

// BenchmarkCounter adds to neighbours in a struct, each from a goroutine of its own.
func BenchmarkCounter(b *testing.B) {
	b.Run("padded", func(b *testing.B) {
		var next atomic.Int64
		var c [64]stat.Counter
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			own := &c[next.Add(1)%64]
			for pb.Next() {
				own.Add(1)
			}
		})
	})
	b.Run("side by side", func(b *testing.B) {
		var next atomic.Int64
		var c [64]atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			own := &c[next.Add(1)%64]
			for pb.Next() {
				own.Add(1)
			}
		})
	})
}

func BenchmarkVec(b *testing.B) {
	v := stat.NewVec[stat.Histogram](10)
	b.ReportAllocs()
	for b.Loop() {
		v.Get("chat.message")
	}
}
