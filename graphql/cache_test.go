package graphql_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// heapBytes is what the process holds.
func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// The estimate by which the cache is bounded is near what its entries occupy. It is not parallel: it
// looks at the heap of the process.
func TestCacheEstimate(t *testing.T) {
	s := mediumSchema(t)
	for name, query := range map[string]string{"small": `{ stats { count } }`, "medium": mediumQuery} {
		before, had := heapBytes(), 0
		_, had = s.CacheSize()
		const n = 200
		for i := range n {
			req := &graphql.Request{Query: query + fmt.Sprint(" #", i), Variables: json.RawMessage(`{"withPets":true}`)}
			if _, out := s.Append(t.Context(), nil, req); len(out.Errors) > 0 {
				t.Fatal(out.Errors[0])
			}
		}
		grown := heapBytes() - before
		_, has := s.CacheSize()
		t.Logf("%s: %d bytes of text occupy %d, estimated at %d", name, len(query), grown/n, (has-had)/n)
		if est := has - had; est < grown/2 || est > 3*grown {
			t.Errorf("%s: estimated at %d bytes each, really %d", name, est/n, grown/n)
		}
	}
	runtime.KeepAlive(s)
}

// What an operation comes to occupy after the cache has forgotten it does not count there.
func TestCacheCountsNothingForgotten(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`type Query { a: Int }`), graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.WithLimits(graphql.Limits{CacheBytes: 8 << 10}))
	st, body, _ := s.Subscribe(t.Context(), &graphql.Request{Query: `{ a }`})
	if st == nil {
		t.Fatalf("%s", body)
	}
	for i := range 50 {
		ask(t, s, fmt.Sprintf("query Q%d { a }", i))
	}
	entries, bytes := s.CacheSize()
	for body := range st.Responses() { // which makes its plan
		if string(body) != `{"data":{"a":1}}` {
			t.Errorf("%s", body)
		}
	}
	if e, b := s.CacheSize(); e != entries || b != bytes {
		t.Errorf("%d entries of %d bytes, then %d of %d", entries, bytes, e, b)
	}
}

// A subscription that outlives its entry in the cache does not hold what the cache has forgotten since. It is not
// parallel: it looks at the heap of the process.
func TestCacheForgetsBesideASubscription(t *testing.T) {
	opts := []graphql.SchemaOption{graphql.WithLimits(graphql.Limits{CacheBytes: 64 << 10})}
	for _, o := range new(newsroom).options() {
		opts = append(opts, o.(graphql.SchemaOption))
	}
	s := schema(t, opts...)
	st, body, _ := s.Subscribe(t.Context(), &graphql.Request{Query: `subscription { forever }`})
	if st == nil {
		t.Fatalf("%s", body)
	}
	defer st.Close()
	flood := func(from, to int) {
		for i := range to - from {
			ask(t, s, fmt.Sprintf("query Q%d { a }", from+i))
		}
	}
	flood(0, 1_000)
	before := heapBytes()
	flood(1_000, 6_000)
	if grown := heapBytes() - before; grown > 2<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	runtime.KeepAlive(s)
}
