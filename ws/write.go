package ws

import (
	"context"
	"os"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
)

// Write sends p as one message. p may be used again when Write returns. Text
// must be UTF-8; it is not checked.
//
// A nil error means that the message was given to the carrier, or, inside
// Serve, accepted to leave with the other replies.
func (c *Conn) Write(ctx context.Context, t Type, p []byte) error {
	return c.write(ctx, t, p, c.deflates(p))
}

// WritePlain is Write without compression: for a message that carries a
// secret beside text which others can choose, see Compression.
func (c *Conn) WritePlain(ctx context.Context, t Type, p []byte) error {
	return c.write(ctx, t, p, false)
}

func (c *Conn) deflates(p []byte) bool {
	return c.compressed != nil && len(p) >= c.set.compression.MinSize
}

func (c *Conn) write(ctx context.Context, t Type, p []byte, deflated bool) error {
	if t != Text && t != Binary {
		return ErrType
	}
	if err := ended(ctx); err != nil {
		return err
	}
	if err := c.acquire(ctx, &c.out.message); err != nil {
		return err
	}
	defer c.out.message.unlock()
	h := wsframe.Header{Fin: true, Op: wsframe.Opcode(t)}
	if deflated {
		return c.writeDeflated(ctx, h, p)
	}
	if c.cork(c.header(h, len(p)), p) {
		return nil
	}
	return c.transmit(ctx, h, p)
}

// writeDeflated sends p compressed, or as it is if that is shorter.
func (c *Conn) writeDeflated(ctx context.Context, h wsframe.Header, p []byte) error {
	b := getBuffer(min(len(p), maxBuffer))
	defer putBuffer(b)
	b.b = c.encoder().Append(b.b, p)
	if len(b.b) < len(p) {
		h.RSV1, p = true, b.b
	} else {
		c.encoder().Reset()
	}
	if c.cork(c.header(h, len(p)), p) {
		return nil
	}
	err := c.transmit(ctx, h, p)
	if err != nil && h.RSV1 {
		c.encoder().Reset() // the peer has not seen it
	}
	return err
}

// transmit writes one frame, behind those that are pending.
func (c *Conn) transmit(ctx context.Context, h wsframe.Header, p []byte) error {
	if err := c.acquire(ctx, &c.out.token); err != nil {
		return err
	}
	defer c.release()
	if c.closing.Load() {
		return ErrClosed
	}
	return c.transmitHeld(ctx, c.header(h, len(p)), p)
}

// transmitHeld is transmit for the token's holder. One write of header and
// payload in one buffer is as fast as writev and needs no more than a copy;
// what is longer than a batch goes out in pieces.
func (c *Conn) transmitHeld(ctx context.Context, h wsframe.Header, p []byte) error {
	b := c.takePending(h.Size() + min(len(p), maxBatch))
	prior := len(b.b)
	if len(p) <= maxBatch {
		b.b = appendFrame(b.b, h, p)
		return c.emit(ctx, time.Time{}, b, prior)
	}
	b.b = h.Append(b.b)
	if err := c.emit(ctx, time.Time{}, b, prior); err != nil {
		return err
	}
	if !h.Masked {
		_, err := c.writeOut(ctx, time.Time{}, p)
		return c.cut(err)
	}
	piece := getBuffer(maxBatch)
	defer putBuffer(piece)
	for len(p) > 0 {
		n := min(len(p), maxBatch)
		piece.b = append(piece.b[:0], p[:n]...)
		h.Key = wsframe.Mask(piece.b, h.Key)
		if _, err := c.writeOut(ctx, time.Time{}, piece.b); err != nil {
			return c.cut(err)
		}
		p = p[n:]
	}
	return nil
}

// emit writes b and gives it back. Its first prior bytes are frames accepted
// before: if no byte beyond them left, they stay pending, and the connection
// lives where the carrier allows that.
func (c *Conn) emit(ctx context.Context, by time.Time, b *buffer, prior int) error {
	n, err := c.writeOut(ctx, by, b.b)
	if err == nil {
		putBuffer(b)
		return nil
	}
	if n > prior || !timeout(err) && ended(ctx) == nil || err == ErrStalled || !resumable(c.rwc, c.raw) {
		putBuffer(b)
		return c.cut(err)
	}
	b.b = b.b[:copy(b.b, b.b[n:prior])]
	c.putBack(b)
	return err
}

// putBack makes b's bytes pending again, before what came meanwhile.
func (c *Conn) putBack(b *buffer) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pend != nil {
		b.b = append(b.b, o.pend.b...)
		putBuffer(o.pend)
	}
	o.pend = b
	if len(b.b) == 0 {
		o.pend = nil
		putBuffer(b)
	}
}

// cut closes the connection because a write broke off inside a frame.
func (c *Conn) cut(err error) error {
	if err != nil {
		c.shut(err)
		return c.Err()
	}
	return nil
}

// writeOut writes p to the carrier. On the direct path neither ctx nor a
// deadline costs anything as long as the socket takes all.
func (c *Conn) writeOut(ctx context.Context, by time.Time, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.raw != nil {
		if n, err = c.raw.try(p); n == len(p) || err != nil {
			return n, err
		}
	}
	if c.out.sharing {
		c.out.willWait()
	}
	c.out.watch.follow(c, ctx)
	defer c.out.watch.leave(c)
	for n < len(p) {
		c.armWrite(by)
		m, err := c.rwc.Write(p[n:min(len(p), n+maxBatch)])
		n += m
		switch {
		case err == nil:
		case !timeout(err):
			return n, err
		case ended(ctx) != nil:
			return n, context.Cause(ctx)
		case !by.IsZero() && !time.Now().Before(by):
			return n, os.ErrDeadlineExceeded
		case m == 0:
			return n, ErrStalled
		}
	}
	return n, nil
}

// armWrite sets the carrier's deadline: by, if that is sooner than a stall.
// It is moved only when little of it is left, since moving it costs.
func (c *Conn) armWrite(by time.Time) {
	limit := c.set.writeTimeout
	at, until := now(), instantOf(by)
	switch {
	case until != 0 && until.since(at) < limit:
		c.out.watch.arm(c, until)
	case c.out.watch.until == 0 || c.out.watch.until.since(at) < limit: // only the token's holder sets it
		c.out.watch.arm(c, at.add(limit+limit/4))
	}
}
