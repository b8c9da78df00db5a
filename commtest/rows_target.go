package commtest

import (
	"context"
	"errors"
	"strings"

	"github.com/anasamu/comm"
)

// targetRows are about whom a send reaches, and what its Delivery says.
var targetRows = []row{
	{name: "targets/every kind", run: everyTargetRow, wire: true},
	{name: "targets/narrowed", run: narrowedRow},
	{name: "targets/refused", run: targetErrorsRow},
	{name: "targets/message members", run: membersRow},
}

// users is an authenticator: the token is the user, with "/team" behind it the label team. "bad" is
// refused.
func users(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	user, team, _ := strings.Cut(hs.Token, "/")
	if user == "bad" {
		return comm.Identity{}, errors.New("wrong token")
	}
	return comm.Identity{User: user, Labels: map[string]string{"team": team}}, nil
}

// crowd is four clients: ann twice, bob, and one without a name. Both of ann's are in g, the first
// and bob in h.
func crowd(e *env) (ann1, ann2, bob, anon *peer) {
	ann1 = e.connect(asToken("ann/red"), inGroups("g", "h"))
	ann2 = e.connect(asToken("ann/blue"), inGroups("g"))
	bob = e.connect(asToken("bob/red"), inGroups("h"))
	anon = e.connect()
	ann1.joined("g")
	ann1.joined("h")
	ann2.joined("g")
	bob.joined("h")
	return ann1, ann2, bob, anon
}

func everyTargetRow(e *env) {
	m := e.start(comm.WithAuthenticator(users), comm.WithOpenAccess())
	ann1, ann2, bob, anon := crowd(e)
	id := func(p *peer) string { return p.welcome.Conn }
	all := []*peer{ann1, ann2, bob, anon}
	for i, c := range []struct {
		target comm.Target
		to     []*peer
	}{
		{comm.ToConn(id(anon)), []*peer{anon}},
		{comm.ToUser("ann"), []*peer{ann1, ann2}},
		{comm.ToGroup("h"), []*peer{ann1, bob}},
		{comm.ToAll(), all},
		{comm.ToConns(id(bob), id(anon), id(bob)), []*peer{bob, anon}},
		{comm.ToUsers("bob", "ann", "nobody"), []*peer{ann1, ann2, bob}},
		{comm.ToGroups("g", "h", "empty"), []*peer{ann1, ann2, bob}},
		{comm.ToGroup("empty"), nil},
		{comm.ToUser("nobody"), nil},
	} {
		if n := m.ConnectionCount(c.target); n != len(c.to) {
			e.Errorf("ConnectionCount(%v) = %d, want %d", c.target, n, len(c.to))
		}
		e.send(c.target, i, len(c.to))
		for _, p := range c.to {
			p.gets(i)
		}
	}
	for _, p := range all {
		p.nothing()
	}
}

func narrowedRow(e *env) {
	e.start(comm.WithAuthenticator(users), comm.WithOpenAccess())
	ann1, ann2, bob, anon := crowd(e)
	all := []*peer{ann1, ann2, bob, anon}
	for i, c := range []struct {
		target comm.Target
		to     []*peer
	}{
		{comm.ToAll().Except(ann1.welcome.Conn, bob.welcome.Conn), []*peer{ann2, anon}},
		{comm.ToAll().ExceptUser("ann"), []*peer{bob, anon}},
		{comm.ToGroup("g").ExceptSession(ann2.conn().SessionID()), []*peer{ann1}},
		{comm.ToAll().InProvider(e.setup.Provider.Name()), all},
		{comm.ToAll().InProvider("elsewhere"), nil},
		{comm.ToAll().Label("team", "red"), []*peer{ann1, bob}},
		{comm.ToUser("ann").Label("team", "red"), []*peer{ann1}},
		{comm.ToGroups("g", "h").Label("team", "red").ExceptUser("bob"), []*peer{ann1}},
		{comm.ToAll().Where(func(c *comm.Conn) bool { return c.User() == "" }), []*peer{anon}},
		{comm.ToGroup("g").Where(func(c *comm.Conn) bool { return c.Label("team") == "blue" }), []*peer{ann2}},
	} {
		e.send(c.target, i, len(c.to))
		for _, p := range c.to {
			p.gets(i)
		}
	}
	for _, p := range all {
		p.nothing()
	}
}

func targetErrorsRow(e *env) {
	m := e.start()
	p := e.connect()
	for _, c := range []struct {
		name   string
		target comm.Target
		opts   []comm.SendOption
		want   error
	}{
		{"zero", comm.Target{}, nil, comm.ErrTarget},
		{"empty name", comm.ToUser(""), nil, comm.ErrTarget},
		{"empty plural", comm.ToGroups(), nil, comm.ErrTarget},
		{"unknown connection", comm.ToConn("nobody"), nil, comm.ErrNotFound},
		{"priority of a log", comm.ToGroup("g"), []comm.SendOption{comm.WithPriority(comm.PriorityHigh)}, comm.ErrOrdered},
		{"lane in a log", comm.ToGroup("g"), []comm.SendOption{comm.WithLane("x")}, comm.ErrOrdered},
		{"unreliable in a log", comm.ToGroup("g"), []comm.SendOption{comm.WithUnreliable()}, comm.ErrOrdered},
		{"block on a group", comm.ToGroup("g"), []comm.SendOption{comm.WithBlock()}, comm.ErrBlocked},
	} {
		if d, err := m.Send(e.Context(), c.target, e.message("n", 1), c.opts...); !errors.Is(err, c.want) || d.Matched != 0 {
			e.Errorf("%s: %+v, %v, want %v", c.name, d, err, c.want)
		}
	}
	if _, err := m.Send(e.Context(), comm.ToAll(), nil); err == nil {
		e.Error("a nil message was sent")
	}
	p.nothing()
}

func membersRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	msg, err := comm.NewMessage("kind", map[string]int{"a": 1}, comm.WithFrom("service"), comm.WithHeader("h", "v"),
		comm.WithMetadata(map[string]any{"x": true}))
	if err != nil {
		e.Fatal(err)
	}
	d, err := m.Send(e.Context(), comm.ToGroup("g"), msg)
	if err != nil {
		e.Fatal(err)
	}
	f := p.expect(comm.OpMessage)
	got := f.Message
	if f.ID != msg.ID() || d.ID != msg.ID() || got.Type() != "kind" || got.From() != "service" || got.To() != "group:g" ||
		got.Header("h") != "v" || string(got.Metadata()) != `{"x":true}` || string(got.Content()) != `{"a":1}` ||
		!got.Timestamp().Equal(msg.Timestamp()) {
		e.Fatalf("got %s, sent %+v", show(f), msg)
	}
	if f.Log != d.Position || f.Log.Offset != 1 || f.Log.Log != "group:g" {
		e.Fatalf("stands at %v, the delivery says %v", f.Log, d.Position)
	}
	for _, content := range []any{"line one\nline two \u2028 \"quoted\"", []byte{0, 1, 0xff}} {
		if _, err := m.Send(e.Context(), comm.ToConn(p.welcome.Conn), e.message("raw", content)); err != nil {
			e.Fatal(err)
		}
		want := e.message("raw", content)
		if got := p.expect(comm.OpMessage).Message; string(got.Content()) != string(want.Content()) || got.ContentType() != want.ContentType() {
			e.Fatalf("got %q as %s, want %q as %s", got.Content(), got.ContentType(), want.Content(), want.ContentType())
		}
	}
}
