package comm

import (
	"sync"
	"sync/atomic"
)

// Outbound is one frame on its way to a client: a value that refers to shared, immutable bytes.
type Outbound struct{ e *envelope }

// Format turns frames into the bytes of one carrier, framing included. Its dynamic type must be
// comparable: equal formats share one encoding of a message. Append must be safe for concurrent use.
type Format interface {
	Append(dst []byte, f *Frame) ([]byte, error)
}

// envelope is a published frame, shared by all that receive it. It is immutable once published,
// except for the encodings that are added to it on demand.
type envelope struct {
	frame    Frame
	filter   *filter       // who of the log's members may see it; nil is all
	earlier  []LogPosition // where the same send stands too (plural targets)
	size     int
	priority Priority
	lane     string
	key      string
	unrel    bool
	sole     bool    // for one connection alone: its bytes are worth keeping for nobody
	letter   *letter // what it is part of, if that is used again once it has left

	encodings atomic.Pointer[encoding]
	encode    sync.Mutex // serialises the first encoding of each format
}

// encoding is one format's bytes, in a list that only grows.
type encoding struct {
	format Format
	bytes  []byte
	err    error
	next   *encoding
}

// Size and Key are what the queue asks.
func (e *envelope) Size() int   { return e.size }
func (e *envelope) Key() string { return e.key }

// Awaited is what the queue asks too: whether somebody waits for the client's answer.
func (e *envelope) Awaited() bool {
	return e.frame.Op == OpCall || e.frame.Op == OpMessage && e.frame.Ack
}

func newControl(f *Frame) *envelope {
	return &envelope{frame: *f, size: messageOverhead, sole: true}
}

// Frame returns the frame. It must not be modified.
func (o Outbound) Frame() *Frame { return &o.e.frame }

// Priority returns the priority the message was sent with.
func (o Outbound) Priority() Priority { return o.e.priority }

// Lane returns the name of the lane the message was sent on, or "".
func (o Outbound) Lane() string { return o.e.lane }

// Unreliable reports whether the message may be lost on the way, for carriers with datagrams.
func (o Outbound) Unreliable() bool { return o.e.unrel }

// Size returns the counted size of the message, as queues and logs count it.
func (o Outbound) Size() int { return o.e.size }

// Shared reports whether other connections may receive the same bytes, so that work such as
// compression is worth sharing.
func (o Outbound) Shared() bool { return o.e.frame.Op == OpMessage && !o.e.sole }

// Bytes returns the frame in the given format, encoding it once for all connections that share it.
// The bytes must not be modified and are valid for ever.
func (o Outbound) Bytes(f Format) ([]byte, error) { return o.e.bytes(f) }

// Append appends what Bytes returns. It makes no bytes to be kept where no other connection receives them.
func (o Outbound) Append(dst []byte, f Format) ([]byte, error) {
	if o.e.sole && o.e.find(f) == nil {
		return f.Append(dst, &o.e.frame)
	}
	b, err := o.e.bytes(f)
	if err != nil {
		return dst, err
	}
	return append(dst, b...), nil
}

func (e *envelope) bytes(f Format) ([]byte, error) {
	if enc := e.find(f); enc != nil {
		return enc.bytes, enc.err
	}
	e.encode.Lock()
	defer e.encode.Unlock()
	if enc := e.find(f); enc != nil {
		return enc.bytes, enc.err
	}
	enc := &encoding{format: f, next: e.encodings.Load()}
	enc.bytes, enc.err = f.Append(nil, &e.frame)
	e.encodings.Store(enc)
	return enc.bytes, enc.err
}

// strip forgets the encodings: whoever wants one makes it anew.
func (e *envelope) strip() { e.encodings.Store(nil) }

func (e *envelope) find(f Format) *encoding {
	for enc := e.encodings.Load(); enc != nil; enc = enc.next {
		if enc.format == f {
			return enc
		}
	}
	return nil
}
