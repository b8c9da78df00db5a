package commgrpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
	"github.com/anasamu/comm/internal/memnet"
)

// run runs a client until the test ends, and waits until it is connected.
func run(t testing.TB, c *comm.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "the client to connect", func() bool { return c.State() == comm.ClientConnected })
}

// TestSubscribingClient: a comm.Client that only listens gets what its groups are sent, and goes on after a cut.
func TestSubscribingClient(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	var cut atomic.Pointer[net.Conn]
	d := commgrpc.Dialer("gateway:80", commgrpc.WithSubscribe(), commgrpc.WithDialContext(
		func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := m.DialContext(ctx, network, addr)
			cut.Store(&conn)
			return conn, err
		}))
	c, err := comm.NewClient([]comm.Dialer{d}, comm.WithGroups("g"), comm.WithBackoff(comm.Backoff{Base: time.Millisecond, Max: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	c.On("n", func(_ context.Context, m *comm.Message) error { got <- string(m.Content()); return nil })
	run(t, c)
	eventually(t, "the group", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 1 })
	for i, want := range []string{"1", "2", "3"} {
		if i == 1 {
			first := c.Welcome().Conn
			(*cut.Load()).Close()
			eventually(t, "the cut", func() bool { return m.Connection(first) == nil })
		}
		if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", i+1)); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != want {
			t.Fatalf("got %s, want %s", s, want)
		}
	}
	if err := c.Send(t.Context(), newMessage(t, "n", 1)); !errors.Is(err, commgrpc.ErrListensOnly) {
		t.Errorf("Send: %v", err)
	}
}

