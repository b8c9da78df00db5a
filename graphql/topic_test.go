package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// What is published once is an event of every subscription that wants it, and of nobody who has gone.
func TestTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all, some, text reader
		closed := deliver(t, t.Context(), b.Schema, `subscription { tick { n } }`, &all)
		deliver(t, ctx, b.Schema, `subscription { tick(above: 2) { n } }`, &some)
		deliver(t, ctx, b.Schema, `subscription { text }`, &text)
		var two []string // by a loop, which ends it
		c, err := graphql.NewClient(b.Schema).Subscribe(ctx, `subscription { tick { n } }`, nil)
		if err != nil {
			t.Fatal(err)
		}
		looped := make(chan bool)
		go func() {
			defer close(looped)
			for data, err := range c {
				if two = append(two, fmt.Sprint(string(data), err)); len(two) == 2 {
					return
				}
			}
		}()
		if n := b.ticks.Publish(&tick{1}); n != 3 {
			t.Errorf("%d subscriptions take it", n)
		}
		b.publish(2, 4)
		<-looped
		synctest.Wait()
		if got := fmt.Sprint(two); got != `[{"tick":{"n":1}}<nil> {"tick":{"n":2}}<nil>]` {
			t.Error(got)
		}
		if n := b.ticks.Len(); n != 3 {
			t.Errorf("%d subscriptions", n)
		}
		closed.Close()
		synctest.Wait()
		b.publish(5, 40) // more than one turn
		b.publish(13, 13)
		b.ticks.End(graphql.Errorf("no more"))
		b.publish(41, 41)
		synctest.Wait()
		var above, texts []string
		for n := 1; n <= 40; n++ {
			if n > 2 {
				above = append(above, fmt.Sprint(n))
			}
			switch n {
			case 2:
			case 13:
				texts = append(texts, "panic")
			default:
				texts = append(texts, fmt.Sprintf("%q", fmt.Sprint("n", n)))
			}
		}
		const oops = `null,"errors":[{"message":"internal error","locations":[{"line":1,"column":16],"path":["text"],"extensions":{"code":"INTERNAL"]`
		const last = `null,"errors":[{"message":"no more","locations":[{"line":1,"column":16],"path":["`
		for name, c := range map[string]struct {
			r    *reader
			want string
		}{
			"all":  {&all, `1 2 3 4 over`},
			"some": {&some, strings.Join(above, " ") + ` 13 {"data":{"tick":` + last + `tick"]] over`},
			"text": {&text, strings.ReplaceAll(strings.Join(append(texts, "panic"), " "), "panic", oops) + ` ` + last + `text"]] over`},
		} {
			if got := c.r.has(); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", name, got, c.want)
			}
		}
		if n := b.ticks.Len(); n != 0 {
			t.Errorf("%d subscriptions after the end", n)
		}
	})
}

// bubble is how many goroutines a test in fake time has.
func bubble() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), ", synctest bubble ")
}

// While nothing happens there is no goroutine for a subscription. It is not parallel: it counts those of all tests in
// fake time.
func TestTopicIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t)
		before := bubble()
		readers := make([]reader, 200)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range readers {
			deliver(t, ctx, b.Schema, `subscription { tick { n } }`, &readers[i])
		}
		for n := range 3 {
			b.publish(n, n)
			synctest.Wait()
			if now := bubble(); now != before {
				t.Errorf("%d goroutines, %d before", now, before)
			}
		}
		cancel()
		synctest.Wait()
		for i := range readers {
			if got := readers[i].has(); got != "0 1 2 over" {
				t.Fatal(got)
			}
		}
		if now := bubble(); now != before || b.ticks.Len() != 0 {
			t.Error(now, before, b.ticks.Len())
		}
	})
}

