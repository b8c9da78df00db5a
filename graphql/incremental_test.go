package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/graphql"
)

const incrementalSDL = `
	type Query { hero: Hero list: [Hero!]! bad: [Hero!] names: [String] strict: [String!] matrix: [[String]] nest: A }
	type Mutation { change: Hero }
	type Subscription { heroes: Hero }
	type Hero { id: ID! name: String must: String! fails: String friends: [Hero] best: Hero slow: String slowMust: String! stock: [Hero!]! }
	type A { b: B a: String nonNull: String! } type B { c: C b: String } type C { d: String e: String f: String! nothing: String! }`

func incrementalSchema(t testing.TB, opts ...graphql.SchemaOption) *graphql.Schema {
	luke := m{"id": "1", "name": "Luke", "must": "yes", "best": m{"id": "5", "name": "Wedge", "must": "x"}}
	luke["friends"] = []any{m{"id": "2", "name": "Han", "must": "han"}, m{"id": "3", "name": "Leia", "must": "leia"}, m{"id": "4", "name": "C-3PO"}}
	list := []any{m{"id": "1", "name": "Luke"}, m{"id": "2", "name": "Han"}, m{"id": "3", "name": "Leia"}}
	all := append([]graphql.SchemaOption{
		graphql.SDL(incrementalSDL), graphql.WithIncremental(), graphql.WithUnmaskedErrors(),
		graphql.Get("Query.hero", func(graphql.Root) any { return luke }),
		graphql.Get("Query.list", func(graphql.Root) any { return list }),
		graphql.Get("Query.bad", func(graphql.Root) any { return []any{list[0], nil, list[2]} }),
		graphql.Get("Query.names", func(graphql.Root) any { return []any{"apple", "banana", "coconut"} }),
		graphql.Get("Query.strict", func(graphql.Root) any { return []any{"apple", nil, "coconut"} }),
		graphql.Get("Query.matrix", func(graphql.Root) any { return [][]string{{"a", "b"}, {"c"}, {"d"}} }),
		graphql.Get("Query.nest", func(graphql.Root) any {
			return m{"a": "a", "nonNull": "nn", "b": m{"b": "b", "c": m{"d": "d", "e": "e", "f": "f"}}}
		}),
		graphql.Resolve("Mutation.change", func(context.Context, graphql.Root, graphql.NoArgs) (any, error) { return luke, nil }),
		graphql.Subscribe("Subscription.heroes", source[any](luke, luke)),
		graphql.Resolve("Hero.fails", func(context.Context, m, graphql.NoArgs) (*string, error) { return nil, errors.New("bad") }),
		graphql.Resolve("Hero.slow", func(_ context.Context, h m, _ graphql.NoArgs) (any, error) { return h["name"], nil }),
		graphql.Resolve("Hero.slowMust", func(_ context.Context, h m, _ graphql.NoArgs) (any, error) { return nil, errors.New("bad must") }),
		graphql.Batch("Hero.stock", func(_ context.Context, hs []m, _ graphql.NoArgs) ([]any, error) {
			out := make([]any, len(hs))
			for i := range hs {
				out[i] = []any{m{"id": "s" + hs[i]["id"].(string), "name": "stock"}}
			}
			return out, nil
		}),
	}, dynamic(nil, "Hero", "A", "B", "C")...)
	return schema(t, append(all, opts...)...)
}

// parts are all responses to a request.
func parts(t testing.TB, s *graphql.Schema, query string, variables ...string) (list []string) {
	t.Helper()
	req := &graphql.Request{Query: query}
	if len(variables) > 0 {
		req.Variables = json.RawMessage(variables[0])
	}
	st, body, _ := s.Subscribe(t.Context(), req)
	if st == nil {
		return []string{string(body)}
	}
	for b := range st.Responses() {
		if !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		list = append(list, string(b))
	}
	return list
}

// plain sorts keys and takes locations out.
func plain(t *testing.T, response string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(response), &v); err != nil {
		t.Fatal(err)
	}
	withoutLocations(v)
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func withoutLocations(v any) {
	switch v := v.(type) {
	case m:
		delete(v, "locations")
		for _, x := range v {
			withoutLocations(x)
		}
	case []any:
		for _, x := range v {
			withoutLocations(x)
		}
	}
}

