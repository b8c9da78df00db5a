package commgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// TestSend: to a handler, to others, and what is wrong with it.
func TestSend(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithAuthenticator(users), comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
		if c.User() == "eve" {
			return comm.ErrForbidden
		}
		return nil
	}))
	from := make(chan string, 1)
	comm.On(m, "n", func(_ context.Context, c *comm.Conn, _ int) error { from <- c.User(); return nil })
	comm.On(m, "broken", func(context.Context, *comm.Conn, int) error { return errors.New("the password is 123") })
	comm.On(m, "coded", func(context.Context, *comm.Conn, int) error {
		return &comm.PeerError{Code: comm.CodeLimit, Message: "enough of you"}
	})
	c, ctx := hubClient(t, m), bearer(t.Context(), "ann")
	bob := connect(t, c, &commv1.Frame{Op: commv1.Op_OP_HELLO, Token: "bob", Hello: &commv1.Hello{Groups: []string{"g"}}})
	bobID := bob.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
	bob.expect(commv1.Op_OP_JOINED)

	r, err := c.Send(ctx, &commv1.SendRequest{Id: "m1", Message: &commv1.Message{Type: "n", Content: []byte("1")}})
	if err != nil || r.GetId() != "m1" || r.GetDelivery() != nil || <-from != "ann" {
		t.Errorf("to a handler: %v, %v", r, err)
	}
	for _, to := range []string{"group:g", "user:bob", "conn:" + bobID} {
		r, err := c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "chat", To: to, From: "user:forged"}})
		d := r.GetDelivery()
		if err != nil || r.GetId() == "" || d.GetMatched() != 1 || d.GetQueued() != 1 {
			t.Errorf("to %s: %v, %v", to, r, err)
		}
		f := bob.expect(commv1.Op_OP_MESSAGE)
		if f.GetId() != r.GetId() || f.GetMessage().GetFrom() != "user:ann" || f.GetMessage().GetTimestamp() == nil {
			t.Errorf("to %s: %v", to, f)
		}
		if to == "group:g" && d.GetPosition().GetOffset() != f.GetLog().GetOffset() {
			t.Errorf("position %v, want that of %v", d.GetPosition(), f.GetLog())
		}
	}
	for name, x := range map[string]struct {
		token   string
		message *commv1.Message
		want    codes.Code
		code    comm.Code
	}{
		"nothing":      {"ann", nil, codes.InvalidArgument, comm.CodeBadMessage},
		"no JSON":      {"ann", &commv1.Message{Type: "n", Content: []byte("{")}, codes.InvalidArgument, comm.CodeBadMessage},
		"not decoded":  {"ann", &commv1.Message{Type: "n", Content: []byte(`"a"`)}, codes.InvalidArgument, comm.CodeBadMessage},
		"no handler":   {"ann", &commv1.Message{Type: "nonsense"}, codes.Unimplemented, comm.CodeUnknownType},
		"no address":   {"ann", &commv1.Message{Type: "n", To: "nowhere"}, codes.NotFound, comm.CodeNotFound},
		"nobody":       {"ann", &commv1.Message{Type: "n", To: "conn:none"}, codes.NotFound, comm.CodeNotFound},
		"a failure":    {"ann", &commv1.Message{Type: "broken", Content: []byte("1")}, codes.Internal, comm.CodeInternal},
		"own code":     {"ann", &commv1.Message{Type: "coded", Content: []byte("1")}, codes.ResourceExhausted, comm.CodeLimit},
		"not allowed":  {"eve", &commv1.Message{Type: "n", To: "group:g"}, codes.PermissionDenied, comm.CodeForbidden},
		"no identity":  {"bad", &commv1.Message{Type: "n"}, codes.Unauthenticated, comm.CodeUnauthenticated},
		"over a frame": {"ann", &commv1.Message{Type: "n", Content: []byte(strings.Repeat(" ", 2<<20))}, codes.ResourceExhausted, comm.CodeTooLarge},
	} {
		_, err := c.Send(bearer(t.Context(), x.token), &commv1.SendRequest{Message: x.message})
		refused(t, name, err, x.want, x.code)
		if strings.Contains(fmt.Sprint(err), "password") {
			t.Errorf("%s: the caller is told %v", name, err)
		}
	}
	eventually(t, "the callers to go", func() bool { return m.ConnectionCount(comm.ToAll()) == 1 })
}

// TestManyCalls: calls are no handshakes, whose rates are for connections. Those of a user count as connections of it
// while they last.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithAuthenticator(users), comm.WithHandshakeRate(1, 2), comm.WithMaxConnectionsPerUser(1))
	handled := 0
	comm.On(m, "n", func(context.Context, *comm.Conn, any) error { handled++; return nil })
	c, ctx := hubClient(t, m), bearer(t.Context(), "ann")
	for range 100 {
		if _, err := c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "n"}}); err != nil {
			t.Fatal(err)
		}
	}
	if handled != 100 {
		t.Errorf("%d handled", handled)
	}
	p := connect(t, c, &commv1.Frame{Op: commv1.Op_OP_HELLO, Token: "ann", Hello: &commv1.Hello{}})
	p.expect(commv1.Op_OP_WELCOME)
	_, err := c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "n"}})
	refused(t, "over the limit of the user", err, codes.ResourceExhausted, comm.CodeLimit)
}

