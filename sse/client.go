package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/retryafter"
)

// maxHint is the longest wait that a server's retry line or Retry-After can impose, so that one bad
// value does not silence a client for years.
const maxHint = 5 * time.Minute

// Client follows an event stream: it connects, delivers the events, and connects again from the last
// event ID whenever the stream ends, as a browser's EventSource does (WHATWG HTML, 9.2.3).
//
//   - 200 with text/event-stream opens the stream; another content type ends the client for good.
//   - 204 ends it for good without an error: the server wants no reconnection.
//   - Every other status ends it for good, unless [WithRetryStatus] says otherwise.
//   - A network error, or the end of the stream, clean or not, is followed by a wait and another attempt.
//
// The wait is a random part of the backoff's bound, added to the time that the server asked for with a
// retry line, if it did. The backoff starts anew after a connection that was stable.
//
// One Run or Events at a time; a later one goes on from the last event ID. The other methods are safe
// for concurrent use.
type Client struct {
	config  clientConfig
	running atomic.Bool
	lastID  atomic.Pointer[string]
}

// NewClient returns a client of the stream at url, an http or https URL. All bad options are reported together.
func NewClient(url string, opts ...ClientOption) (*Client, error) {
	config, err := newClientConfig(url, opts)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config}
	c.lastID.Store(&config.lastID)
	return c, nil
}

// LastEventID returns the ID that the next connection will resume from. It moves on when the function
// given to Run has returned, so that an event whose handling failed is asked for again.
func (c *Client) LastEventID() string { return *c.lastID.Load() }

// Events returns the events as they arrive, for as long as Run would run; its error, also that of ctx, is the last
// pair's. Leaving the loop ends the connection. Data belongs to the receiver.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		err := c.Run(ctx, func(ev Event) error {
			if !yield(ev, nil) {
				return errLeft
			}
			return nil
		})
		if err != nil && err != errLeft {
			yield(Event{}, err)
		}
	}
}

var errLeft = errors.New("sse: loop left")

// Run connects and calls handle with each event, in order and on its own goroutine, until ctx ends (its
// error is returned), handle fails (the same), the server answers 204 (nil), or the client ends for good:
// [*StatusError], [*ContentTypeError], [*SizeError], [ErrGaveUp]. Data belongs to handle.
func (c *Client) Run(ctx context.Context, handle func(Event) error) error {
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	r := run{Client: c, handle: handle}
	err := r.loop(ctx)
	c.tell(StateChange{State: StateClosed, Attempt: r.attempt, Err: err})
	return err
}

func (c *Client) tell(change StateChange) {
	if c.config.onState != nil {
		c.config.onState(change)
	}
}

// run is the state of one Run.
type run struct {
	*Client
	handle   func(Event) error
	attempt  int           // connections since the last stable one
	failures int           // attempts in a row that did not open
	hint     time.Duration // the server's reconnection time
}

// finalError wraps what no further attempt can mend.
type finalError struct{ error }

