package ws

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
)

// output is the sending half. Whoever holds token writes to the carrier;
// whoever holds message sends a message, from its first frame to its last.
// Control frames need the token alone and may go between a message's frames.
//
// Frames may also be accepted without being written: replies inside Serve
// while more of the same read is waiting, and pongs. They wait in pend, and
// leave with the next write, when Serve has answered all it read, at maxBatch
// bytes, or by flushLater as soon as another goroutine is free to write.
type output struct {
	token   lock
	message lock
	watch   watch
	flusher func() // flushLater, stored: a method value costs an allocation
	waiter  waiter // is told by WriteFrames that it will wait; nil if nobody asks
	sharing bool   // WriteFrames holds the token

	mu     sync.Mutex
	pend   *buffer // frames accepted and not written, in order
	corked bool    // Serve has more to answer: hold the frames back
	kicked bool    // flushLater is on its way
}

// waiter is whoever wants to know that a write is about to wait.
type waiter interface{ Waiting() }

// willWait is called before a write waits for the peer or for another writer.
func (o *output) willWait() {
	if o.waiter != nil {
		o.waiter.Waiting()
	}
}

// header returns the header of a frame with n bytes of payload, masked with a
// fresh key on a client. math/rand/v2's source is ChaCha8 seeded by the
// system, strong enough for what masking protects from (RFC 6455 10.3).
func (c *Conn) header(h wsframe.Header, n int) wsframe.Header {
	h.Length = int64(n)
	if c.side == Client {
		h.Masked, h.Key = true, rand.Uint32()
	}
	return h
}

// appendFrame appends a whole frame.
func appendFrame(dst []byte, h wsframe.Header, p []byte) []byte {
	dst = h.Append(dst)
	from := len(dst)
	dst = append(dst, p...)
	if h.Masked {
		wsframe.Mask(dst[from:], h.Key)
	}
	return dst
}

// accept adds a frame to the pending ones. At most the room that is left to
// maxBatch is used, unless force.
func (o *output) accept(h wsframe.Header, p []byte, force bool) bool {
	size := h.Size() + len(p)
	if o.pend == nil {
		if size > maxBatch && !force {
			return false
		}
		o.pend = getBuffer(max(size, 4<<10))
	}
	if !force && len(o.pend.b)+size > maxBatch {
		return false
	}
	o.pend.b = appendFrame(o.pend.b, h, p)
	return true
}

// kick has the pending frames leave as soon as a goroutine is free for it.
func (o *output) kick() {
	if !o.kicked {
		o.kicked = true
		go o.flusher()
	}
}

// cork accepts the frame for later if Serve has more to answer first.
func (c *Conn) cork(h wsframe.Header, p []byte) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.corked || c.closing.Load() || !o.accept(h, p, false) {
		return false
	}
	o.kick()
	return true
}

// setCork is Serve's.
func (c *Conn) setCork(on bool) {
	c.out.mu.Lock()
	c.out.corked = on
	c.out.mu.Unlock()
}

// enqueue accepts a control frame; it never waits.
func (c *Conn) enqueue(op wsframe.Opcode, p []byte) (pending int) {
	o := &c.out
	h := c.header(wsframe.Header{Fin: true, Op: op}, len(p))
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.closing.Load() {
		return 0
	}
	o.accept(h, p, true)
	if !o.corked {
		o.kick()
	}
	return len(o.pend.b)
}

// reply sends a control frame from the reader. It waits only for a peer that
// has let maxBatch bytes of answers gather.
func (c *Conn) reply(op wsframe.Opcode, p []byte) error {
	if c.enqueue(op, p) > maxBatch {
		return c.flush(context.Background())
	}
	return nil
}

// flush writes what is pending.
func (c *Conn) flush(ctx context.Context) error {
	c.out.mu.Lock()
	c.out.corked = false
	none := c.out.pend == nil
	c.out.mu.Unlock()
	if none {
		return nil
	}
	if err := c.acquire(ctx, &c.out.token); err != nil {
		return err
	}
	defer c.release()
	b := c.takePending(0)
	return c.emit(ctx, time.Time{}, b, len(b.b))
}

// settle has what is pending leave without waiting for it: the reader calls
// it, and a reader that waits for its peer to read, whose reader waits for it,
// waits for ever. It does wait for a peer that let maxBatch bytes gather.
func (c *Conn) settle(ctx context.Context) error {
	o := &c.out
	o.mu.Lock()
	o.corked = false
	none := o.pend == nil
	if !none && len(o.pend.b) > maxBatch {
		o.mu.Unlock()
		return c.flush(ctx)
	}
	if !none && c.raw == nil {
		o.kick()
	}
	o.mu.Unlock()
	if none || c.raw == nil || !o.token.try() { // the token's holder sees to it
		return nil
	}
	defer c.release()
	b := c.takePending(0)
	n, err := c.raw.try(b.b)
	if err != nil {
		putBuffer(b)
		return c.cut(err)
	}
	b.b = b.b[:copy(b.b, b.b[n:])]
	c.putBack(b)
	return nil
}

func (c *Conn) flushLater() {
	o := &c.out
	o.mu.Lock()
	o.kicked = false
	none := o.pend == nil
	o.mu.Unlock()
	if none || c.acquire(context.Background(), &o.token) != nil {
		return
	}
	defer c.release()
	b := c.takePending(0)
	_ = c.emit(context.Background(), time.Time{}, b, len(b.b)) // its failure is the connection's, and kept there
}

// takePending takes the pending frames, with room for n bytes more.
func (c *Conn) takePending(n int) *buffer {
	o := &c.out
	o.mu.Lock()
	b := o.pend
	o.pend = nil
	o.mu.Unlock()
	if b == nil {
		b = getBuffer(n)
	}
	return b
}

// release gives the token up. Frames that were accepted meanwhile leave by
// flushLater, so that no caller waits for bytes that are not its own.
func (c *Conn) release() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token.unlock()
	if o.pend != nil && !o.corked {
		o.kick()
	}
}
