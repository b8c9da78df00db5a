package sse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one event stream to one client. Make one with [Accept] or [Handler].
// All its methods are safe for concurrent use, and safe after its end.
type Stream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	out    carrier

	turn     chan struct{}         // holds one token while somebody writes
	cutting  sync.Mutex            // held while a write is cut
	finished bool                  // guarded by turn, and set under cutting
	cut      atomic.Bool           // a write in flight must end now
	failure  atomic.Pointer[error] // of a write

	lastID       string
	hijacked     bool
	writeTimeout time.Duration
	onEnd        func(*Stream, error)
	ended        sync.Once

	// the timer ticks for heartbeat and lifetime
	timerMu   sync.Mutex
	timer     *time.Timer
	heartbeat time.Duration
	expires   time.Time
	opened    time.Time
	lastWrite atomic.Int64 // nanoseconds since opened
	sent      atomic.Int64
}

// carrier is what a stream writes to: a ResponseWriter or a hijacked connection. write and finish are
// called by the holder of the turn; expire and abort by anybody.
type carrier interface {
	// try sends what goes of frame[headRoom:] without waiting, and reports whether that was all. n counts the bytes
	// that are known to have left. The room in front and capacity behind are the carrier's to use.
	try(frame []byte) (n int, done bool, err error)
	// write sends what try has left of the same frame and flushes it. n counts what try has sent, too.
	write(frame []byte) (n int, err error)
	setDeadline(t time.Time) error
	// clearDeadline follows a successful write with a deadline.
	clearDeadline()
	// finish ends the response. ok says that it is whole so far.
	finish(ok bool, deadline time.Time)
}

// headRoom is the space in front of a frame where a chunk header fits: eight hex digits, CR, LF.
const headRoom = 10

func (a *Acceptor) newStream(lastID string) *Stream {
	s := &Stream{
		turn:         make(chan struct{}, 1),
		lastID:       lastID,
		writeTimeout: a.config.writeTimeout,
		onEnd:        a.config.onEnd,
		heartbeat:    a.config.heartbeat,
		opened:       time.Now(),
	}
	if d := a.config.lifetime; d > 0 {
		s.expires = s.opened.Add(d - rand.N(d/5+1))
	}
	return s
}

// LastEventID returns the ID of the last event that the client received before it reconnected: its
// Last-Event-ID header or, for clients that cannot set one, the lastEventId query parameter. Empty means
// none. It comes from outside and is not checked for meaning.
func (s *Stream) LastEventID() string { return s.lastID }

// Context ends with the stream and carries the request's values. Its cause is that of [Stream.Err].
func (s *Stream) Context() context.Context { return s.ctx }

// Done is closed when the stream has ended: the client went, a write failed, the lifetime is over or
// Close was called.
func (s *Stream) Done() <-chan struct{} { return s.ctx.Done() }

// Err returns nil while the stream is open, then why it ended: ErrClosed, ErrGone, ErrLifetime, or the
// error of a write.
func (s *Stream) Err() error {
	if s.ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(s.ctx)
	if cause == context.Canceled || cause == context.DeadlineExceeded {
		if failed := s.failure.Load(); failed != nil { // net/http ends the context before its Write returns
			return *failed
		}
		return fmt.Errorf("%w: %w", ErrGone, cause)
	}
	return cause
}

// Hijacked reports whether the stream has taken over the connection (see [WithHijack]). The handler must
// then return without waiting, and the stream lives on until it ends by itself or by Close. Otherwise the
// handler must stay until the stream is done, and call Close before it returns.
func (s *Stream) Hijacked() bool { return s.hijacked }

// BytesSent returns how many bytes of events and heartbeats have been written.
func (s *Stream) BytesSent() int64 { return s.sent.Load() }

// Age returns how long ago the stream was accepted.
func (s *Stream) Age() time.Duration { return time.Since(s.opened) }

// Send encodes events and sends them in one write and one flush. It returns when the bytes have been
// handed to the network, which is not yet receipt by the client. Events that carry nothing send nothing.
//
// ctx bounds the wait for other senders, and its deadline also the write, beside the write timeout. A
// write that does not end in time ends the stream. A *FieldError means that nothing was sent and the
// stream lives; after the end the error is ErrClosed with the cause.
func (s *Stream) Send(ctx context.Context, events ...Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	scratch := getScratch()
	defer putScratch(scratch)
	frame := *scratch
	var err error
	for i := range events {
		if frame, err = events[i].Append(frame); err != nil {
			return err
		}
	}
	*scratch = frame
	if len(frame) == headRoom {
		return nil
	}
	if err := s.acquire(ctx.Done(), nil); err != nil {
		if errors.Is(err, errNotDone) {
			return ctx.Err()
		}
		return err
	}
	defer s.release()
	_, err = s.writeFrame(frame, s.deadline(ctx), nil)
	return err
}

// SendRaw sends encoded parts in one write and one flush and returns how many of them are known to have
// left wholly; parts need not be whole events. It keeps and changes none of them. A zero deadline means
// the write timeout from now; the deadline covers the wait for other senders too. When it passes in that
// wait the stream lives and the error is os.ErrDeadlineExceeded alone; any other error ends the stream.
// n is exact on a hijacked stream; otherwise net/http does not tell, and n is 0 beside an error.
func (s *Stream) SendRaw(batch [][]byte, deadline time.Time) (n int, err error) {
	return s.sendRaw(batch, deadline, nil)
}

// waiter is whoever wants to know that a write is about to wait; nil is nobody.
type waiter interface{ Waiting() }

