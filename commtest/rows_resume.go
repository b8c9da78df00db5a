package commtest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// resumeRows are about sessions, positions, replay and gaps.
var resumeRows = []row{
	{name: "resume/goes on where it was", run: resumeRow, wire: true},
	{name: "resume/supersedes", run: supersedeRow},
	{name: "resume/kicked session is refused by name", run: kickedRow},
	{name: "resume/unknown session is a notice", run: unknownSessionRow},
	{name: "resume/session too old", run: oldSessionRow, timed: true},
	{name: "resume/position grants nothing", run: grantsNothingRow},
}

// back ends a peer without its server's doing and returns what its next connection says.
func (p *peer) back() []hello {
	p.e.Helper()
	p.hangUp()
	c := p.e.m.Connection(p.welcome.Conn)
	if c != nil {
		<-c.Done()
	}
	return []hello{resuming(p.welcome.Session), at(p.pos)}
}

// numbers sends numbers from..to to a target and returns them.
func (e *env) numbers(t comm.Target, from, to, matched int) (list []any) {
	e.Helper()
	for i := from; i <= to; i++ {
		e.send(t, i, matched)
		list = append(list, i)
	}
	return list
}

func resumeRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	p.gets(e.numbers(comm.ToGroup("g"), 1, 3, 1)...)
	id, hellos := p.conn().SessionID(), p.back()
	missed := e.numbers(comm.ToGroup("g"), 4, 6, 0)
	q := e.connect(append(hellos, inGroups("g"))...)
	if !q.welcome.Resumed || q.welcome.Session != p.welcome.Session || q.welcome.Conn == p.welcome.Conn {
		e.Fatalf("welcome %+v after %+v", q.welcome, p.welcome)
	}
	if c := q.conn(); c.SessionID() != id || !c.Resumed() {
		e.Fatalf("session %q, want %q", c.SessionID(), id)
	}
	if at := q.joined("g"); at.Offset != 3 {
		e.Fatalf("goes on behind %v, want 3", at)
	}
	q.gets(missed...)
	q.gets(e.numbers(comm.ToGroup("g"), 7, 7, 1)...)
	q.nothing()
}

func supersedeRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	p.gets(e.numbers(comm.ToGroup("g"), 1, 1, 1)...)
	q := e.connect(inGroups("g"), resuming(p.welcome.Session), at(p.pos))
	if r := p.closed(); r.Kind != comm.ReasonSuperseded {
		e.Fatalf("closed with %v, want superseded", r)
	}
	q.joined("g")
	q.gets(e.numbers(comm.ToGroup("g"), 2, 2, 1)...)
	q.nothing()
}

func kickedRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	if err := m.CloseConnection(e.bounded(), p.welcome.Conn, "out"); err != nil {
		e.Fatal(err)
	}
	if r := p.closed(); r.Kind != comm.ReasonKicked {
		e.Fatalf("closed with %v, want kicked", r)
	}
	err := e.refused(p.back()...)
	if !mentions(err, string(comm.CodeSessionRevoked)) && !mentions(err, "closed by the server") {
		e.Fatalf("refused with %v, want session_revoked", err)
	}
	e.connect().nothing()
}

func unknownSessionRow(e *env) {
	e.start(comm.WithAuthenticator(users), comm.WithOpenAccess())
	ann := e.connect(asToken("ann"))
	for _, secret := range []string{"nonsense", ann.welcome.Session} {
		p := e.connect(asToken("bob"), inGroups("g"), resuming(secret))
		if p.welcome.Resumed || p.welcome.Session == secret {
			e.Fatalf("welcome %+v", p.welcome)
		}
		p.fails("h1", comm.CodeSessionUnknown)
		p.joined("g")
		p.nothing()
	}
	ann.nothing()
}

func oldSessionRow(e *env) {
	e.start(comm.WithResumeWindow(time.Minute))
	p := e.connect()
	hellos := p.back()
	time.Sleep(50 * time.Second)
	q := e.connect(hellos...)
	if !q.welcome.Resumed {
		e.Fatal("not resumed within the window")
	}
	hellos = q.back()
	time.Sleep(90 * time.Second)
	if r := e.connect(hellos...); r.welcome.Resumed {
		e.Fatal("resumed long after the window")
	}
}

func grantsNothingRow(e *env) {
	var closed atomic.Bool // read on goroutines that nothing orders with this one where the carrier is packets
	e.start(comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error {
		if closed.Load() {
			return comm.ErrForbidden
		}
		return nil
	}))
	p := e.connect(inGroups("g"))
	p.joined("g")
	p.gets(e.numbers(comm.ToGroup("g"), 1, 1, 1)...)
	hellos := p.back()
	e.numbers(comm.ToGroup("g"), 2, 2, 0)
	closed.Store(true)
	q := e.connect(append(hellos, inGroups("g"))...)
	if f := q.fails("h1", comm.CodeForbidden); f.Group != "g" {
		e.Fatalf("got %s", show(f))
	}
	q.nothing()
	r := e.connect(hellos...) // names the log without asking to join
	r.nothing()
}

func position(s string) comm.Position {
	p, err := comm.ParsePosition(s)
	if err != nil {
		panic(err)
	}
	return p
}
