package commquic

import (
	"context"
	"sync"
)

// wtAcceptQueue is how many streams of a session, of each kind, may wait for somebody to accept them.
const wtAcceptQueue = 128

// acceptQueue holds streams until they are accepted.
type acceptQueue[T any] struct {
	mu     sync.Mutex
	list   []T
	closed bool
	some   chan struct{} // holds a token while the list may have something
}

func newAcceptQueue[T any]() *acceptQueue[T] { return &acceptQueue[T]{some: make(chan struct{}, 1)} }

// put adds v, unless the queue is full or closed.
func (q *acceptQueue[T]) put(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.list) >= wtAcceptQueue {
		return false
	}
	q.list = append(q.list, v)
	q.signal()
	return true
}

func (q *acceptQueue[T]) signal() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

func (q *acceptQueue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.list = true, nil
}

// take waits for the next; both contexts end it.
func (q *acceptQueue[T]) take(ctx, life context.Context) (v T, err error) {
	for {
		if err := context.Cause(life); err != nil {
			return v, err
		}
		if v, ok := q.next(); ok {
			return v, nil
		}
		select {
		case <-q.some:
		case <-ctx.Done():
			return v, context.Cause(ctx)
		case <-life.Done():
			return v, context.Cause(life)
		}
	}
}

func (q *acceptQueue[T]) next() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return v, false
	}
	v, q.list = q.list[0], q.list[1:]
	if len(q.list) > 0 {
		q.signal() // for another that waits
	}
	return v, true
}
