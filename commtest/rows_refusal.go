package commtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// refusalRows are about bad input: each with a witness that loses nothing.
var refusalRows = []row{
	{name: "refusals/unknown type", run: unknownTypeRow},
	{name: "refusals/bad frames keep the connection", run: badFramesRow, needs: rawSender},
	{name: "refusals/the protocol's vectors", run: vectorsRow, needs: rawSender},
	{name: "refusals/oversize", run: oversizeRow, needs: rawSender, wire: true},
	{name: "refusals/first frame is no hello", run: noHelloRow},
	{name: "refusals/bad hello", run: badHelloRow},
	{name: "refusals/undecodable content", run: badContentRow},
	{name: "refusals/panic in a handler", run: panicRow},
	{name: "refusals/message rate", run: rateRow, timed: true},
	{name: "refusals/message rate, again and again", run: floodRow},
	{name: "limits/connections", run: connectionLimitRow},
	{name: "limits/connections of a user", run: userLimitRow},
}

func rawSender(s Setup) string {
	if s.SendRaw != nil {
		return ""
	}
	return "SendRaw"
}

// watched is a client in group g and a witness there; check sends one message to the group and sees
// that the witness got exactly that.
func (e *env) watched(hellos ...hello) (p, witness *peer, check func()) {
	e.Helper()
	p, witness = e.connect(hellos...), e.connect(inGroups("g"))
	witness.joined("g")
	return p, witness, func() {
		e.Helper()
		e.send(comm.ToGroup("g"), "still here", 1)
		witness.gets("still here")
		witness.nothing()
	}
}

func unknownTypeRow(e *env) {
	e.start(comm.WithOpenAccess())
	p, _, check := e.watched()
	f := p.fails(p.say("nonsense", 1), comm.CodeUnknownType)
	if !strings.Contains(f.Text, "nonsense") {
		e.Errorf("the text %q does not name the type", f.Text)
	}
	p.fails(p.call("nonsense", 1), comm.CodeUnknownType)
	check()
	p.nothing()
	if s := p.conn().Stats(); s.FailedIn != 2 || s.MessagesIn != 2 {
		e.Errorf("stats %+v, want 2 messages in, 2 failed", s)
	}
}

func badFramesRow(e *env) {
	e.start(comm.WithOpenAccess())
	p, _, check := e.watched()
	for _, c := range []struct {
		name, raw, id string
		code          comm.Code
	}{
		{"no JSON", `{"type":`, "", comm.CodeBadFrame},
		{"no object", `[1]`, "", comm.CodeBadFrame},
		{"member twice", `{"id":"a","type":"x","type":"y"}`, "a", comm.CodeBadFrame},
		{"wrong type", `{"id":"b","type":1}`, "b", comm.CodeBadFrame},
		{"unknown op", `{"id":"c","op":"dance"}`, "c", comm.CodeUnknownOp},
		{"not for clients", `{"id":"d","op":"welcome"}`, "d", comm.CodeUnknownOp},
		{"no type", `{"id":"e","content":1}`, "e", comm.CodeBadMessage},
		{"bad position", `{"id":"f","op":"join","group":"g","position":"?"}`, "f", comm.CodeBadPosition},
	} {
		if err := e.setup.SendRaw(e.bounded(), p.carrier, []byte(c.raw)); err != nil && p.conn().Err() != nil {
			e.Fatalf("%s: %v", c.name, err)
		}
		f := p.expect(comm.OpError)
		if f.Code != c.code || f.ID != c.id || f.Text == "" {
			e.Errorf("%s: got %s, want %s for %q", c.name, show(f), c.code, c.id)
		}
	}
	p.nothing()
	check()
}

// vectorsRow sends every vector of a client over the carrier: what is valid is not refused as a frame,
// and what is not is refused as the vector says.
func vectorsRow(e *env) {
	list, err := Vectors()
	if err != nil {
		e.Fatal(err)
	}
	m := e.start(comm.WithOpenAccess())
	comm.On(m, "fence", func(context.Context, *comm.Conn, any) error { return nil })
	p, _, check := e.watched()
	for _, v := range list {
		if v.Direction == "server" {
			continue
		}
		if err := e.setup.SendRaw(e.bounded(), p.carrier, []byte(v.Frame)); err != nil && p.conn().Err() != nil {
			e.Fatalf("%s: %s: %v", v.File, v.Name, err)
		}
		switch {
		case v.Error != "":
			if f := p.next(); f == nil || f.Op != comm.OpError || f.Code != v.Error || f.ID != v.ID {
				e.Errorf("%s: %s: got %s, want %s for %q", v.File, v.Name, show(f), v.Error, v.ID)
			}
		case v.Members["op"] == "auth": // answered beside the handlers
			p.expect(comm.OpError)
		default:
			p.understood(v)
		}
	}
	check()
}

