package graphql

import (
	"context"
	"iter"
	"reflect"
)

// feed is a source that is asked for its events and does not wait for them, so that nothing but itself is kept while
// there are none. One goroutine at a time calls it, but for end.
type feed[T any] interface {
	// begin says whom to wake once there may be an event after next had none. wake does not wait.
	begin(wake func())
	next() (v T, is found, err error)
	// took says that the response to the last event has been taken.
	took()
	// end says that no more events are wanted, and wakes. It may be called at any time, by anybody, and again.
	end()
	// close is end, said by who asks, who will not ask again.
	close()
}

// found is what there is when a feed is asked.
type found uint8

const (
	nothing found = iota // as yet
	anEvent              // or the error of one
	theEnd
)

// iterate asks a feed on the goroutine of a loop, which waits. It is the caller's to close the feed then.
func iterate[T any](ctx context.Context, f feed[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		more := make(chan struct{}, 1)
		f.begin(func() {
			select {
			case more <- struct{}{}:
			default:
			}
		})
		for ctx.Err() == nil {
			v, is, err := f.next()
			switch {
			case is == theEnd:
				return
			case is == nothing:
				select {
				case <-more:
				case <-ctx.Done():
				}
			case !yield(v, err):
				return
			default:
				f.took()
			}
		}
	}
}

// values is a feed for the executor.
type values[T any] struct{ feed[T] }

func (f values[T]) next() (reflect.Value, found, error) {
	v, is, err := f.feed.next()
	if is != anEvent {
		return reflect.Value{}, is, nil
	}
	return valueOf(&v), is, err
}

// subscribeFeed registers what makes the feeds of a field of Subscription.
func subscribeFeed[A, R any](coord string, f func(context.Context, A) (feed[R], error), opts ...FieldOption) SchemaOption {
	r := newResolver[Root, A, R](coord, kindSubscribe, opts)
	r.parent = nil
	r.feed = func(ctx context.Context, args any) (feed[reflect.Value], error) {
		src, err := f(ctx, argsAs[A](args))
		if err != nil || src == nil {
			return nil, err
		}
		return values[R]{src}, nil
	}
	return register(r)
}