// TestIncrementalCases holds every response against those of graphql-js.
func TestIncrementalCases(t *testing.T) {
	t.Parallel()
	s := incrementalSchema(t)
	for _, c := range incrementalCases {
		got := parts(t, s, c.query, c.variables)
		for i := range got {
			got[i] = plain(t, got[i])
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s\n got %s\nwant %s", c.query, c.variables, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// merge puts all responses together as a client does.
func merge(t *testing.T, responses []string) (data any, errs int) {
	t.Helper()
	type entry struct {
		ID      string
		Path    []any
		SubPath []any `json:"subPath"`
		Data    m
		Items   []any
		Errors  []any
	}
	var all struct {
		Data                            any
		Errors                          []any
		Pending, Incremental, Completed []entry
		HasNext                         bool
	}
	paths := make(map[string][]any)
	for i, r := range responses {
		all.Errors, all.Pending, all.Incremental, all.Completed, all.HasNext = nil, nil, nil, nil, false
		if err := json.Unmarshal([]byte(r), &all); err != nil {
			t.Fatal(err)
		}
		if all.HasNext != (i < len(responses)-1) {
			t.Errorf("hasNext is %v in response %d of %d", all.HasNext, i+1, len(responses))
		}
		errs += len(all.Errors)
		for _, p := range all.Pending {
			if paths[p.ID] != nil {
				t.Errorf("%s is pending twice", p.ID)
			}
			paths[p.ID] = append([]any{}, p.Path...)
		}
		for _, p := range all.Incremental {
			errs += len(p.Errors)
			path, ok := paths[p.ID]
			if !ok {
				t.Fatalf("%s is delivered and not pending: %s", p.ID, r)
			}
			mergeAt(t, &all.Data, append(slices.Clone(path), p.SubPath...), p.Data, p.Items)
		}
		for _, p := range all.Completed {
			errs += len(p.Errors)
			if paths[p.ID] == nil {
				t.Errorf("%s is completed and not pending", p.ID)
			}
			delete(paths, p.ID)
		}
	}
	if len(paths) > 0 {
		t.Errorf("never completed: %v", paths)
	}
	return all.Data, errs
}

func mergeAt(t *testing.T, at *any, path []any, data m, items []any) {
	t.Helper()
	if len(path) == 0 {
		if list, ok := (*at).([]any); ok {
			*at = append(list, items...)
			return
		}
		mergeInto((*at).(m), data)
		return
	}
	switch v := (*at).(type) {
	case m:
		child := v[path[0].(string)]
		mergeAt(t, &child, path[1:], data, items)
		v[path[0].(string)] = child
	case []any:
		mergeAt(t, &v[int(path[0].(float64))], path[1:], data, items)
	default:
		t.Fatalf("nothing at %v", path)
	}
}

func mergeInto(dst, src m) {
	for k, v := range src {
		if old, ok := dst[k].(m); ok {
			mergeInto(old, v.(m))
		} else {
			dst[k] = v
		}
	}
}

// TestIncrementalAddsUp compares what a client puts together with the one response that has everything.
func TestIncrementalAddsUp(t *testing.T) {
	t.Parallel()
	s := incrementalSchema(t)
	for _, q := range []string{
		`{ list { id ... @defer { slow stock { id ... @defer { name slow } } } } }`,
		`{ list @stream { id slow more: stock @stream { name } ... @defer(label: "x") { name ...F @defer } } } fragment F on Hero { slow stock { id } }`,
		`{ hero { ... @defer { friends { slow ...F } } ...F @defer friends { id } } } fragment F on Hero { name best { slow ... @defer { stock { id } } } }`,
		`{ matrix @stream(initialCount: 2) names @stream list @stream(initialCount: 1) { stock { slow } } }`,
		`{ ... @defer { nest { b { c { d } } } } ... @defer { nest { b { c { d e } b } a } hero { slow } } }`,
		`mutation { change { id ... @defer { slow friends @stream { slow } } } }`,
	} {
		for range 20 {
			got, errs := merge(t, parts(t, s, q))
			var want struct{ Data any }
			if err := json.Unmarshal([]byte(ask(t, s, q)), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want.Data) || errs > 0 || got == nil {
				t.Fatalf("%s: %d errors\n got %v\nwant %v", q, errs, got, want.Data)
			}
		}
	}
}

// Each combination of what conditions are has a plan of its own, which serves again.
func TestIncrementalConditions(t *testing.T) {
	t.Parallel()
	s := incrementalSchema(t)
	const query = `query($in: Boolean!, $later: Boolean!) { hero { id ... @include(if: $in) { must } ... @defer(if: $later) { name } } }`
	for range 2 {
		for variables, want := range map[string]string{
			`{"in":false,"later":false}`: `{"data":{"hero":{"id":"1","name":"Luke"}}}`,
			`{"in":true,"later":false}`:  `{"data":{"hero":{"id":"1","must":"yes","name":"Luke"}}}`,
			`{"in":false,"later":true}`:  `{"data":{"hero":{"id":"1"}},"pending":[{"id":"0","path":["hero"]}],"hasNext":true}`,
			`{"in":true,"later":true}`:   `{"data":{"hero":{"id":"1","must":"yes"}},"pending":[{"id":"0","path":["hero"]}],"hasNext":true}`,
		} {
			if got := parts(t, s, query, variables); got[0] != want {
				t.Errorf("%s\n got %s\nwant %s", variables, got[0], want)
			}
		}
	}
}

// TestIncrementalOff: without the option nobody knows the directives.
func TestIncrementalOff(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`type Query { a: [Int] }`), value("Query.a", []int{1}))
	refused(t, s, `{ ... @defer { a } }`, "", `Unknown directive \"@defer\"`)
	refused(t, s, `{ a @stream }`, "", `Unknown directive \"@stream\"`)
	if got := ask(t, s, `{ __schema { directives { name } } }`); strings.Contains(got, "defer") || strings.Contains(got, "stream") {
		t.Error(got)
	}
	s = incrementalSchema(t)
	if got := ask(t, s, `{ __schema { directives { name args { name defaultValue } } } }`); !strings.Contains(got, `{"name":"stream","args":[{"name":"initialCount","defaultValue":"0"},{"name":"if","defaultValue":"true"},{"name":"label","defaultValue":null}]}`) {
		t.Error(got)
	}
}

// TestIncrementalRules are the documents that are refused.
func TestIncrementalRules(t *testing.T) {
	t.Parallel()
	s := incrementalSchema(t)
	for _, c := range [][2]string{
		{`mutation { ... @defer { change { id } } }`, `Defer directive cannot be used on root mutation type \"Mutation\".`},
		{`mutation { ...F @defer } fragment F on Mutation { change { id } }`, `Defer directive cannot be used on root mutation`},
		{`subscription { heroes { ... @defer { id } } }`, "Defer directive not supported on subscription operations. Disable `@defer` by setting the `if` argument to `false`."},
		{`subscription { heroes { friends @stream { id } } }`, "Stream directive not supported on subscription operations."},
		{`{ hero { name @stream } }`, `Directive \"@stream\" cannot be used on non-list field \"Hero.name\".`},
		{`query($l: String) { hero { ... @defer(label: $l) { id } } }`, `Argument \"@defer(label:)\" must be a static string.`},
		{`{ hero { ... @defer(label: "x") { id } friends @stream(label: "x") { id } } }`, `must be unique across all Defer/Stream`},
		{`{ hero { friends { id } friends @stream { id } } }`, `they have overlapping stream directives`},
		{`{ hero @defer { id } }`, `Directive \"@defer\" may not be used on FIELD`},
		{`{ names @stream(initialCount: "1") }`, `Int cannot represent non-integer value`},
	} {
		refused(t, s, c[0], "", c[1])
	}
	got := parts(t, s, `subscription($on: Boolean!) { heroes { id ... @defer(if: $on) { name } } }`, `{"on":true}`)
	if len(got) != 1 || !strings.Contains(got[0], "not supported on subscriptions") {
		t.Error(got)
	}
	if got = parts(t, s, `subscription($on: Boolean!) { heroes { id ... @defer(if: $on) { name } } }`, `{"on":false}`); len(got) != 2 || got[0] != `{"data":{"heroes":{"id":"1","name":"Luke"}}}` {
		t.Error(got)
	}
	if got = parts(t, s, `query($on: Boolean) { hero { id ... @defer(if: $on) { name } } }`, `{"on":null}`); len(got) != 1 || !strings.Contains(got[0], `but the variable \"$on\" is null.","locations":[{"line":1,"column":48}],"path":["hero"]}]`) {
		t.Error(got)
	}
	if got = parts(t, s, `query($on: Boolean) { names hero { friends @stream(if: $on) { id } } }`, `{"on":null}`); len(got) != 1 || !strings.Contains(got[0], `"hero":{"friends":null}`) || !strings.Contains(got[0], `"path":["hero","friends"]`) {
		t.Error(got)
	}
}

// TestIncrementalBatch: what is deferred on many objects is fetched once for all of them.
func TestIncrementalBatch(t *testing.T) {
	t.Parallel()
	var calls, parents atomic.Int32
	s := schema(t, graphql.WithIncremental(), graphql.SDL(`type Query { list: [Node!]! } type Node { id: Int! more: Int }`),
		graphql.Bind[int]("Node"), graphql.Get("Query.list", func(graphql.Root) []int { return []int{1, 2, 3, 4, 5} }),
		graphql.Get("Node.id", func(n int) int { return n }),
		graphql.Batch("Node.more", func(_ context.Context, ns []int, _ graphql.NoArgs) ([]int, error) {
			calls.Add(1)
			parents.Add(int32(len(ns)))
			return ns, nil
		}))
	if data, _ := merge(t, parts(t, s, `{ list { id ... @defer { more } } }`)); calls.Load() != 1 || parents.Load() != 5 {
		t.Errorf("%d calls for %d parents: %v", calls.Load(), parents.Load(), data)
	}
}

// waiting has a list of objects whose field ok is there at once and whose field wait is there when release is
// closed; it counts who waits.
func waiting(t testing.TB, release <-chan struct{}, opts ...graphql.SchemaOption) (*graphql.Schema, *atomic.Int32) {
	var waits atomic.Int32
	all := append([]graphql.SchemaOption{
		graphql.WithIncremental(), graphql.SDL(`type Query { list: [Node!]! one: Node } type Node { id: Int! wait: Int waitMust: Int! ctx: String }`),
		graphql.Bind[int]("Node"), graphql.Get("Query.list", func(graphql.Root) []int { return []int{1, 2, 3} }),
		graphql.Get("Query.one", func(graphql.Root) *int { return new(7) }),
		graphql.Get("Node.id", func(n int) int { return n }),
		graphql.Resolve("Node.ctx", func(ctx context.Context, _ int, _ graphql.NoArgs) (string, error) {
			return fmt.Sprint(ctx.Value(ctxKey{}), " ", ctx.Err()), nil
		}),
	}, opts...)
	for _, name := range []string{"wait", "waitMust"} {
		all = append(all, graphql.Resolve("Node."+name, func(ctx context.Context, n int, _ graphql.NoArgs) (int, error) {
			waits.Add(1)
			defer waits.Add(-1)
			select {
			case <-release:
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}))
	}
	return schema(t, all...), &waits
}

type ctxKey struct{}

// TestIncrementalEnds: when the client wants no more, what is under way ends before the loop has.
func TestIncrementalEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, waits := waiting(t, nil)
		for _, end := range []string{"break", "close", "context"} {
			ctx, cancel := context.WithCancel(t.Context())
			st, _, _ := s.Subscribe(ctx, &graphql.Request{Query: `{ list { id ... @defer { wait } } one { ... @defer(label: "fast") { ctx } } }`})
			n := 0
			for b, out := range st.Responses() {
				if n++; n == 1 {
					continue
				}
				if synctest.Wait(); waits.Load() != 3 || !out.HasNext {
					t.Errorf("%d wait after %s", waits.Load(), b)
				}
				if end == "break" {
					break
				}
				if end == "close" {
					st.Close()
				}
				cancel()
			}
			if cancel(); n != 2 || waits.Load() != 0 {
				t.Errorf("%s: %d responses, and %d wait still", end, n, waits.Load())
			}
		}
	})
}

