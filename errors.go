package comm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The sentinels of this package, for errors.Is. Errors that carry data have types of their own.
var (
	// ErrClosed is returned by every use of a connection, provider or manager that has ended.
	ErrClosed = errors.New("comm: closed")
	// ErrNotFound means that no connection, provider or session of that name exists.
	ErrNotFound = errors.New("comm: not found")
	// ErrTarget means that a target is zero or names nothing: it never means "everyone".
	ErrTarget = errors.New("comm: no target")
	// ErrForbidden means that the authorizer, or the default without one, refuses the action.
	ErrForbidden = errors.New("comm: forbidden")
	// ErrUnauthenticated means that the authenticator refused the handshake.
	ErrUnauthenticated = errors.New("comm: unauthenticated")
	// ErrOrigin means that the request came from a web origin that is not allowed.
	ErrOrigin = errors.New("comm: origin not allowed")
	// ErrTooManyLogs means that a connection's position would grow past its bound.
	ErrTooManyLogs = errors.New("comm: too many logs on one connection")
	// ErrOrdered means that a send to a log asks for a priority, lane or reliability that would
	// break the order of that log.
	ErrOrdered = errors.New("comm: a logged message keeps the order of its log")
	// ErrBlocked means that WithBlock was given for anything but one connection.
	ErrBlocked = errors.New("comm: only a send to one connection can block")
	// ErrDisconnected is what waiting for an ack or a reply ends with when the peer goes away first.
	ErrDisconnected = errors.New("comm: the connection closed first")
	// ErrDropped is what waiting for an ack or a reply ends with when the message was dropped before it was written: by
	// the overflow policy, or because its log has forgotten it.
	ErrDropped = errors.New("comm: the message was dropped first")
	// ErrSlowConsumer is the cause of a connection closed because its outbound queue was full.
	ErrSlowConsumer = errors.New("comm: slow consumer")
	// ErrRunning means that a provider is already registered or running under that name.
	ErrRunning = errors.New("comm: already running")
	// ErrStopped means that a provider is not running.
	ErrStopped = errors.New("comm: not running")
	// ErrNoHandler means that no handler is registered for a message's type.
	ErrNoHandler = errors.New("comm: no handler for this message type")
)

// OptionError is one refused option: its name, the value given and what is allowed.
type OptionError struct {
	Option  string // as the user wrote it, for example "WithAddr"
	Value   any
	Allowed string
	Err     error // the cause, or nil
}

// Error names the option, the value and what is allowed.
func (e *OptionError) Error() string {
	s := fmt.Sprintf("comm: %s(%v)", e.Option, e.Value)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Allowed != "" {
		s += ": allowed is " + e.Allowed
	}
	return s
}

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }

// LimitError says which limit a client or a caller ran into.
type LimitError struct {
	Limit string        // for example "connections per user"
	Max   int           // the limit; 0 where it is no number
	Retry time.Duration // when a new attempt may succeed; zero if unknown
}

// Error names the limit and its value.
func (e *LimitError) Error() string {
	return "comm: limit reached: " + e.text(" (at most %d)")
}

// text is the limit, and its value where it has one.
func (e *LimitError) text(most string) string {
	if e.Max == 0 {
		return e.Limit
	}
	return e.Limit + fmt.Sprintf(most, e.Max)
}

// ProviderError is a failure of one provider.
type ProviderError struct {
	Provider string
	Op       string // "start", "serve", "stop"
	Err      error
}

