package commgrpc_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// users admits every name that is a token, and refuses "bad".
func users(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	if hs.Token == "" || hs.Token == "bad" {
		return comm.Identity{}, errors.New("unknown")
	}
	return comm.Identity{User: hs.Token}, nil
}

func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// TestConnect: several frames in one message, each answered.
func TestConnect(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	comm.OnCall(m, "sum", func(_ context.Context, _ *comm.Conn, n []int) (int, error) { return n[0] + n[1], nil })
	p := connect(t, hubClient(t, m), hello("lobby"),
		&commv1.Frame{Op: commv1.Op_OP_CALL, Id: "c", Message: &commv1.Message{Type: "sum", Content: []byte("[1,2]")}},
		&commv1.Frame{Op: commv1.Op_OP_PING, Id: "p"},
	)
	w := p.expect(commv1.Op_OP_WELCOME).GetWelcome()
	if w.GetVersion() != 1 || w.GetConn() == "" || w.GetSession() == "" || w.GetNode() != m.Node() || w.GetMaxMessage() != 1<<20 || w.GetHeartbeat().AsDuration() == 0 {
		t.Errorf("welcome %v", w)
	}
	seen := map[string]*commv1.Frame{} // by id; what is joined with hello has none
	for range 3 {
		f, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		seen[f.GetId()] = f
	}
	if f := seen[""]; f.GetOp() != commv1.Op_OP_JOINED || f.GetGroup() != "lobby" || f.GetLog().GetLog() != "group:lobby" {
		t.Errorf("joined %v", f)
	}
	if f := seen["c"]; f.GetOp() != commv1.Op_OP_REPLY || string(f.GetMessage().GetContent()) != "3" {
		t.Errorf("reply %v", f)
	}
	if f := seen["p"]; f.GetOp() != commv1.Op_OP_PONG {
		t.Errorf("pong %v", f)
	}
	if c := m.Connection(w.GetConn()); c.Provider() != "grpc" || c.Stats().BytesIn == 0 || c.Stats().BytesOut == 0 {
		t.Errorf("connection of %q: %+v", c.Provider(), c.Stats())
	}
	if err := p.bye(); err != nil {
		t.Fatal(err)
	}
	last, s := p.end()
	if last.GetOp() != commv1.Op_OP_CLOSING || last.GetCode() != "client" || s.Code() != codes.OK {
		t.Errorf("after the goodbye: %v, %v", last, s)
	}
}

// TestEndings: a closing frame, and the status of its code.
func TestEndings(t *testing.T) {
	t.Parallel()
	for code, x := range map[string]struct {
		want codes.Code
		end  func(t *testing.T, m *comm.Manager, c *comm.Conn) error
	}{
		"normal": {codes.OK, func(t *testing.T, _ *comm.Manager, c *comm.Conn) error { return c.Close(t.Context(), "done") }},
		"kicked": {codes.PermissionDenied, func(t *testing.T, _ *comm.Manager, c *comm.Conn) error { return c.Kick(t.Context(), "enough") }},
		"drain":  {codes.Unavailable, func(t *testing.T, m *comm.Manager, _ *comm.Conn) error { return m.Drain(t.Context()) }},
		"superseded": {codes.Aborted, func(t *testing.T, m *comm.Manager, c *comm.Conn) error {
			connect(t, hubClient(t, m), &commv1.Frame{Op: commv1.Op_OP_HELLO, Hello: &commv1.Hello{Session: c.Session()}}).expect(commv1.Op_OP_WELCOME)
			return nil
		}},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			m := newGateway(t)
			p := connect(t, hubClient(t, m), hello())
			conn := m.Connection(p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
			done := make(chan error, 1)
			go func() { done <- x.end(t, m, conn) }()
			last, s := p.end()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if last.GetOp() != commv1.Op_OP_CLOSING || last.GetCode() != code {
				t.Errorf("last frame %v", last)
			}
			if s.Code() != x.want {
				t.Errorf("status %v, want %v", s, x.want)
			}
			if d := detail(s); s.Code() != codes.OK && (d.GetCode() != code || d.GetClosing().GetReconnect() != last.GetClosing().GetReconnect()) {
				t.Errorf("detail %v", d)
			}
		})
	}
}

// TestExpiry: the end of an identity is told as UNAUTHENTICATED, so that the client comes with a fresh token.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{User: "ann", Expires: time.Now().Add(time.Minute)}, nil
		}))
		p := connect(t, hubClient(t, m), hello())
		if f := p.expect(commv1.Op_OP_WELCOME); time.Until(f.GetExpires().AsTime()) != time.Minute {
			t.Errorf("expires %v", f.GetExpires())
		}
		p.answerPings()
		last, s := p.end()
		if last.GetCode() != "expired" || s.Code() != codes.Unauthenticated {
			t.Errorf("%v, %v", last, s)
		}
	})
}

// answerPings answers pings while the test reads.
func (f *frames) answerPings() {
	recv := f.recv
	f.recv = func() ([]*commv1.Frame, error) {
		list, err := recv()
		for _, w := range list {
			if w.GetOp() == commv1.Op_OP_PING {
				f.say(&commv1.Frame{Op: commv1.Op_OP_PONG, Id: w.GetId()})
			}
		}
		return list, err
	}
}

