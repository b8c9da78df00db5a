package commtest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// lifeRows are about signs of life, the end of the server, and numbers.
var lifeRows = []row{
	{name: "life/quiet connection stays", run: quietConnRow, timed: true},
	{name: "life/half-open peer is closed", run: halfOpenRow, timed: true, needs: verdict},
	{name: "life/handler longer than the heartbeat", run: longHandlerRow, timed: true},
	{name: "life/ping and pong", run: pingRow},
	{name: "life/drain", run: drainRow, wire: true},
	{name: "life/drain cuts what is left", run: drainCutRow, timed: true},
	{name: "life/close flushes first", run: closeFlushRow},
	{name: "life/stop and start again", run: restartRow},
	{name: "life/stats", run: statsRow},
	{name: "life/features", run: featuresRow},
}

func verdict(s Setup) string {
	if s.Verdict {
		return ""
	}
	return "verdict on silent clients"
}

func quietConnRow(e *env) {
	e.start(comm.WithHeartbeat(10 * time.Second))
	p := e.connect()
	c := p.conn()
	time.Sleep(10 * time.Minute)
	if err := c.Err(); err != nil {
		e.Fatalf("closed: %v", err)
	}
	p.nothing()
}

func halfOpenRow(e *env) {
	e.start(comm.WithHeartbeat(10 * time.Second))
	silent, witness := e.idle(), e.connect()
	c := silent.conn()
	start := time.Now()
	<-c.Done()
	if comm.ReasonOf(c.Err()) != comm.ReasonHeartbeat {
		e.Fatalf("closed with %v, want heartbeat", c.Err())
	}
	if after := time.Since(start); after < 9*time.Second || after > time.Minute {
		e.Fatalf("closed after %v with a heartbeat of 10 s", after)
	}
	witness.nothing()
}

