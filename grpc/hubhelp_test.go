package commgrpc_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// hubClient is the generated client of a gateway in memory.
func hubClient(t testing.TB, m *comm.Manager, opts ...grpc.DialOption) commv1.HubServiceClient {
	t.Helper()
	return commv1.NewHubServiceClient(client(t, m, opts...))
}

// hello is the first frame of a client in groups.
func hello(groups ...string) *commv1.Frame {
	return &commv1.Frame{Op: commv1.Op_OP_HELLO, Id: "h", Hello: &commv1.Hello{Groups: groups}}
}

// frames is a client's stream of frames, one by one.
type frames struct {
	t      testing.TB
	recv   func() ([]*commv1.Frame, error)
	send   func(*commv1.ConnectRequest) error
	bye    func() error
	cancel context.CancelFunc
	held   []*commv1.Frame
}

// connect opens a stream and says the frames given in one message.
func connect(t testing.TB, c commv1.HubServiceClient, say ...*commv1.Frame) *frames {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := c.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := &frames{t: t, send: s.Send, bye: s.CloseSend, cancel: cancel}
	f.recv = func() ([]*commv1.Frame, error) {
		r, err := s.Recv()
		return r.GetFrames(), err
	}
	if len(say) > 0 {
		f.say(say...)
	}
	return f
}

func (f *frames) say(say ...*commv1.Frame) {
	f.t.Helper()
	if err := f.send(&commv1.ConnectRequest{Frames: say}); err != nil && !errors.Is(err, io.EOF) {
		f.t.Fatal(err)
	}
}

// next returns the next frame, or the status at the end.
func (f *frames) next() (*commv1.Frame, error) {
	for len(f.held) == 0 {
		held, err := f.recv()
		if err != nil {
			return nil, err
		}
		f.held = held
	}
	first := f.held[0]
	f.held = f.held[1:]
	return first, nil
}

// expect returns the next frame, which must be op.
func (f *frames) expect(op commv1.Op) *commv1.Frame {
	f.t.Helper()
	got, err := f.next()
	if err != nil || got.GetOp() != op {
		f.t.Fatalf("got %v, %v, want %v", got, err, op)
	}
	return got
}

// end reads to the end, and returns the last frame and the status.
func (f *frames) end() (last *commv1.Frame, s *status.Status) {
	f.t.Helper()
	for {
		got, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return last, status.New(codes.OK, "")
		case err != nil:
			return last, status.Convert(err)
		}
		last = got
	}
}

// detail is the frame that a status carries.
func detail(s *status.Status) *commv1.Frame {
	for _, d := range s.Details() {
		if f, ok := d.(*commv1.Frame); ok {
			return f
		}
	}
	return nil
}

// refused checks a status and the code of the frame in it.
func refused(t testing.TB, what string, err error, want codes.Code, code comm.Code) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != want || detail(s).GetCode() != string(code) || s.Message() == "" {
		t.Errorf("%s: %v with %v, want %v with %s", what, s, detail(s), want, code)
	}
}

func newMessage(t testing.TB, typ string, content any) *comm.Message {
	t.Helper()
	m, err := comm.NewMessage(typ, content)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newGateway runs a manager in memory with the provider alone. Without options that say so it allows nobody anything.
func newGateway(t testing.TB, opts ...comm.Option) *comm.Manager {
	t.Helper()
	return guarded(t, commgrpc.New(), opts...)
}
