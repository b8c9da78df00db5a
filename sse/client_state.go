package sse

import (
	"errors"
	"fmt"
	"time"
)

// State is what a [Client] is doing.
type State int

const (
	// StateConnecting: a request is under way.
	StateConnecting State = iota
	// StateOpen: the server answered with an event stream.
	StateOpen
	// StateWaiting: the connection failed or ended, and the next attempt is due after a wait.
	StateWaiting
	// StateClosed: Run is about to return.
	StateClosed
)

// String returns the state in lower case, such as "open".
func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateOpen:
		return "open"
	case StateWaiting:
		return "waiting"
	case StateClosed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// StateChange is what the function of [WithOnState] is told.
type StateChange struct {
	// State is the new state.
	State State
	// Attempt counts the connections since the last stable one, from 0.
	Attempt int
	// Wait is how long StateWaiting lasts.
	Wait time.Duration
	// Err is why the client waits, io.EOF if the server ended the stream, or what Run returns in StateClosed.
	Err error
}

var (
	// ErrGaveUp is returned by Run after the attempts of [WithMaxAttempts], with the last attempt's error.
	ErrGaveUp = errors.New("sse: gave up connecting")
	// ErrRunning is returned by a second Run of a Client beside the first.
	ErrRunning = errors.New("sse: client is already running")
	// ErrIdle is why a stream that sent nothing for the time of [WithIdleTimeout] was given up.
	ErrIdle = errors.New("sse: stream is dead: no data and no heartbeat in time")
	// ErrConnectTimeout is why an attempt without an answer in time was given up.
	ErrConnectTimeout = errors.New("sse: no response headers in time")
)

// StatusError reports an answer other than 200 and 204.
type StatusError struct {
	// Status is the HTTP status code.
	Status int
	// Body is the beginning of the response body, up to 512 bytes.
	Body string
	// RetryAfter is what the server asked for; zero if it did not.
	RetryAfter time.Duration
}

// Error names the status and the beginning of the body.
func (e *StatusError) Error() string {
	return fmt.Sprintf("sse: server answered %d: %q", e.Status, e.Body)
}

// ContentTypeError reports a 200 answer that is no event stream.
type ContentTypeError struct {
	// ContentType is the header as it came.
	ContentType string
}

// Error names the content type and the one that is needed.
func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("sse: server answered with content type %q; %s is needed", e.ContentType, ContentType)
}
