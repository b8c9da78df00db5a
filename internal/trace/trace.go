// Package trace carries W3C Trace Context (https://www.w3.org/TR/trace-context-2/): which distributed trace a request
// or message belongs to. It records and samples nothing; it takes the two headers in, through a context, and out.
package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// The names of the two headers, as HTTP and message headers bear them.
const (
	Traceparent = "traceparent"
	Tracestate  = "tracestate"
)

// Flags of a trace; other bits are reserved, ignored on arrival and never sent on.
const (
	Sampled = 1 << 0 // the caller may have recorded the trace
	Random  = 1 << 1 // at least the last 7 bytes of the trace id are random (level 2)
	known   = Sampled | Random
)

// ErrTraceparent is a traceparent that is not of the specification: the receiver is to start a trace of its own.
var ErrTraceparent = errors.New("trace: bad traceparent")

type (
	// TraceID names a trace; all zeros is none.
	TraceID [16]byte
	// SpanID names one step of a trace; all zeros is none.
	SpanID [8]byte
)

// String is 32 lower-case hexadecimal digits.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// String is 16 lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// Context is one place in a trace: a comparable value. The zero value is no trace.
type Context struct {
	Trace TraceID
	Span  SpanID // of the sender, for what comes after to name as its parent
	Flags byte
	State string // tracestate: what vendors add, carried on unchanged
}

// New starts a trace with random ids.
func New(sampled bool) Context {
	c := Context{Trace: newTraceID(), Span: newSpanID(), Flags: Random}
	if sampled {
		c.Flags |= Sampled
	}
	return c
}

// IsValid reports whether c is in a trace.
func (c Context) IsValid() bool { return c.Trace != TraceID{} && c.Span != SpanID{} }

// IsSampled reports whether the caller may have recorded the trace.
func (c Context) IsSampled() bool { return c.Flags&Sampled != 0 }

// Child is the next step of c's trace: a new span id, all else as it is. That of no trace is no trace.
func (c Context) Child() Context {
	if c.IsValid() {
		c.Span = newSpanID()
	}
	return c
}

// The source is the runtime's own ChaCha8, seeded by the system: not to be guessed, without a lock, a few nanoseconds.
func newTraceID() (id TraceID) {
	for id == (TraceID{}) {
		putUint64(id[:8], rand.Uint64())
		putUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id SpanID) {
	for id == (SpanID{}) {
		putUint64(id[:], rand.Uint64())
	}
	return id
}

func putUint64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}

// size is the length of a traceparent of version 00: "00-<32 hex>-<16 hex>-<2 hex>".
const size = 55

// Append writes the traceparent header, nothing for no trace. The version is always 00, the only one defined.
func (c Context) Append(dst []byte) []byte {
	if !c.IsValid() {
		return dst
	}
	dst = hex.AppendEncode(append(dst, "00-"...), c.Trace[:])
	dst = hex.AppendEncode(append(dst, '-'), c.Span[:])
	return hex.AppendEncode(append(dst, '-'), []byte{c.Flags & known})
}

// String is the traceparent header, empty for no trace.
func (c Context) String() string {
	var buf [size]byte
	return string(c.Append(buf[:0]))
}

// Parse reads the two headers of a request or message; tracestate may have come in several, whose order counts.
//
// A bad traceparent is an ErrTraceparent, and tracestate is not looked at. A bad tracestate is dropped without an
// error, and the trace goes on without it (section 4.3). Two traceparent headers are as bad as none: do not choose.
func Parse(traceparent string, tracestate ...string) (Context, error) {
	c, err := parseParent(traceparent)
	if err != nil {
		return Context{}, err
	}
	c.State = parseState(tracestate)
	return c, nil
}

// parseParent is section 3.2.2. A higher version is read by what it shares with 00, and may go on after a dash.
func parseParent(s string) (Context, error) {
	var c Context
	var version, flags [1]byte
	switch {
	case len(s) < size:
		return c, fmt.Errorf("%w: %d bytes, want %d", ErrTraceparent, len(s), size)
	case s[2] != '-' || s[35] != '-' || s[52] != '-':
		return c, fmt.Errorf("%w: dashes are not where they belong", ErrTraceparent)
	case !unhex(version[:], s[:2]) || !unhex(c.Trace[:], s[3:35]) || !unhex(c.Span[:], s[36:52]) || !unhex(flags[:], s[53:55]):
		return c, fmt.Errorf("%w: want lower-case hexadecimal digits", ErrTraceparent)
	case version[0] == 0xff:
		return c, fmt.Errorf("%w: version ff", ErrTraceparent)
	case len(s) > size && (version[0] == 0 || s[size] != '-'):
		return c, fmt.Errorf("%w: %d bytes, want %d", ErrTraceparent, len(s), size)
	case !c.IsValid():
		return c, fmt.Errorf("%w: an id of zeros", ErrTraceparent)
	}
	c.Flags = flags[0] & known
	return c, nil
}

// unhex refuses upper case, which package hex accepts.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		high, low := strings.IndexByte(digits, s[2*i]), strings.IndexByte(digits, s[2*i+1])
		if high < 0 || low < 0 {
			return false
		}
		dst[i] = byte(high<<4 | low)
	}
	return true
}

const digits = "0123456789abcdef"

type key struct{}

// With gives a context that carries c.
func With(ctx context.Context, c Context) context.Context { return context.WithValue(ctx, key{}, c) }

// From is the Context that ctx carries, the zero value if none.
func From(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}
