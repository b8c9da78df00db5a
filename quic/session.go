package commquic

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/quic-go/quic-go"
)

// session is what comm/1 runs on: a QUIC connection, or a WebTransport session over HTTP/3.
type session interface {
	// accept returns the next bidirectional stream of the peer, and acceptUni the next unidirectional one.
	accept(ctx context.Context) (stream, error)
	acceptUni(ctx context.Context) (recvStream, error)
	// openUni opens a stream without waiting for the peer's leave.
	openUni() (sendStream, error)
	// sendDatagram may wait for the network; an error is a *quic.DatagramTooLargeError where one that is
	// smaller would have gone. It does not keep b.
	sendDatagram(b []byte) error
	receiveDatagram(ctx context.Context) ([]byte, error)
	// close ends the session with a closing code. It does not wait for the peer.
	close(code uint64, reason string) error
	// context ends with the session; its cause says why.
	context() context.Context
	// roundTrip is the smoothed round-trip time, or 0.
	roundTrip() time.Duration
	// received is how many packets have come on its connection.
	received() uint64
}

// sendStream is one direction of a stream.
type sendStream interface {
	io.Writer
	// TryWriteAll takes all of b or, with quic.ErrWouldBlock, nothing. It does not wait.
	TryWriteAll(b []byte) error
	SetWriteDeadline(t time.Time) error
	// SetPriority says how urgent the stream is, 0 to 7, where 0 goes first (RFC 9218 4).
	SetPriority(urgency int8, incremental bool)
	// Close ends the stream; what was written still arrives.
	Close() error
	CancelWrite(code quic.StreamErrorCode)
}

// recvStream is the other direction.
type recvStream interface {
	io.Reader
	SetReadDeadline(t time.Time) error
	CancelRead(code quic.StreamErrorCode)
}

// stream is a bidirectional stream.
type stream interface {
	sendStream
	recvStream
}

// quicSession is a QUIC connection as a session.
type quicSession struct{ conn *quic.Conn }

func (s quicSession) accept(ctx context.Context) (stream, error) {
	str, err := s.conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	return str, nil
}

func (s quicSession) acceptUni(ctx context.Context) (recvStream, error) {
	str, err := s.conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, err
	}
	return str, nil
}

func (s quicSession) openUni() (sendStream, error) {
	str, err := s.conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	return str, nil
}

func (s quicSession) sendDatagram(b []byte) error { return s.conn.SendDatagram(b) }

func (s quicSession) receiveDatagram(ctx context.Context) ([]byte, error) {
	return s.conn.ReceiveDatagram(ctx)
}

func (s quicSession) close(code uint64, reason string) error {
	return s.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

func (s quicSession) context() context.Context { return s.conn.Context() }

func (s quicSession) roundTrip() time.Duration { return s.conn.ConnectionStats().SmoothedRTT }
func (s quicSession) received() uint64         { return s.conn.ConnectionStats().PacketsReceived }

// peerClose is the code and text with which the peer has ended the session. A WebTransport session's own error
// for that implements it.
type peerClose interface {
	error
	peerCode() (code uint64, text string)
}

// closedByPeer reads how the peer has ended the session from an error of one of its streams.
func closedByPeer(err error) (code uint64, text string, ok bool) {
	if ae, is := errors.AsType[*quic.ApplicationError](err); is && ae.Remote {
		return uint64(ae.ErrorCode), ae.ErrorMessage, true
	}
	if pc, is := errors.AsType[peerClose](err); is {
		code, text = pc.peerCode()
		return code, text, true
	}
	return 0, "", false
}
