package commtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// groupRows are about groups, presence and what a client may do to others.
var groupRows = []row{
	{name: "groups/join and leave", run: joinRow, wire: true},
	{name: "groups/by the server", run: serverJoinRow},
	{name: "groups/refused names and limits", run: groupLimitsRow},
	{name: "groups/too many logs", run: manyLogsRow},
	{name: "groups/presence", run: presenceRow},
	{name: "groups/presence grace", run: presenceGraceRow, timed: true},
	{name: "access/default deny", run: denyRow},
	{name: "access/authorizer", run: authorizerRow},
	{name: "access/list, presence and close", run: openRow},
}

func joinRow(e *env) {
	e.start(comm.WithOpenAccess())
	p, q := e.connect(), e.connect()
	e.send(comm.ToGroup("lobby"), 0, 0)
	id := p.send(&comm.Frame{Op: comm.OpJoin, Group: "lobby"})
	f := p.expect(comm.OpJoined)
	if f.ID != id || f.Group != "lobby" || f.Log.Log != "group:lobby" || f.Log.Epoch == "" || f.Log.Offset != 1 {
		e.Fatalf("joined: %s", show(f))
	}
	e.send(comm.ToGroup("lobby"), 1, 1)
	if f := p.gets(1); f.Log.Offset != 2 {
		e.Fatalf("stands at %v, want offset 2", f.Log)
	}
	again := p.send(&comm.Frame{Op: comm.OpJoin, Group: "lobby"})
	if f := p.expect(comm.OpJoined); f.ID != again || f.Log.Offset != 2 {
		e.Fatalf("joined again: %s, want offset 2", show(f))
	}
	e.send(comm.ToGroup("lobby"), 2, 1)
	p.gets(2)
	id = p.send(&comm.Frame{Op: comm.OpLeave, Group: "lobby"})
	if f := p.expect(comm.OpLeft); f.ID != id || f.Group != "lobby" || f.Log.Log != "group:lobby" {
		e.Fatalf("left: %s", show(f))
	}
	e.send(comm.ToGroup("lobby"), 3, 0)
	id = p.send(&comm.Frame{Op: comm.OpLeave, Group: "lobby"})
	if f := p.expect(comm.OpLeft); f.ID != id {
		e.Fatalf("left twice: %s", show(f))
	}
	p.nothing()
	q.nothing()
}

func serverJoinRow(e *env) {
	m := e.start(comm.WithLogs(false, false, false))
	p := e.connect()
	c := p.conn()
	if err := errors.Join(c.Join("g"), c.Join("g")); err != nil {
		e.Fatal(err)
	}
	if at := p.joined("g"); at.Log != "" {
		e.Fatalf("joined with log %v, want none without history", at)
	}
	if d, err := m.Send(e.Context(), comm.ToGroup("g"), e.message("n", 1)); err != nil || d.Position.Log != "" {
		e.Fatalf("%+v, %v: want no position without history", d, err)
	}
	p.gets(1)
	if err := errors.Join(c.Leave("g"), c.Leave("g"), c.Leave("never")); err != nil {
		e.Fatal(err)
	}
	p.expect(comm.OpLeft)
	e.send(comm.ToGroup("g"), 2, 0)
	p.nothing()
}

func groupLimitsRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithMaxGroups(2))
	p := e.connect(inGroups("a", strings.Repeat("g", 129), "b", "c"))
	if f := p.fails("h1", comm.CodeBadMessage); !strings.HasPrefix(f.Group, "ggg") {
		e.Fatalf("refused group: %s", show(f))
	}
	if f := p.fails("h1", comm.CodeLimit); f.Group != "c" || !strings.Contains(f.Text, "2") {
		e.Fatalf("refused group: %s, want c and the limit", show(f))
	}
	p.joined("a")
	p.joined("b")
	for _, name := range []string{"", "a\x01b"} {
		if err := p.conn().Join(name); err == nil {
			e.Errorf("joined %q", name)
		}
	}
	id := p.send(&comm.Frame{Op: comm.OpJoin, Group: "d"})
	p.fails(id, comm.CodeLimit)
	p.send(&comm.Frame{Op: comm.OpLeave, Group: "a"})
	p.expect(comm.OpLeft)
	p.send(&comm.Frame{Op: comm.OpJoin, Group: "d"})
	p.joined("d")
	p.nothing()
}

