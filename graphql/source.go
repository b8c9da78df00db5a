package graphql

import (
	"cmp"
	"context"
	"sync"

	"github.com/anasamu/comm/internal/queue"
)

// Source pushes events into subscriptions, for [SubscribeTo]: a [Topic] that many subscriptions share, what
// [Topic.Where] and [Select] make of one, or a [SourceFunc]. While it has no event for a subscription, that one costs
// no goroutine.
type Source[T any] interface {
	// Open begins to send the events of one subscription, and returns without waiting for any. When the subscription
	// has ended, for whatever reason, ctx ends, and stop is called once; it may be nil. An error is answered as a
	// request that failed.
	Open(ctx context.Context, to *Sink[T]) (stop func(), err error)
}

// SourceFunc is a [Source] for what calls back: a client of a broker, a timer, a watched file.
type SourceFunc[T any] func(ctx context.Context, to *Sink[T]) (stop func(), err error)

// Open calls f.
func (f SourceFunc[T]) Open(ctx context.Context, to *Sink[T]) (stop func(), err error) {
	return f(ctx, to)
}

// SubscribeTo registers the source of a field of Subscription whose events are pushed, which suits what has many
// subscribers better than [Subscribe]: a subscription has a goroutine only while its events are executed, as long as
// its transport has none. f is called for each subscription and chooses its source; an error of f, or of the source's
// Open, is answered as a request that failed.
//
// Nobody waits for a slow client: its events wait in a queue, see [Queue] and [KeepLatest].
func SubscribeTo[A, R any](coord string, f func(context.Context, A) (Source[R], error), opts ...FieldOption) SchemaOption {
	bounds := newResolver[Root, A, R](coord, kindSubscribe, opts)
	return subscribeFeed(coord, func(ctx context.Context, args A) (feed[R], error) {
		src, err := f(ctx, args)
		if err != nil || src == nil {
			return nil, err
		}
		k := &Sink[R]{most: cmp.Or(bounds.queue, defaultQueue), latest: bounds.latest}
		if k.stop, err = src.Open(ctx, k); err != nil {
			return nil, err
		}
		return k, nil
	}, opts...)
}

const defaultQueue = 64

// Queue is for fields of [SubscribeTo]: how many events may wait for one subscription, beside the one that is being
// executed. 1 or more; the default is 64. When one more comes, the subscription ends: its client gets what waits, and
// then an error with [CodeSlowConsumer]; see also [KeepLatest].
func Queue(events int) FieldOption {
	return fieldOption(func(r *resolver) { r.queue, r.queueSet = events, true })
}

// KeepLatest is for fields of [SubscribeTo] whose events replace one another, such as a state or a price: a full queue
// drops its oldest event, and the subscription goes on.
func KeepLatest() FieldOption { return fieldOption(func(r *resolver) { r.latest = true }) }

// CodeSlowConsumer is the code of the error with which a subscription ends whose events were not taken as fast as
// they came.
const CodeSlowConsumer = "SLOW_CONSUMER"

// Sink is where a [Source] sends the events of one subscription. They are executed one after the other, in the order
// in which they came, from the source's Open on. No method waits; all are safe for concurrent use.
type Sink[T any] struct {
	most   int
	latest bool
	stop   func() // set before anybody can call end; under mu then

	mu     sync.Mutex // guards the fields below
	queue  queue.Ring[sent[T]]
	ending bool // nothing more is taken
	wake   func()
}

// sent is one event, or the error of one.
type sent[T any] struct {
	v   T
	err error
}

// Send sends an event. It reports whether the subscription takes it: not if it has ended, or ends now because too
// many wait.
func (k *Sink[T]) Send(v T) bool { return k.put(sent[T]{v: v}) }

// Fail sends the error of one event; the subscription goes on. It reports the same as Send.
func (k *Sink[T]) Fail(err error) bool { return k.put(sent[T]{err: err}) }

// End ends the subscription behind what waits.
func (k *Sink[T]) End() {
	k.mu.Lock()
	k.ending = true
	k.rouse()
	k.mu.Unlock()
}

func (k *Sink[T]) put(e sent[T]) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ending {
		return false
	}
	took := true
	if k.queue.Len() >= k.most {
		if k.latest {
			k.queue.Pop()
		} else {
			e = sent[T]{err: slowError(k.most)}
			k.ending, took = true, false
		}
	}
	k.queue.Push(e)
	k.rouse()
	return took
}

func slowError(most int) error {
	return Errorf("The events were not taken as fast as they came: at most %d may wait.", most).With("code", CodeSlowConsumer)
}

// rouse wakes who asks. k.mu is held.
func (k *Sink[T]) rouse() {
	if k.wake != nil {
		k.wake()
	}
}

func (k *Sink[T]) begin(wake func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wake = wake
}

func (k *Sink[T]) next() (v T, is found, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.queue.Pop()
	switch {
	case ok:
		return e.v, anEvent, e.err
	case k.ending:
		return v, theEnd, nil
	}
	return v, nothing, nil
}

func (k *Sink[T]) took() {}

func (k *Sink[T]) end() {
	k.mu.Lock()
	k.ending = true
	k.queue.Clear()
	stop := k.stop
	k.stop = nil
	k.rouse()
	k.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (k *Sink[T]) close() { k.end() }
