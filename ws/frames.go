package ws

import (
	"context"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/anasamu/comm/internal/deflate"
	"github.com/anasamu/comm/internal/wsframe"
)

// Encoding is how the messages of a connection can be framed so that other
// connections with the same Encoding share the bytes. It is comparable; the
// zero value is without compression and fits every connection.
type Encoding struct {
	bits  int8 // of the peer's window; 0 is uncompressed
	level int8
	min   int32 // length from which it compresses
}

// Encoding returns the connection's: with compression if that was agreed on.
func (c *Conn) Encoding() Encoding {
	if c.compressed == nil {
		return Encoding{}
	}
	z := c.set.compression
	return Encoding{
		bits:  int8(c.compressed.own(c.side).Bits),
		level: int8(z.Level),
		min:   int32(max(min(z.MinSize, 1<<30), 0)),
	}
}

// Compressed reports whether e compresses.
func (e Encoding) Compressed() bool { return e.bits != 0 }

// AppendFrame appends p to dst as one whole message in one frame of a server,
// compressed if e does that and it gets shorter. The frame depends on nothing
// but e, t and p. Text is not checked to be UTF-8.
func (e Encoding) AppendFrame(dst []byte, t Type, p []byte) []byte {
	h := wsframe.Header{Fin: true, Op: wsframe.Opcode(t), Length: int64(len(p))}
	if e.bits == 0 || len(p) < int(e.min) {
		return append(h.Append(dst), p...)
	}
	b := getBuffer(min(len(p), maxBuffer))
	defer putBuffer(b)
	b.b = deflate.Append(b.b, p, int(e.bits), int(e.level))
	if len(b.b) < len(p) {
		h.RSV1, h.Length, p = true, int64(len(b.b)), b.b
	}
	return append(h.Append(dst), p...)
}

// WriteFrames writes frames made by AppendFrame, with an Encoding that fits
// this connection, in one system call where the socket takes them. It returns
// how many frames left wholly. An error with a frame cut in two has closed the
// connection; with none cut, which a deadline can bring about, it lives. A
// zero deadline leaves only the write timeout. The frames are neither changed
// nor kept. Reading is not held up. On a client it is ErrSide.
func (c *Conn) WriteFrames(frames [][]byte, deadline time.Time) (n int, err error) {
	if c.side != Server {
		return 0, ErrSide
	}
	if err := c.acquireBy(deadline, &c.out.message); err != nil {
		return 0, err
	}
	defer c.out.message.unlock()
	if err := c.acquireBy(deadline, &c.out.token); err != nil {
		return 0, err
	}
	defer c.release()
	if c.closing.Load() {
		return 0, ErrClosed
	}
	c.out.sharing = true
	defer func() { c.out.sharing = false }()
	c.insert(frames)
	for n < len(frames) && err == nil {
		var sent int
		sent, err = c.writeSome(frames[n:], deadline)
		n += sent
	}
	return n, err
}

// writeSome writes as many frames as fit into a batch, at least one.
func (c *Conn) writeSome(frames [][]byte, by time.Time) (n int, err error) {
	size := 0
	for n < len(frames) && (n == 0 || size+len(frames[n]) <= maxBatch) {
		size += len(frames[n])
		n++
	}
	if size > maxBatch {
		return c.writeLarge(frames[0], by)
	}
	b := c.takePending(size)
	prior := len(b.b)
	for _, f := range frames[:n] {
		b.b = append(b.b, f...)
	}
	sent, err := c.writeOut(context.Background(), by, b.b)
	if err == nil {
		putBuffer(b)
		return n, nil
	}
	return c.sentSome(b, prior, sent, frames[:n], err)
}