// TestBroadcast: the connection of the call itself does not count.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	c := hubClient(t, m)
	for range 3 {
		connect(t, c, hello()).expect(commv1.Op_OP_WELCOME)
	}
	r, err := c.Broadcast(t.Context(), &commv1.BroadcastRequest{Message: &commv1.Message{Type: "n"}})
	if d := r.GetDelivery(); err != nil || d.GetMatched() != 3 || d.GetQueued() != 3 {
		t.Errorf("%v, %v, want 3", r, err)
	}
	_, err = c.Broadcast(t.Context(), &commv1.BroadcastRequest{Message: &commv1.Message{Type: "n", To: "group:g"}})
	refused(t, "with an address", err, codes.InvalidArgument, comm.CodeBadFrame)
	_, err = c.Broadcast(t.Context(), new(commv1.BroadcastRequest))
	refused(t, "nothing", err, codes.InvalidArgument, comm.CodeBadMessage)
	_, err = hubClient(t, newGateway(t)).Broadcast(t.Context(), &commv1.BroadcastRequest{Message: &commv1.Message{Type: "n"}})
	refused(t, "without an authorizer", err, codes.PermissionDenied, comm.CodeForbidden)
}

// TestListConnections: pages that hold each connection once, without the call's own.
func TestListConnections(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	c := hubClient(t, m)
	var want []string
	for i := range 7 {
		p := connect(t, c, hello(fmt.Sprintf("g%d", i%2)))
		want = append(want, p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
		p.expect(commv1.Op_OP_JOINED)
	}
	slices.Sort(want)
	var got []string
	for token := ""; ; {
		r, err := c.ListConnections(t.Context(), &commv1.ListConnectionsRequest{PageSize: 3, PageToken: token})
		if err != nil || len(r.GetConnections()) > 3 || r.GetTotalSize() != 7 {
			t.Fatalf("%v, %v", r, err)
		}
		for _, i := range r.GetConnections() {
			got = append(got, i.GetId())
			if i.GetProvider() != "grpc" || len(i.GetGroups()) != 1 || i.GetSince() == nil {
				t.Errorf("%v", i)
			}
		}
		if token = r.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	r, err := c.ListConnections(t.Context(), &commv1.ListConnectionsRequest{Target: "group:g1", Provider: "grpc"})
	if err != nil || len(r.GetConnections()) != 3 || r.GetNextPageToken() != "" {
		t.Errorf("of a group: %v, %v", r, err)
	}
	for name, x := range map[string]struct {
		r    *commv1.ListConnectionsRequest
		want codes.Code
		code comm.Code
	}{
		"size":          {&commv1.ListConnectionsRequest{PageSize: 1001}, codes.InvalidArgument, comm.CodeBadFrame},
		"negative size": {&commv1.ListConnectionsRequest{PageSize: -1}, codes.InvalidArgument, comm.CodeBadFrame},
		"token":         {&commv1.ListConnectionsRequest{PageToken: "x"}, codes.InvalidArgument, comm.CodeBadFrame},
		"target":        {&commv1.ListConnectionsRequest{Target: "x"}, codes.InvalidArgument, comm.CodeBadFrame},
		"provider":      {&commv1.ListConnectionsRequest{Provider: "x"}, codes.NotFound, comm.CodeNotFound},
	} {
		_, err := c.ListConnections(t.Context(), x.r)
		refused(t, name, err, x.want, x.code)
	}
	_, err = hubClient(t, newGateway(t)).ListConnections(t.Context(), new(commv1.ListConnectionsRequest))
	refused(t, "without an authorizer", err, codes.PermissionDenied, comm.CodeForbidden)
}

// TestCloseConnection: the client is told and does not come back.
func TestCloseConnection(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	c := hubClient(t, m)
	p := connect(t, c, hello())
	w := p.expect(commv1.Op_OP_WELCOME).GetWelcome()
	if _, err := c.CloseConnection(t.Context(), &commv1.CloseConnectionRequest{Id: w.GetConn(), Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	if m.Connection(w.GetConn()) != nil {
		t.Error("it is still there")
	}
	last, s := p.end()
	if last.GetCode() != "kicked" || last.GetText() != "enough" || s.Code() != codes.PermissionDenied {
		t.Errorf("%v, %v", last, s)
	}
	last, s = connect(t, c, &commv1.Frame{Op: commv1.Op_OP_HELLO, Hello: &commv1.Hello{Session: w.GetSession()}}).end()
	if last.GetCode() != string(comm.CodeSessionRevoked) || s.Code() != codes.PermissionDenied {
		t.Errorf("coming back: %v, %v", last, s)
	}
	_, err := c.CloseConnection(t.Context(), &commv1.CloseConnectionRequest{Id: w.GetConn()})
	refused(t, "again", err, codes.NotFound, comm.CodeNotFound)
	_, err = c.CloseConnection(t.Context(), new(commv1.CloseConnectionRequest))
	refused(t, "nobody", err, codes.InvalidArgument, comm.CodeBadFrame)
	_, err = hubClient(t, newGateway(t)).CloseConnection(t.Context(), &commv1.CloseConnectionRequest{Id: "x"})
	refused(t, "without an authorizer", err, codes.PermissionDenied, comm.CodeForbidden)
}

// TestGetStats counts what was done.
func TestGetStats(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithOpenAccess())
	comm.On(m, "n", func(context.Context, *comm.Conn, any) error { return nil })
	c := hubClient(t, m)
	if _, err := c.Send(t.Context(), &commv1.SendRequest{Message: &commv1.Message{Type: "n"}}); err != nil {
		t.Fatal(err)
	}
	for _, provider := range []string{"", "grpc"} {
		s, err := c.GetStats(t.Context(), &commv1.GetStatsRequest{Provider: provider})
		if err != nil || s.GetConnectionsTotal() < 2 || s.GetConnectionsActive() != 1 || s.GetMessagesIn() != 1 || s.GetClosed()["client"] < 1 {
			t.Errorf("of %q: %v, %v", provider, s, err)
		}
		if n := s.GetTypes()["n"].GetHandled(); provider == "" && n != 1 {
			t.Errorf("types %v", s.GetTypes())
		}
	}
	_, err := c.GetStats(t.Context(), &commv1.GetStatsRequest{Provider: "x"})
	refused(t, "a provider that is none", err, codes.NotFound, comm.CodeNotFound)
	_, err = hubClient(t, newGateway(t)).GetStats(t.Context(), new(commv1.GetStatsRequest))
	refused(t, "without an authorizer", err, codes.PermissionDenied, comm.CodeForbidden)
}

// TestCallsAndTime: a call ends with its deadline, and the gateway's end does not wait for it longer than that.
func TestCallsAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t)
		comm.On(m, "slow", func(ctx context.Context, _ *comm.Conn, _ any) error { <-ctx.Done(); return nil })
		c := hubClient(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "slow"}})
		if status.Code(err) != codes.DeadlineExceeded || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if n := m.ConnectionCount(comm.ToAll()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.Send(t.Context(), &commv1.SendRequest{Message: &commv1.Message{Type: "slow"}})
			done <- err
		}()
		synctest.Wait()
		stop, cancelStop := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelStop()
		if err := m.Drain(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-done; status.Code(err) != codes.Unavailable {
			t.Errorf("a call under way at the end: %v, want UNAVAILABLE", err)
		}
	})
}

