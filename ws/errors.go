package ws

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Sentinels for errors.Is.
var (
	// ErrClosed is what calls on a connection return after this end closed
	// it. It is net.ErrClosed too.
	ErrClosed = fmt.Errorf("ws: %w", net.ErrClosed)
	// ErrHeartbeat is the cause of a close because the peer sent nothing, not
	// even a pong, in time.
	ErrHeartbeat = errors.New("ws: heartbeat: peer does not answer")
	// ErrStalled is the cause of a close because the peer took no byte for
	// as long as WithWriteTimeout allows. It is os.ErrDeadlineExceeded too.
	ErrStalled = fmt.Errorf("ws: write stalled: %w", os.ErrDeadlineExceeded)
	// ErrType refuses a Type that is neither Text nor Binary.
	ErrType = errors.New("ws: message type is neither Text nor Binary")
	// ErrSide refuses a call that only the other side may make.
	ErrSide = errors.New("ws: not allowed on this side of the connection")
	// ErrStatus refuses a close code or reason that the wire does not allow.
	ErrStatus = errors.New("ws: close code or reason not allowed in a close frame")
	// ErrText refuses text that is not UTF-8.
	ErrText = errors.New("ws: text is not UTF-8")
	// ErrReaderDone is returned by a message's reader that another call to
	// Read, Reader or Serve has replaced.
	ErrReaderDone = errors.New("ws: reader of an earlier message")
)

// CloseError says how a connection ended, other than by this end's Close.
type CloseError struct {
	Code   StatusCode // StatusAbnormal if no close frame came
	Reason string
	Local  bool  // this end ended it: it found the peer at fault
	Cause  error // what led to it, where there is more to say; may be nil
}

// Error implements error.
func (e *CloseError) Error() string {
	who := "peer"
	if e.Local {
		who = "this end"
	}
	s := fmt.Sprintf("ws: closed by %s: %d", who, e.Code)
	if e.Code == StatusAbnormal && !e.Local {
		s = "ws: connection lost without a close frame"
	}
	if e.Reason != "" {
		s += " " + e.Reason
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns e.Cause.
func (e *CloseError) Unwrap() error { return e.Cause }

// CloseStatus returns the code of the CloseError in err's tree, 0 if there is
// none.
func CloseStatus(err error) StatusCode {
	if e, ok := errors.AsType[*CloseError](err); ok {
		return e.Code
	}
	return 0
}

// timeout reports whether err is a deadline's.
func timeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
