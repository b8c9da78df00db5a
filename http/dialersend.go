package commhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

const (
	maxQueuedFrames = 1024      // frames that wait to be sent
	maxQueuedBytes  = 4 << 20   // of those
	maxPostFrames   = 64        // frames of one request
	maxPostBytes    = 256 << 10 // of those, besides a single larger one
	postTimeout     = 30 * time.Second
)

// postQueue gathers frames while a request is under way, so that many leave in the next one. Its
// goroutine exists only while there are any.
type postQueue struct {
	mu      sync.Mutex // guards the fields below
	queue   []queued
	bytes   int
	posting bool
	closed  bool
	largest int // bytes of a body with several frames
}

// queued is one frame that waits. done has room for its result.
type queued struct {
	id   string
	data []byte
	done chan error
}

func (s *postQueue) limit(maxMessage int) {
	s.largest = maxPostBytes
	if maxMessage > 0 {
		s.largest = min(s.largest, maxMessage)
	}
}

// close refuses further frames. What waits is sent, or fails with the carrier.
func (s *postQueue) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// Send implements comm.Carrier: it returns when the gateway has taken the frame, or refused it
// (*comm.PeerError). After another error the frame may have arrived; it is never sent twice.
func (c *polled) Send(ctx context.Context, f *comm.Frame) error {
	data, err := c.codec.AppendFrame(nil, f)
	if err != nil {
		return err
	}
	q := queued{id: f.ID, data: data, done: make(chan error, 1)}
	if err := c.out.put(q, c.post); err != nil {
		return err
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *postQueue) put(q queued, post func([]queued) []queued) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return comm.ErrClosed
	case len(s.queue) >= maxQueuedFrames || len(s.queue) > 0 && s.bytes+len(q.data) > maxQueuedBytes:
		return &comm.LimitError{Limit: "frames waiting to be sent", Max: maxQueuedFrames, Retry: time.Second}
	}
	s.queue = append(s.queue, q)
	s.bytes += len(q.data)
	if !s.posting {
		s.posting = true
		go s.run(post)
	}
	return nil
}

// run posts until nothing is left. One request at a time keeps the order.
func (s *postQueue) run(post func([]queued) []queued) {
	var rest []queued
	for {
		batch := s.batch(rest)
		if batch == nil {
			return
		}
		rest = post(batch)
	}
}

// batch takes what fits into the next request, rest first; nil ends the sender's goroutine.
func (s *postQueue) batch(rest []queued) []queued {
	if len(rest) > 0 {
		return rest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 2
	for n < len(s.queue) && n < maxPostFrames && (n == 0 || size+len(s.queue[n].data) < s.largest) {
		size += len(s.queue[n].data) + 1
		s.bytes -= len(s.queue[n].data)
		n++
	}
	if n == 0 {
		s.posting, s.queue = false, nil
		return nil
	}
	batch := s.queue[:n:n]
	s.queue = s.queue[n:]
	return batch
}

// post sends a batch and tells its frames what became of them. It returns those that stood behind a
// refused one and must be sent anew.
func (c *polled) post(batch []queued) (rest []queued) {
	ctx, cancel := context.WithTimeout(c.ctx, postTimeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodPost, c.dialer.url, bodyOf(batch))
	if err != nil {
		finish(batch, err)
		return nil
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusAccepted {
		finish(batch, nil)
		return nil
	}
	f, err := readRefusal(c.codec, resp)
	if resp.StatusCode == http.StatusBadRequest && f != nil && f.ID != "" {
		for i := range batch {
			if batch[i].id == f.ID {
				finish(batch[:i], nil)
				finish(batch[i:i+1], err)
				return batch[i+1:]
			}
		}
	}
	finish(batch, err)
	return nil
}

func finish(batch []queued, err error) {
	for _, q := range batch {
		q.done <- err
	}
}

// bodyOf is one frame, or an array of them.
func bodyOf(batch []queued) []byte {
	if len(batch) == 1 {
		return batch[0].data
	}
	body := []byte{'['}
	for i, q := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, q.data...)
	}
	return append(body, ']')
}

// readRefusal is refusalOf for a sent frame, with the error frame itself where there is one. A
// connection that is not known is gone.
func readRefusal(codec comm.Codec, resp *http.Response) (*comm.Frame, error) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = &rereading{bytes.NewReader(body), resp.Body}
	f, err := codec.ParseFrame(body)
	if err != nil || f.Op != comm.OpError {
		f = nil
	}
	err = refusalOf(codec, resp)
	if resp.StatusCode == http.StatusNotFound {
		err = errors.Join(comm.ErrDisconnected, err)
	}
	return f, err
}

// rereading is a body that was read once.
type rereading struct {
	io.Reader
	io.Closer
}

// newBody is body as a request's, nil for none.
func newBody(body []byte) io.Reader {
	if body == nil {
		return nil
	}
	return bytes.NewReader(body)
}
