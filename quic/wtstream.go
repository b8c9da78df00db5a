package commquic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// StreamError says that a stream of a WebTransport session was reset, or that its peer wants no more of it.
type StreamError struct {
	// Remote reports whether the peer did it.
	Remote bool
	// Code is the application's. It is 0 where the peer gave one that is no application's.
	Code uint32
}

// Error implements error.
func (e *StreamError) Error() string {
	side := "this end"
	if e.Remote {
		side = "the peer"
	}
	return fmt.Sprintf("commquic: WebTransport stream reset by %s with code %d", side, e.Code)
}

// streamError turns QUIC's errors of a stream into those of its session.
func (s *WebTransportSession) streamError(err error) error {
	if err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	se, ok := errors.AsType[*quic.StreamError](err)
	if !ok {
		return s.explain(err)
	}
	if se.ErrorCode == codeSessionGone {
		s.awaitEnd(context.Background())
	}
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	if se.ErrorCode == codeSessionGone {
		return &SessionError{Remote: se.Remote}
	}
	code, _ := applicationCode(se.ErrorCode)
	return &StreamError{Remote: se.Remote, Code: code}
}

// awaitEnd waits a little for the session's end, which says why its streams were reset: on another stream,
// it may come later.
func (s *WebTransportSession) awaitEnd(ctx context.Context) {
	timer := time.NewTimer(wtLinger)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
	case <-ctx.Done():
	case <-timer.C:
	}
}

// half counts down the directions of a stream that are still open, and has its session forget it after the last.
type half struct {
	session *WebTransportSession
	id      quic.StreamID

	mu         sync.Mutex
	send, recv bool // still open
}

func (h *half) sent() { h.over(&h.send) }
func (h *half) read() { h.over(&h.recv) }

func (h *half) over(direction *bool) {
	h.mu.Lock()
	was := h.send || h.recv
	*direction = false
	gone := was && !h.send && !h.recv
	h.mu.Unlock()
	if gone {
		h.session.forget(h.id)
	}
}

// WebTransportReceiveStream is the receiving side of a stream of a session. Reads take turns; the other
// methods are safe beside them.
type WebTransportReceiveStream struct {
	str    receiveStream
	half   *half
	intake *wtIntake // nil: nothing is counted
}

// receiveStream is quic.ReceiveStream or the receiving side of quic.Stream.
type receiveStream interface {
	io.Reader
	StreamID() quic.StreamID
	CancelRead(quic.StreamErrorCode)
	SetReadDeadline(time.Time) error
	SetReceiveFinalSizeCallback(func(int64))
}

// Read reads what the peer has sent: io.EOF after the last of it, a [*StreamError] after a reset, the
// session's error after its end, os.ErrDeadlineExceeded after a deadline.
func (r *WebTransportReceiveStream) Read(p []byte) (int, error) {
	n, err := r.str.Read(p)
	r.intake.took(n)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		r.over()
	}
	return n, r.half.session.streamError(err)
}

// over notes that nobody reads any more.
func (r *WebTransportReceiveStream) over() {
	r.intake.giveUp()
	r.half.read()
}

// CancelRead tells the peer to send no more, with an application's code. A pending Read ends.
func (r *WebTransportReceiveStream) CancelRead(code uint32) {
	r.str.CancelRead(wireCode(code))
	r.over()
}

// SetReadDeadline bounds Reads; the zero time is no bound.
func (r *WebTransportReceiveStream) SetReadDeadline(t time.Time) error {
	return r.str.SetReadDeadline(t)
}

// StreamID is the stream's number on its QUIC connection.
func (r *WebTransportReceiveStream) StreamID() quic.StreamID { return r.str.StreamID() }

func (r *WebTransportReceiveStream) endWithSession() { r.str.CancelRead(codeSessionGone) }

// WebTransportSendStream is the sending side of a stream of a session. The peer learns of a stream by the
// first Write, or the Close before it. Writes and Close take turns; the other methods are safe beside them.
type WebTransportSendStream struct {
	str  sendingStream
	half *half
	head *streamHead // nil for a stream that the peer has opened
	due  *wtDeadline // nil without flow control of the session
}

