package ws

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/anasamu/comm/internal/wsframe"
)

// input is the receiving half. All but lock and lent belongs to the one who
// holds lock, or has taken the input over from a Serve that lent it.
type input struct {
	lock  lock
	watch watch
	lent  atomic.Int32 // see serve.go

	serving bool // by Serve
	pinged  bool // for the heartbeat: since bytes came last

	scratch *buffer // Serve's, while it gathers a message

	// Bytes received and not parsed: buf.b[r:w]. buf is nil while idle.
	buf   *buffer
	r, w  int
	stash []byte // unparsed bytes too few to hold a buffer for

	// The data frame in progress.
	left int64 // of its payload
	key  uint32
	fin  bool

	// The message in progress.
	typ      Type // 0 between messages
	deflated bool
	text     wsframe.UTF8
	size     int64
	pieces   *pieces // nil while it is read in one go

	heard instant // when bytes came last, for the heartbeat
}

// pieces is what is known of a message that is read in more than one call.
type pieces struct {
	part        []byte         // payload gathered so far
	interrupted bool           // its context ended; the next read goes on with it
	stream      *messageReader // who reads it piece by piece
}

// stream returns who reads the message piece by piece.
func (in *input) stream() *messageReader {
	if in.pieces == nil {
		return nil
	}
	return in.pieces.stream
}

// interrupted reports whether the next read goes on with the message.
func (in *input) interrupted() bool { return in.pieces != nil && in.pieces.interrupted }

// gathered returns the payload gathered so far.
func (in *input) gathered() []byte {
	if in.pieces == nil {
		return nil
	}
	return in.pieces.part
}

// fill waits for bytes and adds them to the unparsed ones.
func (c *Conn) fill(ctx context.Context) error {
	return c.await(ctx, c.fillOnce)
}

// await runs attempts to read until one brings bytes.
func (c *Conn) await(ctx context.Context, attempt func() (int, error)) error {
	c.in.watch.shift(c, false)
	if err := c.beforeWait(ctx); err != nil {
		return err
	}
	for {
		n, err := attempt()
		if again, err := c.afterWait(ctx, n, err); !again {
			return err
		}
	}
}

// beforeWait has what was accepted leave, since waiting may take long, and
// sets what can end the wait.
func (c *Conn) beforeWait(ctx context.Context) error {
	if c.in.serving {
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	c.in.watch.follow(c, ctx)
	c.startBeat()
	return nil
}

// afterWait judges one attempt to read. A deadline that ended it is either
// ctx's, or the heartbeat's, after which it is made again.
func (c *Conn) afterWait(ctx context.Context, n int, err error) (again bool, _ error) {
	if n > 0 {
		c.in.heard, c.in.pinged = now(), false
		return false, nil
	}
	switch {
	case err == nil, err == errAgain:
		return true, nil
	case !timeout(err):
		return false, c.lost(err)
	case ended(ctx) != nil:
		return false, context.Cause(ctx)
	}
	err = c.beat()
	return err == nil, err
}

// fillOnce is one attempt to read into the buffer. On the direct path no
// buffer is held while it waits.
func (c *Conn) fillOnce() (int, error) {
	in := &c.in
	if c.raw != nil {
		c.shelve()
		c.raw.prepare(nil, c.bufferSize())
		return c.filled(c.raw.wait())
	}
	if in.buf == nil {
		in.buf = getBuffer(max(c.bufferSize(), len(in.stash)+minBuffer))
		in.buf.b = append(in.buf.b, in.stash...)
		in.r, in.w, in.stash = 0, len(in.stash), nil
	}
	space := in.buf.b[:cap(in.buf.b)]
	if in.r > 0 {
		in.w = copy(space, space[in.r:in.w])
		in.r = 0
	}
	n, err := c.rwc.Read(space[in.w:])
	in.w += n
	in.buf.b = space[:in.w]
	return n, err
}

// shelve gives the buffer back and keeps the few unparsed bytes elsewhere.
func (c *Conn) shelve() {
	if c.in.buf != nil {
		c.in.stash = append(c.in.stash[:0], c.unread()...)
		c.idle()
	}
}

// filled takes over what a wait of the direct path brought.
func (c *Conn) filled(err error) (int, error) {
	in := &c.in
	b, n, err := c.raw.result(err)
	if err == nil && (b == nil || len(in.stash) > 0) {
		b = c.joined(b, n)
	}
	c.raw.release()
	if err != nil {
		return 0, err
	}
	in.buf, in.r, in.w = b, 0, len(b.b)
	return n, nil
}

// joined returns a buffer with the shelved bytes, and what was read into
// first if it was not b.
func (c *Conn) joined(b *buffer, n int) *buffer {
	in := &c.in
	whole := getBuffer(max(c.bufferSize(), len(in.stash)+n+minBuffer))
	whole.b = append(whole.b, in.stash...)
	in.stash = nil
	if b != nil {
		whole.b = append(whole.b, b.b...)
		putBuffer(b)
		return whole
	}
	whole.b = append(whole.b, c.raw.in.first[:n]...)
	if n == len(c.raw.in.first) {
		whole.b = whole.b[:len(whole.b)+c.raw.more(whole.b[len(whole.b):cap(whole.b)])]
	}
	return whole
}

// idle gives the buffer back.
func (c *Conn) idle() {
	putBuffer(c.in.buf)
	c.in.buf, c.in.r, c.in.w = nil, 0, 0
}

// unread returns the bytes received and not parsed.
func (c *Conn) unread() []byte {
	if c.in.buf == nil {
		return c.in.stash
	}
	return c.in.buf.b[c.in.r:c.in.w]
}

// skip counts n unparsed bytes as parsed.
func (c *Conn) skip(n int) { c.in.r += n }

// lost ends the connection because its carrier failed.
func (c *Conn) lost(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // a WebSocket ends with a close frame
	}
	var cause error = &CloseError{Code: StatusAbnormal, Cause: err}
	if c.leaving.Load() {
		cause = ErrClosed
	}
	c.shut(cause)
	return c.Err()
}

