package comm

import (
	"errors"
	"fmt"
	"time"
)

// ReasonKind says why a connection ended.
type ReasonKind uint8

// The reasons. PROTOCOL.md lists the close code and whether the client should return.
const (
	ReasonNormal       ReasonKind = iota // the server ended it: do not return
	ReasonClient                         // the client said goodbye
	ReasonLost                           // the network or the peer went away
	ReasonHeartbeat                      // no sign of life
	ReasonSlow                           // the outbound queue was full, or a write timed out
	ReasonDrain                          // the server is going away: return, to whoever answers
	ReasonKicked                         // closed on purpose: the session is revoked
	ReasonSuperseded                     // the session came back on another connection
	ReasonExpired                        // the identity ended and was not refreshed
	ReasonUnauthorized                   // the client is refused: its credentials, or the service does not want it
	ReasonProtocol                       // the peer broke the carrier's protocol
	ReasonInvalidData                    // bytes that are not UTF-8 where they must be
	ReasonTooLarge                       // a message over the limit
	ReasonRateLimited                    // too many messages
	ReasonInternal                       // the server failed
	ReasonTryLater                       // a limit of the server: return later
	reasonCount
)

var reasons = [reasonCount]struct {
	name   string
	code   int
	retain bool // whether the client should return
}{
	{"normal", 1000, false},
	{"client", 1000, true},
	{"lost", 1006, true},
	{"heartbeat", 4004, true},
	{"slow_consumer", 4002, true},
	{"drain", 1001, true},
	{"kicked", 4001, false},
	{"superseded", 4000, false},
	{"expired", 4003, true},
	{"unauthorized", 1008, false},
	{"protocol_error", 1002, false},
	{"invalid_data", 1007, false},
	{"too_large", 1009, false},
	{"rate_limited", 4005, true},
	{"internal", 1011, true},
	{"try_later", 1013, true},
}

// String returns the reason's name in logs, metrics and closing frames.
func (k ReasonKind) String() string {
	if k < reasonCount {
		return reasons[k].name
	}
	return fmt.Sprintf("reason(%d)", uint8(k))
}

// CloseReason is why a connection ended; as an error it is the cause of the connection's context.
// It satisfies errors.Is with ErrClosed.
type CloseReason struct {
	Kind  ReasonKind
	Text  string        // for people; at most 100 bytes are sent
	Err   error         // the cause, where there is one; never sent
	After time.Duration // how long a returning client should wait first
}

// Error gives the kind, the text and the cause.
func (r CloseReason) Error() string {
	s := "comm: connection closed: " + r.Kind.String()
	if r.Text != "" {
		s += ": " + r.Text
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Is reports that every CloseReason is ErrClosed.
func (r CloseReason) Is(target error) bool { return target == ErrClosed }

// Unwrap returns the cause.
func (r CloseReason) Unwrap() error { return r.Err }

// Code is the WebSocket close code of the reason (RFC 6455 7.4; 4000-4999 are this protocol's own).
func (r CloseReason) Code() int {
	if r.Kind < reasonCount {
		return reasons[r.Kind].code
	}
	return 1011
}

// Reconnect reports whether the client should return.
func (r CloseReason) Reconnect() bool { return r.Kind < reasonCount && reasons[r.Kind].retain }

// Frame is the closing frame of the reason.
func (r CloseReason) Frame() *Frame {
	return &Frame{
		Op: OpClosing, Code: Code(r.Kind.String()), Text: r.Text,
		Closing: &Closing{Reconnect: r.Reconnect(), After: r.After},
	}
}

// ReasonOf returns the kind of reason for which err closed a connection, or ReasonLost.
func ReasonOf(err error) ReasonKind {
	if r, ok := errors.AsType[CloseReason](err); ok {
		return r.Kind
	}
	return ReasonLost
}

// ReasonOfCode returns the kind that a close code and closing code name, for clients.
func ReasonOfCode(code Code) ReasonKind {
	for k, r := range reasons {
		if r.name == string(code) {
			return ReasonKind(k)
		}
	}
	return ReasonNormal
}

// ReasonOfStatus returns the reason that a WebSocket close code names, for clients of carriers
// that have close codes. A code that is not this protocol's is told to be returned from.
func ReasonOfStatus(code int, text string) CloseReason {
	for k, r := range reasons {
		if r.code == code && ReasonKind(k) != ReasonClient {
			return CloseReason{Kind: ReasonKind(k), Text: text}
		}
	}
	return CloseReason{Kind: ReasonLost, Text: text}
}