func (s *Stream) sendRaw(batch [][]byte, deadline time.Time, w waiter) (n int, err error) {
	if deadline.IsZero() && s.writeTimeout > 0 {
		deadline = time.Now().Add(s.writeTimeout)
	}
	if err := s.acquireBy(deadline, w); err != nil {
		return 0, err
	}
	defer s.release()
	scratch := getScratch()
	defer putScratch(scratch)
	frame := *scratch
	for _, part := range batch {
		frame = append(frame, part...)
	}
	*scratch = frame
	if len(frame) == headRoom {
		return len(batch), nil
	}
	left, err := s.writeFrame(frame, deadline, w)
	if err == nil {
		return len(batch), nil
	}
	for n < len(batch) && left >= len(batch[n]) {
		left -= len(batch[n])
		n++
	}
	return n, err
}

// Close ends the stream and waits for a write in flight, which its own deadline bounds. It always
// returns nil and may be called again.
func (s *Stream) Close() error { return s.CloseBy(time.Time{}) }

// CloseBy is Close, but cuts a write in flight that has not ended by the deadline. A zero deadline cuts nothing.
func (s *Stream) CloseBy(deadline time.Time) error {
	s.stop(ErrClosed, deadline)
	return nil
}

// stop ends the stream with a cause; the first cause stays. It returns when nobody writes any more.
func (s *Stream) stop(cause error, deadline time.Time) {
	s.cancel(cause)
	s.stopTimer()
	if !s.takeTurnBy(deadline) {
		s.cutOff()
		s.turn <- struct{}{}
	}
	if !s.finished {
		s.finish(!s.cut.Load(), deadline)
	}
	s.release()
	if !s.hijacked {
		s.callOnEnd()
	}
}

// finish ends the response, once. It waits for whoever cuts a write off: the handler may return next.
func (s *Stream) finish(ok bool, deadline time.Time) {
	s.cutting.Lock()
	s.finished = true
	s.cutting.Unlock()
	s.out.finish(ok, deadline)
}

// cutOff has the writer fail now and give the turn back. Once the stream has finished there is none, and the
// handler may have returned, after which nobody may touch its ResponseWriter.
func (s *Stream) cutOff() {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	if s.finished {
		return
	}
	s.cut.Store(true)
	_ = s.out.setDeadline(time.Unix(1, 0))
}

func (s *Stream) callOnEnd() {
	s.ended.Do(func() {
		if s.onEnd != nil {
			s.onEnd(s, s.Err())
		}
	})
}

// takeTurnBy waits for the turn until the deadline, for ever when that is zero, whether or not the stream has ended.
func (s *Stream) takeTurnBy(deadline time.Time) bool {
	select {
	case s.turn <- struct{}{}:
		return true
	default:
	}
	if deadline.IsZero() {
		s.turn <- struct{}{}
		return true
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case s.turn <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

// errNotDone says that the caller's own limit passed while another one was writing.
var errNotDone = errors.New("sse: gave up waiting for another sender")

// acquire takes the turn to write, or returns why there is none.
func (s *Stream) acquire(done <-chan struct{}, timeout <-chan time.Time) error {
	select {
	case s.turn <- struct{}{}:
	default:
		select {
		case s.turn <- struct{}{}:
		case <-s.ctx.Done():
			return s.closedError()
		case <-done:
			return errNotDone
		case <-timeout:
			return errNotDone
		}
	}
	if s.ctx.Err() != nil {
		s.release()
		return s.closedError()
	}
	return nil
}

func (s *Stream) acquireBy(deadline time.Time, w waiter) error {
	select {
	case s.turn <- struct{}{}: // the usual case needs no timer
		if s.ctx.Err() != nil {
			s.release()
			return s.closedError()
		}
		return nil
	default:
	}
	if w != nil {
		w.Waiting()
	}
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		timeout = t.C
	}
	err := s.acquire(nil, timeout)
	if errors.Is(err, errNotDone) {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (s *Stream) release() { <-s.turn }

func (s *Stream) closedError() error {
	cause := s.Err()
	if cause == ErrClosed {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
}

func (s *Stream) deadline(ctx context.Context) time.Time {
	var t time.Time
	if s.writeTimeout > 0 {
		t = time.Now().Add(s.writeTimeout)
	}
	if d, ok := ctx.Deadline(); ok && (t.IsZero() || d.Before(t)) {
		t = d
	}
	return t
}

// writeFrame writes under the turn.
func (s *Stream) writeFrame(frame []byte, deadline time.Time, w waiter) (int, error) {
	payload := len(frame) - headRoom
	n, done, err := s.out.try(frame)
	if err == nil && !done {
		if w != nil {
			w.Waiting()
		}
		n, err = s.writeRest(frame, n, deadline)
	}
	if err != nil {
		err = fmt.Errorf("sse: write: %w", err)
		s.cut.Store(true)
		s.failure.Store(&err)
		s.cancel(err)
		s.finish(false, time.Time{})
		return n, err
	}
	s.sent.Add(int64(payload))
	s.lastWrite.Store(int64(time.Since(s.opened)))
	return payload, nil
}

// writeRest goes on behind n bytes that have left. The deadline is armed around the write only: on HTTP/2 one that
// expires later would reset the stream even though it is idle.
func (s *Stream) writeRest(frame []byte, n int, deadline time.Time) (int, error) {
	if err := s.arm(deadline); err != nil {
		return n, err
	}
	n, err := s.out.write(frame)
	if err == nil && !deadline.IsZero() && !s.cut.Load() {
		s.out.clearDeadline()
	}
	return n, err
}

// arm sets the write deadline, if there is one. stop may cut at the same time: it sets the flag first and the expired
// deadline second, so that either we see the flag here or its deadline replaces ours.
func (s *Stream) arm(deadline time.Time) error {
	if !deadline.IsZero() {
		if err := s.out.setDeadline(deadline); err != nil {
			return err
		}
	}
	if s.cut.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}