// TestIncrementalLimits are those of one operation in parts.
func TestIncrementalLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := waiting(t, nil, graphql.WithLimits(graphql.Limits{Time: time.Second}))
		began := time.Now()
		got := parts(t, s, `{ list { id ... @defer { wait } } }`)
		if last := got[len(got)-1]; time.Since(began) != time.Second || strings.Count(strings.Join(got, ""), "The operation is over the limit of 1 s.") != 3 || !strings.HasSuffix(last, `"hasNext":false}`) {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
	})
	closed := make(chan struct{})
	close(closed)
	s, _ := waiting(t, closed, graphql.WithLimits(graphql.Limits{Pending: 2}))
	if got := parts(t, s, `{ list { id ... @defer { wait } } }`); len(got) != 1 || !strings.Contains(got[0], `{"data":null,"errors":[{"message":"The operation is over the limit of 2 deferred fragments and streamed lists."`) {
		t.Error(got)
	}
	if got := parts(t, s, `{ one { ... @defer { id } } list @stream { id ... @defer(label: "d") { wait } } }`); !strings.Contains(strings.Join(got, ""), `limit of 2 deferred`) {
		t.Error(got)
	}
	s, _ = waiting(t, closed, graphql.WithLimits(graphql.Limits{Parts: 2, Concurrency: 1}))
	got := parts(t, s, `{ list @stream { wait } }`)
	if len(got) != 2 || !strings.Contains(got[1], `{"completed":[{"id":"0","errors":[{"message":"The operation is over the limit of 2 responses of one operation."`) {
		t.Error(got)
	}
	s, _ = waiting(t, closed, graphql.WithLimits(graphql.Limits{ResponseBytes: 100}))
	got = parts(t, s, `{ one { id ... @defer { a: wait b: wait c: wait dddddddddddddddddddddddddddddddddd: wait } ... @defer(label: "e") { eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee: wait id2: id a1: id a2: id a3: id a4: id } } list { ... @defer(label: "x") { wait zzzzzzzzzzzzzzzzzzzzzzzzzzz: wait yyyyyyyyyyyyyyyyyyyy: id } } }`)
	if !strings.Contains(strings.Join(got, ""), "limit of 100 bytes of a response") {
		t.Error(got)
	}
}