// Error names the provider and what it was doing.
func (e *ProviderError) Error() string {
	return fmt.Sprintf("comm: provider %q: %s: %v", e.Provider, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Err }

// RouteError is a route that could not be added: its pattern is bad or conflicts with another.
type RouteError struct {
	Provider string // who asked
	Pattern  string
	Conflict string // the pattern it conflicts with and its provider, or empty
	Err      error
}

// Error names both patterns.
func (e *RouteError) Error() string {
	s := fmt.Sprintf("comm: provider %q: route %q", e.Provider, e.Pattern)
	if e.Conflict != "" {
		s += " conflicts with " + e.Conflict
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *RouteError) Unwrap() error { return e.Err }

// PeerError is an error that the other side reported in an error frame or in a failed reply.
// A handler that returns a *PeerError chooses what its client is told.
type PeerError struct {
	Code    Code
	Message string
}

// Error gives the code and the text.
func (e *PeerError) Error() string { return "comm: peer: " + string(e.Code) + ": " + e.Message }

// CheckFrameSize returns the *PeerError, with too_large, of a frame of so many bytes where the peer takes at most most
// (Welcome.MaxMessage). It is nil for one that fits, and while most is 0: not known yet. A Carrier asks it before it
// sends, because a server closes the connection for good at a frame that is larger.
func CheckFrameSize(size, most int) error {
	if most == 0 || size <= most {
		return nil
	}
	return &PeerError{CodeTooLarge, fmt.Sprintf("a frame of %d bytes: the server takes at most %d", size, most)}
}

// Code is a machine-readable error code of the client protocol (PROTOCOL.md, "Errors").
type Code string

// The error codes of the client protocol.
const (
	CodeBadFrame           Code = "bad_frame"           // not a JSON object, or a member of the wrong type
	CodeUnknownOp          Code = "unknown_op"          // op is not one of this protocol
	CodeBadMessage         Code = "bad_message"         // type, content or another member breaks a limit
	CodeUnknownType        Code = "unknown_type"        // no handler for this message type
	CodeForbidden          Code = "forbidden"           // the authorizer refuses
	CodeUnauthenticated    Code = "unauthenticated"     // credentials missing, wrong or expired
	CodeNotFound           Code = "not_found"           // the target does not exist
	CodeTooLarge           Code = "too_large"           // message size
	CodeRateLimited        Code = "rate_limited"        // message or handshake rate
	CodeLimit              Code = "limit"               // another limit; the message names it
	CodeUnsupportedVersion Code = "unsupported_version" // protocol version
	CodeUnexpectedHello    Code = "unexpected_hello"    // hello on a connection that is already welcome
	CodeSessionRevoked     Code = "session_revoked"     // the session was closed by the server
	CodeSessionUnknown     Code = "session_unknown"     // the session is unknown, expired or of another identity
	CodeBadPosition        Code = "bad_position"        // the position cannot be parsed
	CodeTimeout            Code = "timeout"             // the handler or the peer took too long
	CodeInternal           Code = "internal"            // the handler failed
	CodeClosing            Code = "closing"             // the connection is closing
)

// codeOf maps an error to the code a client is told, and to a text that reveals nothing internal. The name of this
// package, with which its errors begin, says nothing to people at the other end.
func codeOf(err error) (Code, string) {
	code, text := mapError(err)
	return code, strings.TrimPrefix(text, "comm: ")
}

func mapError(err error) (Code, string) {
	if pe, ok := errors.AsType[*PeerError](err); ok {
		return pe.Code, pe.Message
	}
	if fe, ok := errors.AsType[*FrameError](err); ok {
		return fe.Code, fe.Text
	}
	if le, ok := errors.AsType[*LimitError](err); ok {
		return CodeLimit, le.text(": at most %d")
	}
	if me, ok := errors.AsType[*MessageError](err); ok {
		return CodeBadMessage, me.Error()
	}
	for _, c := range sentinelCodes {
		if errors.Is(err, c.err) {
			return c.code, c.err.Error()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return CodeTimeout, "no answer in time"
	}
	return CodeInternal, "internal error"
}

// sentinelCodes are in the order in which they are looked for.
var sentinelCodes = []struct {
	err  error
	code Code
}{
	{ErrForbidden, CodeForbidden},
	{ErrOrigin, CodeForbidden},
	{ErrUnauthenticated, CodeUnauthenticated},
	{ErrNotFound, CodeNotFound},
	{ErrTarget, CodeNotFound},
	{ErrNoHandler, CodeUnknownType},
	{ErrTooManyLogs, CodeLimit},
	{ErrClosed, CodeClosing},
	{ErrHandlerTimeout, CodeTimeout},
}