// TestCredentials: a token in the metadata, or in the hello, which wins.
func TestCredentials(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithAuthenticator(users))
	c := hubClient(t, m)
	s, err := c.Subscribe(bearer(t.Context(), "ann"), &commv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil || r.GetFrames()[0].GetWelcome().GetUser() != "ann" {
		t.Errorf("by metadata: %v, %v", r, err)
	}
	if s, err = c.Subscribe(bearer(t.Context(), "bad"), &commv1.SubscribeRequest{Token: "bob"}); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Recv(); err != nil || r.GetFrames()[0].GetWelcome().GetUser() != "bob" {
		t.Errorf("by the hello: %v, %v", r, err)
	}
}

// TestSubscribe: a stream that only listens is a connection, has signs of life, and goes on where it was.
func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithOpenAccess(), comm.WithHeartbeat(10*time.Second))
		c := hubClient(t, m)
		p := subscribe(t, c, &commv1.SubscribeRequest{Groups: []string{"g"}, Metadata: map[string]string{"device": "tv"}})
		w := p.expect(commv1.Op_OP_WELCOME).GetWelcome()
		at := p.expect(commv1.Op_OP_JOINED).GetLog()
		if md := m.Connection(w.GetConn()).Metadata(); md["device"] != "tv" {
			t.Errorf("metadata %v", md)
		}
		start := time.Now()
		if f := p.expect(commv1.Op_OP_PING); f.GetId() != "" || time.Since(start) > 20*time.Second {
			t.Errorf("ping %v after %v", f, time.Since(start))
		}
		time.Sleep(10 * time.Minute)
		if m.Connection(w.GetConn()) == nil {
			t.Fatal("closed: it cannot show signs of life")
		}
		p.cancel()
		eventually(t, "the end of the connection", func() bool { return m.Connection(w.GetConn()) == nil })
		send := func(content string) {
			if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", content)); err != nil {
				t.Fatal(err)
			}
		}
		send("while away")
		position := comm.LogPosition{Log: at.GetLog(), Epoch: at.GetEpoch(), Offset: at.GetOffset()}.String()
		p = subscribe(t, c, &commv1.SubscribeRequest{Groups: []string{"g"}, Position: position, Session: w.GetSession()})
		if !p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetResumed() {
			t.Error("not resumed")
		}
		p.expect(commv1.Op_OP_JOINED)
		send("then")
		for _, want := range []string{`"while away"`, `"then"`} {
			if f := p.expect(commv1.Op_OP_MESSAGE); string(f.GetMessage().GetContent()) != want {
				t.Errorf("got %v, want %s", f, want)
			}
		}
	})
}

// subscribe opens a stream that only listens.
func subscribe(t testing.TB, c commv1.HubServiceClient, r *commv1.SubscribeRequest) *frames {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := c.Subscribe(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return &frames{t: t, cancel: cancel, recv: func() ([]*commv1.Frame, error) {
		r, err := s.Recv()
		return r.GetFrames(), err
	}}
}

// TestRefusedGroup: the stream goes on without the group.
func TestRefusedGroup(t *testing.T) {
	t.Parallel()
	m := newGateway(t)
	p := subscribe(t, hubClient(t, m), &commv1.SubscribeRequest{Groups: []string{"staff"}})
	p.expect(commv1.Op_OP_WELCOME)
	if f := p.expect(commv1.Op_OP_ERROR); f.GetGroup() != "staff" || f.GetCode() != string(comm.CodeForbidden) {
		t.Errorf("got %v", f)
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSilentReader: a client whose frames the handlers do not take is no silent one, for as long as they take.
func TestSilentReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t, comm.WithHeartbeat(10*time.Second))
		release := make(chan struct{})
		comm.On(m, "slow", func(ctx context.Context, _ *comm.Conn, _ any) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		})
		p := connect(t, hubClient(t, m), hello())
		conn := m.Connection(p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
		for range 40 { // more than the inbox holds
			p.say(&commv1.Frame{Message: &commv1.Message{Type: "slow"}})
		}
		time.Sleep(5 * time.Minute)
		if err := conn.Err(); err != nil {
			t.Fatalf("closed while its frames wait: %v", err)
		}
		close(release)
		time.Sleep(5 * time.Minute)
		if comm.ReasonOf(conn.Err()) != comm.ReasonHeartbeat {
			t.Errorf("closed with %v, want heartbeat: it answers no ping", conn.Err())
		}
	})
}

// TestDeadWhileTheReaderWaits: the end of a stream is seen even while its frames wait for a handler.
func TestDeadWhileTheReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t)
		comm.On(m, "stuck", func(ctx context.Context, _ *comm.Conn, _ any) error { <-ctx.Done(); return nil })
		p := connect(t, hubClient(t, m), hello())
		conn := m.Connection(p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
		for range 40 {
			p.say(&commv1.Frame{Message: &commv1.Message{Type: "stuck"}})
		}
		synctest.Wait()
		p.cancel()
		select {
		case <-conn.Done():
		case <-time.After(time.Second):
			t.Fatal("the connection outlives its stream")
		}
		if comm.ReasonOf(conn.Err()) != comm.ReasonLost {
			t.Errorf("closed with %v", conn.Err())
		}
	})
}

// TestWithoutHub: then there is no such service.
func TestWithoutHub(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(commgrpc.WithoutHub()))
	_, err := hubClient(t, m).GetStats(t.Context(), new(commv1.GetStatsRequest))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("%v, want UNIMPLEMENTED", err)
	}
	c, err := comm.NewClient([]comm.Dialer{dialIn(m)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); comm.ReasonOf(err) != comm.ReasonProtocol {
		t.Errorf("a client: %v, want the end", err)
	}
}
