package main

import (
	"runtime"
	"runtime/debug"
)

// holdServer is the server of a carrier: package ws alone, or the hub of the
// main job, with a token, middleware, a handler, a history for each group, and
// every client a user of its own in two groups.
func holdServer(s *spec) (hub, error) {
	if s.Carrier == carrierLibrary {
		e, err := commEcho{}.Echo(s)
		return echoing{e}, err
	}
	h, err := commHubs{chunked: !s.Hijack}.Job(s)
	if err != nil {
		return nil, err
	}
	hub := h.(*commHub)
	hub.entry.Poll = "/poll?group=%d"
	if s.Stalled { // the one group, to be filled too
		hub.targets = append(hub.targets, hub.targets[0])
	}
	return hub, nil
}

// limitMemory sets what the environment would: GOGC and GOMEMLIMIT.
func limitMemory(s *spec) {
	if s.GC > 0 {
		debug.SetGCPercent(s.GC)
	}
	if s.MemLimit > 0 {
		debug.SetMemoryLimit(s.MemLimit)
	}
}

// liveUsage is what is in use behind a collection.
func liveUsage() usage {
	u := usageNow()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second frees what the first's finalizers and pools held
	runtime.ReadMemStats(&m)
	u.Live, u.Stacks, u.Goroutines = int64(m.HeapAlloc), int64(m.StackInuse), runtime.NumGoroutine()
	return u
}
