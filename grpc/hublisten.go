package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
)

// listener is the client of Connect. A goroutine of its own reads what it says, because only the return of the
// stream's handler ends a read that waits.
type listener struct {
	t        *transport
	first    chan greeting         // the hello; holds one
	admitted chan *comm.Conn       // holds one: nil if the client was refused
	gone     chan comm.CloseReason // holds one

	in    inbound     // of the reader
	heard atomic.Bool // since the last beat
	busy  atomic.Bool // the manager takes nothing more for now
}

type greeting struct {
	hello *comm.Frame
	err   error
}

func newListener(t *transport) *listener {
	l := &listener{
		t: t, first: make(chan greeting, 1), admitted: make(chan *comm.Conn, 1), gone: make(chan comm.CloseReason, 1),
	}
	t.hold()
	go l.run()
	return l
}

// run reads until the stream ends.
func (l *listener) run() {
	defer l.t.leave()
	defer l.in.free()
	hello, err := l.readHello()
	l.first <- greeting{hello, err}
	if c := <-l.admitted; c != nil {
		l.gone <- l.read(c)
	}
}

// hello implements greeter.
func (l *listener) hello(ctx context.Context) (*comm.Frame, error) {
	select {
	case g := <-l.first:
		return g.hello, g.err
	case <-ctx.Done():
		if context.Cause(ctx) == error(errSlowHello) {
			return nil, errSlowHello
		}
		if l.t.stream.Context().Err() != nil {
			return nil, errGone
		}
		return nil, errStopping
	}
}

// listen implements greeter.
func (l *listener) listen(c *comm.Conn) <-chan comm.CloseReason {
	l.admitted <- c
	return l.gone
}

// reading implements greeter. The reader does not wait for the manager once the stream has ended.
func (l *listener) reading() bool { return !l.busy.Load() }

// silent implements greeter. A client whose frames are not taken is not silent.
func (l *listener) silent() bool { return !l.heard.Swap(false) && !l.busy.Load() }

// ping implements greeter.
func (l *listener) ping() *comm.Frame { return &comm.Frame{Op: comm.OpPing, ID: "beat"} }

func (l *listener) readHello() (*comm.Frame, error) {
	b, err := l.next()
	if err != nil {
		if _, bad := errors.AsType[*comm.FrameError](err); bad {
			return nil, err
		}
		return nil, errGone
	}
	f, err := parseFrame(b)
	if err != nil {
		return nil, err
	}
	if f.Op != comm.OpHello {
		return nil, badFrame(f.ID, "the first frame is hello, not %s", f.Op)
	}
	return f, nil
}

// next returns the bytes of the next frame, which are valid until the next call. Its error ends the stream, unless
// it is a *comm.FrameError of a message that is none.
func (l *listener) next() ([]byte, error) {
	for {
		b, ok, err := l.in.next()
		switch most := l.t.hub.maxFrame(); {
		case err != nil:
			return nil, err
		case ok && len(b) > most:
			return nil, &comm.FrameError{Code: comm.CodeTooLarge, Text: fmt.Sprintf("a frame of %d bytes: at most %d", len(b), most)}
		case ok:
			return b, nil
		}
		l.in.free()
		if err := l.t.stream.RecvMsg(&l.in); err != nil {
			return nil, err
		}
		l.t.traffic(messageHeader+l.in.size, 0)
	}
}

// read hands frames to the manager until there are no more, and returns why.
func (l *listener) read(c *comm.Conn) comm.CloseReason {
	host := l.t.hub.host
	for {
		b, err := l.next()
		if err != nil {
			fe, bad := errors.AsType[*comm.FrameError](err)
			switch {
			case bad && fe.Code == comm.CodeTooLarge:
				return comm.CloseReason{Kind: comm.ReasonTooLarge, Text: fe.Text}
			case bad && c.Err() == nil:
				l.heard.Store(true)
				host.Reject(c, fe)
				continue
			}
			return lost(err)
		}
		l.heard.Store(true)
		if err := l.receive(c, b); err != nil {
			return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
		}
	}
}

// receive gives one frame to the manager, which blocks while its handlers have enough to do.
func (l *listener) receive(c *comm.Conn, b []byte) error {
	f, err := parseFrame(b)
	if err != nil {
		l.t.hub.host.Reject(c, err)
		return c.Err()
	}
	l.busy.Store(true) // before the stream is looked at: see reading
	defer l.busy.Store(false)
	if err := l.t.stream.Context().Err(); err != nil {
		return err
	}
	return l.t.hub.host.Receive(c, f)
}

// lost says why a client says no more: by a goodbye, or by the end of its stream.
func lost(err error) comm.CloseReason {
	switch {
	case errors.Is(err, io.EOF):
		return comm.CloseReason{Kind: comm.ReasonClient}
	case status.Code(err) == codes.ResourceExhausted: // gRPC has refused the message for its size, and ended the stream
		return comm.CloseReason{Kind: comm.ReasonTooLarge, Err: err}
	}
	return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
}