// Those that are slow hold nobody up, however many they are, and what they may lose is theirs alone.
func TestTopicSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t)
		hold := make(chan struct{})
		slow := make([]*reader, 50)
		for i := range slow {
			slow[i] = &reader{hold: hold}
			deliver(t, t.Context(), b.Schema, `subscription { tick { n } }`, slow[i])
		}
		latest, quick := &reader{hold: hold}, &reader{}
		deliver(t, t.Context(), b.Schema, `subscription { number }`, latest)
		deliver(t, t.Context(), b.Schema, `subscription { tick { n } }`, quick)
		var want []string
		for n := 1; n <= 66; n++ {
			b.publish(n, n)
			synctest.Wait()
			want = append(want, fmt.Sprint(n))
		}
		if got := quick.has(); got != strings.Join(want, " ") {
			t.Errorf("the quick one has %s", got)
		}
		if n := b.ticks.Publish(&tick{67}); n != 2 { // the quick one, and who keeps the latest
			t.Errorf("%d take it", n)
		}
		close(hold)
		synctest.Wait()
		lost := strings.Join(want[:65], " ") + ` {"data":{"tick":null,"errors":[{"message":"The events were not taken as fast as they came: at most 64 may wait.","locations":[{"line":1,"column":16],"path":["tick"],"extensions":{"code":"SLOW_CONSUMER"] over`
		for _, r := range slow {
			if got := r.has(); got != lost {
				t.Fatalf("\n got %s\nwant %s", got, lost)
			}
		}
		if got := latest.has(); got != "1 66 67" {
			t.Errorf("who keeps the latest has %s", got)
		}
		if n := b.ticks.Len(); n != 2 {
			t.Errorf("%d subscriptions are left", n)
		}
		b.ticks.End(nil)
	})
}

// Resolvers below an event may wait, all at once.
func TestTopicResolvers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var topic graphql.Topic[*tick]
		s := schema(t, graphql.SDL(`type Query { a: Int } type Tick { n: Int late: Int } type Subscription { tick: Tick }`), value("Query.a", 1),
			graphql.SubscribeTo("Subscription.tick", func(context.Context, graphql.NoArgs) (graphql.Source[*tick], error) { return &topic, nil }),
			graphql.Resolve("Tick.late", func(_ context.Context, t *tick, _ graphql.NoArgs) (int, error) {
				time.Sleep(time.Second)
				return t.N, nil
			}))
		readers := make([]reader, 100)
		for i := range readers {
			deliver(t, t.Context(), s, `subscription { tick { late } }`, &readers[i])
		}
		began := time.Now()
		topic.Publish(&tick{3})
		topic.End(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range readers {
			if got := readers[i].has(); got != `{"data":{"tick":{"late":3 over` {
				t.Fatalf("%d after %s: %s", i, time.Since(began), got)
			}
		}
	})
}

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

// Everything at once, for the race detector; every subscription hears all that was published while it was there.
func TestTopicTurmoil(t *testing.T) {
	t.Parallel()
	b := newBoard(t)
	stop := make(chan struct{})
	var publishing, reading sync.WaitGroup
	var last atomic.Int64
	publishing.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
				b.ticks.Publish(&tick{n})
				last.Store(int64(n))
				runtime.Gosched()
			}
		}
	})
	for i := range 8 {
		reading.Go(func() {
			for range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan struct{})
				at := 0
				st, body, _ := b.Schema.Subscribe(ctx, &graphql.Request{Query: `subscription { tick { n } }`})
				if st == nil {
					t.Errorf("%s", body)
				}
				heard := 0
				st.Deliver(func(body []byte, out graphql.Outcome) bool {
					var n int
					if out.Errors != nil {
						return true // too slow
					}
					if _, err := fmt.Sscanf(string(body), `{"data":{"tick":{"n":%d}}}`, &n); err != nil || at != 0 && n != at+1 {
						t.Errorf("%s after %d", body, at)
					}
					at, heard = n, heard+1
					if heard == 20 && i%2 == 0 {
						cancel()
					}
					return heard < 40
				}, func() { close(over) })
				<-over
				cancel()
			}
		})
	}
	reading.Wait()
	close(stop)
	publishing.Wait()
	eventually(t, "all to have left", func() bool { return b.ticks.Len() == 0 })
}

// An operation that a middleware refuses, over a transport for subscriptions, is an error and nothing more; so is an
// event of a subscription, which ends with it and leaves its topic.
func TestRefusedByMiddleware(t *testing.T) {
	t.Parallel()
	b := newBoard(t, graphql.WithOperationMiddleware(func(graphql.OperationFunc) graphql.OperationFunc {
		return func(context.Context, *graphql.Operation) error { return graphql.Errorf("not today") }
	}))
	h, err := graphql.NewHandler(b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := initWS(t, srv.URL, nil)
	for id, query := range map[string]string{"q": `{ a }`, "s": `subscription { tick { n } }`} {
		subscribe(c, id, query)
		if id == "s" {
			eventually(t, "the subscription", func() bool { return b.ticks.Len() == 1 })
			b.publish(1, 2)
		}
		if got, want := c.hear(), `{"id":"`+id+`","type":"error","payload":[{"message":"not today"`; !strings.HasPrefix(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
		c.say(`{"type":"ping"}`)
		c.hears(`{"type":"pong"}`)
	}
	eventually(t, "the end", func() bool { return b.ticks.Len() == 0 })
	c.CloseNow()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