// TestIncrementalFailure: a fragment that fails ends what is under way for it.
func TestIncrementalFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := schema(t, graphql.WithIncremental(), graphql.WithUnmaskedErrors(), graphql.SDL(`type Query { a: Int b: Int! p: Panics } type Panics { x: Int }`),
			graphql.Resolve("Query.a", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (int, error) {
				<-ctx.Done()
				return 0, context.Cause(ctx)
			}),
			graphql.Resolve("Query.b", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, errors.New("no b") }),
			graphql.Bind[m]("Panics"),
			graphql.Get("Query.p", func(graphql.Root) any { panic("no p") }))
		got := parts(t, s, `{ ... @defer { a b } }`)
		if len(got) != 2 || plain(t, got[1]) != `{"completed":[{"errors":[{"message":"no b","path":["b"]}],"id":"0"}],"hasNext":false}` {
			t.Error(got)
		}
		if got = parts(t, s, `{ ... @defer { p { x } } }`); len(got) != 2 || !strings.Contains(got[1], `"data":{"p":null},"errors":[{"message":"graphql: panic: no p"`) {
			t.Error(got)
		}
	})
}

// TestIncrementalMiddleware: what is deferred has the values of the middleware's context, which may have ended,
// and the observer is told of one operation.
func TestIncrementalMiddleware(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	seen := new(observed)
	s, _ := waiting(t, nil, graphql.WithOperationObserver(seen), graphql.WithOperationMiddleware(func(next graphql.OperationFunc) graphql.OperationFunc {
		return func(ctx context.Context, op *graphql.Operation) error {
			calls.Add(1)
			op.Extensions = map[string]any{"x": 1}
			ctx, cancel := context.WithCancel(context.WithValue(ctx, ctxKey{}, "value"))
			defer cancel()
			return next(ctx, op)
		}
	}))
	got := parts(t, s, `query Q { one { id ... @defer { ctx } } }`)
	want := []string{
		`{"data":{"one":{"id":7}},"extensions":{"x":1},"pending":[{"id":"0","path":["one"]}],"hasNext":true}`,
		`{"incremental":[{"id":"0","data":{"ctx":"value <nil>"}}],"completed":[{"id":"0"}],"hasNext":false}`,
	}
	if !slices.Equal(got, want) || calls.Load() != 1 {
		t.Errorf("%d calls: %s", calls.Load(), got)
	}
	if len(seen.events) != 1 || seen.events[0].Name != "Q" || seen.events[0].Bytes < 100 {
		t.Errorf("%+v", seen.events)
	}
}

type observed struct{ events []graphql.OperationEvent }

func (o *observed) Operation(_ context.Context, e graphql.OperationEvent) {
	o.events = append(o.events, e)
}

// FuzzIncremental: whatever the document is, its responses can be put together, and all that is promised comes.
func FuzzIncremental(f *testing.F) {
	s := incrementalSchema(f)
	for _, c := range incrementalCases {
		f.Add(c.query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got := parts(t, s, query)
		if !strings.Contains(got[0], `"hasNext":true`) {
			return
		}
		merge(t, got)
	})
}