func longHandlerRow(e *env) {
	m := e.start(comm.WithHeartbeat(10 * time.Second))
	comm.On(m, "slow", func(ctx context.Context, _ *comm.Conn, _ int) error {
		select {
		case <-time.After(5 * time.Minute):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	p := e.connect()
	msg := e.message("slow", 1)
	p.send(&comm.Frame{Op: comm.OpMessage, ID: msg.ID(), Ack: true, Message: msg})
	time.Sleep(5*time.Minute + time.Second)
	if f := p.expect(comm.OpAck); f.ID != msg.ID() {
		e.Fatalf("got %s", show(f))
	}
	p.nothing()
}

func pingRow(e *env) {
	e.start()
	p := e.idle()
	id := p.send(&comm.Frame{Op: comm.OpPing})
	f, err := p.carrier.Receive(e.bounded())
	if err != nil || f.Op != comm.OpPong || f.ID != id {
		e.Fatalf("got %s, %v, want the pong", show(f), err)
	}
}

func drainRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithDrainSpread(300*time.Millisecond), comm.WithQueue(10_000, 64<<20))
	release, finished := make(chan struct{}), atomic.Bool{}
	comm.On(m, "slow", func(ctx context.Context, _ *comm.Conn, _ int) error {
		<-release
		finished.Store(ctx.Err() == nil)
		return nil
	})
	p, q := e.connect(inGroups("g")), e.connect(inGroups("g"))
	p.joined("g")
	q.joined("g")
	msg := e.message("slow", 1)
	p.send(&comm.Frame{Op: comm.OpMessage, ID: msg.ID(), Ack: true, Message: msg})
	e.eventually("the handler to run", func() bool { return p.conn().Stats().MessagesIn == 1 })
	last := e.numbers(comm.ToGroup("g"), 1, 300, 2)
	done := make(chan error, 1)
	go func() { done <- m.Drain(e.bounded()) }()
	e.eventually("readiness to end", func() bool { return !m.Health(e.bounded()).Ready })
	time.Sleep(20 * time.Millisecond)
	close(release)
	p.drained(last, msg.ID())
	q.drained(last, "")
	if err := <-done; err != nil {
		e.Fatalf("drain: %v", err)
	}
	if !finished.Load() {
		e.Error("the handler's context ended before it")
	}
	if c, err := e.dial(); err == nil {
		if f, err := c.Receive(e.bounded()); err == nil && f.Op == comm.OpWelcome {
			e.Fatal("a client is welcome after the drain")
		}
	}
}

// drained expects messages, in between an ack, and the goodbye of a drain.
func (p *peer) drained(messages []any, ack string) {
	p.e.Helper()
	for len(messages) > 0 || ack != "" {
		f := p.next()
		switch {
		case f != nil && f.Op == comm.OpAck && f.ID == ack:
			ack = ""
		case f != nil && f.Op == comm.OpMessage && len(messages) > 0:
			messages = messages[1:]
		default:
			p.e.Fatalf("got %s (end: %v), want %d messages and the ack %q first", show(f), p.end(f), len(messages), ack)
		}
	}
	if r := p.closed(); r.Kind != comm.ReasonDrain || !r.Reconnect() || r.After <= 0 || r.After > time.Second {
		p.e.Fatalf("closed with %+v, want a drain and a moment to return after", r)
	}
}

func drainCutRow(e *env) {
	m := e.start()
	comm.On(m, "stuck", func(ctx context.Context, _ *comm.Conn, _ int) error { <-ctx.Done(); return nil })
	p := e.connect()
	p.say("stuck", 1)
	e.eventually("the handler to run", func() bool { return p.conn().Stats().MessagesIn == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	start := time.Now()
	if err := m.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		e.Fatal(err)
	}
	if took := time.Since(start); took > 25*time.Second {
		e.Fatalf("drained for %v, allowed were 20 s", took)
	}
	if r := p.closed(); r.Kind != comm.ReasonDrain && r.Kind != comm.ReasonLost {
		e.Fatalf("closed with %v", r)
	}
}

func closeFlushRow(e *env) {
	m := e.start(comm.WithQueue(10_000, 64<<20))
	p := e.connect()
	list := e.numbers(comm.ToConn(p.welcome.Conn), 1, 500, 1)
	c := p.conn()
	if err := c.Close(e.bounded(), "bye"); err != nil {
		e.Fatal(err)
	}
	p.gets(list...)
	if r := p.closed(); r.Kind != comm.ReasonNormal || r.Text != "bye" {
		e.Fatalf("closed with %+v", r)
	}
	if err := errors.Join(c.Close(e.bounded(), "again"), c.Kick(e.bounded(), "again")); err != nil {
		e.Fatalf("closing twice: %v", err)
	}
	if err := m.CloseConnection(e.bounded(), c.ID(), ""); !errors.Is(err, comm.ErrNotFound) {
		e.Fatalf("closing what is gone: %v", err)
	}
}

func restartRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	name := e.setup.Provider.Name()
	p := e.connect()
	if err := m.Start(e.Context(), name); err != nil || !m.Running(name) {
		e.Fatalf("starting what runs: %v", err)
	}
	if h := m.Health(e.Context()); !h.Ready {
		e.Fatalf("health: %+v", h)
	}
	if err := m.Stop(e.bounded(), name); err != nil || m.Running(name) {
		e.Fatalf("stop: %v", err)
	}
	if r := p.closed(); r.Kind != comm.ReasonDrain {
		e.Fatalf("closed with %v, want drain", r)
	}
	if err := m.Stop(e.bounded(), name); err != nil {
		e.Fatalf("stop twice: %v", err)
	}
	if c, err := e.dial(); err == nil {
		if f, err := c.Receive(e.bounded()); err == nil && f.Op == comm.OpWelcome {
			e.Fatal("a client is welcome at a stopped provider")
		}
	}
	for range 2 {
		if err := m.Start(e.bounded(), name); err != nil {
			e.Fatalf("start again: %v", err)
		}
		e.endpoint = e.reach(m, name)
		q := e.connect(inGroups("g"))
		q.joined("g")
		e.send(comm.ToGroup("g"), 1, 1)
		q.gets(1)
		if err := m.Stop(e.bounded(), name); err != nil {
			e.Fatalf("stop again: %v", err)
		}
	}
}

func statsRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	p := e.connect(inGroups("g"))
	p.joined("g")
	for i := range 3 {
		p.acked("n", i)
	}
	p.fails(p.say("nonsense", 1), comm.CodeUnknownType)
	p.gets(e.numbers(comm.ToGroup("g"), 1, 5, 1)...)
	c := p.conn()
	e.eventually("the last write to be counted", func() bool { return c.Stats().MessagesOut == 5 })
	if s := c.Stats(); s.MessagesIn != 4 || s.FailedIn != 1 || s.MessagesOut != 5 || s.Drops != 0 ||
		s.BytesIn == 0 || s.BytesOut < 5*100 || time.Since(s.LastActivity) > time.Minute {
		e.Fatalf("connection: %+v", s)
	}
	name := e.setup.Provider.Name()
	for _, which := range []string{name, ""} {
		s, err := m.Stats(which)
		if err != nil || s.ConnectionsTotal != 1 || s.ConnectionsActive != 1 || s.MessagesIn != 4 || s.MessagesInFailed != 1 ||
			s.MessagesOut != 5 || s.BytesIn == 0 || s.BytesOut == 0 {
			e.Fatalf("stats of %q: %+v, %v", which, s, err)
		}
		if t := s.Types["n"]; which == "" && t.Handled != 3 {
			e.Fatalf("types: %+v", s.Types)
		}
	}
	p.hangUp()
	<-c.Done()
	s, err := m.Stats(name)
	ended := int64(0)
	for _, n := range s.Closed {
		ended += n
	}
	if err != nil || s.ConnectionsTotal != 1 || s.ConnectionsActive != 0 || ended != 1 {
		e.Fatalf("stats after the end: %+v, %v", s, err)
	}
	if _, err := m.Stats("nobody"); !errors.Is(err, comm.ErrNotFound) {
		e.Fatalf("stats of nobody: %v", err)
	}
}

func featuresRow(e *env) {
	m := e.start()
	got, err := m.Features(e.setup.Provider.Name())
	if err != nil || len(got) == 0 || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		e.Fatalf("features %q, %v: want some, sorted, once each", got, err)
	}
	for _, f := range e.setup.Provider.Features() {
		if !slices.Contains(got, f) {
			e.Errorf("feature %q is missing", f)
		}
	}
}
