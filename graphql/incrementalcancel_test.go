package graphql_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/graphql"
)

// lateSchema has fields that answer after a while, and says which were asked and which were given up.
type lateSchema struct {
	*graphql.Schema
	asked, givenUp atomic.Int32
}

func newLateSchema(t *testing.T, opts ...graphql.SchemaOption) *lateSchema {
	s := &lateSchema{}
	type in struct{ After int }
	late := func(ctx context.Context, after int) error {
		select {
		case <-time.After(time.Duration(after) * time.Second):
			return nil
		case <-ctx.Done():
			s.givenUp.Add(1)
			return ctx.Err()
		}
	}
	s.Schema = schema(t, append([]graphql.SchemaOption{
		graphql.SDL(`type Query { h: H } type H { h: H quick: Int slow(after: Int!): Int bad(after: Int!): Int! panics: Int fails: Int must: Int! many: [H] }`),
		graphql.WithIncremental(),
		graphql.Get("Query.h", func(graphql.Root) m { return m{} }),
		graphql.Get("H.h", func(m) m { return m{} }),
		graphql.Get("H.quick", func(m) int { return 1 }),
		graphql.Get("H.panics", func(m) int { panic("of a field") }),
		graphql.Get("H.many", func(m) []m { return []m{{}, {}, {}} }),
		graphql.Resolve("H.slow", func(ctx context.Context, _ m, a in) (int, error) { s.asked.Add(1); return 2, late(ctx, a.After) }),
		graphql.Resolve("H.bad", func(ctx context.Context, _ m, a in) (int, error) {
			_ = late(ctx, a.After)
			return 0, graphql.Errorf("bad")
		}),
		graphql.Resolve("H.fails", func(context.Context, m, graphql.NoArgs) (*int, error) { return nil, graphql.Errorf("it fails") }),
		graphql.Resolve("H.must", func(context.Context, m, graphql.NoArgs) (*int, error) { return nil, graphql.Errorf("it must") }),
	}, append(dynamic(nil, "H"), opts...)...)...)
	return s
}

// The fragment A fails by what it shares with B. What A alone has asked for is given up, while C goes on.
const givenUp = `{ h {
	... @defer(label: "A") { bad(after: 1) slow(after: 100) }
	... @defer(label: "B") { bad(after: 1) }
	... @defer(label: "C") { last: h { slow(after: 5) } }
} }`

// What nobody waits for any more ends: its resolvers' context does, or they are never called.
func TestIncrementalGivesUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts           []graphql.SchemaOption
		asked, givenUp int32
		took           time.Duration
	}{
		"at once":  {nil, 2, 1, 5 * time.Second},
		"in a row": {[]graphql.SchemaOption{graphql.WithLimits(graphql.Limits{Concurrency: 1})}, 1, 0, 6 * time.Second}, // after bad
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLateSchema(t, c.opts...)
				began := time.Now()
				query := givenUp
				if c.asked == 1 { // the failing part comes first in the row
					query = strings.Replace(query, `bad(after: 1) slow(after: 100)`, `bad(after: 1) ...S`, 1) + ` fragment S on H { slow(after: 100) }`
				}
				list := parts(t, s.Schema, query)
				all := strings.Join(list, "\n")
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if n, up := s.asked.Load(), s.givenUp.Load(); n != c.asked || up != c.givenUp {
					t.Errorf("slow was asked %d times and given up %d times, want %d and %d", n, up, c.asked, c.givenUp)
				}
				if strings.Count(all, `"message":"bad"`) != 2 || !strings.Contains(all, `"last":{"slow":2}`) || strings.Contains(all, `{"slow":2}}`+`,"id":"1"`) {
					t.Error(all)
				}
				if !strings.HasSuffix(all, `"hasNext":false}`) {
					t.Error(all)
				}
			})
		})
	}
}

// What is deferred within a fragment that has failed is not told of, though another fragment shares its place.
func TestIncrementalWithinFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newLateSchema(t)
		list := parts(t, s.Schema, `{ h {
			... @defer(label: "A") { bad(after: 1) h { slow(after: 3) ... @defer(label: "C") { quick } } }
			... @defer(label: "B") { h { slow(after: 3) } }
		} }`)
		all := strings.Join(list, "\n")
		if strings.Contains(all, `"C"`) || strings.Contains(all, `"quick"`) || !strings.Contains(all, `"slow":2`) || strings.Count(all, `"message":"bad"`) != 1 || !strings.HasSuffix(all, `"hasNext":false}`) {
			t.Error(all)
		}
	})
}

// What goes wrong in a part is told with it: a panic, more errors than are told, and a null that goes up unnamed by one.
func TestIncrementalPartFails(t *testing.T) {
	t.Parallel()
	s := newLateSchema(t, graphql.WithLimits(graphql.Limits{Errors: 1}))
	for query, want := range map[string]string{
		`{ h { quick ... @defer { panics } } }`:              `"internal error"`,
		`{ h { quick ... @defer { many { fails } } } }`:      `errors of a response: 2 are left out`,
		`{ h { quick ... @defer { fails must } } }`:          `errors of a response: 1 are left out`,
		`{ h { many @stream(initialCount: -1) { quick } } }`: `Argument \"initialCount\" of @stream must be a positive integer or 0, not -1.`,
	} {
		all := strings.Join(parts(t, s.Schema, query), "\n")
		if !strings.Contains(all, want) || strings.Count(all, `"hasNext":false`) != strings.Count(query, "@defer") {
			t.Errorf("%s\n got %s\nwant %s", query, all, want)
		}
	}
	if all := strings.Join(parts(t, s.Schema, `query($n: Int = 1) { h { many @stream(initialCount: $n) { quick } } }`, `{"n":null}`), "\n"); !strings.Contains(all, `initialCount`) {
		t.Error(all)
	}
}

// A fragment that is used twice in one deferred fragment, or on other types, adds nothing.
func TestIncrementalFragmentAgain(t *testing.T) {
	t.Parallel()
	s := newLateSchema(t)
	once := parts(t, s.Schema, `{ h { ... @defer { quick } } }`)
	for _, query := range []string{
		`{ h { ... @defer { ...F ...F } } } fragment F on H { quick }`,
		`{ h { ... @defer { ...F ... { ...F } } } } fragment F on H { quick }`,
	} {
		if got := parts(t, s.Schema, query); strings.Join(got, "\n") != strings.Join(once, "\n") {
			t.Errorf("%s\n got %q\nwant %q", query, got, once)
		}
	}
}

// A presenter and an observer that panic harm nobody: the client is told no more than that something went wrong.
func TestPresenterPanics(t *testing.T) {
	t.Parallel()
	s := newLateSchema(t, graphql.WithErrorPresenter(func(_ context.Context, e *graphql.Error) {
		e.Message = "half of a secret"
		panic("presenter")
	}), graphql.WithOperationObserver(panicking{}))
	const want = `"errors":[{"message":"internal error","locations":[{"line":1,"column":%d}],"path":["h","fails"],"extensions":{"code":"INTERNAL"}}]`
	for query, at := range map[string]int{`{ h { fails } }`: 7, `{ h { ... @defer { fails } } }`: 20} {
		if all := strings.Join(parts(t, s.Schema, query), "\n"); !strings.Contains(all, fmt.Sprintf(want, at)) || strings.Contains(all, "secret") {
			t.Errorf("%s: %s", query, all)
		}
	}
	refused(t, s.Schema, `{ nonsense }`, ``, `{"errors":[{"message":"internal error"`)
}

type panicking struct{}

func (panicking) Operation(context.Context, graphql.OperationEvent) { panic("observer") }