// nextFrame reads up to the payload of the next data frame and answers the
// control frames before it.
func (c *Conn) nextFrame(ctx context.Context) error {
	for {
		got, err := c.parse()
		if err != nil || got == dataFrame {
			return err
		}
		if got == nothing {
			if err := c.fill(ctx); err != nil {
				return err
			}
		}
	}
}

// parsed says what parse found.
type parsed int

const (
	nothing      parsed = iota // not enough bytes yet
	controlFrame               // one, answered
	dataFrame                  // one, opened
)

// parse takes one frame from the unparsed bytes: a control frame whole, of a
// data frame the header.
func (c *Conn) parse() (parsed, error) {
	b := c.unread()
	h, n, err := wsframe.Parse(b, wsframe.Rules{Masked: c.side == Server, Deflate: c.compressed != nil})
	switch {
	case err != nil:
		return nothing, c.fail(StatusProtocolError, err)
	case n == 0, h.Op.Control() && len(b) < n+int(h.Length):
		return nothing, nil
	case h.Op.Control():
		c.skip(n)
		return controlFrame, c.control(h)
	}
	c.skip(n)
	return dataFrame, c.begin(h)
}

var (
	errNoMessage  = errors.New("ws: continuation frame without a message")
	errUnfinished = errors.New("ws: new message inside a fragmented one")
)

// begin opens a data frame, and the message if it is the first one.
func (c *Conn) begin(h wsframe.Header) error {
	in := &c.in
	switch {
	case h.Op == wsframe.Continuation && in.typ == 0:
		return c.fail(StatusProtocolError, errNoMessage)
	case h.Op != wsframe.Continuation && in.typ != 0:
		return c.fail(StatusProtocolError, errUnfinished)
	case h.Op != wsframe.Continuation:
		in.typ, in.deflated, in.size = Type(h.Op), h.RSV1, 0
		in.text.Reset()
	}
	if limit := c.wireLimit(); limit >= 0 && h.Length > limit-in.size {
		return c.fail(StatusTooBig, nil)
	}
	in.size += h.Length
	in.left, in.key, in.fin = h.Length, h.Key, h.Fin
	return nil
}

// wireLimit is the read limit for bytes on the wire: deflate may lengthen what
// it cannot shorten by a little.
func (c *Conn) wireLimit() int64 {
	if limit := c.set.readLimit; !c.in.deflated || limit < 0 {
		return limit
	}
	return c.set.readLimit + c.set.readLimit/64 + 64
}

// take returns what is at hand of the frame's payload, unmasked and checked.
// It stays valid until the next fill.
func (c *Conn) take() ([]byte, error) {
	in := &c.in
	b := c.unread()
	p := b[:min(int64(len(b)), in.left)]
	c.skip(len(p))
	return p, c.received(p)
}

// received unmasks and checks p, the next bytes of the frame's payload.
func (c *Conn) received(p []byte) error {
	in := &c.in
	in.left -= int64(len(p))
	if c.side == Server {
		in.key = wsframe.Mask(p, in.key)
	}
	if in.typ == Text && !in.deflated && !in.text.Write(p) {
		return c.fail(StatusInvalidData, ErrText)
	}
	return nil
}

// complete ends the message in progress and checks that it may end here.
func (c *Conn) complete() error {
	c.in.typ, c.in.pieces = 0, nil
	if !c.in.text.Done() {
		return c.fail(StatusInvalidData, ErrText)
	}
	return nil
}
