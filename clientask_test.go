package comm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// talker is a client that runs, with what its handler got.
type talker struct {
	*comm.Client
	got chan string
	gap chan comm.Gap
}

// talk runs a client of a gateway in memory until the test ends.
func talk(t *testing.T, m *comm.Manager, user string, opts ...comm.ClientOption) *talker {
	t.Helper()
	k := &talker{got: make(chan string, 100), gap: make(chan comm.Gap, 10)}
	c, err := comm.NewClient([]comm.Dialer{ws.Dialer("ws://gateway/ws", ws.WithNetDial(m.DialContext))}, append([]comm.ClientOption{
		comm.WithTokenSource(func(context.Context) (string, error) { return user, nil }),
		comm.WithOnGap(func(g comm.Gap) { k.gap <- g }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	k.Client = c
	c.On("say", func(_ context.Context, m *comm.Message) error {
		k.got <- m.From() + " to " + m.To() + ": " + string(m.Content())
		return nil
	})
	ctx, bye := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { bye(); <-done })
	return k
}

// room is a gateway whose clients may send where they are members, and see who is there; the actions of the authorizer come
// with their groups.
func room(t *testing.T) (m *comm.Manager, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	m = newManager(t, comm.WithProvider(ws.New()),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			return comm.Identity{User: hs.Token}, nil
		}),
		comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			asked <- string(a.Action) + " " + a.Group
			switch a.Action {
			case comm.ActionJoin:
				return nil
			case comm.ActionSend, comm.ActionPresence, comm.ActionList:
				if a.Group != "" && c.InGroup(a.Group) {
					return nil
				}
			case comm.ActionCall, comm.ActionClose:
				if c.User() == "boss" {
					return nil
				}
			}
			return comm.ErrForbidden
		}))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, asked
}

