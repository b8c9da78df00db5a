package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/graphql"
)

type tick struct{ N int }

// ticker counts, and says when its context has ended.
func ticker(ended *error) graphql.SchemaOption {
	return graphql.Subscribe("Subscription.tick", func(ctx context.Context, a struct {
		From int
		How  string
	},
	) (iter.Seq2[*tick, error], error) {
		switch a.How {
		case "refuse":
			return nil, graphql.Errorf("refused")
		case "nil":
			return nil, nil
		case "panic":
			panic("at once")
		}
		return func(yield func(*tick, error) bool) {
			defer func() { *ended = ctx.Err() }()
			for n := a.From; ctx.Err() == nil; n++ {
				switch {
				case a.How == "fail" && n == 2:
					if !yield(nil, graphql.Errorf("two")) {
						return
					}
					continue
				case a.How == "panic later" && n == 2:
					panic("later")
				case a.How == "end" && n == 2:
					return
				}
				if !yield(&tick{n}, nil) {
					return
				}
			}
		}, nil
	})
}

const tickSDL = `type Query { a: Int } type Mutation { b: Int }
type Subscription { tick(from: Int = 1, how: String = ""): Tick plain: Int! } type Tick { n: Int twice: Int! fails: Int! }`

func tickSchema(t *testing.T, ended *error) *graphql.Schema {
	return schema(t, graphql.SDL(tickSDL), value("Query.a", 1), value("Mutation.b", 2), ticker(ended),
		graphql.Subscribe("Subscription.plain", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(0, errors.New("secret")) && yield(3, nil)
			}, nil
		}),
		graphql.Batch("Tick.twice", func(_ context.Context, ts []*tick, _ graphql.NoArgs) ([]int, error) { return []int{2 * ts[0].N}, nil }),
		graphql.Get("Tick.fails", func(t *tick) *int {
			if t.N == 2 {
				return nil
			}
			return &t.N
		}),
	)
}

func take(t *testing.T, s *graphql.Schema, query string, n int) (list []string) {
	t.Helper()
	st, body, out := s.Subscribe(t.Context(), &graphql.Request{Query: query})
	if st == nil {
		if !out.RequestError {
			t.Errorf("%s: no request error", query)
		}
		return []string{string(body)}
	}
	for body := range st.Responses() {
		if !json.Valid(body) {
			t.Errorf("not JSON: %s", body)
		}
		if list = append(list, string(body)); len(list) == n {
			break
		}
	}
	return list
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	var ended error
	s := tickSchema(t, &ended)
	for _, c := range []struct{ query, want string }{
		{`subscription { tick { n twice } }`, `{"data":{"tick":{"n":1,"twice":2}}} {"data":{"tick":{"n":2,"twice":4}}} {"data":{"tick":{"n":3,"twice":6}}}`},
		{`subscription { x: tick(from: 5) { n } }`, `{"data":{"x":{"n":5}}} {"data":{"x":{"n":6}}} {"data":{"x":{"n":7}}}`},
		{`subscription { tick(how: "end") { n } }`, `{"data":{"tick":{"n":1}}}`},
		// an error of one event does not end the stream
		{`subscription { tick(how: "fail") { n } }`, `{"data":{"tick":{"n":1}}} {"data":{"tick":null},"errors":[{"message":"two","locations":[{"line":1,"column":16}],"path":["tick"]}]} {"data":{"tick":{"n":3}}}`},
		{`subscription { tick { fails } }`, `{"data":{"tick":{"fails":1}}} {"data":{"tick":null},"errors":[{"message":"Cannot return null for non-nullable field Tick.fails.","locations":[{"line":1,"column":23}],"path":["tick","fails"]}]} {"data":{"tick":{"fails":3}}}`},
		{`subscription { plain }`, `{"data":{"plain":1}} {"data":null,"errors":[{"message":"internal error","locations":[{"line":1,"column":16}],"path":["plain"],"extensions":{"code":"INTERNAL"}}]} {"data":{"plain":3}}`},
		// one that cannot be made is a request that failed
		{`subscription { tick(how: "refuse") { n } }`, `{"errors":[{"message":"refused","locations":[{"line":1,"column":16}],"path":["tick"]}]}`},
		{`subscription { tick(how: "nil") { n } }`, `{"errors":[{"message":"internal error","locations":[{"line":1,"column":16}],"path":["tick"],"extensions":{"code":"INTERNAL"}}]}`},
		{`subscription { tick(how: "panic") { n } }`, `{"errors":[{"message":"internal error","locations":[{"line":1,"column":16}],"path":["tick"],"extensions":{"code":"INTERNAL"}}]}`},
		{`subscription { tick(how: "panic later") { n } }`, `{"data":{"tick":{"n":1}}} {"data":{"tick":null},"errors":[{"message":"internal error","locations":[{"line":1,"column":16}],"path":["tick"],"extensions":{"code":"INTERNAL"}}]}`},
		// other operations have one response
		{`{ a }`, `{"data":{"a":1}}`},
		{`mutation { b }`, `{"data":{"b":2}}`},
	} {
		if got := strings.Join(take(t, s, c.query, 3), " "); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
		}
	}
	if ended == nil {
		// a break ends the loop inside of the source, before its context
		t.Log("the source has ended by itself")
	}
	refused(t, s, `subscription { tick { n } }`, ``, "needs a transport for streams")
	for query, part := range map[string]string{
		`subscription { tick { n } plain }`:                                     "must select only one top level field",
		`subscription { a: plain b: plain }`:                                    "must select only one top level field",
		`subscription { ...F } fragment F on Subscription { plain tick { n } }`: "must select only one top level field",
		`subscription { __typename }`:                                           "must not select an introspection",
		`subscription { plain @skip(if: false) }`:                               "must not use @skip or @include",
		`subscription { ... @include(if: true) { plain } }`:                     "must not use @skip or @include",
	} {
		refused(t, s, query, ``, part)
	}
}

