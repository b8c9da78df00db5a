package graphql_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/anasamu/comm/graphql"
)

const feedSDL = `type Query { a: Int } type Tick { n: Int } type Subscription { tick(above: Int = 0): Tick text: String number: Int }`

// board is a schema with one topic behind all of its subscriptions.
type board struct {
	*graphql.Schema
	ticks graphql.Topic[*tick]
}

func newBoard(t *testing.T, opts ...graphql.SchemaOption) *board {
	b := &board{}
	b.Schema = schema(t, append([]graphql.SchemaOption{
		graphql.SDL(feedSDL), value("Query.a", 1),
		graphql.SubscribeTo("Subscription.tick", func(_ context.Context, a struct{ Above int }) (graphql.Source[*tick], error) {
			switch a.Above {
			case 0:
				return &b.ticks, nil
			case 7:
				return nil, graphql.Errorf("not above 7")
			case 8:
				return nil, nil
			}
			return b.ticks.Where(func(t *tick) bool { return t.N > a.Above }), nil
		}),
		graphql.SubscribeTo("Subscription.text", func(context.Context, graphql.NoArgs) (graphql.Source[string], error) {
			return graphql.Select(&b.ticks, func(t *tick) (string, bool) {
				if t.N == 13 {
					panic("of thirteen")
				}
				return fmt.Sprint("n", t.N), t.N != 2
			}), nil
		}),
		graphql.SubscribeTo("Subscription.number", func(context.Context, graphql.NoArgs) (graphql.Source[int], error) {
			return graphql.Select(&b.ticks, func(t *tick) (int, bool) { return t.N, true }), nil
		}, graphql.Queue(2), graphql.KeepLatest()),
	}, opts...)...)
	return b
}

func (b *board) publish(from, to int) {
	for n := from; n <= to; n++ {
		b.ticks.Publish(&tick{n})
	}
}

// reader is given the responses of one subscription. It is told by hold to wait with each.
type reader struct {
	mu   sync.Mutex
	list []string
	over int
	hold chan struct{} // nil does not wait
	most int           // responses that it wants; 0 is all
}

func (r *reader) each(body []byte, _ graphql.Outcome) bool {
	r.mu.Lock()
	r.list = append(r.list, string(body))
	on := len(r.list) != r.most
	r.mu.Unlock()
	if r.hold != nil {
		<-r.hold
	}
	return on
}

func (r *reader) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over++
}

// has says what there is so far: the responses without what is the same in each, and then how often it was over.
func (r *reader) has() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.list, " ") + strings.Repeat(" over", r.over)
	for _, part := range []string{`{"data":{"tick":{"n":`, `{"data":{"text":`, `{"data":{"number":`} {
		s = strings.ReplaceAll(s, part, "")
	}
	return strings.ReplaceAll(s, "}", "")
}

func deliver(t *testing.T, ctx context.Context, s *graphql.Schema, query string, r *reader) *graphql.Stream {
	t.Helper()
	st, body, _ := s.Subscribe(ctx, &graphql.Request{Query: query})
	if st == nil {
		t.Fatalf("%s: %s", query, body)
	}
	st.Deliver(r.each, r.done)
	return st
}

// bubble is how many goroutines a test in fake time has.
func bubble() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), ", synctest bubble ")
}
