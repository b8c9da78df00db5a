package commgrpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// carrier is one open stream of a client.
type carrier struct {
	ctx    context.Context // of the stream
	cancel context.CancelCauseFunc
	free   func() // of the connection

	out     sender        // nil for Subscribe
	sending chan struct{} // holds one token during a send
	largest atomic.Int64  // bytes of a frame that the server takes; 0 until welcome

	in       receiver
	welcomed atomic.Bool
	batches  chan []*commv1.Frame // from read to Receive
	end      chan struct{}        // closed when read has ended, because of cause
	cause    error

	receiving chan struct{} // holds one token during a receive; guards frames
	frames    []*commv1.Frame
}

// sender and receiver are the two sides of a stream.
type sender interface {
	Send(*commv1.ConnectRequest) error
	CloseSend() error
}

type receiver interface {
	next() ([]*commv1.Frame, error)
}

func newCarrier(ctx context.Context, cancel context.CancelCauseFunc, free func()) *carrier {
	return &carrier{
		ctx: ctx, cancel: cancel, free: free, sending: make(chan struct{}, 1), receiving: make(chan struct{}, 1),
		batches: make(chan []*commv1.Frame), end: make(chan struct{}),
	}
}

// open begins the stream and says hello.
func (c *carrier) open(client commv1.HubServiceClient, subscribe bool, hello *comm.Frame) error {
	if subscribe {
		return c.subscribe(client, hello)
	}
	s, err := client.Connect(c.ctx)
	if err != nil {
		return c.causeOf(err)
	}
	c.out, c.in = s, connected{s}
	if err := c.Send(c.ctx, hello); err != comm.ErrClosed {
		return err
	}
	return nil // the server has ended the stream before it heard anything: Receive finds why
}

// subscribe says hello with a request.
func (c *carrier) subscribe(client commv1.HubServiceClient, hello *comm.Frame) error {
	r := &commv1.SubscribeRequest{Token: hello.Token, Position: hello.Position.String()}
	if h := hello.Hello; h != nil {
		r.Session, r.Groups, r.Metadata = h.Session, h.Groups, h.Metadata
	}
	s, err := client.Subscribe(c.ctx, r)
	c.in = subscribed{s}
	return c.causeOf(err)
}

type connected struct {
	s interface {
		Recv() (*commv1.ConnectResponse, error)
	}
}

func (c connected) next() ([]*commv1.Frame, error) {
	m, err := c.s.Recv()
	return m.GetFrames(), err
}

type subscribed struct {
	s interface {
		Recv() (*commv1.SubscribeResponse, error)
	}
}

func (s subscribed) next() ([]*commv1.Frame, error) {
	m, err := s.s.Recv()
	return m.GetFrames(), err
}

// causeOf is why the stream was cancelled here, or what the server's status means.
func (c *carrier) causeOf(err error) error {
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return statusReason(err)
}

// statusReason says what a status means: by the frame that it carries, if it is the gateway's own word.
func statusReason(err error) error {
	s, ok := status.FromError(err)
	if !ok || errors.Is(err, io.EOF) {
		return err
	}
	f := detailOf(s)
	switch {
	case f != nil && f.Op == comm.OpClosing:
		r := comm.CloseReason{Kind: comm.ReasonOfCode(f.Code), Text: f.Text, Err: err}
		if f.Closing != nil {
			r.After = f.Closing.After
		}
		return r
	case f != nil && f.Op == comm.OpError:
		return &comm.PeerError{Code: f.Code, Message: f.Text}
	case s.Code() == codes.Unimplemented:
		return comm.CloseReason{Kind: comm.ReasonProtocol, Text: "the server has no " + commv1.HubService_ServiceDesc.ServiceName, Err: err}
	}
	return err
}