// A client sends to others by WithTo, as far as the authorizer lets it, which learns the group of every target that is one.
func TestClientSendsToOthers(t *testing.T) {
	t.Parallel()
	m, asked := room(t)
	ann, bob := talk(t, m, "ann"), talk(t, m, "bob")
	for _, k := range []*talker{ann, bob} {
		if err := k.Join(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
	}
	for len(asked) > 0 { // once with the hello perhaps, and once by the join
		same(t, "asked", <-asked, "join lobby")
	}
	if err := ann.SendAck(t.Context(), message(t, "say", "hi", comm.WithTo(comm.ToGroup("lobby")))); err != nil {
		t.Fatal(err)
	}
	same(t, "asked", <-asked, "send lobby")
	same(t, "ann got", <-ann.got, `user:ann to group:lobby: "hi"`)
	same(t, "bob got", <-bob.got, `user:ann to group:lobby: "hi"`)
	for _, to := range []comm.Target{comm.ToGroup("staff"), comm.ToUser("bob"), comm.ToAll()} {
		err := ann.SendAck(t.Context(), message(t, "say", "hi", comm.WithTo(to)))
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeForbidden {
			t.Errorf("to %s: %v, want forbidden", to, err)
		}
	}
	for _, to := range []comm.Target{
		{},
		comm.ToGroup(""), comm.ToGroups("a", "b"), comm.ToAll().Except("x"), comm.ToAll().Label("a", "b"),
		comm.ToAll().Where(func(*comm.Conn) bool { return true }),
	} {
		_, err := comm.NewMessage("say", nil, comm.WithTo(to))
		if me, ok := errors.AsType[*comm.MessageError](err); !ok || me.Member != "to" {
			t.Errorf("%#v: %v, want a *MessageError", to, err)
		}
	}
}

// What a service sends goes where it is sent, whatever the message says to those who receive it.
func TestWithToDoesNotMoveASend(t *testing.T) {
	t.Parallel()
	m, _ := room(t)
	ann := talk(t, m, "ann")
	if err := ann.Join(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	send(t, m, comm.ToGroup("lobby"), message(t, "say", 1, comm.WithTo(comm.ToUser("bob"))))
	same(t, "ann got", <-ann.got, ` to user:bob: 1`)
}

// Lists, and the end of others, are what the authorizer allows.
func TestClientAsksAboutOthers(t *testing.T) {
	t.Parallel()
	m, _ := room(t)
	ann, bob, boss := talk(t, m, "ann"), talk(t, m, "bob"), talk(t, m, "boss")
	for _, k := range []*talker{ann, bob} {
		if err := k.Join(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
	}
	there, err := ann.Presence(t.Context(), "lobby")
	if err != nil || len(there) != 2 || there[0].User != "ann" || there[1].Conns != 1 {
		t.Errorf("%+v, %v, want ann and bob", there, err)
	}
	list, err := ann.Connections(t.Context(), comm.ToGroup("lobby"))
	if err != nil || len(list) != 2 || list[0].Provider != "websocket" || list[0].Since.IsZero() {
		t.Errorf("%+v, %v, want two connections", list, err)
	}
	forbidden := func(what string, err error) {
		t.Helper()
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeForbidden {
			t.Errorf("%s: %v, want forbidden", what, err)
		}
	}
	_, err = boss.Presence(t.Context(), "lobby")
	forbidden("presence", err)
	_, err = boss.Connections(t.Context(), comm.ToAll())
	forbidden("list", err)
	forbidden("close", ann.CloseConnection(t.Context(), bob.Welcome().Conn))
	if err := boss.CloseConnection(t.Context(), bob.Welcome().Conn); err != nil {
		t.Errorf("close by who may: %v", err)
	}
	for _, err := range []error{
		boss.CloseConnection(t.Context(), ""),
		func() error { _, err := ann.Connections(t.Context(), comm.ToGroups("a", "b")); return err }(),
		func() error { _, err := ann.Presence(t.Context(), "a\n"); return err }(),
	} {
		if _, ok := errors.AsType[*comm.MessageError](err); !ok {
			t.Errorf("%v, want a *MessageError", err)
		}
	}
	err = boss.CloseConnection(t.Context(), "nobody")
	if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeNotFound {
		t.Errorf("%v, want not_found", err)
	}
}

// Who joins by JoinFrom hears what the group has said before, from where it likes; a join that is refused leaves no trace.
func TestClientJoinsFrom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _ := room(t)
		witness := talk(t, m, "witness")
		if err := witness.Join(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
		var third comm.LogPosition
		for n := range 5 {
			d := send(t, m, comm.ToGroup("lobby"), message(t, "say", n))
			if n == 2 {
				third = d.Position
			}
		}
		for name, c := range map[string]struct {
			after comm.LogPosition
			want  []string
		}{"all": {want: []string{"0", "1", "2", "3", "4"}}, "the rest": {third, []string{"3", "4"}}} {
			k := talk(t, m, "late")
			if err := k.JoinFrom(t.Context(), "lobby", c.after); err != nil {
				t.Fatal(name, err)
			}
			if err := k.JoinFrom(t.Context(), "lobby", comm.LogPosition{}); err != nil { // it is there already
				t.Fatal(name, err)
			}
			time.Sleep(time.Second)
			for _, n := range c.want {
				same(t, name, <-k.got, " to group:lobby: "+n)
			}
			if len(k.got) > 0 || len(k.gap) > 0 {
				t.Errorf("%s: %d messages and %d gaps too many", name, len(k.got), len(k.gap))
			}
		}
		k := talk(t, m, "late")
		if err := k.JoinFrom(t.Context(), "", comm.LogPosition{}); err == nil || k.Position().Len() != 0 {
			t.Errorf("no group: %v, %v", err, k.Position())
		}
	})
}

// A join that is refused leaves no position behind, with which the next hello would ask again.
func TestClientJoinFromRefused(t *testing.T) {
	t.Parallel()
	m := newManager(t, comm.WithProvider(ws.New())) // nobody may join
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := talk(t, m, "ann")
	err := k.JoinFrom(t.Context(), "lobby", comm.LogPosition{})
	if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeForbidden || k.Position().Len() != 0 {
		t.Errorf("%v, %v", err, k.Position())
	}
}
