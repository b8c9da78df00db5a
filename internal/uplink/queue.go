// Package uplink carries a client's frames upward in requests of their own, for carriers whose stream
// goes only down.
package uplink

import (
	"context"
	"sync"
)

// MaxWaiting is how many frames may wait to be sent.
const MaxWaiting = 1024

const (
	maxWaitingBytes = 4 << 20   // of those, besides a single larger one
	maxBatchFrames  = 64        // frames of one request
	maxBatchBytes   = 256 << 10 // of those, besides a single larger one
)

// Queue sends frames in order, one request at a time; what gathers meanwhile goes together in the next.
// Its goroutine exists only while there is something to send.
type Queue struct {
	// Post sends a body, which is one frame or an array of them. On an error taken says how many of its
	// frames were taken before the one that the error is about; less than 0 is an error about all.
	Post func(body []byte) (taken int, err error)
	// Closed and Full are what Send returns for a frame that is not even queued.
	Closed, Full error

	work sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	waiting []frame
	bytes   int // of those
	largest int // bytes of a body with several frames; 0 is the default
	running bool
	closed  bool
}

// frame is one frame on its way. sent is of capacity 1.
type frame struct {
	data []byte
	sent chan error
}

// Limit makes bodies no larger than the other side takes. Zero says nothing.
func (q *Queue) Limit(maxMessage int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.largest = maxMessage
}

// Send returns when the frame was taken, or why it was not. When ctx ends first it may be taken all the same.
func (q *Queue) Send(ctx context.Context, data []byte) error {
	f := frame{data, make(chan error, 1)}
	if err := q.put(f); err != nil {
		return err
	}
	select {
	case err := <-f.sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (q *Queue) put(f frame) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return q.Closed
	case len(q.waiting) >= MaxWaiting, len(q.waiting) > 0 && q.bytes+len(f.data) > maxWaitingBytes:
		return q.Full
	}
	q.waiting = append(q.waiting, f)
	q.bytes += len(f.data)
	if !q.running {
		q.running = true
		q.work.Go(q.run)
	}
	return nil
}

func (q *Queue) run() {
	for batch := q.next(); len(batch) > 0; batch = q.next() {
		for len(batch) > 0 {
			batch = q.send(batch)
		}
	}
}

// next takes what goes together in one request; none ends the goroutine.
func (q *Queue) next() []frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := maxBatchBytes
	if q.largest > 0 {
		limit = min(limit, q.largest)
	}
	n, size := 0, len("[]")-len(",")
	for n < len(q.waiting) && n < maxBatchFrames {
		if size += len(q.waiting[n].data) + len(","); n > 0 && size > limit {
			break
		}
		q.bytes -= len(q.waiting[n].data)
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if n == 0 {
		q.waiting, q.running = nil, false
	}
	return batch
}

// send posts a batch and tells its frames what became of them. It returns those that stood behind a
// refused one: they were not looked at.
func (q *Queue) send(batch []frame) (rest []frame) {
	taken, err := q.Post(body(batch))
	if err == nil || taken < 0 || taken >= len(batch) {
		resolve(batch, err)
		return nil
	}
	resolve(batch[:taken], nil)
	resolve(batch[taken:taken+1], err)
	return batch[taken+1:]
}

func resolve(batch []frame, err error) {
	for _, f := range batch {
		f.sent <- err
	}
}

// body is one frame, or an array of them.
func body(batch []frame) []byte {
	if len(batch) == 1 {
		return batch[0].data
	}
	b := []byte{'['}
	for i, f := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.data...)
	}
	return append(b, ']')
}

// Close fails what waits and waits for the goroutine. The caller has made Post fail, or it may take as
// long as a request does.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	left := q.waiting
	q.waiting, q.bytes = nil, 0
	q.mu.Unlock()
	resolve(left, q.Closed)
	q.work.Wait()
}
