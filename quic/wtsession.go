package commquic

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/quic-go/quic-go"
)

// SessionError is why a WebTransport session ended.
type SessionError struct {
	// Remote reports whether the peer ended it.
	Remote bool
	// Code is the application's; 0 where the peer ended the session without one.
	Code uint32
	// Message is the application's reason, at most 1,024 bytes.
	Message string
}

// Error implements error.
func (e *SessionError) Error() string {
	side := "this end"
	if e.Remote {
		side = "the peer"
	}
	s := fmt.Sprintf("commquic: WebTransport session closed by %s with code %d", side, e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is makes every end of a session one of net.ErrClosed too.
func (e *SessionError) Is(target error) bool { return target == net.ErrClosed }

// WebTransportSession is one session of WebTransport over HTTP/3 (draft-ietf-webtrans-http3): streams both
// ways and one way, and datagrams. Made by [UpgradeWebTransport] and [DialWebTransport]; the zero value is
// not usable. All methods are safe for concurrent use.
//
// A session's streams end with it. Its connection may carry other sessions and requests, and lives on. A peer that does
// not keep to the session's flow control, where both ends have announced it, loses the session.
type WebTransportSession struct {
	id      quic.StreamID
	wt      *wtConn
	control wtControl

	ctx     context.Context
	cancel  context.CancelCauseFunc
	drained chan struct{} // closed when the peer has sent DRAIN_WEBTRANSPORT_SESSION
	drain   func()

	bidi *acceptQueue[*WebTransportStream]
	uni  *acceptQueue[*WebTransportReceiveStream]

	flow *wtFlow // nil: QUIC's own alone

	mu      sync.Mutex                // guards the fields below
	ended   error                     // why it has; nil while it lives
	streams map[quic.StreamID]wtEnder // open streams

	writing chan struct{} // held while a capsule is written, guards broken
	broken  bool          // a capsule was not finished: nothing can follow
}

// wtEnder is an open stream as its session sees it.
type wtEnder interface{ endWithSession() }

func newSession(wt *wtConn, control wtControl, theirs wtLimits) *WebTransportSession {
	s := &WebTransportSession{
		id: control.StreamID(), wt: wt, control: control, streams: make(map[quic.StreamID]wtEnder),
		bidi: newAcceptQueue[*WebTransportStream](), uni: newAcceptQueue[*WebTransportReceiveStream](),
		drained: make(chan struct{}), writing: make(chan struct{}, 1),
	}
	s.flow = newFlow(wt.ours, theirs, func() { wt.tasks.Go(s.tell) })
	s.drain = sync.OnceFunc(func() { close(s.drained) })
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// sessionCause prefers the reason for which the session was ended to what its stream then answers.
func sessionCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// end makes the session one that has ended; the first cause stands. Its streams are reset.
func (s *WebTransportSession) end(cause error) bool {
	s.flow.end() // whoever ends it: when the connection's goroutines are waited for, none begins to tell
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return false
	}
	s.ended = cause
	streams := s.streams
	s.streams = nil
	s.mu.Unlock()
	s.wt.remove(s)
	s.cancel(cause)
	for _, str := range streams {
		str.endWithSession()
	}
	s.bidi.close()
	s.uni.close()
	return true
}

// add notes an open stream, unless the session has ended, which its context says a moment later.
func (s *WebTransportSession) add(id quic.StreamID, str wtEnder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.streams[id] = str
	}
	return s.ended
}

// forget takes a stream out that has ended both ways. One of the peer's makes room for another one.
func (s *WebTransportSession) forget(id quic.StreamID) {
	s.mu.Lock()
	delete(s.streams, id)
	s.mu.Unlock()
	if fromServer := id&1 == 1; s.flow != nil && fromServer != s.wt.server { // RFC 9000 2.1
		s.flow.forget(kindOf(id))
	}
}

// kindOf is a stream's kind (RFC 9000 2.1).
func kindOf(id quic.StreamID) wtKind {
	if id&2 == 0 {
		return kindBidi
	}
	return kindUni
}

// openStreams is how many streams have not ended.
func (s *WebTransportSession) openStreams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// Context ends with the session; its cause is why: a [*SessionError] where one end closed it, else what
// became of the connection.
func (s *WebTransportSession) Context() context.Context { return s.ctx }

// Draining is closed when the peer has announced that it will end the session: new work belongs on
// another one.
func (s *WebTransportSession) Draining() <-chan struct{} { return s.drained }

// LocalAddr and RemoteAddr are the connection's addresses. They may change while it migrates.
func (s *WebTransportSession) LocalAddr() net.Addr { return s.wt.conn.LocalAddr() }

// RemoteAddr is the peer's address.
func (s *WebTransportSession) RemoteAddr() net.Addr { return s.wt.conn.RemoteAddr() }

// ConnectionState describes the QUIC connection below.
func (s *WebTransportSession) ConnectionState() quic.ConnectionState {
	return s.wt.conn.ConnectionState()
}

// CloseWithError ends the session with a code and a reason for the peer, of which 1,024 bytes are sent.
// Its streams are reset; what is still to be delivered on them is lost, unless they were closed before.
// It does not wait for the peer. Further calls do nothing. The error is that of telling the peer.
func (s *WebTransportSession) CloseWithError(code uint32, message string) error {
	if !s.end(&SessionError{Code: code, Message: cutReason(message)}) {
		return nil
	}
	return s.sayClose(wtClose{code, message})
}

// SendDatagram sends b, which may be lost and is never repeated. A *quic.DatagramTooLargeError says how
// much fits.
func (s *WebTransportSession) SendDatagram(b []byte) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.explain(s.control.SendDatagram(b))
}

