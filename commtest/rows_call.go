package commtest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// callRows are about handlers, calls and acknowledgements.
var callRows = []row{
	{name: "handlers/serial and in order", run: serialRow, wire: true},
	{name: "handlers/stamps and middleware", run: stampRow},
	{name: "handlers/reader goes on beside a handler", run: besideRow},
	{name: "handlers/full inbound queue", run: inboundRow},
	{name: "calls/client to service", run: clientCallRow, wire: true},
	{name: "calls/service to client", run: serviceCallRow},
	{name: "calls/from inside a handler to the same connection", run: nestedCallRow},
	{name: "calls/a reply behind a full inbound queue", run: lateReplyRow},
	{name: "calls/client to client", run: forwardedCallRow},
	{name: "calls/time out", run: callTimeoutRow, timed: true},
	{name: "acks/of handlers", run: ackRow},
	{name: "acks/of clients", run: pendingRow},
	{name: "calls/trace goes through", run: traceRow},
}

func serialRow(e *env) {
	m := e.start()
	const n = 200
	var running atomic.Int64
	got := make(chan int, n)
	comm.On(m, "n", func(_ context.Context, _ *comm.Conn, i int) error {
		if running.Add(1) != 1 {
			e.Error("two handlers of one connection run at once")
		}
		defer running.Add(-1)
		got <- i
		return nil
	})
	p := e.connect()
	for i := range n {
		p.say("n", i)
	}
	for i := range n {
		if v := <-got; v != i {
			e.Fatalf("handled %d, want %d", v, i)
		}
	}
	p.nothing()
}

func stampRow(e *env) {
	var order journal
	wrap := func(name string) comm.Middleware {
		return func(next comm.Handler) comm.Handler {
			return func(ctx context.Context, c *comm.Conn, m *comm.Message) error {
				order.add(name)
				return next(ctx, c, m)
			}
		}
	}
	m := e.start(comm.WithAuthenticator(users), comm.WithMiddleware(wrap("outer"), wrap("inner")))
	got := make(chan *comm.Message, 2)
	comm.On(m, "*", func(_ context.Context, _ *comm.Conn, m *comm.Message) error { got <- m; return nil })
	p := e.connect(asToken("ann"))
	old, err := comm.NewMessage("n", 1, comm.WithFrom("user:root"), comm.WithID("chosen"), comm.WithHeader("h", "v"),
		comm.WithTimestamp(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		e.Fatal(err)
	}
	p.send(&comm.Frame{Op: comm.OpMessage, ID: old.ID(), Message: old})
	v := <-got
	if v.From() != "user:ann" || v.ID() != "chosen" || v.Header("h") != "v" || time.Since(v.Timestamp()).Abs() > time.Hour {
		e.Fatalf("from %q, id %q, header %q, time %v", v.From(), v.ID(), v.Header("h"), v.Timestamp())
	}
	if o := order.all(); len(o) != 2 || o[0] != "outer" || o[1] != "inner" {
		e.Fatalf("middleware %q", o)
	}
	anon := e.connect()
	anon.say("n", 1)
	if v := <-got; v.From() != "conn:"+anon.welcome.Conn {
		e.Fatalf("from %q, want the connection", v.From())
	}
}

func besideRow(e *env) {
	m := e.start(comm.WithAuthenticator(users))
	release, started := make(chan struct{}), make(chan struct{})
	comm.On(m, "slow", func(context.Context, *comm.Conn, int) error { close(started); <-release; return nil })
	p := e.connect()
	p.send(&comm.Frame{Op: comm.OpMessage, ID: "s", Ack: true, Message: e.message("slow", 1)})
	<-started
	id := p.send(&comm.Frame{Op: comm.OpAuth, Token: ""})
	if f := p.expect(comm.OpAuthed); f.ID != id {
		e.Fatalf("got %s", show(f))
	}
	e.send(comm.ToConn(p.welcome.Conn), "meanwhile", 1)
	p.gets("meanwhile")
	close(release)
	p.expect(comm.OpAck)
}

func inboundRow(e *env) {
	m := e.start()
	release := make(chan struct{})
	var handled atomic.Int64
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { <-release; handled.Add(1); return nil })
	p, witness := e.connect(), e.connect()
	const n = 100 // more than the inbound queue holds
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			p.say("n", i)
		}
	}()
	e.eventually("a handler to run", func() bool { return p.conn().Stats().MessagesIn > 0 })
	witness.nothing()
	close(release)
	<-sent
	e.eventually("all to be handled", func() bool { return handled.Load() == n })
	p.nothing()
}

