package ws

import (
	"context"
	"io"
	"slices"

	"github.com/anasamu/comm/internal/deflate"
)

// Read returns the next message, appended to buf[:0], which may be nil. The
// payload grows as bytes arrive, not as headers claim. Control frames on the
// way are answered.
//
// A message longer than the read limit, text that is not UTF-8 and breaches
// of the protocol close the connection with the code RFC 6455 7.4.1 gives
// them. When the peer has closed, the error is a *CloseError.
func (c *Conn) Read(ctx context.Context, buf []byte) (Type, []byte, error) {
	if err := c.beginRead(ctx); err != nil {
		return 0, nil, err
	}
	defer c.endRead()
	for {
		t, err := c.nextMessage(ctx)
		if err != nil {
			return 0, nil, err
		}
		p, err := c.body(ctx, buf)
		if err != nil {
			return 0, nil, err
		}
		if !c.leaving.Load() { // messages are dropped then
			return t, p, nil
		}
	}
}

func (c *Conn) beginRead(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	return c.acquire(ctx, &c.in.lock)
}

// endRead gives the input up, and its buffer if it holds nothing.
func (c *Conn) endRead() {
	if len(c.unread()) == 0 {
		c.idle()
	}
	c.in.watch.leave(c)
	c.in.lock.unlock()
}

// nextMessage reads up to the payload of the next message, or of the one that
// an ended context interrupted.
func (c *Conn) nextMessage(ctx context.Context) (Type, error) {
	in := &c.in
	if s := in.stream(); s != nil && s.stopped.Load() && s.inflate == nil {
		c.interrupt(s.head)
	}
	if in.typ != 0 && !in.interrupted() {
		if err := c.discard(ctx); err != nil {
			return 0, err
		}
	}
	if in.typ == 0 {
		if err := c.nextFrame(ctx); err != nil {
			return 0, err
		}
	}
	return in.typ, nil
}

// body reads the message's payload, whole, to the end of buf[:0].
func (c *Conn) body(ctx context.Context, buf []byte) ([]byte, error) {
	if c.in.deflated {
		return c.inflated(ctx, buf)
	}
	dst, err := c.gather(ctx, append(buf[:0], c.in.gathered()...))
	if err != nil {
		c.interrupt(append([]byte(nil), dst...)) // buf is the caller's again
		return nil, err
	}
	return dst, c.complete()
}

func (c *Conn) inflated(ctx context.Context, buf []byte) ([]byte, error) {
	in := &c.in
	src := c.whole()
	if src == nil {
		part, err := c.gather(ctx, in.gathered())
		if err != nil {
			c.interrupt(part)
			return nil, err
		}
		src = part
	}
	dst, err := c.decoder().Append(buf[:0], src, c.set.readLimit)
	switch {
	case err == deflate.ErrTooLong:
		return nil, c.fail(StatusTooBig, nil)
	case err != nil:
		return nil, c.fail(StatusInvalidData, deflate.ErrCorrupt)
	case in.typ == Text && !in.text.Write(dst):
		return nil, c.fail(StatusInvalidData, ErrText)
	}
	return dst, c.complete()
}

// interrupt keeps what has come of a message for the next read.
func (c *Conn) interrupt(part []byte) { c.in.pieces = &pieces{part: part, interrupted: true} }

// whole returns the message's payload if all of it is at hand, in one frame
// and in the buffer: the common case, without a copy. It is nil otherwise, and
// nothing is consumed then.
func (c *Conn) whole() []byte {
	in := &c.in
	if !in.fin || in.interrupted() || in.left > int64(len(c.unread())) {
		return nil
	}
	p, err := c.take()
	if err != nil {
		return nil // the connection has failed; gather reports it
	}
	if p == nil {
		p = []byte{}
	}
	return p
}

// directRead is the payload from which it is read straight to its place.
const directRead = 4 << 10

// gather appends the rest of the message's payload to dst as it arrives.
func (c *Conn) gather(ctx context.Context, dst []byte) ([]byte, error) {
	in := &c.in
	for {
		for in.left > 0 {
			p, err := c.take()
			dst = append(c.grow(dst, len(p)), p...)
			switch {
			case err != nil:
			case in.left >= directRead:
				dst, err = c.readDirect(ctx, dst)
			case in.left > 0:
				err = c.fill(ctx)
			}
			if err != nil {
				return dst, err
			}
		}
		if err := c.Err(); err != nil || in.fin {
			return dst, err
		}
		if err := c.nextFrame(ctx); err != nil {
			return dst, err
		}
	}
}

// readDirect reads payload to the end of dst. No more memory is taken than
// about twice what has arrived, whatever the header claims.
func (c *Conn) readDirect(ctx context.Context, dst []byte) ([]byte, error) {
	c.idle()
	room := min(int64(max(len(dst), c.bufferSize())), c.in.left)
	dst = c.grow(dst, int(room))
	free := dst[len(dst):min(int64(cap(dst)), int64(len(dst))+c.in.left)]
	n := 0
	err := c.await(ctx, func() (int, error) {
		var err error
		if c.raw == nil {
			n, err = c.rwc.Read(free)
			return n, err
		}
		c.raw.prepare(free, 0)
		_, n, err = c.raw.result(c.raw.wait())
		c.raw.release()
		return n, err
	})
	dst = dst[:len(dst)+n]
	if err == nil {
		err = c.received(free[:n])
	}
	return dst, err
}

// grow makes room for n bytes at the end of dst. Serve's scratch grows from
// the pool.
func (c *Conn) grow(dst []byte, n int) []byte {
	in := &c.in
	want := max(2*cap(dst), len(dst)+n)
	if in.scratch == nil || cap(dst)-len(dst) >= n || want > maxBuffer {
		return slices.Grow(dst, n)
	}
	b := getBuffer(want)
	b.b = append(b.b, dst...)
	in.scratch.b = dst
	putBuffer(in.scratch)
	in.scratch = b
	return b.b
}

// discard reads and drops the rest of a message that nobody reads further.
func (c *Conn) discard(ctx context.Context) error {
	in := &c.in
	r := in.stream()
	if r == nil {
		_, err := c.body(ctx, nil)
		return err
	}
	r.ctx = ctx // its own has ended, or its user has turned away
	scratch := getBuffer(heldBuffer)
	defer putBuffer(scratch)
	for {
		if _, err := r.next(scratch.b[:cap(scratch.b)]); err != nil {
			if err == io.EOF {
				r.done = false // not for its user, who has not read to the end
				return nil
			}
			return err
		}
	}
}