// understood reads what a valid frame is answered with.
func (p *peer) understood(v Vector) {
	p.e.Helper()
	fence := p.e.message("fence", nil)
	id := p.send(&comm.Frame{Op: comm.OpMessage, ID: fence.ID(), Ack: true, Message: fence})
	for {
		switch f := p.next(); {
		case f == nil:
			p.e.Fatalf("%s: %s: the connection ended: %v", v.File, v.Name, p.end(f))
		case f.Op == comm.OpAck && f.ID == id:
			return
		case f.Op != comm.OpError:
		case f.Code == comm.CodeBadFrame, f.Code == comm.CodeBadMessage, f.Code == comm.CodeUnknownOp, f.Code == comm.CodeBadPosition:
			p.e.Errorf("%s: %s: refused with %s", v.File, v.Name, show(f))
		}
	}
}

func oversizeRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithMaxMessage(4096))
	comm.On(m, "n", func(context.Context, *comm.Conn, string) error { return nil })
	p, _, check := e.watched()
	if p.welcome.MaxMessage != 4096 {
		e.Fatalf("welcome says %d", p.welcome.MaxMessage)
	}
	raw := func(size int) []byte {
		head := []byte(`{"op":"message","id":"big","ack":true,"type":"n","content":"`)
		return append(append(head, bytes.Repeat([]byte("x"), size-len(head)-2)...), `"}`...)
	}
	if err := e.setup.SendRaw(e.bounded(), p.carrier, raw(4096)); err != nil {
		e.Fatal(err)
	}
	if f := p.expect(comm.OpAck); f.ID != "big" {
		e.Fatalf("a frame of just the limit: %s", show(f))
	}
	c := p.conn()
	err := e.setup.SendRaw(e.bounded(), p.carrier, raw(4097))
	check()
	// A carrier on requests refuses the one; a carrier on a stream has lost its place and ends.
	if err == nil || c.Err() != nil {
		if r := p.closed(); r.Kind != comm.ReasonTooLarge {
			e.Fatalf("closed with %v, want too_large", r)
		}
		<-c.Done()
		if comm.ReasonOf(c.Err()) != comm.ReasonTooLarge {
			e.Fatalf("closed with %v, want too_large", c.Err())
		}
		return
	}
	p.nothing()
}

func noHelloRow(e *env) {
	m := e.start()
	witness := e.connect()
	c, err := e.setup.Dialer(e.endpoint).Dial(e.bounded(), &comm.Frame{Op: comm.OpJoin, ID: "j", Group: "g"})
	if err == nil {
		defer c.Close(e.bounded())
		for {
			f, err := c.Receive(e.bounded())
			if err != nil || f.Op == comm.OpClosing {
				break
			}
			if f.Op != comm.OpError {
				e.Fatalf("got %s without a hello", show(f))
			}
		}
	}
	if n := m.ConnectionCount(comm.ToAll()); n != 1 {
		e.Fatalf("%d connections, want the witness", n)
	}
	witness.nothing()
}

func badHelloRow(e *env) {
	e.start()
	witness := e.connect()
	many := make(map[string]string)
	for i := range 17 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	for _, h := range []hello{
		func(f *comm.Frame) { f.Hello.Metadata = many },
		func(f *comm.Frame) { f.Hello.Metadata = map[string]string{"k": strings.Repeat("v", 3<<10)} },
	} {
		if err := e.refused(h); err == nil {
			e.Error("not refused")
		}
	}
	witness.nothing()
}

