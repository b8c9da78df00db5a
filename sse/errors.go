package sse

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what a Stream's methods return after its end, together with the cause.
	ErrClosed = errors.New("sse: stream closed")
	// ErrGone is the cause of a stream's end when the client, or the server's own context, ended it.
	ErrGone = errors.New("sse: client gone")
	// ErrLifetime is the cause of a stream's end at the lifetime of [WithLifetime].
	ErrLifetime = errors.New("sse: stream reached its lifetime")
	// ErrUnsupported is returned by Accept for a ResponseWriter that cannot flush or take a write
	// deadline, usually because a middleware's wrapper has no Unwrap method.
	ErrUnsupported = errors.New("sse: response writer unsupported")
)

// RequestError reports a request that [Accept] refused; the response has been written.
type RequestError struct {
	// Status is the HTTP status that was answered, such as 405 or 406.
	Status int
	// Reason is the body that was answered.
	Reason string
}

// Error names the status and the reason.
func (e *RequestError) Error() string {
	return fmt.Sprintf("sse: request refused with %d: %s", e.Status, e.Reason)
}
