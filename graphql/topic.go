package graphql

import (
	"context"
	"sync"
)

// Topic is a [Source] that any number of subscriptions share: what is published once is an event of each of them. All
// have the events in one order. The zero value is ready; all methods are safe for concurrent use.
//
//	var added graphql.Topic[*Book]
//
//	graphql.SubscribeTo("Subscription.bookAdded", func(_ context.Context, a struct{ Genre string }) (graphql.Source[*Book], error) {
//		return added.Where(func(b *Book) bool { return b.Genre == a.Genre }), nil
//	})
//
//	added.Publish(book)
//
// A topic keeps no event: a subscription has those that are published after it has begun. One topic for each value of
// an argument, such as a room, costs less than many subscriptions that each look whether an event is for them. For
// other Go types of the same events see [Select].
type Topic[T any] struct {
	mu        sync.Mutex // guards listeners, and is held while all are told
	listeners []*listener[T]
}

// listener is one subscription to a topic.
type listener[T any] struct {
	index int
	send  func(v T) bool
	sink  interface { // a *Sink of what send makes of an event
		Fail(err error) bool
		End()
	}
}

// Publish sends an event to every subscription, and returns how many take it. It does not wait for any of them. v is
// shared by them: nobody must change what it points to from now on.
func (t *Topic[T]) Publish(v T) (taken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		if l.send(v) {
			taken++
		}
	}
	return taken
}

// End ends all subscriptions that there are, behind what waits for them. An error, if it is not nil, is their last
// event. The topic can be used further.
func (t *Topic[T]) End(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		if err != nil {
			l.sink.Fail(err)
		}
		l.sink.End()
	}
}

// Len is how many subscriptions there are.
func (t *Topic[T]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.listeners)
}

// Open implements [Source]: all events of the topic.
func (t *Topic[T]) Open(_ context.Context, to *Sink[T]) (stop func(), err error) {
	return t.listen(&listener[T]{send: to.Send, sink: to}), nil
}

// Where is those events of the topic that keep wants. keep is called by Publish, for each event: it must be quick, and
// call no method of the topic. If it panics, that is an event of its own subscription.
func (t *Topic[T]) Where(keep func(T) bool) Source[T] {
	return Select(t, func(v T) (T, bool) { return v, keep(v) })
}

// Select is what f makes of the events of a topic, without those for which it returns false. f is called as Where says.
func Select[T, R any](t *Topic[T], f func(T) (R, bool)) Source[R] {
	return SourceFunc[R](func(_ context.Context, to *Sink[R]) (stop func(), err error) {
		return t.listen(&listener[T]{sink: to, send: func(v T) bool {
			r, ok, err := made(f, v)
			switch {
			case err != nil:
				return to.Fail(err)
			case !ok:
				return false
			}
			return to.Send(r)
		}}), nil
	})
}

func made[T, R any](f func(T) (R, bool), v T) (r R, ok bool, err error) {
	defer recovered(&err)
	r, ok = f(v)
	return r, ok, nil
}

// listen adds a subscription, until stop is called.
func (t *Topic[T]) listen(l *listener[T]) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.index = len(t.listeners)
	t.listeners = append(t.listeners, l)
	return func() { t.leave(l) }
}

// leave takes a subscription out: the last one takes its place.
func (t *Topic[T]) leave(l *listener[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.listeners) - 1
	t.listeners[l.index] = t.listeners[last]
	t.listeners[l.index].index = l.index
	t.listeners[last] = nil
	t.listeners = t.listeners[:last]
	if last == 0 {
		t.listeners = nil
	}
}