// streamHead is the beginning of a stream that this end has opened. It leaves with the first data, so that a
// priority that is set before holds for it.
type streamHead struct {
	mu    sync.Mutex
	bytes []byte // nil once it has left
}

// lead sends the header, if it has not left.
func (w *WebTransportSendStream) lead() error {
	if w.head == nil {
		return nil
	}
	w.head.mu.Lock()
	defer w.head.mu.Unlock()
	if w.head.bytes == nil {
		return nil
	}
	n, err := w.str.Write(w.head.bytes)
	if err != nil {
		w.head.bytes = w.head.bytes[n:]
		return err
	}
	w.head.bytes = nil
	w.str.SetReliableBoundary() // it arrives even where the stream is reset
	return nil
}

// sendingStream is quic.SendStream or the sending side of quic.Stream.
type sendingStream interface {
	io.WriteCloser
	StreamID() quic.StreamID
	CancelWrite(quic.StreamErrorCode)
	Context() context.Context
	SetPriority(urgency int8, incremental bool)
	SetReliableBoundary()
	SetWriteDeadline(time.Time) error
	TryWriteAll(p []byte) error
	WriteWithLimit(p []byte, limiter func(int) int) (int, error)
}

// Write sends p. It waits for the peer's credit: a [*StreamError] says that the peer wants no more, the
// session's error that the session has ended, os.ErrDeadlineExceeded that a deadline has passed.
func (w *WebTransportSendStream) Write(p []byte) (int, error) {
	if err := w.lead(); err != nil {
		return 0, w.half.session.streamError(err)
	}
	n, err := w.write(p)
	return n, w.half.session.streamError(err)
}

// write is QUIC's, within what the peer allows the session.
func (w *WebTransportSendStream) write(p []byte) (n int, err error) {
	flow := w.half.session.flow
	if flow == nil {
		return w.str.Write(p)
	}
	for {
		m, err := w.str.WriteWithLimit(p[n:], flow.grant)
		n += m
		if !errors.Is(err, quic.ErrWriteLimitReached) {
			return n, err
		}
		if more := flow.blocked(); more != nil {
			if err := w.due.wait(more, w.str.Context()); err != nil {
				return n, err
			}
		}
	}
}

// TryWriteAll is Write that does not wait: where not all of p has room at once it sends nothing and
// returns quic.ErrWouldBlock.
func (w *WebTransportSendStream) TryWriteAll(p []byte) error {
	flow := w.half.session.flow
	if flow != nil && !flow.reserve(len(p)) {
		return quic.ErrWouldBlock
	}
	err := w.tryWriteAll(p)
	if err != nil && flow != nil {
		flow.refund(len(p))
	}
	if errors.Is(err, quic.ErrWouldBlock) {
		return err
	}
	return w.half.session.streamError(err)
}

func (w *WebTransportSendStream) tryWriteAll(p []byte) error {
	if w.head == nil {
		return w.str.TryWriteAll(p)
	}
	w.head.mu.Lock()
	defer w.head.mu.Unlock()
	if w.head.bytes == nil {
		return w.str.TryWriteAll(p)
	}
	err := w.str.TryWriteAll(append(w.head.bytes[:len(w.head.bytes):len(w.head.bytes)], p...))
	if err == nil {
		w.head.bytes = nil
		w.str.SetReliableBoundary()
	}
	return err
}

// Close ends the stream; what was written is delivered. It must not be called beside Write.
func (w *WebTransportSendStream) Close() error {
	if err := w.lead(); err != nil {
		return w.half.session.streamError(err)
	}
	return w.half.session.streamError(w.str.Close())
}

// CancelWrite resets the stream with an application's code; what was not delivered is lost.
func (w *WebTransportSendStream) CancelWrite(code uint32) { w.str.CancelWrite(wireCode(code)) }

// SetWriteDeadline bounds Writes; the zero time is no bound.
func (w *WebTransportSendStream) SetWriteDeadline(t time.Time) error {
	if w.due != nil {
		w.due.set(t)
	}
	return w.str.SetWriteDeadline(t)
}

