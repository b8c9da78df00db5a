package commtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/anasamu/comm"
)

// attachRows are about the way in.
var attachRows = []row{
	{name: "attach/welcome", run: welcomeRow, wire: true},
	{name: "attach/unsupported version", run: versionRow},
	{name: "attach/unexpected hello", run: unexpectedHelloRow},
	{name: "attach/hello groups and metadata", run: helloGroupsRow},
	{name: "attach/lifecycle hooks", run: hooksRow},
	{name: "attach/refused by OnConnect", run: onConnectRefusesRow},
}

func welcomeRow(e *env) {
	m := e.start()
	p := e.connect()
	w := p.welcome
	if w.Version != 1 || w.Conn == "" || w.Session == "" || w.User != "" || w.Node != m.Node() || w.MaxMessage != 1<<20 || w.Resumed {
		e.Fatalf("welcome %+v", w)
	}
	c := p.conn()
	if c.Provider() != e.setup.Provider.Name() || c.Session() != w.Session || c.RemoteAddr() == nil {
		e.Fatalf("connection: provider %q, session %q, address %v", c.Provider(), c.Session(), c.RemoteAddr())
	}
	p.nothing()
	if n := m.ConnectionCount(comm.ToAll()); n != 1 {
		e.Fatalf("%d connections, want 1", n)
	}
	p.hangUp()
	e.eventually("the connection to end", func() bool { return m.ConnectionCount(comm.ToAll()) == 0 })
	<-c.Done()
	if err := c.Err(); !errors.Is(err, comm.ErrClosed) {
		e.Fatalf("Err after the end: %v", err)
	}
	if _, err := c.Send(e.Context(), e.message("n", 1)); !errors.Is(err, comm.ErrClosed) {
		e.Fatalf("Send after the end: %v, want ErrClosed", err)
	}
	if err := c.Join("g"); !errors.Is(err, comm.ErrClosed) {
		e.Fatalf("Join after the end: %v, want ErrClosed", err)
	}
}

func versionRow(e *env) {
	e.start()
	err := e.refused(asVersion(9))
	if err == nil || !mentions(err, "9") {
		e.Fatalf("version 9: %v, want a refusal that names it", err)
	}
	e.connect().nothing()
}

func unexpectedHelloRow(e *env) {
	e.start()
	p := e.connect()
	id := p.send(&comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: 1}})
	p.fails(id, comm.CodeUnexpectedHello)
	p.nothing()
}

func helloGroupsRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("b", "a"), func(f *comm.Frame) { f.Hello.Metadata = map[string]string{"device": "phone"} })
	p.joined("b")
	p.joined("a")
	c := p.conn()
	if got := c.Groups(); !slices.Equal(got, []string{"a", "b"}) {
		e.Fatalf("groups %v", got)
	}
	if c.Metadata()["device"] != "phone" {
		e.Fatalf("metadata %v", c.Metadata())
	}
	e.send(comm.ToGroup("a"), 1, 1)
	p.gets(1)
}

func mentions(err error, s string) bool { return err != nil && strings.Contains(err.Error(), s) }

func hooksRow(e *env) {
	var seen journal
	m := e.start(
		comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
			seen.add("connect")
			a.User, a.Labels, a.Groups = "ann", map[string]string{"team": "red"}, []string{"staff"}
			return nil
		}),
		comm.WithOnJoin(func(c *comm.Conn, group string) { seen.add("join " + group) }),
		comm.WithOnLeave(func(c *comm.Conn, group string) { seen.add("leave " + group) }),
		comm.WithOnDisconnect(func(c *comm.Conn, d comm.Disconnection) {
			seen.add(fmt.Sprintf("disconnect %d", d.Stats.MessagesOut))
		}),
	)
	p := e.connect()
	if p.welcome.User != "ann" {
		e.Fatalf("user %q, want the one of OnConnect", p.welcome.User)
	}
	p.joined("staff")
	c := p.conn()
	if c.User() != "ann" || c.Label("team") != "red" {
		e.Fatalf("user %q, labels %v", c.User(), c.Labels())
	}
	if err := c.Join("more"); err != nil {
		e.Fatal(err)
	}
	p.joined("more")
	e.send(comm.ToUser("ann"), 1, 1)
	p.gets(1)
	if err := c.Leave("more"); err != nil {
		e.Fatal(err)
	}
	p.expect(comm.OpLeft)
	if err := m.CloseConnection(e.bounded(), c.ID(), "enough"); err != nil {
		e.Fatal(err)
	}
	if r := p.closed(); r.Kind != comm.ReasonKicked || r.Text != "enough" {
		e.Errorf("closed with %v", r)
	}
	want := []string{"connect", "join staff", "join more", "leave more", "leave staff", "disconnect 1"}
	e.eventually("all hooks", func() bool { return len(seen.all()) >= len(want) }) // whoever ends a connection does not wait for them
	if got := seen.all(); !slices.Equal(got, want) {
		e.Fatalf("hooks %q, want %q", got, want)
	}
}

func onConnectRefusesRow(e *env) {
	m := e.start(comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error {
		return &comm.PeerError{Code: comm.CodeForbidden, Message: "closed on Sundays"}
	}))
	if err := e.refused(); !mentions(err, "closed on Sundays") {
		e.Fatalf("refused with %v, want the hook's text", err)
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 0 {
		e.Fatalf("%d connections", n)
	}
}

// journal is lines that hooks write.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}
