package comm

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// watchBody bounds how long the body of a request may keep its connection. net/http reads what a handler
// has left of a body, without a deadline of its own, before it sends the answer; so a read deadline is
// there from the start. It moves on with what the handler reads and goes with the body's end. A handler
// that sets a read deadline itself is left alone.
func watchBody(w http.ResponseWriter, r *http.Request, limit time.Duration) (http.ResponseWriter, *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return w, r
	}
	b := &watchedBody{ReadCloser: r.Body, rc: http.NewResponseController(w), limit: limit}
	if !b.arm() {
		return w, r
	}
	r.Body = b
	return &bodyWriter{w, b}, r
}

// watchedBody is a request's body with its read deadline.
type watchedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	limit time.Duration

	mu    sync.Mutex
	armed time.Time
	over  bool // the body has ended, or the handler sets deadlines itself
}

func (b *watchedBody) arm() bool {
	b.armed = time.Now()
	return b.rc.SetReadDeadline(b.armed.Add(b.limit)) == nil
}

// Read moves the deadline on.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
	case err != nil:
		b.over = true
		_ = b.rc.SetReadDeadline(time.Time{})
	case n > 0 && time.Since(b.armed) > b.limit/8:
		b.arm()
	}
	return n, err
}

// bodyWriter finds out that a handler sets a read deadline.
type bodyWriter struct {
	http.ResponseWriter
	body *watchedBody
}

// Unwrap lets http.ResponseController reach the connection.
func (w *bodyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline is the handler's own.
func (w *bodyWriter) SetReadDeadline(t time.Time) error {
	w.body.mu.Lock()
	defer w.body.mu.Unlock()
	w.body.over = true
	return w.body.rc.SetReadDeadline(t)
}
