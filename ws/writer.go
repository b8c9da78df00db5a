package ws

import (
	"context"
	"io"

	"github.com/anasamu/comm/internal/wsframe"
)

// pieceSize is the payload of a streamed message's frames.
const pieceSize = 32 << 10

// Writer starts a message whose length is not known yet. It is sent in
// fragments, and ends with Close; until then other messages wait, so Close it
// in any case. ctx bounds the wait for other messages and all writing. The
// writer is not safe for concurrent use.
func (c *Conn) Writer(ctx context.Context, t Type) (io.WriteCloser, error) {
	if t != Text && t != Binary {
		return nil, ErrType
	}
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := c.acquire(ctx, &c.out.message); err != nil {
		return nil, err
	}
	w := &messageWriter{c: c, ctx: ctx, op: wsframe.Opcode(t), deflated: c.compressed != nil}
	w.buf = getBuffer(pieceSize)
	return w, nil
}

// messageWriter is one message being sent.
type messageWriter struct {
	c        *Conn
	ctx      context.Context
	op       wsframe.Opcode // of the next frame
	deflated bool
	buf      *buffer
	started  bool
	err      error // also set by Close
}

// Write implements io.Writer.
func (w *messageWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 && w.err == nil {
		piece := p[:min(len(p), pieceSize)]
		if w.deflated {
			w.buf.b = w.c.encoder().Write(w.buf.b, piece)
			w.started = true
		} else {
			w.buf.b = append(w.buf.b, piece...)
		}
		p = p[len(piece):]
		n += len(piece)
		if len(w.buf.b) >= pieceSize {
			w.err = w.frame(false)
		}
	}
	return n, w.err
}

// frame sends what is buffered as the next fragment.
func (w *messageWriter) frame(fin bool) error {
	h := wsframe.Header{Fin: fin, Op: w.op, RSV1: w.deflated && w.op != wsframe.Continuation}
	w.op = wsframe.Continuation
	err := w.c.transmit(w.ctx, h, w.buf.b)
	w.buf.b = w.buf.b[:0]
	return err
}

// Close implements io.Closer: it sends the last fragment. A message that
// failed half way has closed the connection.
func (w *messageWriter) Close() error {
	if w.buf == nil {
		return ErrClosed
	}
	defer w.giveBack()
	if w.err != nil {
		return w.err
	}
	if w.deflated {
		if !w.started { // an empty message compresses too
			w.buf.b = w.c.encoder().Write(w.buf.b, nil)
		}
		w.buf.b = w.c.encoder().End(w.buf.b)
	}
	return w.frame(true)
}

func (w *messageWriter) giveBack() {
	putBuffer(w.buf)
	w.buf = nil
	if w.err == nil {
		w.err = ErrClosed
	} else if w.c.Err() == nil { // fragments are missing: the message cannot be ended
		w.c.shut(w.err)
	}
	w.c.out.message.unlock()
}
