package commgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// TestHelloLate: a client that says nothing is told so, and its stream ends.
func TestHelloLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t)
		c := hubClient(t, m)
		witness := connect(t, c, hello())
		witness.expect(commv1.Op_OP_WELCOME)
		start := time.Now()
		last, s := connect(t, c).end()
		if after := time.Since(start); after != 10*time.Second {
			t.Errorf("after %v, want the handshake timeout", after)
		}
		if last.GetOp() != commv1.Op_OP_ERROR || last.GetCode() != string(comm.CodeTimeout) {
			t.Errorf("last frame %v", last)
		}
		refused(t, "no hello", s.Err(), codes.DeadlineExceeded, comm.CodeTimeout)
		witness.say(&commv1.Frame{Op: commv1.Op_OP_PING, Id: "p"})
		if f := witness.expect(commv1.Op_OP_PONG); f.GetId() != "p" {
			t.Errorf("got %v", f)
		}
	})
}

// TestBadHello: what comes in the place of a hello is refused by an error frame and a status, and nobody is admitted.
func TestBadHello(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	c := hubClient(t, m)
	many := make(map[string]string)
	for i := range 17 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	for name, x := range map[string]struct {
		frame *commv1.Frame
		want  codes.Code
		code  comm.Code
	}{
		"a message":     {&commv1.Frame{Id: "h", Message: &commv1.Message{Type: "n"}}, codes.InvalidArgument, comm.CodeBadFrame},
		"nothing":       {&commv1.Frame{}, codes.InvalidArgument, comm.CodeBadFrame},
		"unknown op":    {&commv1.Frame{Op: 99, Id: "h"}, codes.InvalidArgument, comm.CodeUnknownOp},
		"version":       {&commv1.Frame{Op: commv1.Op_OP_HELLO, Id: "h", Hello: &commv1.Hello{Version: 9}}, codes.FailedPrecondition, comm.CodeUnsupportedVersion},
		"position":      {&commv1.Frame{Op: commv1.Op_OP_HELLO, Id: "h", Position: "?"}, codes.InvalidArgument, comm.CodeBadPosition},
		"much metadata": {&commv1.Frame{Op: commv1.Op_OP_HELLO, Id: "h", Hello: &commv1.Hello{Metadata: many}}, codes.InvalidArgument, comm.CodeBadMessage},
		"too large": {
			&commv1.Frame{Op: commv1.Op_OP_HELLO, Id: "h", Token: strings.Repeat("x", 1<<20)}, codes.ResourceExhausted, comm.CodeTooLarge,
		},
	} {
		last, s := connect(t, c, x.frame).end()
		if last.GetOp() != commv1.Op_OP_ERROR || last.GetCode() != string(x.code) || last.GetText() == "" {
			t.Errorf("%s: last frame %v", name, last)
		}
		refused(t, name, s.Err(), x.want, x.code)
	}
	_, err := c.Subscribe(t.Context(), &commv1.SubscribeRequest{Position: "?"})
	if err != nil {
		t.Fatal(err)
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestMalformed: what is no frame, or no message, is told to who sent it, and the stream goes on.
func TestMalformed(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	c, err := dialIn(m).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	expect := func(what string, op comm.Op, code comm.Code, id string) {
		t.Helper()
		f, err := c.Receive(t.Context())
		if err != nil || f.Op != op || f.Code != code || f.ID != id {
			t.Fatalf("%s: got %+v, %v, want %v %s", what, f, err, op, code)
		}
	}
	expect("hello", comm.OpWelcome, "", "")
	for what, message := range map[string][]byte{
		"nothing in it":       {},
		"an unknown field":    {0x12, 0x01, 'a'},
		"half a tag":          {0x80},
		"less than it says":   {0x0a, 0x7f, 0x00},
		"frames as a number":  {0x08, 0x01},
		"a frame of no bytes": {0x0a, 0x00},
		"a frame of any":      {0x0a, 0x03, 0xff, 0xff, 0xff},
		"the end of a group":  {0x0c},
	} {
		if err := commgrpc.SendMessage(c, message); err != nil {
			t.Fatal(err)
		}
		expect(what, comm.OpError, comm.CodeBadFrame, "")
	}
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpPing, ID: "p"}); err != nil {
		t.Fatal(err)
	}
	expect("ping", comm.OpPong, "", "p")
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpHello, ID: "again", Hello: &comm.Hello{}}); err != nil {
		t.Fatal(err)
	}
	expect("hello twice", comm.OpError, comm.CodeUnexpectedHello, "again")
}

// dialIn reaches a manager in memory.
func dialIn(m *comm.Manager, opts ...commgrpc.DialOption) comm.Dialer {
	return commgrpc.Dialer("gateway:80", append(opts, commgrpc.WithDialContext(m.DialContext))...)
}