func manyLogsRow(e *env) {
	e.start(comm.WithMaxGroups(1000))
	p := e.connect()
	c := p.conn()
	joined := 0
	for i := range 200 {
		err := c.Join(fmt.Sprintf("%03d%s", i, strings.Repeat("\u00e9", 60)))
		if errors.Is(err, comm.ErrTooManyLogs) {
			break
		}
		if err != nil {
			e.Fatal(err)
		}
		joined++
	}
	if joined < 5 || joined > 50 {
		e.Fatalf("joined %d groups with names of 360 bytes in a position, of which 4 KiB fit", joined)
	}
	for range joined {
		p.expect(comm.OpJoined)
	}
	if err := c.Leave(c.Groups()[0]); err != nil {
		e.Fatal(err)
	}
	if err := c.Join("short"); err != nil {
		e.Fatalf("no room after leaving: %v", err)
	}
}

// present is the users and connection counts of a group.
func (e *env) present(group string) (list []string) {
	for _, p := range e.m.Presence(group) {
		list = append(list, fmt.Sprintf("%s %d", p.User, p.Conns))
	}
	return list
}

func presenceRow(e *env) {
	var seen journal
	e.start(comm.WithAuthenticator(users), comm.WithOpenAccess(), comm.WithPresenceGrace(0), comm.WithOnPresence(seen.presence))
	ann1 := e.connect(asToken("ann"), inGroups("g"))
	ann2 := e.connect(asToken("ann"), inGroups("g"))
	bob := e.connect(asToken("bob"), inGroups("g"))
	for _, p := range []*peer{ann1, ann2, bob} {
		p.joined("g")
	}
	if got := e.present("g"); !slices.Equal(got, []string{"ann 2", "bob 1"}) {
		e.Fatalf("present: %q", got)
	}
	ann1.hangUp()
	e.eventually("ann's first connection to end", func() bool { return e.m.ConnectionCount(comm.ToUser("ann")) == 1 })
	ann2.send(&comm.Frame{Op: comm.OpLeave, Group: "g"})
	ann2.expect(comm.OpLeft)
	c := bob.conn()
	bob.hangUp()
	<-c.Done()
	if got := e.present("g"); len(got) != 0 {
		e.Fatalf("present: %q, want nobody", got)
	}
	// Whoever makes a change does not wait until another has told it.
	e.eventually("four changes", func() bool { return len(seen.all()) >= 4 })
	if got := seen.all(); !slices.Equal(got, []string{"+ann", "+bob", "-ann", "-bob"}) {
		e.Fatalf("changes: %q", got)
	}
}

func (j *journal) presence(ch comm.PresenceChange) {
	sign := "-"
	if ch.Present {
		sign = "+"
	}
	j.add(sign + ch.User)
}

func presenceGraceRow(e *env) {
	var seen journal
	e.start(comm.WithAuthenticator(users), comm.WithOpenAccess(), comm.WithPresenceGrace(10*time.Second), comm.WithOnPresence(seen.presence))
	ann := e.connect(asToken("ann"), inGroups("g"))
	ann.joined("g")
	ann.hangUp()
	time.Sleep(5 * time.Second)
	if got := e.present("g"); !slices.Equal(got, []string{"ann 0"}) {
		e.Fatalf("present during the grace: %q", got)
	}
	ann = e.connect(asToken("ann"), inGroups("g"))
	ann.joined("g")
	time.Sleep(20 * time.Second)
	if got := seen.all(); !slices.Equal(got, []string{"+ann"}) {
		e.Fatalf("changes: %q, want no flap", got)
	}
	ann.hangUp()
	time.Sleep(30 * time.Second)
	if got := seen.all(); !slices.Equal(got, []string{"+ann", "-ann"}) || len(e.present("g")) != 0 {
		e.Fatalf("changes: %q, present %q", got, e.present("g"))
	}
}

func denyRow(e *env) {
	e.start(comm.WithAuthenticator(users))
	victim, witness := e.connect(asToken("bob")), e.connect(asToken("eve"))
	p := e.connect(asToken("ann"), inGroups("g"))
	if f := p.fails("h1", comm.CodeForbidden); f.Group != "g" {
		e.Fatalf("refused: %s", show(f))
	}
	to := "conn:" + victim.welcome.Conn
	for _, f := range []*comm.Frame{
		{Op: comm.OpJoin, Group: "g"},
		{Op: comm.OpPresence, Group: "g"},
		{Op: comm.OpList, Target: "all"},
		{Op: comm.OpClose, Target: to},
	} {
		p.fails(p.send(f), comm.CodeForbidden)
	}
	for _, target := range []string{"all", "user:bob", "group:g", to} {
		p.fails(p.address(comm.OpMessage, "n", target, "1"), comm.CodeForbidden)
	}
	p.fails(p.address(comm.OpCall, "n", to, "1"), comm.CodeForbidden)
	if groups := p.conn().Groups(); len(groups) != 0 {
		e.Fatalf("groups %v", groups)
	}
	for _, q := range []*peer{p, victim, witness} {
		q.nothing()
	}
}