// TestWithConn: the streams of several clients share a connection, which stays open.
func TestWithConn(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	cc := client(t, m)
	for range 2 {
		c, err := commgrpc.Dialer("", commgrpc.WithConn(cc)).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
		if err != nil {
			t.Fatal(err)
		}
		if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpWelcome {
			t.Fatalf("%v, %v", f, err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := commv1.NewHubServiceClient(cc).GetStats(t.Context(), new(commv1.GetStatsRequest)); err != nil {
		t.Errorf("the connection is closed: %v", err)
	}
}

// TestBadDialOptions: each is named, and trying again is no use.
func TestBadDialOptions(t *testing.T) {
	t.Parallel()
	cc := client(t, newGateway(t))
	for want, d := range map[string]comm.Dialer{
		"target is empty":         commgrpc.Dialer(""),
		"WithTLS":                 commgrpc.Dialer("a:1", commgrpc.WithTLS(nil)),
		"WithDialContext(nil)":    commgrpc.Dialer("a:1", commgrpc.WithDialContext(nil)),
		"WithDialOptions":         commgrpc.Dialer("a:1", commgrpc.WithDialOptions(nil)),
		"WithConn(nil)":           commgrpc.Dialer("a:1", commgrpc.WithConn(nil)),
		"option is nil, number 1": commgrpc.Dialer("a:1", nil),
		"WithConn together":       commgrpc.Dialer("a:1", commgrpc.WithConn(cc), commgrpc.WithDialOptions(grpc.WithUserAgent("x"))),
	} {
		_, err := d.Dial(t.Context(), &comm.Frame{Op: comm.OpHello})
		r, ok := errors.AsType[comm.CloseReason](err)
		if !ok || r.Reconnect() || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want what names %q and ends a client", err, want)
		}
	}
}

// otherServer is a server of HubService that is no gateway.
type otherServer struct {
	commv1.UnimplementedHubServiceServer
	connect func(grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error
}

func (s *otherServer) Connect(stream grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error {
	return s.connect(stream)
}

// serve runs the server in memory and returns a dialer that reaches it.
func (s *otherServer) serve(t testing.TB) comm.Dialer {
	t.Helper()
	var network memnet.Network
	l, err := network.Listen("other:80")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	commv1.RegisterHubServiceServer(g, s)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return commgrpc.Dialer("other:80", commgrpc.WithDialContext(network.DialContext))
}

// TestIdle: a server that gives no sign of life is given up.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &otherServer{connect: func(s grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error {
			_ = s.Send(&commv1.ConnectResponse{Frames: []*commv1.Frame{{
				Op: commv1.Op_OP_WELCOME, Welcome: &commv1.Welcome{Version: 1, Conn: "x", Heartbeat: durationpb.New(10 * time.Second)},
			}}})
			<-s.Context().Done()
			return nil
		}}
		c, err := s.serve(t).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpWelcome {
			t.Fatalf("%v, %v", f, err)
		}
		start := time.Now()
		if _, err := c.Receive(t.Context()); !errors.Is(err, commgrpc.ErrIdle) || time.Since(start) != 25*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// endedStreams are streams that their server ends before it hears anything.
type endedStreams struct {
	grpc.ClientConnInterface
	err error
}

func (e endedStreams) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return endedStream{ctx: ctx, err: e.err}, nil
}

type endedStream struct {
	grpc.ClientStream
	ctx context.Context
	err error
}

func (s endedStream) Context() context.Context { return s.ctx }
func (endedStream) SendMsg(any) error          { return io.EOF } // as the library says: the status is RecvMsg's
func (s endedStream) RecvMsg(any) error        { return s.err }
func (endedStream) CloseSend() error           { return nil }

// TestEndBeforeHello: why a server ends a stream is told, though it did so before the hello was sent.
func TestEndBeforeHello(t *testing.T) {
	t.Parallel()
	s, err := status.New(codes.PermissionDenied, "text").WithDetails(&commv1.Frame{Op: commv1.Op_OP_CLOSING, Code: "kicked"})
	if err != nil {
		t.Fatal(err)
	}
	d := commgrpc.Dialer("", commgrpc.WithConn(endedStreams{err: s.Err()}))
	c, err := comm.NewClient([]comm.Dialer{d}, comm.WithClientLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Run(ctx); comm.ReasonOf(err) != comm.ReasonKicked {
		t.Errorf("the client ended with %v, want kicked", err)
	}
}

// TestStatuses: what a status means to a client. Only the gateway's own word is final.
func TestStatuses(t *testing.T) {
	t.Parallel()
	detailed := func(code codes.Code, f *commv1.Frame) error {
		s, err := status.New(code, "text").WithDetails(f)
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	for name, x := range map[string]struct {
		err  error
		want comm.ReasonKind
		back bool
	}{
		"a proxy's refusal":     {status.Error(codes.Unauthenticated, "who are you"), comm.ReasonLost, true},
		"nothing":               {status.Error(codes.Unavailable, "no upstream"), comm.ReasonLost, true},
		"OK without a word":     {nil, comm.ReasonLost, true},
		"no such service":       {status.Error(codes.Unimplemented, "unknown"), comm.ReasonProtocol, false},
		"the gateway's closing": {detailed(codes.PermissionDenied, &commv1.Frame{Op: commv1.Op_OP_CLOSING, Code: "kicked"}), comm.ReasonKicked, false},
		"a drain": {
			detailed(codes.Unavailable, &commv1.Frame{Op: commv1.Op_OP_CLOSING, Code: "drain", Closing: &commv1.Closing{Reconnect: true}}),
			comm.ReasonDrain, true,
		},
	} {
		s := &otherServer{connect: func(grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error { return x.err }}
		c, err := s.serve(t).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
		if err == nil {
			_, err = c.Receive(t.Context())
			c.Close(t.Context())
		}
		r, ok := errors.AsType[comm.CloseReason](err)
		if comm.ReasonOf(err) != x.want || ok && r.Reconnect() != x.back || !ok && !x.back {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
	}
	s := &otherServer{connect: func(grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error {
		return detailed(codes.PermissionDenied, &commv1.Frame{Op: commv1.Op_OP_ERROR, Code: string(comm.CodeForbidden), Text: "no"})
	}}
	c, err := comm.NewClient([]comm.Dialer{s.serve(t)}, comm.WithClientLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	pe, ok := errors.AsType[*comm.PeerError](c.Run(t.Context()))
	if !ok || pe.Code != comm.CodeForbidden {
		t.Errorf("a refusal: %v", pe)
	}
}

// TestUnreachable: an address at which nobody listens is worth another try.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	d := commgrpc.Dialer("nowhere:80", commgrpc.WithDialContext(func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("refused")
	}))
	c, err := d.Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
	if err == nil {
		_, err = c.Receive(t.Context())
		c.Close(t.Context())
	}
	if _, final := errors.AsType[comm.CloseReason](err); err == nil || final {
		t.Errorf("%v", err)
	}
}

// TestDialIsBounded: a server that accepts and says nothing does not hold up Dial beyond its context.
func TestDialIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l, err := network.Listen("mute:80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		d := commgrpc.Dialer("mute:80", commgrpc.WithDialContext(network.DialContext))
		c, err := d.Dial(ctx, &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
		if err == nil {
			_, err = c.Receive(ctx)
			c.Close(ctx)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's end", err)
		}
	})
}

// A URL is no target: gRPC would take it for an address, and try for ever.
func TestDialerRefusesURLs(t *testing.T) {
	t.Parallel()
	c, err := comm.NewClient([]comm.Dialer{commgrpc.Dialer("https://gateway.example.com")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); comm.ReasonOf(err) != comm.ReasonProtocol || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("Run: %v, want one with host:port", err)
	}
}