func badContentRow(e *env) {
	m := e.start()
	comm.On(m, "number", func(context.Context, *comm.Conn, int) error { return nil })
	comm.On(m, "coded", func(context.Context, *comm.Conn, int) error {
		return &comm.PeerError{Code: comm.CodeLimit, Message: "enough of you"}
	})
	comm.On(m, "broken", func(context.Context, *comm.Conn, int) error { return errors.New("database password is 123") })
	p := e.connect()
	p.fails(p.say("number", map[string]int{"a": 1}), comm.CodeBadMessage)
	if f := p.fails(p.say("coded", 1), comm.CodeLimit); f.Text != "enough of you" {
		e.Errorf("got %s", show(f))
	}
	if f := p.fails(p.say("broken", 1), comm.CodeInternal); strings.Contains(f.Text, "password") {
		e.Errorf("the client is told %q", f.Text)
	}
	if !strings.Contains(e.log.String(), "password") {
		e.Error("the handler's error is not logged")
	}
	p.nothing()
}

func panicRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	comm.On(m, "boom", func(context.Context, *comm.Conn, int) error { panic("on purpose") })
	comm.On(m, "fine", func(context.Context, *comm.Conn, int) error { return nil })
	p, _, check := e.watched()
	p.fails(p.say("boom", 1), comm.CodeInternal)
	p.acked("fine", 1)
	check()
	if l := e.log.String(); !strings.Contains(l, "on purpose") || !strings.Contains(l, "rows_refusal.go") {
		e.Errorf("the panic is not logged with its stack: %s", l)
	}
}

func rateRow(e *env) {
	m := e.start(comm.WithMessageRate(10, 20))
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	p := e.connect()
	const sent = 40
	for i := range sent {
		p.send(&comm.Frame{Op: comm.OpMessage, Ack: true, Message: e.message("n", i)})
	}
	acked, refused := 0, 0
	for range sent {
		switch f := p.next(); {
		case f != nil && f.Op == comm.OpAck:
			acked++
		case f != nil && f.Op == comm.OpError && f.Code == comm.CodeRateLimited:
			refused++
		default:
			e.Fatalf("got %s, %v", show(f), p.end(f))
		}
	}
	if acked < 20 || acked > 25 || acked+refused != sent {
		e.Fatalf("%d handled and %d refused of a burst of %d, want 20 handled", acked, refused, sent)
	}
	time.Sleep(time.Second)
	p.acked("n", 1)
	p.nothing()
}

// floodRow: a client that goes on over the rate, whatever it is told, is closed.
func floodRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithMessageRate(10, 20))
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	p, _, check := e.watched()
	c, began := p.conn(), time.Now()
	for i := 0; i < 200 && c.Err() == nil; i++ {
		if err := p.carrier.Send(e.bounded(), &comm.Frame{Op: comm.OpMessage, ID: "x", Message: e.message("n", i)}); err != nil {
			break
		}
	}
	if r := p.closed(); r.Kind != comm.ReasonRateLimited {
		e.Fatalf("closed with %v, want rate_limited", r)
	}
	<-c.Done()
	most := 22 + int64(10*time.Since(began).Seconds()) // a slow machine takes long enough for more
	if s := c.Stats(); s.FailedIn < 20 || s.FailedIn > most {
		e.Fatalf("%d refused before the end, want the burst of 20", s.FailedIn)
	}
	check()
}

func connectionLimitRow(e *env) {
	m := e.start(comm.WithMaxConnections(2))
	first, second := e.connect(), e.connect()
	if err := e.refused(); err == nil {
		e.Fatal("a third connection was admitted")
	}
	c := first.conn()
	first.hangUp()
	<-c.Done()
	e.eventually("room", func() bool { return m.ConnectionCount(comm.ToAll()) == 1 })
	e.connect().nothing()
	second.nothing()
}

func userLimitRow(e *env) {
	e.start(comm.WithMaxConnectionsPerUser(1), comm.WithAuthenticator(users))
	ann, bob := e.connect(asToken("ann")), e.connect(asToken("bob"))
	if err := e.refused(asToken("ann")); err == nil {
		e.Fatal("a second connection of ann was admitted")
	}
	// Coming back in the same session takes the place of the old connection.
	back := e.connect(asToken("ann"), resuming(ann.welcome.Session))
	if !back.welcome.Resumed {
		e.Fatal("not resumed")
	}
	if r := ann.closed(); r.Kind != comm.ReasonSuperseded {
		e.Fatalf("closed with %v, want superseded", r)
	}
	back.nothing()
	bob.nothing()
}