// Send implements comm.Carrier. What waits for the server when ctx ends can not be taken back, so the stream ends.
func (c *carrier) Send(ctx context.Context, f *comm.Frame) error {
	if c.out == nil {
		if f.Op == comm.OpPong || f.Op == comm.OpAck { // nobody waits for them
			return nil
		}
		return ErrListensOnly
	}
	select {
	case c.sending <- struct{}{}:
		defer func() { <-c.sending }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx != c.ctx {
		stop := context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })
		defer stop()
	}
	w := toWire(f)
	if err := comm.CheckFrameSize(protobuf.Size(w), int(c.largest.Load())); err != nil {
		return err
	}
	err := c.out.Send(&commv1.ConnectRequest{Frames: []*commv1.Frame{w}})
	if errors.Is(err, io.EOF) && c.ctx.Err() == nil { // the status is Receive's to find
		return comm.ErrClosed
	}
	return c.causeOf(err)
}

// Receive implements comm.Carrier. Frames of a later version that it does not know are skipped. One whose context ends
// leaves the stream as it is, so that a goodbye can be said.
func (c *carrier) Receive(ctx context.Context) (*comm.Frame, error) {
	select {
	case c.receiving <- struct{}{}:
		defer func() { <-c.receiving }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		w, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		f, err := fromWire(w)
		if fe, ok := errors.AsType[*comm.FrameError](err); ok && fe.Code == comm.CodeUnknownOp {
			continue
		}
		return f, err
	}
}

// next returns the next frame of the stream. c.receiving is held.
func (c *carrier) next(ctx context.Context) (*commv1.Frame, error) {
	for len(c.frames) == 0 {
		select {
		case c.frames = <-c.batches:
		case <-c.end:
			return nil, c.cause
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

// read reads the stream until it ends, one message ahead of Receive: nothing but the end of the stream ends a read of
// gRPC's, so it is not on the goroutine of Receive.
func (c *carrier) read() {
	defer close(c.end)
	patience := time.Duration(0) // how long the server may be silent; 0 is for ever
	for {
		frames, err := c.message(patience)
		if err != nil {
			c.cause = err
			return
		}
		for _, w := range frames {
			patience = c.note(w, patience)
		}
		select {
		case c.batches <- frames:
		case <-c.ctx.Done():
			c.cause = context.Cause(c.ctx)
			return
		}
	}
}

// message waits for the next message.
func (c *carrier) message(patience time.Duration) ([]*commv1.Frame, error) {
	if patience > 0 {
		defer time.AfterFunc(patience, func() { c.cancel(ErrIdle) }).Stop()
	}
	frames, err := c.in.next()
	return frames, c.causeOf(err)
}

// note learns from welcome how often the server gives a sign of life, and what it takes.
func (c *carrier) note(w *commv1.Frame, patience time.Duration) time.Duration {
	if w.GetOp() != commv1.Op_OP_WELCOME {
		return patience
	}
	f, err := fromWire(w)
	if err != nil || f.Welcome == nil {
		return patience // Receive says so
	}
	c.largest.Store(int64(f.Welcome.MaxMessage))
	c.welcomed.Store(true)
	return idleAfter(f.Welcome.Heartbeat)
}

// Close implements comm.Carrier: the goodbye is the end of what the client says, and the server's status the answer.
func (c *carrier) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })
	defer stop()
	if c.out != nil && c.welcomed.Load() {
		c.farewell(ctx)
	}
	c.drop(comm.ErrClosed)
	<-c.end
	return nil
}

// farewell says goodbye and waits for the end of the stream, or of ctx.
func (c *carrier) farewell(ctx context.Context) {
	select {
	case c.sending <- struct{}{}: // kept: nothing is sent any more
	case <-ctx.Done():
		return
	}
	_ = c.out.CloseSend() // it does not fail
	<-c.sending
	for {
		select {
		case <-c.batches:
		case <-c.end:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drop ends the stream for cause, and lets the connection go.
func (c *carrier) drop(cause error) {
	c.cancel(cause)
	c.free()
}
