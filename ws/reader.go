package ws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/anasamu/comm/internal/deflate"
)

// Reader returns the next message as a stream, for messages that should not be
// in memory as a whole. It returns io.EOF at the message's end. ctx bounds this
// call and all reading from the stream.
//
// The rest of a message that was not read to its end is skipped by the next
// Reader, Read or Serve. If the stream failed because ctx ended, the next one
// goes on with the same message instead; only a compressed message cannot go
// on, and closes the connection.
func (c *Conn) Reader(ctx context.Context) (Type, io.Reader, error) {
	if err := c.beginRead(ctx); err != nil {
		return 0, nil, err
	}
	defer c.endRead()
	t, err := c.nextMessage(ctx)
	if err != nil {
		return 0, nil, err
	}
	r := &messageReader{c: c, ctx: ctx}
	r.head = c.in.gathered()
	c.in.pieces = &pieces{stream: r}
	if c.in.deflated {
		src := io.MultiReader(bytes.NewReader(r.head), (*wireReader)(r))
		r.inflate = c.decoder().Reader(src, c.set.readLimit, func() error { return r.failed })
		r.head = nil
	}
	return t, r, nil
}

// messageReader is one message's stream.
type messageReader struct {
	c       *Conn
	ctx     context.Context
	head    []byte          // gathered by a Read before it was interrupted
	inflate *deflate.Reader // nil if the message is not compressed
	failed  error           // why the wire ended before the message
	stopped atomic.Bool     // its context ended first
	done    bool
}

// Read implements io.Reader.
func (r *messageReader) Read(p []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	if err := r.c.beginRead(r.ctx); err != nil {
		r.stopped.Store(true)
		return 0, err
	}
	defer r.c.endRead()
	if r.c.in.stream() != r {
		return 0, ErrReaderDone
	}
	return r.next(p)
}

// next is Read for the input's owner.
func (r *messageReader) next(p []byte) (int, error) {
	c := r.c
	if r.inflate == nil {
		n, err := r.wire(p)
		switch {
		case err == io.EOF:
			return n, r.finish()
		case err != nil:
			r.stopped.Store(true)
		}
		return n, err
	}
	n, err := r.inflate.Read(p)
	switch {
	case c.in.typ == Text && !c.in.text.Write(p[:n]):
		return 0, c.fail(StatusInvalidData, ErrText)
	case err == nil:
		return n, nil
	case err == io.EOF:
		return n, r.finish()
	case r.failed != nil:
		return n, c.cut(r.failed) // the decompressor cannot be resumed
	case errors.Is(err, deflate.ErrTooLong):
		return 0, c.fail(StatusTooBig, nil)
	}
	return 0, c.fail(StatusInvalidData, deflate.ErrCorrupt)
}

func (r *messageReader) finish() error {
	r.done = true
	if err := r.c.complete(); err != nil {
		return err
	}
	return io.EOF
}

// wire copies payload as it was sent, io.EOF at the message's end.
func (r *messageReader) wire(p []byte) (int, error) {
	c, in := r.c, &r.c.in
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	for in.left == 0 {
		if in.fin {
			return 0, io.EOF
		}
		if err := c.nextFrame(r.ctx); err != nil {
			return 0, err
		}
	}
	if len(c.unread()) == 0 {
		if err := c.fill(r.ctx); err != nil {
			return 0, err
		}
	}
	b := c.unread()
	n := min(int64(len(p)), int64(len(b)), in.left)
	b = b[:n]
	c.skip(int(n))
	if err := c.received(b); err != nil {
		return 0, err
	}
	return copy(p, b), nil
}

// wireReader is wire as the decompressor's source. It keeps the error that
// ended it, which the decompressor would take for a corrupt message.
type wireReader messageReader

func (w *wireReader) Read(p []byte) (int, error) {
	n, err := (*messageReader)(w).wire(p)
	if err != nil && err != io.EOF {
		w.failed = err
	}
	return n, err
}
