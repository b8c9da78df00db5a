package listen

import (
	"errors"
	"fmt"
	"net"
)

var (
	// ErrClosed is returned by Serve after Shutdown or Close.
	ErrClosed = errors.New("listen: server closed")
	// ErrPeekLimit is returned by PeekConn.Peek for more bytes than the server's PeekLimit.
	ErrPeekLimit = errors.New("listen: peek limit exceeded")
	// ErrCrowded is the cause when a connection was cut because too many others were
	// still in their handshake and it was the oldest of them.
	ErrCrowded = errors.New("listen: too many connections in handshake")
	// ErrCrowdedAddr is the cause when a connection was refused because too many others
	// from its address were still in their handshake.
	ErrCrowdedAddr = errors.New("listen: too many connections in handshake from one address")
	// ErrTooManyConns is the cause when a connection was refused because MaxConns were open.
	ErrTooManyConns = errors.New("listen: too many connections")
	// ErrPlainHTTP is the cause when a client spoke cleartext HTTP to a TLS address. It was
	// answered with 400.
	ErrPlainHTTP = errors.New("listen: client sent an HTTP request to an HTTPS server")
)

// ConnError says why one connection never reached a handler. It is what the server logs.
type ConnError struct {
	Stage  string // "accept", "handshake" or "claim"
	Remote net.Addr
	Err    error
}

func (e *ConnError) Error() string {
	return fmt.Sprintf("listen: %s of %v: %v", e.Stage, e.Remote, e.Err)
}

// Unwrap returns Err.
func (e *ConnError) Unwrap() error { return e.Err }

// BusyError is returned by Shutdown when its context ended before the connections did.
type BusyError struct {
	Conns int // still open
	Err   error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("listen: %d connections still open: %v", e.Conns, e.Err)
}

// Unwrap returns Err, the context's error.
func (e *BusyError) Unwrap() error { return e.Err }

// OverlapError is returned by Key.Find for two addresses that cannot be two listeners.
type OverlapError struct{ A, B Key }

func (e *OverlapError) Error() string {
	return fmt.Sprintf("listen: %v and %v overlap without being the same: use one spelling for both, or different ports", e.A, e.B)
}
