package graphql_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/graphql"
)

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
