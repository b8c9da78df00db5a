package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
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

// The estimate by which the cache is bounded is near what its entries occupy, also where a text is made to occupy much.
// It is not parallel: it looks at the heap of the process.
func TestCacheEstimate(t *testing.T) {
	s := mediumSchema(t)
	type node struct{}
	dense := schema(t,
		graphql.SDL(`type Query { b: Int list(l: [Int]): Int in(v: In): Int node: Node } input In { q: [In] n: Int } type Node { node: Node b: Int }`),
		graphql.Bind[*node]("Node"), value("Query.b", 1), value("Query.node", &node{}),
		graphql.Resolve("Query.list", func(context.Context, graphql.Root, struct{ L []int }) (int, error) { return 1, nil }),
		graphql.Resolve("Query.in", func(context.Context, graphql.Root, struct{ V m }) (int, error) { return 1, nil }),
		graphql.Get("Node.node", func(*node) *node { return nil }), graphql.Get("Node.b", func(*node) int { return 1 }),
		graphql.WithLimits(graphql.Limits{CacheBytes: 1 << 30, Aliases: 10_000, Depth: 1_000, Tokens: 20_000}))
	var aliases strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&aliases, "x%d:b ", i)
	}
	for name, c := range map[string]struct {
		s     *graphql.Schema
		query string
		n     int
	}{
		"small": {s, `{ stats { count } }`, 200}, "medium": {s, mediumQuery, 200},
		"fields":    {dense, `{` + strings.Repeat("b ", 3000) + `}`, 10},
		"names":     {dense, `{` + strings.Repeat("__typename ", 1000) + `}`, 10},
		"aliases":   {dense, `{` + aliases.String() + `}`, 10},
		"list":      {dense, `{list(l:[` + strings.Repeat("1 ", 4000) + `])}`, 10},
		"objects":   {dense, `{in(v:{q:[` + strings.Repeat("{n:1}", 2000) + `]})}`, 10},
		"fragments": {dense, `{` + strings.Repeat("...{b}", 1000) + `}`, 10},
		"nested":    {dense, strings.Repeat("{node", 900) + `{b}` + strings.Repeat("}", 900), 10},
	} {
		before := heapBytes()
		_, had := c.s.CacheSize()
		for i := range c.n {
			req := &graphql.Request{Query: c.query + fmt.Sprint(" #", i), Variables: json.RawMessage(`{"withPets":true}`)}
			if body, out := c.s.Append(t.Context(), nil, req); len(out.Errors) > 0 {
				t.Fatalf("%s: %s", name, body)
			}
		}
		grown := heapBytes() - before
		_, has := c.s.CacheSize()
		t.Logf("%s: %d bytes of text occupy %d, estimated at %d", name, len(c.query), grown/c.n, (has-had)/c.n)
		if est := has - had; est < grown/2 || est > 3*grown {
			t.Errorf("%s: estimated at %d bytes each, really %d", name, est/c.n, grown/c.n)
		}
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(dense)
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