// SetPriority orders the streams of a connection (RFC 9218): urgency 0 is sent first, 7 last, 3 is the
// default. Incremental streams of one urgency share; others are sent one after the other.
func (w *WebTransportSendStream) SetPriority(urgency int8, incremental bool) {
	w.str.SetPriority(urgency, incremental)
}

// Context ends when the stream can no longer be written to.
func (w *WebTransportSendStream) Context() context.Context { return w.str.Context() }

// StreamID is the stream's number on its QUIC connection.
func (w *WebTransportSendStream) StreamID() quic.StreamID { return w.str.StreamID() }

func (w *WebTransportSendStream) endWithSession() {
	if w.str.Context().Err() == nil { // else it was closed, and is still delivered
		w.str.CancelWrite(codeSessionGone)
	}
}

// WebTransportStream is a stream of a session that goes both ways: one side as
// [WebTransportReceiveStream], the other as [WebTransportSendStream]. A Read tells the peer of the stream too.
type WebTransportStream struct {
	WebTransportReceiveStream
	WebTransportSendStream
}

// Read is [WebTransportReceiveStream.Read].
func (t *WebTransportStream) Read(p []byte) (int, error) {
	if err := t.lead(); err != nil && t.Context().Err() == nil {
		return 0, t.WebTransportReceiveStream.half.session.streamError(err)
	}
	return t.WebTransportReceiveStream.Read(p)
}

// StreamID is the stream's number on its QUIC connection.
func (t *WebTransportStream) StreamID() quic.StreamID { return t.WebTransportSendStream.StreamID() }

// SetDeadline bounds Reads and Writes; the zero time is no bound.
func (t *WebTransportStream) SetDeadline(d time.Time) error {
	return errors.Join(t.SetReadDeadline(d), t.SetWriteDeadline(d))
}

func (t *WebTransportStream) endWithSession() {
	t.WebTransportReceiveStream.endWithSession()
	t.WebTransportSendStream.endWithSession()
}

// newStream makes a bidirectional stream one of the session. head is nil for one of the peer's, whose own has had size
// bytes.
func (s *WebTransportSession) newStream(str *quic.Stream, head *streamHead, size int64) (*WebTransportStream, error) {
	h := &half{session: s, id: str.StreamID(), send: true, recv: true}
	t := &WebTransportStream{WebTransportReceiveStream{str, h, s.intake(str, size)}, WebTransportSendStream{str, h, head, s.deadline()}}
	return t, s.enter(t, h, str.Context())
}

func (s *WebTransportSession) newSendStream(str *quic.SendStream, head *streamHead) (*WebTransportSendStream, error) {
	h := &half{session: s, id: str.StreamID(), send: true}
	t := &WebTransportSendStream{str, h, head, s.deadline()}
	return t, s.enter(t, h, str.Context())
}

func (s *WebTransportSession) newReceiveStream(str *quic.ReceiveStream, size int64) (*WebTransportReceiveStream, error) {
	h := &half{session: s, id: str.StreamID(), recv: true}
	t := &WebTransportReceiveStream{str, h, s.intake(str, size)}
	return t, s.enter(t, h, nil)
}

// intake counts what comes on a stream behind a header of size bytes.
func (s *WebTransportSession) intake(str receiveStream, size int64) *wtIntake {
	if s.flow == nil {
		return nil
	}
	i := &wtIntake{flow: s.flow, head: size, violate: s.violated}
	str.SetReceiveFinalSizeCallback(i.size)
	return i
}

func (s *WebTransportSession) deadline() *wtDeadline {
	if s.flow == nil {
		return nil
	}
	return new(wtDeadline)
}

// enter notes a stream until it has ended, and counts one of the peer's. sending ends with its sending side.
func (s *WebTransportSession) enter(t wtEnder, h *half, sending context.Context) error {
	if fromServer := h.id&1 == 1; fromServer != s.wt.server {
		if err := s.flow.accept(kindOf(h.id)); err != nil {
			s.violated(err)
			return err
		}
	}
	if err := s.add(h.id, t); err != nil {
		return err
	}
	if sending != nil {
		context.AfterFunc(sending, h.sent)
	}
	return nil
}
