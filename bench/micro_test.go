package main

import "testing"

// The micro rows as benchmarks, for benchstat.

func BenchmarkEnqueue(b *testing.B) {
	w, err := commHubs{}.crowd(10000)
	if err != nil {
		b.Fatal(err)
	}
	defer w.m.Close()
	const batch = 16
	var ns, allocs, n float64
	for b.Loop() {
		t, a, err := w.enqueue(batch)
		if err != nil {
			b.Fatal(err)
		}
		ns, allocs, n = ns+t, allocs+a, n+1
	}
	b.ReportMetric(ns/n, "ns/enqueue")
	b.ReportMetric(allocs/n, "allocs/enqueue")
}

func BenchmarkJoinLeave(b *testing.B) {
	w, err := commHubs{}.crowd(100000)
	if err != nil {
		b.Fatal(err)
	}
	defer w.m.Close()
	const batch = 10000
	var ns, allocs, n float64
	for b.Loop() {
		m, err := w.joinLeave(batch)
		if err != nil {
			b.Fatal(err)
		}
		ns, allocs, n = ns+m["ns"], allocs+m["allocs"], n+1
	}
	b.ReportMetric(ns/n, "ns/pair")
	b.ReportMetric(allocs/n, "allocs/pair")
}