func (r *run) loop(ctx context.Context) error {
	for {
		r.tell(StateChange{State: StateConnecting, Attempt: r.attempt})
		opened, err := r.connect(ctx)
		if final, ok := errors.AsType[finalError](err); ok {
			return final.error
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.config.once {
			if err == io.EOF {
				return nil
			}
			return err
		}
		wait, err := r.next(opened, err)
		if err != nil {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// next decides how long to wait after a connection that opened then, if at all, and ended with cause.
func (r *run) next(opened time.Time, cause error) (time.Duration, error) {
	if !opened.IsZero() {
		r.failures = 0
	} else if r.failures++; r.config.maxAttempts > 0 && r.failures >= r.config.maxAttempts {
		return 0, fmt.Errorf("%w after %d attempts: %w", ErrGaveUp, r.failures, cause)
	}
	if !opened.IsZero() && r.config.backoff.Stable(time.Since(opened)) {
		r.attempt = 0
	}
	wait := r.hint + r.config.backoff.Delay(r.attempt)
	if se, ok := errors.AsType[*StatusError](cause); ok {
		wait = max(wait, min(se.RetryAfter, maxHint))
	}
	r.attempt++
	r.tell(StateChange{State: StateWaiting, Attempt: r.attempt, Wait: wait, Err: cause})
	return wait, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect makes one connection and stays with it. It always returns an error: io.EOF for a clean end, a
// finalError where the client must not come back.
func (r *run) connect(parent context.Context) (opened time.Time, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	w := newWatchdog(cancel, r.config.connectTimeout, ErrConnectTimeout)
	defer w.stop()
	res, err := r.request(ctx)
	if err != nil {
		return opened, causeOf(ctx, err)
	}
	defer res.Body.Close()
	if err := r.check(res); err != nil {
		return opened, causeOf(ctx, err)
	}
	w.stop()
	opened = time.Now()
	r.tell(StateChange{State: StateOpen, Attempt: r.attempt})
	idle := newWatchdog(cancel, r.config.idleTimeout, ErrIdle)
	defer idle.stop()
	return opened, causeOf(ctx, r.read(watchedReader{res.Body, idle}))
}

func (r *run) request(ctx context.Context) (*http.Response, error) {
	var body io.Reader
	if r.config.body != nil {
		body = bytes.NewReader(r.config.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.config.method, r.config.url, body)
	if err != nil {
		return nil, finalError{err}
	}
	req.Header = r.config.header.Clone()
	req.Header.Set("Accept", ContentType)
	req.Header.Set("Cache-Control", "no-store")
	if r.config.contentType != "" {
		req.Header.Set("Content-Type", r.config.contentType)
	}
	if id := r.LastEventID(); id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	if r.config.edit != nil {
		if err := r.config.edit(req); err != nil {
			return nil, fmt.Errorf("sse: request function: %w", err)
		}
	}
	return r.config.http.Do(req)
}

// check accepts nothing but 200 with an event stream.
func (r *run) check(res *http.Response) error {
	switch res.StatusCode {
	case http.StatusOK:
		media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		if m, _, err := mime.ParseMediaType(media); err == nil && m == ContentType {
			return nil
		}
		return finalError{&ContentTypeError{ContentType: res.Header.Get("Content-Type")}}
	case http.StatusNoContent:
		return finalError{nil}
	}
	start, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	se := &StatusError{Status: res.StatusCode, Body: string(start), RetryAfter: retryafter.Of(res.Header)}
	if slices.Contains(r.config.retryStatus, res.StatusCode) {
		return se
	}
	return finalError{se}
}

func (r *run) read(body io.Reader) error {
	d := NewDecoder(body)
	d.SetMaxEventSize(r.config.maxEventSize)
	d.parser.Reset(r.LastEventID())
	for {
		ev, err := d.Next()
		if hint, ok := d.Retry(); ok {
			r.hint = min(hint, maxHint)
		}
		if err != nil {
			r.keepID(d) // an id may have come without an event
			if _, ok := errors.AsType[*SizeError](err); ok {
				return finalError{err} // it would come again
			}
			return err
		}
		if err := r.handle(ev); err != nil {
			return finalError{err}
		}
		r.keepID(d)
	}
}

func (r *run) keepID(d *Decoder) {
	if id := d.LastEventID(); id != r.LastEventID() {
		r.lastID.Store(&id)
	}
}

// causeOf prefers the reason for which we cancelled a request over net/http's "context canceled".
func causeOf(ctx context.Context, err error) error {
	if _, final := errors.AsType[finalError](err); !final && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watchdog cancels a connection on which nothing happens in time. Its nil pointer watches nothing.
type watchdog struct {
	timer *time.Timer
	limit time.Duration
}

// newWatchdog starts the time; a limit of zero means none.
func newWatchdog(cancel context.CancelCauseFunc, limit time.Duration, cause error) *watchdog {
	if limit <= 0 {
		return nil
	}
	return &watchdog{time.AfterFunc(limit, func() { cancel(cause) }), limit}
}

func (w *watchdog) start() {
	if w != nil {
		w.timer.Reset(w.limit)
	}
}

func (w *watchdog) stop() {
	if w != nil {
		w.timer.Stop()
	}
}

// watchedReader counts the time in which the reader waits, not that in which events are handled.
type watchedReader struct {
	r io.Reader
	w *watchdog
}

func (r watchedReader) Read(p []byte) (int, error) {
	r.w.start()
	defer r.w.stop()
	return r.r.Read(p)
}