// ReceiveDatagram waits for the next datagram. At most 32 wait to be received; further ones are lost.
func (s *WebTransportSession) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	both, cancel := joined(ctx, s.ctx)
	defer cancel()
	b, err := s.control.ReceiveDatagram(both)
	if err == nil {
		return b, nil
	}
	if context.Cause(both) == nil {
		s.awaitEnd(ctx) // the control stream has ended: what it said last, run is about to read
	}
	if context.Cause(s.ctx) == nil && context.Cause(ctx) != nil {
		return nil, context.Cause(ctx)
	}
	return nil, s.explain(err)
}

// joined is a context that ends with either.
func joined(ctx, other context.Context) (context.Context, context.CancelFunc) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return both, func() { stop(); cancel(nil) }
}

// explain gives the session's end as the reason of what failed because of it.
func (s *WebTransportSession) explain(err error) error {
	if err == nil {
		return nil
	}
	return sessionCause(s.ctx, err)
}

// AcceptStream waits for the next bidirectional stream that the peer has opened.
func (s *WebTransportSession) AcceptStream(ctx context.Context) (*WebTransportStream, error) {
	return s.bidi.take(ctx, s.ctx)
}

// AcceptUniStream waits for the next unidirectional stream that the peer has opened.
func (s *WebTransportSession) AcceptUniStream(ctx context.Context) (*WebTransportReceiveStream, error) {
	return s.uni.take(ctx, s.ctx)
}

// OpenStream opens a bidirectional stream. A *quic.StreamLimitReachedError says that the peer allows no
// further one now.
func (s *WebTransportSession) OpenStream() (*WebTransportStream, error) {
	if s.flow.open(kindBidi) != nil {
		return nil, s.explain(&quic.StreamLimitReachedError{})
	}
	str, err := s.wt.conn.OpenStream()
	return s.opened(str, err)
}

// OpenStreamSync is OpenStream that waits until the peer allows a further stream.
func (s *WebTransportSession) OpenStreamSync(ctx context.Context) (*WebTransportStream, error) {
	both, cancel := joined(ctx, s.ctx)
	defer cancel()
	if err := s.flow.openSync(both, kindBidi); err != nil {
		return nil, s.explain(err)
	}
	str, err := s.wt.conn.OpenStreamSync(both)
	return s.opened(str, err)
}

func (s *WebTransportSession) opened(str *quic.Stream, err error) (*WebTransportStream, error) {
	if err != nil {
		s.flow.unopen(kindBidi)
		return nil, s.explain(err)
	}
	t, err := s.newStream(str, s.begin(bidiStreamWebTransport), 0)
	if err != nil {
		str.CancelRead(codeSessionGone)
		str.CancelWrite(codeSessionGone)
		return nil, s.explain(err)
	}
	return t, nil
}

// begin is the header of a stream that this end opens.
func (s *WebTransportSession) begin(kind uint64) *streamHead {
	return &streamHead{bytes: appendStreamHeader(nil, kind, s.id)}
}

// OpenUniStream opens a unidirectional stream. A *quic.StreamLimitReachedError says that the peer allows
// no further one now.
func (s *WebTransportSession) OpenUniStream() (*WebTransportSendStream, error) {
	if s.flow.open(kindUni) != nil {
		return nil, s.explain(&quic.StreamLimitReachedError{})
	}
	str, err := s.wt.conn.OpenUniStream()
	return s.openedUni(str, err)
}

// OpenUniStreamSync is OpenUniStream that waits until the peer allows a further stream.
func (s *WebTransportSession) OpenUniStreamSync(ctx context.Context) (*WebTransportSendStream, error) {
	both, cancel := joined(ctx, s.ctx)
	defer cancel()
	if err := s.flow.openSync(both, kindUni); err != nil {
		return nil, s.explain(err)
	}
	str, err := s.wt.conn.OpenUniStreamSync(both)
	return s.openedUni(str, err)
}

func (s *WebTransportSession) openedUni(str *quic.SendStream, err error) (*WebTransportSendStream, error) {
	if err != nil {
		s.flow.unopen(kindUni)
		return nil, s.explain(err)
	}
	t, err := s.newSendStream(str, s.begin(uniStreamWebTransport))
	if err != nil {
		str.CancelWrite(codeSessionGone)
		return nil, s.explain(err)
	}
	return t, nil
}
