package graphql_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm/graphql"
)

// What is wrong with a source is told where that of a loop is.
func TestTopicRefused(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	for query, want := range map[string]string{
		`subscription { tick(above: 7) { n } }`: `{"errors":[{"message":"not above 7","locations":[{"line":1,"column":16}],"path":["tick"]}]}`,
		`subscription { tick(above: 8) { n } }`: `{"errors":[{"message":"internal error","locations":[{"line":1,"column":16}],"path":["tick"],"extensions":{"code":"INTERNAL"}}]}`,
	} {
		if got := take(t, b.Schema, query, 1); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %s", query, got)
		}
	}
	plain := func(context.Context, graphql.NoArgs) (graphql.Source[int], error) { return nil, nil }
	sdl := graphql.SDL(`type Query { a: Int } type Subscription { a: Int b: Int c: Int }`)
	got := problems(t, sdl, value("Query.a", 1),
		graphql.SubscribeTo("Subscription.a", plain, graphql.Queue(0)),
		graphql.Subscribe("Subscription.b", source(1), graphql.Queue(3)),
		graphql.Subscribe("Subscription.c", source(1), graphql.KeepLatest()),
	)
	for _, part := range []string{"Subscription.a: Queue(0): 1 or more", "Subscription.b: Queue and KeepLatest are for SubscribeTo", "Subscription.c: Queue and"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in %s", part, got)
		}
	}
}

// A source of one's own: what it sends before it returns is an event, and its stop is called once, whatever ends it.
func TestSourceFunc(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sinks []*graphql.Sink[int]
		var ctxs []context.Context
		var stops atomic.Int32
		s := schema(t, graphql.SDL(`type Query { a: Int } type Subscription { n(how: String = ""): Int }`), value("Query.a", 1),
			graphql.SubscribeTo("Subscription.n", func(_ context.Context, a struct{ How string }) (graphql.Source[int], error) {
				return graphql.SourceFunc[int](func(ctx context.Context, to *graphql.Sink[int]) (func(), error) {
					sinks, ctxs = append(sinks, to), append(ctxs, ctx)
					to.Send(1)
					switch a.How {
					case "refuse":
						return nil, graphql.Errorf("refused")
					case "panic":
						panic("open")
					case "bare":
						return nil, nil
					}
					return func() {
						if stops.Add(1); a.How == "panic later" {
							panic("stop")
						}
					}, nil
				}), nil
			}))
		for how, part := range map[string]string{"refuse": "refused", "panic": "internal error"} {
			if got := take(t, s, `subscription { n(how: "`+how+`") }`, 1); !strings.Contains(got[0], part) {
				t.Error(how, got)
			}
		}
		ends := []func(st *graphql.Stream, r *reader){
			func(*graphql.Stream, *reader) { sinks[0].End() },
			func(st *graphql.Stream, _ *reader) { st.Close() },
			func(_ *graphql.Stream, r *reader) { r.most = 3; sinks[0].Send(3) },
		}
		for i, end := range ends {
			for _, how := range []string{"", "panic later"} {
				var r reader
				stops.Store(0)
				sinks, ctxs = nil, nil
				st := deliver(t, t.Context(), s, `subscription { n(how: "`+how+`") }`, &r)
				sinks[0].Fail(graphql.Errorf("two"))
				synctest.Wait()
				end(st, &r)
				synctest.Wait()
				want := `{"data":{"n":1 {"data":{"n":null,"errors":[{"message":"two","locations":[{"line":1,"column":16],"path":["n"]]`
				if i == 2 {
					want += ` {"data":{"n":3`
				}
				if got := r.has(); got != want+" over" {
					t.Errorf("%d: %s", i, got)
				}
				if stops.Load() != 1 || ctxs[0].Err() == nil || sinks[0].Send(9) || sinks[0].Fail(errors.New("late")) {
					t.Errorf("%d: stopped %d times, %v", i, stops.Load(), ctxs[0].Err())
				}
			}
		}
		for _, most := range []int{1, 3} { // by a loop: broken off, or to the end
			stops.Store(0)
			sinks = nil
			st, _, _ := s.Subscribe(t.Context(), &graphql.Request{Query: `subscription { n(how: "panic later") }`})
			sinks[0].Send(2)
			sinks[0].End()
			var list []string
			for body := range st.Responses() {
				if list = append(list, string(body)); len(list) == most {
					break
				}
			}
			if len(list) != min(most, 2) || stops.Load() != 1 {
				t.Errorf("%d: %q, stopped %d times", most, list, stops.Load())
			}
		}
		// One that nobody reads is let go with its context; and a stream is read once.
		stops.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		st, _, _ := s.Subscribe(ctx, &graphql.Request{Query: `subscription { n }`})
		cancel()
		synctest.Wait()
		if stops.Load() != 1 {
			t.Error("it was not let go")
		}
		var none, bare reader
		for range st.Responses() {
			t.Error("a response after the end")
		}
		st.Deliver(none.each, none.done)
		deliver(t, t.Context(), s, `subscription { n(how: "bare") }`, &bare).Close()
		deliver(t, t.Context(), s, `{ a }`, &none)
		synctest.Wait()
		if got := none.has(); got != `{"data":{"a":1 over over` {
			t.Error(got)
		}
	})
}