func authorizerRow(e *env) {
	var asked journal
	allow := func(_ context.Context, c *comm.Conn, a comm.Access) error {
		line := fmt.Sprintf("%s %s %s %s", c.User(), a.Action, a.Target, a.Group)
		if a.Message != nil {
			line += " " + a.Message.From()
		}
		asked.add(line)
		if strings.Contains(line, "secret") {
			return &comm.PeerError{Code: comm.CodeForbidden, Message: "not for you"}
		}
		return nil
	}
	e.start(comm.WithAuthenticator(users), comm.WithAuthorizer(allow))
	p := e.connect(asToken("ann"), inGroups("open", "secret"))
	if f := p.fails("h1", comm.CodeForbidden); f.Group != "secret" || f.Text != "not for you" {
		e.Fatalf("refused: %s", show(f))
	}
	p.joined("open")
	p.fails(p.send(&comm.Frame{Op: comm.OpJoin, Group: "secret"}), comm.CodeForbidden)
	p.address(comm.OpMessage, "n", "group:open", `"hi"`)
	if f := p.gets("hi"); f.Message.From() != "user:ann" || f.Message.To() != "group:open" || f.Log.Offset != 1 {
		e.Fatalf("got %s", show(f))
	}
	p.fails(p.address(comm.OpMessage, "n", "group:secret", `1`), comm.CodeForbidden)
	p.fails(p.address(comm.OpMessage, "n", "nonsense", `1`), comm.CodeNotFound)
	want := []string{
		"ann join group:open open", "ann join group:secret secret", "ann join group:secret secret",
		"ann send group:open open user:ann", "ann send group:secret secret user:ann",
	}
	if got := asked.all(); !slices.Equal(got, want) {
		e.Fatalf("asked %q, want %q", got, want)
	}
}

func openRow(e *env) {
	m := e.start(comm.WithAuthenticator(users), comm.WithOpenAccess())
	p := e.connect(asToken("ann/red"), inGroups("g"))
	p.joined("g")
	victim := e.connect(asToken("bob"), inGroups("g"))
	victim.joined("g")

	id := p.send(&comm.Frame{Op: comm.OpPresence, Group: "g"})
	var present []comm.Presence
	p.answered(id, &present)
	if len(present) != 2 || present[0].User != "ann" || present[1].Conns != 1 {
		e.Fatalf("presence: %+v", present)
	}
	id = p.send(&comm.Frame{Op: comm.OpList, Target: "group:g"})
	var list []comm.ConnInfo
	p.answered(id, &list)
	slices.SortFunc(list, func(a, b comm.ConnInfo) int { return strings.Compare(a.User, b.User) })
	if len(list) != 2 || list[0].ID != p.welcome.Conn || list[0].Labels["team"] != "red" ||
		list[0].Provider != e.setup.Provider.Name() || !slices.Equal(list[0].Groups, []string{"g"}) {
		e.Fatalf("list: %+v", list)
	}
	id = p.send(&comm.Frame{Op: comm.OpClose, Target: "conn:" + victim.welcome.Conn})
	if f := p.expect(comm.OpAck); f.ID != id {
		e.Fatalf("close: %s", show(f))
	}
	if r := victim.closed(); r.Kind != comm.ReasonKicked {
		e.Fatalf("closed with %v, want kicked", r)
	}
	e.eventually("the victim to be gone", func() bool { return m.Connection(victim.welcome.Conn) == nil })
	p.fails(p.send(&comm.Frame{Op: comm.OpClose, Target: "conn:" + victim.welcome.Conn}), comm.CodeNotFound)
	p.nothing()
}

// answered decodes the reply to a request.
func (p *peer) answered(id string, v any) {
	p.e.Helper()
	f := p.expect(comm.OpReply)
	if f.ID != id {
		p.e.Fatalf("got %s, want the reply to %q", show(f), id)
	}
	if err := json.Unmarshal(f.Message.Content(), v); err != nil {
		p.e.Fatal(err)
	}
}
