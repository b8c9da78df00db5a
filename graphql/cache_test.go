package graphql_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// The estimate by which the cache is bounded is near what its entries occupy. It is not parallel: it
// looks at the heap of the process.
func TestCacheEstimate(t *testing.T) {
	s := mediumSchema(t)
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for name, query := range map[string]string{"small": `{ stats { count } }`, "medium": mediumQuery} {
		before, had := heap(), 0
		_, had = s.CacheSize()
		const n = 200
		for i := range n {
			req := &graphql.Request{Query: query + fmt.Sprint(" #", i), Variables: json.RawMessage(`{"withPets":true}`)}
			if _, out := s.Append(t.Context(), nil, req); len(out.Errors) > 0 {
				t.Fatal(out.Errors[0])
			}
		}
		grown := heap() - before
		_, has := s.CacheSize()
		t.Logf("%s: %d bytes of text occupy %d, estimated at %d", name, len(query), grown/n, (has-had)/n)
		if est := has - had; est < grown/2 || est > 3*grown {
			t.Errorf("%s: estimated at %d bytes each, really %d", name, est/n, grown/n)
		}
	}
	runtime.KeepAlive(s)
}