func clientCallRow(e *env) {
	m := e.start()
	comm.OnCall(m, "sum", func(_ context.Context, _ *comm.Conn, v []int) (int, error) {
		if len(v) == 0 {
			return 0, &comm.PeerError{Code: comm.CodeBadMessage, Message: "nothing to add"}
		}
		return v[0] + v[1], nil
	})
	comm.On(m, "quiet", func(context.Context, *comm.Conn, int) error { return nil })
	p := e.connect()
	var sum int
	if p.answered(p.call("sum", []int{1, 2}), &sum); sum != 3 {
		e.Fatalf("sum %d", sum)
	}
	p.fails(p.call("sum", []int{}), comm.CodeBadMessage)
	p.fails(p.call("sum", "text"), comm.CodeBadMessage)
	var none any = 1
	if p.answered(p.call("quiet", 1), &none); none != nil {
		e.Fatalf("the reply of a handler without one: %v", none)
	}
	p.acked("sum", []int{1, 2})
	p.nothing()
}

// reply answers the next frame, a call, with content or an error.
func (p *peer) reply(content any, err *comm.PeerError) *comm.Frame {
	p.e.Helper()
	f := p.expect(comm.OpCall)
	if err != nil {
		p.send(&comm.Frame{Op: comm.OpError, ID: f.ID, Code: err.Code, Text: err.Message})
		return f
	}
	p.send(&comm.Frame{Op: comm.OpReply, ID: f.ID, Message: p.e.message("reply", content)})
	return f
}

func serviceCallRow(e *env) {
	m := e.start()
	p := e.connect()
	type result struct {
		v   int
		err error
	}
	call := func() chan result {
		done := make(chan result, 1)
		go func() {
			v, err := comm.CallAs[int](e.bounded(), m, p.welcome.Conn, "double", 4)
			done <- result{v, err}
		}()
		return done
	}
	done := call()
	if f := p.reply(8, nil); f.Message.Type() != "double" || text(f) != "4" {
		e.Fatalf("called with %s", show(f))
	}
	if r := <-done; r.v != 8 || r.err != nil {
		e.Fatalf("reply %+v", r)
	}
	done = call()
	p.reply(nil, &comm.PeerError{Code: comm.CodeUnknownType, Message: "no"})
	r := <-done
	if pe, ok := errors.AsType[*comm.PeerError](r.err); !ok || pe.Code != comm.CodeUnknownType || pe.Message != "no" {
		e.Fatalf("error %v", r.err)
	}
	done = call()
	p.expect(comm.OpCall)
	p.hangUp()
	if r := <-done; !errors.Is(r.err, comm.ErrDisconnected) {
		e.Fatalf("error %v, want ErrDisconnected", r.err)
	}
	if _, err := m.Call(e.bounded(), "nobody", e.message("n", 1)); !errors.Is(err, comm.ErrNotFound) {
		e.Fatalf("error %v, want ErrNotFound", err)
	}
}

func nestedCallRow(e *env) {
	m := e.start()
	comm.OnCall(m, "greet", func(ctx context.Context, c *comm.Conn, _ any) (string, error) {
		msg, err := comm.NewMessage("name", nil)
		if err != nil {
			return "", err
		}
		reply, err := c.Call(ctx, msg)
		if err != nil {
			return "", err
		}
		name, err := comm.Decode[string](reply)
		return "hello " + name, err
	})
	p := e.connect()
	id := p.call("greet", nil)
	p.reply("ann", nil)
	var greeting string
	if p.answered(id, &greeting); greeting != "hello ann" {
		e.Fatalf("got %q", greeting)
	}
}

// lateReplyRow: the reply that a handler waits for stands behind more messages than the service takes
// while a handler is busy.
func lateReplyRow(e *env) {
	m := e.start(comm.WithTimeout(patience))
	ask := make(chan error, 1)
	comm.On(m, "ask", func(ctx context.Context, c *comm.Conn, _ any) error {
		_, err := c.Call(ctx, e.message("name", nil))
		ask <- err
		return err
	})
	var handled atomic.Int64
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { handled.Add(1); return nil })
	p := e.connect()
	p.say("ask", nil)
	f := p.expect(comm.OpCall)
	const n = 200
	for i := range n {
		p.say("n", i)
	}
	p.send(&comm.Frame{Op: comm.OpReply, ID: f.ID, Message: e.message("reply", "ann")})
	if err := <-ask; err != nil {
		e.Fatalf("the handler's call: %v", err)
	}
	e.eventually("all to be handled", func() bool { return handled.Load() == n })
	p.nothing()
}

func forwardedCallRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithAuthenticator(users))
	ann, bob := e.connect(asToken("ann")), e.connect(asToken("bob"))
	id := ann.address(comm.OpCall, "double", "conn:"+bob.welcome.Conn, "4")
	if f := bob.reply(8, nil); f.Message.From() != "user:ann" || f.ID == id {
		e.Fatalf("called with %s: want from user:ann and an id of the server's", show(f))
	}
	var v int
	if ann.answered(id, &v); v != 8 {
		e.Fatalf("reply %d", v)
	}
	id = ann.address(comm.OpCall, "double", "conn:"+bob.welcome.Conn, "4")
	bob.reply(nil, &comm.PeerError{Code: comm.CodeUnknownType, Message: "no"})
	ann.fails(id, comm.CodeUnknownType)
	ann.fails(ann.address(comm.OpCall, "double", "conn:nobody", "4"), comm.CodeNotFound)
	ann.fails(ann.address(comm.OpCall, "double", "user:bob", "4"), comm.CodeNotFound)
	bob.nothing()
}

func callTimeoutRow(e *env) {
	m := e.start(comm.WithTimeout(7 * time.Second))
	p := e.connect()
	start := time.Now()
	_, err := m.Call(context.Background(), p.welcome.Conn, e.message("n", 1))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 7*time.Second {
		e.Fatalf("%v after %v, want a timeout after 7 s", err, time.Since(start))
	}
	f := p.expect(comm.OpCall)
	p.send(&comm.Frame{Op: comm.OpReply, ID: f.ID, Message: e.message("reply", 1)}) // too late: ignored
	p.nothing()
}

func ackRow(e *env) {
	m := e.start()
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	p := e.connect()
	p.acked("n", 1)
	p.say("n", 2) // asks for nothing and gets nothing
	p.nothing()
}

func pendingRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	p, q, r := e.connect(inGroups("g")), e.connect(inGroups("g")), e.connect(inGroups("g"))
	for _, x := range []*peer{p, q, r} {
		x.joined("g")
	}
	d, err := m.Send(e.Context(), comm.ToGroup("g"), e.message("n", 1), comm.WithAck())
	if err != nil || d.Pending == nil || d.Queued != 3 {
		e.Fatalf("%+v, %v", d, err)
	}
	for _, x := range []*peer{p, q, r} {
		if f := x.gets(1); !f.Ack {
			e.Fatalf("no ack is asked for: %s", show(f))
		}
	}
	p.send(&comm.Frame{Op: comm.OpAck, ID: d.ID})
	q.send(&comm.Frame{Op: comm.OpError, ID: d.ID, Code: comm.CodeInternal, Text: "failed"})
	early, cancel := context.WithTimeout(e.Context(), 20*time.Millisecond)
	defer cancel()
	<-early.Done()
	r.hangUp()
	acked, err := d.Pending.Wait(e.bounded())
	if pe, ok := errors.AsType[*comm.PeerError](err); acked != 1 || !ok || pe.Message != "failed" || !errors.Is(err, comm.ErrDisconnected) {
		e.Fatalf("%d acked, %v: want 1, the error of one, and the end of another", acked, err)
	}
	d, err = m.Send(e.Context(), comm.ToGroup("empty"), e.message("n", 1), comm.WithAck())
	if err != nil {
		e.Fatal(err)
	}
	if acked, err := d.Pending.Wait(e.bounded()); acked != 0 || err != nil {
		e.Fatalf("nobody there: %d, %v", acked, err)
	}
	d, err = m.Send(e.Context(), comm.ToConn(p.welcome.Conn), e.message("n", 2), comm.WithAck())
	if err != nil {
		e.Fatal(err)
	}
	short, cancel := context.WithTimeout(e.Context(), 20*time.Millisecond)
	defer cancel()
	if acked, err := d.Pending.Wait(short); acked != 0 || !errors.Is(err, context.DeadlineExceeded) {
		e.Fatalf("unanswered: %d, %v", acked, err)
	}
}

func traceRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	seen := make(chan string, 1)
	comm.On(m, "in", func(ctx context.Context, c *comm.Conn, _ int) error {
		seen <- comm.Traceparent(ctx)
		msg, err := comm.NewMessage("out", 1)
		if err != nil {
			return err
		}
		_, err = m.Send(ctx, comm.ToGroup("g"), msg)
		return err
	})
	comm.OnCall(m, "double", func(_ context.Context, _ *comm.Conn, n int) (int, error) { return 2 * n, nil })
	p, q := e.connect(), e.connect(inGroups("g"))
	q.joined("g")
	call, err := comm.NewMessage("double", 4, comm.WithHeader("traceparent", parent))
	if err != nil {
		e.Fatal(err)
	}
	p.send(&comm.Frame{Op: comm.OpCall, Message: call})
	reply := p.expect(comm.OpReply)
	p.say("in", 1, comm.WithHeader("traceparent", parent))
	inside := <-seen
	f := q.gets(1)
	for _, got := range []string{reply.Message.Header("traceparent"), inside, f.Message.Header("traceparent")} {
		if len(got) != len(parent) || got[:35] != parent[:35] {
			e.Fatalf("the trace goes on as %q, want that of %q", got, parent)
		}
	}
}
