package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Accept answers an HTTP request with an event stream: it checks method and Accept header, sends the
// response headers at once and returns the stream. It works over HTTP/1.1 and HTTP/2, through response
// wrappers that have an Unwrap method (see http.ResponseController).
//
// The handler must not return before it has called Close, best deferred, unless the stream is hijacked;
// [Handler] does this for you. A refused request has been answered: 405 or 406, or 400 for an unusable
// lastEventId, with a [*RequestError]; 500 for bad options or a writer that cannot stream (ErrUnsupported).
func Accept(w http.ResponseWriter, r *http.Request, opts ...AcceptOption) (*Stream, error) {
	a, err := NewAcceptor(opts...)
	if err != nil {
		http.Error(w, "event stream misconfigured", http.StatusInternalServerError)
		return nil, err
	}
	return a.Accept(w, r)
}

// Acceptor is [Accept] with its options resolved once. Safe for concurrent use.
type Acceptor struct{ config acceptConfig }

// NewAcceptor resolves opts and reports all bad ones together.
func NewAcceptor(opts ...AcceptOption) (*Acceptor, error) {
	c, err := newAcceptConfig(opts)
	if err != nil {
		return nil, err
	}
	return &Acceptor{config: c}, nil
}

// Accept is the function [Accept] with the Acceptor's options.
func (a *Acceptor) Accept(w http.ResponseWriter, r *http.Request) (*Stream, error) {
	lastID, refused := a.check(w, r)
	if refused != nil {
		http.Error(w, refused.Reason, refused.Status)
		return nil, refused
	}
	return a.begin(w, r, lastID)
}

// begin answers a request that passed the checks.
func (a *Acceptor) begin(w http.ResponseWriter, r *http.Request, lastID string) (*Stream, error) {
	setHeaders(w.Header())
	s := a.newStream(lastID)
	err := a.open(s, w, r)
	if err != nil {
		if errors.Is(err, ErrUnsupported) {
			w.Header().Del("Content-Type")
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		if s.cancel != nil {
			s.cancel(err)
		}
		return nil, err
	}
	s.startTimer()
	return s, nil
}

func setHeaders(h http.Header) {
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the events back
	h.Del("Content-Length")
}

// check returns the client's last event ID, or why the request is refused.
func (a *Acceptor) check(w http.ResponseWriter, r *http.Request) (string, *RequestError) {
	if !slices.Contains(a.config.methods, r.Method) {
		allow := strings.Join(a.config.methods, ", ")
		w.Header().Set("Allow", allow)
		return "", &RequestError{http.StatusMethodNotAllowed, fmt.Sprintf("method %s cannot open an event stream; use %s", r.Method, allow)}
	}
	if !acceptsStream(r.Header.Values("Accept")) {
		return "", &RequestError{http.StatusNotAcceptable, "this resource is an event stream; the Accept header must allow " + ContentType}
	}
	lastID, err := requestLastEventID(r)
	if err != nil {
		return "", &RequestError{http.StatusBadRequest, err.Error()}
	}
	return lastID, nil
}

// requestLastEventID prefers the header: on a reconnection the URL still holds the ID it was opened with.
func requestLastEventID(r *http.Request) (string, error) {
	if v := r.Header.Values("Last-Event-ID"); len(v) > 0 {
		return v[0], nil
	}
	id := ""
	if strings.Contains(r.URL.RawQuery, "lastEventId") {
		id = r.URL.Query().Get("lastEventId")
	}
	if err := checkName("id", id); err != nil {
		return "", fmt.Errorf("query parameter lastEventId: %w", err)
	}
	return id, nil
}

// acceptsStream reports whether an Accept header allows text/event-stream (RFC 9110, 12.5.1): the most
// specific range that matches decides, and no header allows everything.
func acceptsStream(values []string) bool {
	if len(values) == 0 {
		return true
	}
	best, allowed, any := 0, false, false
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		any = true
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		rank := slices.Index([]string{"*/*", "text/*", ContentType}, media) + 1
		if rank > best {
			best, allowed = rank, quality(params["q"]) > 0
		}
	}
	return allowed || !any
}

func quality(q string) float64 {
	if q == "" {
		return 1
	}
	f, err := strconv.ParseFloat(q, 64)
	if err != nil {
		return 0
	}
	return f
}

// open connects s to the response and sends the headers, with the retry hint behind them.
func (a *Acceptor) open(s *Stream, w http.ResponseWriter, r *http.Request) error {
	var first []byte
	if a.config.retry > 0 {
		first, _ = (&Event{Retry: a.config.retry}).Append(nil)
	}
	rc := http.NewResponseController(w)
	if a.config.hijack && r.ProtoMajor == 1 {
		values := r.Context()
		if a.config.bare {
			values = context.Background()
		}
		s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(values))
		opened, err := s.openHijacked(w, rc, r, first)
		if opened || err != nil {
			return err
		}
	}
	s.ctx, s.cancel = context.WithCancelCause(r.Context())
	return s.openResponse(w, rc, first)
}

// Handler returns a handler that accepts each request and calls f with its stream. The stream is closed
// when f returns; its error becomes the cause of the end. ctx ends with the stream and carries the
// request's values. For a hijacked stream f runs on a goroutine of its own, after the HTTP handler
// returned; a panic there is logged and ends that stream only. Bad options are answered with 500 and logged.
func Handler(f func(ctx context.Context, s *Stream) error, opts ...AcceptOption) http.Handler {
	a, err := NewAcceptor(opts...)
	if err == nil {
		return a.Handler(f)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slog.Error("event stream misconfigured", "error", err)
		http.Error(w, "event stream misconfigured", http.StatusInternalServerError)
	})
}

// Handler is the function [Handler] with the Acceptor's options.
func (a *Acceptor) Handler(f func(ctx context.Context, s *Stream) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := a.Accept(w, r)
		if err != nil {
			return // answered
		}
		if s.Hijacked() {
			go a.serveHijacked(s, f)
			return
		}
		cause := errPanicked // unless f returns; net/http logs the panic itself
		defer func() { s.stop(cause, time.Time{}) }()
		cause = endCause(f(s.Context(), s))
	})
}

var errPanicked = errors.New("sse: handler panicked")

func endCause(err error) error {
	if err == nil {
		return ErrClosed
	}
	return err
}

func (a *Acceptor) serveHijacked(s *Stream, f func(ctx context.Context, s *Stream) error) {
	cause := errPanicked
	defer func() {
		if v := recover(); v != nil {
			a.logger().Error("event stream handler panicked", "panic", v, "stack", string(debug.Stack()))
		}
		s.stop(cause, time.Time{})
	}()
	cause = endCause(f(s.Context(), s))
}

func (a *Acceptor) logger() *slog.Logger {
	if a.config.logger != nil {
		return a.config.logger
	}
	return slog.Default()
}