// TestManyEmptyFrames: a message of as many frames as fit costs its sender the connection, and the gateway little.
func TestManyEmptyFrames(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithMessageRate(10, 20))
	c, err := dialIn(m).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := commgrpc.SendMessage(c, bytes.Repeat([]byte{0x0a, 0x00}, 1<<20)); err != nil {
		t.Fatal(err)
	}
	frames := 0
	for {
		f, err := c.Receive(t.Context())
		if err != nil {
			t.Fatalf("after %d frames: %v, want closing", frames, err)
		}
		if frames++; f.Op == comm.OpClosing {
			if comm.ReasonOfCode(f.Code) != comm.ReasonRateLimited {
				t.Errorf("closed with %v", f.Code)
			}
			break
		}
	}
	if frames > 100 {
		t.Errorf("%d frames, want few more than the burst", frames)
	}
}

// TestOversize: a gRPC message over the server's limit ends its stream alone.
func TestOversize(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(commgrpc.WithMaxRecvMsgSize(64<<10)))
	c := hubClient(t, m)
	witness := connect(t, c, hello())
	if w := witness.expect(commv1.Op_OP_WELCOME).GetWelcome(); w.GetMaxMessage() >= 64<<10 || w.GetMaxMessage() < 63<<10 {
		t.Errorf("max_message is %d, want what fits into a message of 64 KiB", w.GetMaxMessage())
	}
	p := connect(t, c, hello())
	id := p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
	conn := m.Connection(id)
	p.say(&commv1.Frame{Op: commv1.Op_OP_PING, Id: "p", Text: strings.Repeat("x", 65<<10)})
	if _, s := p.end(); s.Code() != codes.ResourceExhausted {
		t.Errorf("ended with %v", s)
	}
	<-conn.Done()
	if comm.ReasonOf(conn.Err()) != comm.ReasonTooLarge {
		t.Errorf("closed with %v", conn.Err())
	}
	witness.say(&commv1.Frame{Op: commv1.Op_OP_PING, Id: "p"})
	witness.expect(commv1.Op_OP_PONG)
}

// TestTooLargeToSend: what the service sends and gRPC may not is a gap of the log, or an error, and the stream goes on.
// What fits into several messages only is sent in several.
func TestTooLargeToSend(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(commgrpc.WithMaxSendMsgSize(10<<10)), comm.WithOpenAccess())
	p := connect(t, hubClient(t, m), hello("g"))
	id := p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
	p.expect(commv1.Op_OP_JOINED)
	send := func(to comm.Target, size int) comm.Delivery {
		d, err := m.Send(t.Context(), to, newMessage(t, "n", strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lost := send(comm.ToGroup("g"), 11<<10).Position
	if f := p.expect(commv1.Op_OP_GAP); f.GetGapFrom() != lost.Offset || f.GetLog().GetOffset() != lost.Offset || f.GetLog().GetLog() != lost.Log {
		t.Errorf("gap %v, want %v", f, lost)
	}
	send(comm.ToConn(id), 11<<10)
	if f := p.expect(commv1.Op_OP_ERROR); f.GetCode() != string(comm.CodeTooLarge) {
		t.Errorf("error %v", f)
	}
	for range 20 {
		send(comm.ToGroup("g"), 4<<10)
	}
	for range 20 {
		p.expect(commv1.Op_OP_MESSAGE)
	}
}

// TestTooLargeToSendIsAnswered: who waits for an ack or a reply to what gRPC may not send hears why it does not come.
func TestTooLargeToSendIsAnswered(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(commgrpc.WithMaxSendMsgSize(10<<10)), comm.WithOpenAccess())
	p := connect(t, hubClient(t, m), hello("g"))
	id := p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
	p.expect(commv1.Op_OP_JOINED)
	large := func() *comm.Message { return newMessage(t, "n", strings.Repeat("x", 11<<10)) }
	tooLarge := func(what string, err error) {
		t.Helper()
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeTooLarge {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, to := range map[string]comm.Target{"a log": comm.ToGroup("g"), "a connection": comm.ToConn(id)} {
		d, err := m.Send(t.Context(), to, large(), comm.WithAck())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Pending.Wait(t.Context())
		tooLarge(what, err)
	}
	_, err := m.Call(t.Context(), id, large())
	tooLarge("a call", err)
}

// TestStalledStream: of two streams on one connection one is not read. It ends as a slow one by the write timeout,
// and is told why when it reads at last; the other one loses nothing.
func TestStalledStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithOpenAccess(), comm.WithQueue(10_000, 64<<20), comm.WithWriteTimeout(5*time.Second))
		c := hubClient(t, m, grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20))
		stalled, reader := connect(t, c, hello("g")), connect(t, c, hello("g"))
		conn := m.Connection(stalled.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
		reader.expect(commv1.Op_OP_WELCOME)
		reader.expect(commv1.Op_OP_JOINED)
		const sent = 100
		go func() {
			for i := range sent {
				content := newMessage(t, "n", strings.Repeat("x", 8<<10))
				if _, err := m.Send(context.Background(), comm.ToGroup("g"), content); err != nil {
					t.Error(i, err)
				}
			}
		}()
		for range sent {
			reader.expect(commv1.Op_OP_MESSAGE)
		}
		start := time.Now()
		<-conn.Done()
		if after := time.Since(start); after > 7*time.Second || comm.ReasonOf(conn.Err()) != comm.ReasonSlow {
			t.Errorf("closed after %v with %v, want slow_consumer by the write timeout of 5 s", after, conn.Err())
		}
		_, s := stalled.end()
		refused(t, "stalled", s.Err(), codes.ResourceExhausted, "slow_consumer")
		reader.say(&commv1.Frame{Op: commv1.Op_OP_PING, Id: "p"})
		reader.expect(commv1.Op_OP_PONG)
	})
}

