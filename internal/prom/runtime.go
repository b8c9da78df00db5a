package prom

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// runtimeGauges maps runtime/metrics to the names under which dashboards for Go look.
var runtimeGauges = []struct{ source, name, help string }{
	{"/sched/goroutines:goroutines", "go_goroutines", "Number of goroutines that currently exist."},
	{"/sched/gomaxprocs:threads", "go_sched_gomaxprocs_threads", "The current runtime.GOMAXPROCS setting."},
	{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", "Bytes of heap objects, live or not yet swept."},
	{"/gc/heap/objects:objects", "go_memstats_heap_objects", "Number of heap objects, live or not yet swept."},
	{"/gc/heap/live:bytes", "go_gc_heap_live_bytes", "Bytes of heap objects that the last garbage collection found live."},
	{"/gc/heap/goal:bytes", "go_gc_heap_goal_bytes", "Heap size at which the next garbage collection ends."},
	{"/memory/classes/heap/stacks:bytes", "go_memstats_stack_inuse_bytes", "Bytes of the heap used for stacks."},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "Bytes of memory mapped by the Go runtime."},
}

var runtimeCounters = []struct{ source, name, help string }{
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", "Bytes ever allocated on the heap."},
	{"/gc/heap/allocs:objects", "go_memstats_mallocs_total", "Objects ever allocated on the heap."},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "Completed garbage collections."},
}

const gcPauses = "/sched/pauses/total/gc:seconds"

// gcBounds are the bounds to which the runtime's own, of which there are hundreds, are merged.
var gcBounds = []time.Duration{
	10 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
}

// Runtime adds the state of the Go runtime: goroutines, heap, garbage collection. It stops nothing.
func (p *Page) Runtime() {
	p.Gauge("go_info", "The Go version that built the program.", 1, L("version", runtime.Version()))
	samples := make([]metrics.Sample, 0, len(runtimeGauges)+len(runtimeCounters)+1)
	for _, m := range runtimeGauges {
		samples = append(samples, metrics.Sample{Name: m.source})
	}
	for _, m := range runtimeCounters {
		samples = append(samples, metrics.Sample{Name: m.source})
	}
	samples = append(samples, metrics.Sample{Name: gcPauses})
	metrics.Read(samples)
	for i, m := range runtimeGauges {
		if v, ok := number(samples[i].Value); ok {
			p.Gauge(m.name, m.help, v)
		}
	}
	for i, m := range runtimeCounters {
		if v, ok := number(samples[len(runtimeGauges)+i].Value); ok {
			p.Counter(m.name, m.help, v)
		}
	}
	if v := samples[len(samples)-1].Value; v.Kind() == metrics.KindFloat64Histogram {
		p.Histogram("go_gc_pauses_seconds", "Time that garbage collection stopped the program.", merge(v.Float64Histogram(), gcBounds))
	}
}

// number reads a value; a runtime that no longer has the metric gives none.
func number(v metrics.Value) (float64, bool) {
	switch v.Kind() {
	case metrics.KindUint64:
		return float64(v.Uint64()), true
	case metrics.KindFloat64:
		return v.Float64(), true
	}
	return 0, false
}

// merge counts a runtime bucket under the first bound that holds all of it. The runtime keeps no sum: that of the
// buckets' middles stands in.
func merge(h *metrics.Float64Histogram, bounds []time.Duration) Histogram {
	out := Histogram{Bounds: make([]float64, len(bounds)), Cumulative: make([]uint64, len(bounds))}
	for i, b := range bounds {
		out.Bounds[i] = b.Seconds()
	}
	for i, n := range h.Counts {
		low, high := h.Buckets[i], h.Buckets[i+1]
		out.Count += n
		for j := range bounds {
			if high <= out.Bounds[j] {
				out.Cumulative[j] += n
			}
		}
		switch {
		case math.IsInf(low, -1):
			low = min(high, 0)
		case math.IsInf(high, 1):
			high = low
		}
		out.Sum += float64(n) * (low + high) / 2
	}
	return out
}