// A call whose client takes it back is no fault of the service, wherever it has got to.
func TestSendCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newGateway(t)
		begun := make(chan struct{})
		comm.On(m, "slow", func(ctx context.Context, _ *comm.Conn, _ int) error {
			begun <- struct{}{}
			<-ctx.Done() // of the call's connection
			return ctx.Err()
		})
		c := hubClient(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		_, err := c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "slow", Content: []byte("1")}})
		wantCode(t, "cancelled", err, codes.Canceled)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		go func() { <-begun }()
		_, err = c.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "slow", Content: []byte("1")}})
		wantCode(t, "out of time", err, codes.DeadlineExceeded)
		const send = "/comm.v1.HubService/Send"
		eventually(t, "both are counted", func() bool { s, err := m.Stats("grpc"); return err == nil && s.Calls[send].Calls == 2 })
		if s, _ := m.Stats("grpc"); s.Calls[send].Codes["CANCELLED"] == 0 || s.Calls[send].Codes["INTERNAL"] != 0 {
			t.Errorf("%+v", s.Calls[send])
		}
	})
}

// TestGetStatsOfAuthorizer counts what the authorizer refused and what it could not decide.
func TestGetStatsOfAuthorizer(t *testing.T) {
	t.Parallel()
	m := newGateway(t, comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		switch a.Target.String() {
		case "group:vault":
			return comm.ErrForbidden
		case "group:undecided":
			return errors.New("no idea")
		}
		return nil
	}))
	c := hubClient(t, m)
	for _, to := range []string{"group:vault", "group:vault", "group:undecided"} {
		if _, err := c.Send(t.Context(), &commv1.SendRequest{Message: &commv1.Message{Type: "n", To: to}}); err == nil {
			t.Fatalf("sent to %s", to)
		}
	}
	s, err := c.GetStats(t.Context(), &commv1.GetStatsRequest{Provider: "grpc"})
	if err != nil || s.GetAccessDenied() != 2 || s.GetAccessFailed() != 1 {
		t.Errorf("%v, %v", s, err)
	}
}
