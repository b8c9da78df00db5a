package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// What subscriptions cost: many of one document and of one source, each served
// as the transports of its library do: looped over by a goroutine of its own,
// or given to the library, which calls back.

// A subscriber serves subscriptions of the schema.
type subscriber interface {
	GraphQLSource(s *spec) (eventServer, error)
}

type eventServer interface {
	// Source is where the events come from.
	Source() eventSource
	// Subscribe calls each with the response to every event, until ctx ends,
	// and then done. It is called on a goroutine of the subscription's own.
	Subscribe(ctx context.Context, request []byte, each func(response []byte), done func(error))
}

// An eventSource sends its events to all of its subscribers.
type eventSource interface {
	Publish(t *gqlschema.Tick)
	Subscribers() int
}

var (
	subLive     = column{"live", "live heap and stacks, B/subscription", "%.0f", true}
	subHeap     = column{"heap", "heap of that", "%.0f", true}
	subStacks   = column{"stacks", "stacks of that", "%.0f", true}
	subRSS      = column{"rss", "RSS, B/subscription", "%.0f", true}
	eventColumn = column{"us", "us/event and subscription", "%.2f", true}
	eventAllocs = column{"allocs", "allocs/event and subscription", "%.1f", true}

	subscriptionRow = row{
		name: "graphqlsubs", title: "GraphQL: 1,000 subscriptions of one source, after each has had three events; in process, without a transport",
		wants: wantsGraphQLSource, columns: []column{subLive, subHeap, subStacks, subRSS, eventColumn, eventAllocs, othersColumn},
		target: target{ratio: 1 / 2.0, among: []string{"gqlgen"}},
		spec:   spec{Scenario: "graphqlsubs", Conns: 1000, Messages: 3, Rounds: 200},
	}
)

const tickQuery = `subscription { tick { seq text } }`

// subscriptions are those of one run.
type subscriptions struct {
	eventServer
	n        int
	seq      int
	received atomic.Int64
	wg       sync.WaitGroup
	failed   atomic.Pointer[error]
}

func driveGraphQLSource(s *spec) (metrics, error) {
	sub, err := subjectNamed(s.Subject)
	if err != nil {
		return nil, err
	}
	server, err := sub.(subscriber).GraphQLSource(s)
	if err != nil {
		return nil, err
	}
	debug.SetGCPercent(100) // this client process is what is measured
	ctx, cancel := context.WithCancel(context.Background())
	r := &subscriptions{eventServer: server, n: s.Conns}
	m, err := r.measure(ctx, s)
	cancel()
	r.wg.Wait()
	if failed := r.failed.Load(); failed != nil {
		err = *failed
	}
	return m, err
}

func (r *subscriptions) measure(ctx context.Context, s *spec) (metrics, error) {
	heap, stacks := liveBytes()
	rss, _ := resident()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.publish(s.Messages); err != nil {
		return nil, err
	}
	rssAfter, _ := resident() // before anybody forces a collection
	heapAfter, stacksAfter := liveBytes()
	m := metrics{"rss": float64(rssAfter-rss) / float64(r.n), "heap": (heapAfter - heap) / float64(r.n), "stacks": (stacksAfter - stacks) / float64(r.n)}
	m["live"] = m["heap"] + m["stacks"]
	if err := startProfile(s.Profile); err != nil {
		return nil, err
	}
	before, idle, began := usageNow(), idleTime(), time.Now()
	if err := r.publish(s.Rounds); err != nil {
		return nil, err
	}
	elapsed := time.Since(began)
	used := usageNow().since(before)
	m["us"] = elapsed.Seconds() * 1e6 / float64(s.Rounds*r.n)
	m["allocs"] = used.per(s.Rounds * r.n)["allocs"]
	m["others"] = othersSince(idle, elapsed, used.CPU)
	return m, stopProfile(s.Profile)
}

// liveBytes is what the heap's objects and the goroutines' stacks occupy after a collection.
func liveBytes() (heap, stacks float64) {
	for range 3 { // a stack shrinks by half each time, and pools give back in two steps
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

// open subscribes all, and waits until the source has them.
func (r *subscriptions) open(ctx context.Context) error {
	body := mustJSON(object{"query": tickQuery})
	done := func(err error) {
		if err != nil {
			r.fail(err)
		}
		r.wg.Done()
	}
	for range r.n {
		r.wg.Add(1)
		go func() {
			var last int
			r.Subscribe(ctx, append([]byte(nil), body...), func(response []byte) {
				last++
				if want := tickResponse(last); string(response) != want {
					r.fail(fmt.Errorf("event %d: %.200q, not %q", last, response, want))
				}
				r.received.Add(1)
			}, done)
		}()
	}
	return r.until(func() bool { return r.Source().Subscribers() == r.n })
}

func tickText(seq int) string { return fmt.Sprint("This is event ", seq) }

// responses are what each event must become; they are made before it is published.
var responses sync.Map

func tickResponse(seq int) string {
	s, _ := responses.Load(seq)
	text, _ := s.(string)
	return text
}

func (r *subscriptions) fail(err error) { r.failed.CompareAndSwap(nil, &err) }

// publish sends events and waits until all subscriptions have written them.
func (r *subscriptions) publish(events int) error {
	for range events {
		r.seq++
		responses.Store(r.seq, fmt.Sprintf(`{"data":{"tick":{"seq":%d,"text":%q}}}`, r.seq, tickText(r.seq)))
		r.Source().Publish(&gqlschema.Tick{Seq: r.seq, Text: tickText(r.seq)})
		if err := r.until(func() bool { return r.received.Load() == int64(r.seq*r.n) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *subscriptions) until(done func() bool) error {
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Microsecond) {
		if failed := r.failed.Load(); failed != nil {
			return *failed
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d events of %d subscriptions: %d responses", r.seq, r.Source().Subscribers(), r.received.Load())
		}
	}
	return nil
}