// sentSome settles a write that stopped after sent bytes of b.
func (c *Conn) sentSome(b *buffer, prior, sent int, frames [][]byte, err error) (n int, _ error) {
	edge := prior
	for n < len(frames) && edge+len(frames[n]) <= sent {
		edge += len(frames[n])
		n++
	}
	alive := timeout(err) && err != ErrStalled && resumable(c.rwc, c.raw)
	if !alive || sent > prior && sent != edge {
		putBuffer(b)
		return n, c.cut(err)
	}
	b.b = b.b[:copy(b.b, b.b[min(sent, prior):prior])]
	c.putBack(b)
	return n, err
}

// writeLarge writes one frame longer than a batch, without copying it.
func (c *Conn) writeLarge(frame []byte, by time.Time) (n int, err error) {
	b := c.takePending(0)
	if err := c.emit(context.Background(), by, b, len(b.b)); err != nil {
		return 0, err
	}
	sent, err := c.writeOut(context.Background(), by, frame)
	if err == nil {
		return 1, nil
	}
	if sent > 0 || !timeout(err) || err == ErrStalled || !resumable(c.rwc, c.raw) {
		err = c.cut(err)
	}
	return 0, err
}

// insert prepares for frames from elsewhere: a compressed one is missing from
// the history of this connection's own compressor, which must then forget it.
func (c *Conn) insert(frames [][]byte) {
	if c.compressed == nil || c.compressed.enc == nil {
		return
	}
	for _, f := range frames {
		if len(f) > 0 && f[0]&0x40 != 0 {
			c.compressed.enc.Reset()
			return
		}
	}
}

// acquireBy is acquire with a deadline; it costs a timer only if it waits.
func (c *Conn) acquireBy(deadline time.Time, l *lock) error {
	if deadline.IsZero() {
		return c.acquire(context.Background(), l)
	}
	if l.try() {
		return c.keepIfAlive(l)
	}
	c.out.willWait()
	ctx, cancel := context.WithDeadlineCause(context.Background(), deadline, os.ErrDeadlineExceeded)
	defer cancel()
	return c.acquire(ctx, l)
}

// Prepared is a message encoded at most once for each Encoding, to be sent to
// many connections. Safe for concurrent use.
type Prepared struct {
	typ     Type
	payload []byte

	mu     sync.Mutex
	frames map[Encoding][]byte
}

// Prepare returns p as a message for many connections. Prepared keeps p, which
// must not change any more. Text that is not UTF-8 is ErrText.
func Prepare(t Type, p []byte) (*Prepared, error) {
	switch {
	case t != Text && t != Binary:
		return nil, ErrType
	case t == Text && !utf8.Valid(p):
		return nil, ErrText
	}
	return &Prepared{typ: t, payload: p, frames: make(map[Encoding][]byte, 1)}, nil
}

// Frame returns the message's frame in e, which must not be changed.
func (p *Prepared) Frame(e Encoding) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.frames[e]
	if !ok {
		f = e.AppendFrame(make([]byte, 0, wsframe.MaxHeader+len(p.payload)), p.typ, p.payload)
		p.frames[e] = f
	}
	return f
}

// WritePrepared sends p. A client masks and so shares nothing.
func (c *Conn) WritePrepared(ctx context.Context, p *Prepared) error {
	if c.side == Client {
		return c.Write(ctx, p.typ, p.payload)
	}
	if err := ended(ctx); err != nil {
		return err
	}
	frame := p.Frame(c.Encoding())
	if err := c.acquire(ctx, &c.out.message); err != nil {
		return err
	}
	defer c.out.message.unlock()
	c.insert([][]byte{frame})
	if err := c.acquire(ctx, &c.out.token); err != nil {
		return err
	}
	defer c.release()
	if c.closing.Load() {
		return ErrClosed
	}
	b := c.takePending(min(len(frame), maxBatch))
	prior := len(b.b)
	if len(frame) <= maxBatch {
		b.b = append(b.b, frame...)
		return c.emit(ctx, time.Time{}, b, prior)
	}
	if err := c.emit(ctx, time.Time{}, b, prior); err != nil {
		return err
	}
	_, err := c.writeOut(ctx, time.Time{}, frame)
	return c.cut(err)
}