// The source's context ends when the client goes, and when the stream is closed before it was read.
func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := make(chan context.Context, 1)
		s := schema(t, graphql.SDL(`type Query { a: Int } type Subscription { wait: Int }`), value("Query.a", 1),
			graphql.Subscribe("Subscription.wait", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[int, error], error) {
				source <- ctx
				return func(yield func(int, error) bool) {
					if yield(1, nil) {
						<-ctx.Done()
					}
				}, nil
			}))
		ctx, cancel := context.WithCancel(t.Context())
		st, _, _ := s.Subscribe(ctx, &graphql.Request{Query: `subscription { wait }`})
		time.AfterFunc(time.Minute, cancel)
		began, n := time.Now(), 0
		for range st.Responses() {
			n++
		}
		if n != 1 || time.Since(began) != time.Minute || (<-source).Err() == nil {
			t.Error(n, time.Since(began))
		}
		for range st.Responses() {
			t.Error("a stream can be read once")
		}
		st, _, _ = s.Subscribe(t.Context(), &graphql.Request{Query: `subscription { wait }`})
		st.Close()
		st.Close()
		if (<-source).Err() == nil {
			t.Error("the source's context lives")
		}
	})
}

func TestClientSubscribe(t *testing.T) {
	t.Parallel()
	var ended error
	c := graphql.NewClient(tickSchema(t, &ended))
	seq, err := c.Subscribe(t.Context(), `subscription($n: Int) { tick(from: $n) { n } }`, m{"n": 8})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for data, err := range seq {
		if got = append(got, fmt.Sprint(string(data), err)); len(got) == 2 {
			break
		}
	}
	if strings.Join(got, " ") != `{"tick":{"n":8}}<nil> {"tick":{"n":9}}<nil>` {
		t.Error(got)
	}
	if _, err := c.Subscribe(t.Context(), `subscription { tick(how: "refuse") { n } }`, nil); err == nil {
		t.Error("no error")
	}
}

// TestEventAllocations: an event whose fields call no resolver is executed without an allocation. It is not
// parallel, so that nobody else allocates.
func TestEventAllocations(t *testing.T) {
	const events = 1000
	one := &tick{1}
	s := schema(t, graphql.SDL(`type Query { a: Int } type Tick { n: Int! } type Subscription { tick: Tick! }`), value("Query.a", 1), graphql.Bind[*tick]("Tick"),
		graphql.Subscribe("Subscription.tick", func(context.Context, graphql.NoArgs) (iter.Seq2[*tick, error], error) {
			return func(yield func(*tick, error) bool) {
				for range events {
					if !yield(one, nil) {
						return
					}
				}
			}, nil
		}))
	allocs := testing.AllocsPerRun(5, func() {
		st, body, _ := s.Subscribe(t.Context(), &graphql.Request{Query: `subscription { tick { n } }`})
		if st == nil {
			t.Fatalf("%s", body)
		}
		for body := range st.Responses() {
			if string(body) != `{"data":{"tick":{"n":1}}}` {
				t.Fatalf("%s", body)
			}
		}
	})
	if !raceEnabled && allocs > events/10 { // what the stream itself needs, and pools that a collection empties
		t.Errorf("%.0f allocations for %d events", allocs, events)
	}
}
