package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/uplink"
)

// dialed is one open connection of a client.
type dialed struct {
	dialer  *dialer
	ctx     context.Context // ends with the carrier
	cancel  context.CancelCauseFunc
	body    *receiveReader
	decoder *Decoder
	names   atomic.Pointer[comm.Welcome] // nil until welcome has come
	over    atomic.Bool                  // the server has ended the stream: no goodbye is needed
	gone    sync.Once                    // the server does not know the connection any more
	up      *uplink.Queue

	frames chan *comm.Frame // from read to Receive
	end    chan struct{}    // closed when read has ended, because of cause
	cause  error
}

func newCarrier(d *dialer, ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser) *dialed {
	c := &dialed{dialer: d, ctx: ctx, cancel: cancel, body: &receiveReader{body: body}}
	c.frames, c.end = make(chan *comm.Frame), make(chan struct{})
	c.body.idle = newWatchdog(cancel, d.config.idleTimeout, ErrIdle)
	c.body.idle.stop() // it runs while something is waited for
	c.decoder = NewDecoder(c.body)
	c.decoder.SetMaxEventSize(d.config.maxEventSize)
	c.up = newUplink(c)
	go c.read()
	return c
}

// Receive implements comm.Carrier. One whose context ends leaves the stream as it is, so that a goodbye can be said
// while the server still knows the connection.
func (c *dialed) Receive(ctx context.Context) (*comm.Frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	case <-c.end:
		return nil, c.cause
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// read reads the stream until it ends, or Close ends it: a read of a response's body can be given up only together with
// the stream, so it is not on the goroutine of Receive.
func (c *dialed) read() {
	defer close(c.end)
	for {
		f, err := c.next()
		if err != nil {
			c.cause = err
			return
		}
		select {
		case c.frames <- f:
		case <-c.ctx.Done():
			c.cause = context.Cause(c.ctx)
			return
		}
	}
}

// next is the next frame of the stream. Frames of a later version that it does not know are skipped.
func (c *dialed) next() (*comm.Frame, error) {
	for {
		ev, err := c.decoder.next()
		if err != nil {
			c.over.Store(true)
			return nil, c.ended(err)
		}
		if ev.Type != "" && ev.Type != controlEvent {
			continue
		}
		f, err := comm.JSON().ParseFrame(ev.Data)
		if fe, ok := errors.AsType[*comm.FrameError](err); ok && fe.Code == comm.CodeUnknownOp {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.observe(f)
		return f, nil
	}
}

// observe takes from a frame what concerns the carrier.
func (c *dialed) observe(f *comm.Frame) {
	switch f.Op {
	case comm.OpWelcome:
		c.up.Limit(f.Welcome.MaxMessage)
		c.names.Store(f.Welcome)
		if c.dialer.config.idleTimeout == 0 && f.Welcome.Heartbeat > 0 {
			c.body.idle = newWatchdog(c.cancel, f.Welcome.Heartbeat*5/2, ErrIdle)
			c.body.idle.stop()
		}
	case comm.OpClosing:
		c.over.Store(true)
	}
}

// ended is why the stream ended.
func (c *dialed) ended(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if errors.Is(err, io.EOF) {
		return comm.CloseReason{Kind: comm.ReasonLost, Text: "the stream ended", Err: io.ErrUnexpectedEOF}
	}
	return err
}

// errHungUp is why a carrier ended that its own side closed.
var errHungUp = comm.CloseReason{Kind: comm.ReasonClient, Text: "closed by this side"}

// Close implements comm.Carrier.
func (c *dialed) Close(ctx context.Context) error {
	var err error
	if w := c.names.Load(); w != nil && !c.over.Load() && c.ctx.Err() == nil {
		err = c.goodbye(ctx, w)
	}
	c.cancel(errHungUp)
	c.up.Close()
	_ = c.body.body.Close()
	<-c.end
	c.dialer.closeIdle()
	return err
}

func (c *dialed) goodbye(ctx context.Context, w *comm.Welcome) error {
	res, err := c.dialer.do(ctx, http.MethodDelete, nil, nameHeaders(w))
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
	return res.Body.Close()
}

// nameHeaders says whose frames a request carries.
func nameHeaders(w *comm.Welcome) func(http.Header) {
	return func(h http.Header) {
		h.Set(headerConnection, w.Conn)
		h.Set(headerSession, w.Session)
	}
}

// receiveReader reads the stream with the heartbeat watched, but not while nobody takes what was read.
type receiveReader struct {
	body io.ReadCloser
	idle *watchdog
}

// Read implements io.Reader.
func (r *receiveReader) Read(p []byte) (int, error) {
	r.idle.start()
	defer r.idle.stop()
	return r.body.Read(p)
}
