package commquic

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// wtControl is the CONNECT stream of a session: http3.Stream on the server, http3.RequestStream on the client.
type wtControl interface {
	io.ReadWriteCloser
	StreamID() quic.StreamID
	SendDatagram(b []byte) error
	ReceiveDatagram(ctx context.Context) ([]byte, error)
	CancelRead(quic.StreamErrorCode)
	CancelWrite(quic.StreamErrorCode)
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// wtLinger is how long the peer has to answer the end of a session.
const wtLinger = 2 * time.Second

// run reads the session's capsules until it ends.
func (s *WebTransportSession) run() {
	to := wtCapsules{drain: s.drain, close: func(c wtClose) {
		s.end(&SessionError{Remote: true, Code: c.code, Message: c.message})
	}}
	if s.flow != nil {
		to.limit = s.flow.allow
	}
	err := readCapsules(s.control, to)
	switch {
	case err == nil:
		s.end(&SessionError{Remote: true})
		s.finish()
	case errors.Is(err, errCloseTooLong), errors.Is(err, errCloseTooShort), errors.Is(err, errCloseNoText), errors.Is(err, io.ErrUnexpectedEOF):
		s.end(err)
		s.abort(quic.StreamErrorCode(http3.ErrCodeMessageError))
	case errors.Is(err, errFlowControl):
		s.end(err)
		s.abort(codeFlowControl)
	default:
		s.end(sessionCause(s.ctx, err))
		s.abort(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	}
}

// finish ends this side of the control stream as the peer has ended its own.
func (s *WebTransportSession) finish() {
	s.last()
	defer func() { <-s.writing }()
	_ = s.control.Close()
	s.control.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError)) // nothing follows a close capsule
}

// abort ends the control stream both ways. run, which reads it, aborts too: it wakes by CancelRead, when both
// directions have this code, and the first code of each is the one that the peer is told.
func (s *WebTransportSession) abort(code quic.StreamErrorCode) {
	s.control.CancelWrite(code)
	s.control.CancelRead(code)
}

// last takes s.writing for what is sent last, and bounds it. A capsule that waits for credit is given up.
func (s *WebTransportSession) last() {
	_ = s.control.SetWriteDeadline(time.Now().Add(wtLinger))
	s.writing <- struct{}{}
	_ = s.control.SetWriteDeadline(time.Now().Add(wtLinger)) // whatever had it before has set
}

// write sends a capsule. s.writing is held.
func (s *WebTransportSession) write(b []byte) error {
	if s.broken {
		return net.ErrClosed
	}
	n, err := s.control.Write(b)
	s.broken = err != nil && n > 0
	return err
}

// tell sends what its flow control has to tell, until there is nothing. At most one goroutine does.
func (s *WebTransportSession) tell() {
	for b := s.flow.next(); b != nil; b = s.flow.next() {
		s.writing <- struct{}{}
		err := context.Cause(s.ctx) // behind the end only last bounds what is written
		if err == nil {
			err = s.write(b)
		}
		<-s.writing
		if err != nil {
			return // the session is at its end
		}
	}
}

// violated ends the session, whose peer does not keep to its limits. It does not wait.
func (s *WebTransportSession) violated(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return
	}
	s.wt.tasks.Go(func() {
		s.end(err)
		s.abort(codeFlowControl)
	})
}

func (s *WebTransportSession) sayClose(c wtClose) error {
	s.last()
	defer func() { <-s.writing }()
	err := s.write(appendClose(nil, c))
	if err != nil {
		s.abort(codeSessionGone)
		return err
	}
	err = s.control.Close()
	_ = s.control.SetReadDeadline(time.Now().Add(wtLinger)) // run waits no longer for the peer's end
	return err
}

// Drain tells the peer that the session will end, so that it takes new work elsewhere. The session goes
// on. ctx bounds the waiting for the peer's credit.
func (s *WebTransportSession) Drain(ctx context.Context) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = s.control.SetWriteDeadline(longAgo); close(over) })
	err := s.write(append(quicvarint.Append(nil, uint64(capsuleDrain)), 0))
	if !stop() {
		<-over
		_ = s.control.SetWriteDeadline(time.Time{})
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		s.end(context.Cause(ctx)) // half a capsule cannot be taken back
		s.abort(codeSessionGone)
		return context.Cause(ctx)
	}
	return err
}