// TestStalledStreamsHoldUpNobody: more streams than the manager has writers are not read, and nobody waits for them.
func TestStalledStreamsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithOpenAccess(), comm.WithQueue(10_000, 64<<20), comm.WithHeartbeat(time.Hour))
		for range 4 * runtime.GOMAXPROCS(0) {
			connect(t, hubClient(t, m, grpc.WithStaticStreamWindowSize(64<<10)), hello("g")).expect(commv1.Op_OP_WELCOME)
		}
		reader := connect(t, hubClient(t, m), hello("g"))
		reader.expect(commv1.Op_OP_WELCOME)
		reader.expect(commv1.Op_OP_JOINED)
		start := time.Now()
		for _, size := range []int{8 << 10, 100 << 10, 100} {
			for range 40 {
				if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", strings.Repeat("x", size))); err != nil {
					t.Fatal(err)
				}
			}
			for range 40 {
				reader.expect(commv1.Op_OP_MESSAGE)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the reader waited for %v", took)
		}
	})
}

// TestStalledStreamIsClosed: closing a stream that is not read does not wait for its client, and the gateway ends.
func TestStalledStreamIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithWriteTimeout(5*time.Second))
		c := hubClient(t, m, grpc.WithStaticStreamWindowSize(64<<10))
		stalled := connect(t, c, hello())
		id := stalled.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
		conn := m.Connection(id)
		for range 30 {
			if _, err := m.Send(t.Context(), comm.ToConn(id), newMessage(t, "n", strings.Repeat("x", 8<<10))); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := conn.Kick(t.Context(), "enough"); err != nil {
			t.Fatal(err)
		}
		if after := time.Since(start); after > 7*time.Second {
			t.Errorf("closing took %v", after)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start = time.Now()
		err := m.Stop(ctx, "grpc")
		if after := time.Since(start); after > 21*time.Second || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopping took %v: %v", after, err)
		}
	})
}

// TestRefusals: who is not admitted is told by an error frame and a status; both name the code.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		option comm.Option
		want   codes.Code
		code   comm.Code
	}{
		"credentials": {
			comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
				return comm.Identity{}, errors.New("the database is at 10.0.0.1")
			}),
			codes.Unauthenticated, comm.CodeUnauthenticated,
		},
		"OnConnect": {
			comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error { return comm.ErrForbidden }),
			codes.PermissionDenied, comm.CodeForbidden,
		},
		"OnConnect, own": {
			comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error {
				return &comm.PeerError{Code: "on_sundays", Message: "closed on Sundays"}
			}),
			codes.FailedPrecondition, "on_sundays",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newGateway(t, x.option)
			c := hubClient(t, m)
			last, s := connect(t, c, hello()).end()
			if last.GetCode() != string(x.code) || strings.Contains(last.GetText(), "10.0.0.1") || strings.Contains(s.Message(), "10.0.0.1") {
				t.Errorf("last frame %v, status %v", last, s)
			}
			refused(t, "Connect", s.Err(), x.want, x.code)
			sub, err := c.Subscribe(t.Context(), new(commv1.SubscribeRequest))
			if err == nil {
				if r, rerr := sub.Recv(); rerr != nil || r.GetFrames()[0].GetCode() != string(x.code) {
					t.Errorf("Subscribe: first %v, %v", r, rerr)
				}
				_, err = sub.Recv()
			}
			refused(t, "Subscribe", err, x.want, x.code)
			_, err = c.GetStats(t.Context(), new(commv1.GetStatsRequest))
			refused(t, "GetStats", err, x.want, x.code)
		})
	}
}

// TestLimits: more connections than there may be are refused for that, and everybody while the gateway drains.
func TestLimits(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithMaxConnections(1))
	c := hubClient(t, m)
	first := connect(t, c, hello())
	first.expect(commv1.Op_OP_WELCOME)
	_, s := connect(t, c, hello()).end()
	refused(t, "a second connection", s.Err(), codes.ResourceExhausted, comm.CodeLimit)
}
