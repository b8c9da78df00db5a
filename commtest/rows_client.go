package commtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// clientRows are about comm.Client over the provider's dialer.
var clientRows = []row{
	{name: "client/comes back after a cut", run: clientCutRow, needs: cuts, wire: true},
	{name: "client/join, leave, call and ack", run: clientTalkRow},
	{name: "client/a handler that asks", run: clientAskRow},
	{name: "client/a handler that asks is cut", run: clientAskCutRow, needs: cuts},
	{name: "client/drain and kick", run: clientEndRow, timed: true},
	{name: "client/renews its token", run: clientTokenRow, timed: true},
	{name: "client/falls back", run: clientFallbackRow, timed: true},
	{name: "client/has too much to say", run: clientTooMuchRow},
	{name: "client/says goodbye", run: clientGoodbyeRow},
}

func cuts(s Setup) string {
	if s.OutlivesCuts {
		return "connection to cut"
	}
	return ""
}

// user is a comm.Client that runs, and what happened to it.
type user struct {
	*comm.Client
	e      *env
	states chan comm.StateChange
	msgs   chan string
	gaps   chan comm.Gap
	done   chan error
	stop   context.CancelFunc
}

// fast is a backoff for tests.
var fast = comm.Backoff{Base: time.Millisecond, Max: 20 * time.Millisecond}

// client runs a comm.Client over the dialers, or the provider's.
func (e *env) client(dialers []comm.Dialer, opts ...comm.ClientOption) *user {
	e.Helper()
	if dialers == nil {
		dialers = []comm.Dialer{e.setup.Dialer(e.endpoint)}
	}
	u := &user{
		e: e, states: make(chan comm.StateChange, 1000), msgs: make(chan string, 10_000),
		gaps: make(chan comm.Gap, 100), done: make(chan error, 1),
	}
	all := []comm.ClientOption{
		comm.WithBackoff(fast),
		comm.WithOnState(func(s comm.StateChange) { u.states <- s }),
		comm.WithOnGap(func(g comm.Gap) { u.gaps <- g }),
	}
	c, err := comm.NewClient(dialers, append(all, opts...)...)
	if err != nil {
		e.Fatal(err)
	}
	u.Client = c
	c.On("n", func(_ context.Context, m *comm.Message) error {
		u.msgs <- text(&comm.Frame{Message: m})
		return nil
	})
	return u
}

// run starts the client; it ends with the row.
func (u *user) run() *user {
	ctx, stop := context.WithCancel(context.Background())
	u.stop = stop
	done := make(chan struct{})
	go func() { defer close(done); u.done <- u.Run(ctx) }()
	u.e.Cleanup(func() { stop(); <-done })
	return u
}

// becomes waits for a state.
func (u *user) becomes(s comm.ClientState) comm.StateChange {
	u.e.Helper()
	for {
		select {
		case ch := <-u.states:
			if ch.State == s {
				return ch
			}
		case <-time.After(3 * patience):
			u.e.Fatalf("the client does not become %v: it is %v", s, u.State())
		}
	}
}

func (u *user) gets(contents ...any) {
	u.e.Helper()
	for _, want := range contents {
		select {
		case got := <-u.msgs:
			if got != fmt.Sprint(want) {
				u.e.Fatalf("the client got %q, want %v", got, want)
			}
		case g := <-u.gaps:
			u.e.Fatalf("the client was told of %+v, want %v", g, want)
		case <-time.After(patience):
			u.e.Fatalf("the client did not get %v", want)
		}
	}
}

// cuttable is the connections of an endpoint, to be cut together.
type cuttable struct {
	mu    sync.Mutex
	conns []io.Closer
}

// over returns the endpoint through c.
func (c *cuttable) over(e Endpoint) Endpoint {
	dial := e.DialContext
	e.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			c.add(conn)
		}
		return conn, err
	}
	listen := e.ListenPacket
	e.ListenPacket = func(ctx context.Context) (net.PacketConn, error) {
		conn, err := listen(ctx)
		if err == nil {
			c.add(conn)
		}
		return conn, err
	}
	return e
}

func (c *cuttable) add(conn io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func clientCutRow(e *env) {
	e.start(comm.WithOpenAccess())
	var wires cuttable
	u := e.client([]comm.Dialer{e.setup.Dialer(wires.over(e.endpoint))}, comm.WithGroups("g")).run()
	u.becomes(comm.ClientConnected)
	e.eventually("the join", func() bool { return e.m.ConnectionCount(comm.ToGroup("g")) == 1 })
	session, conn := u.Session(), u.Welcome().Conn
	for round := range 5 {
		u.gets(e.numbers(comm.ToGroup("g"), 10*round, 10*round+2, 1)...)
		wires.cut()
		if s := u.becomes(comm.ClientConnected); !s.Resumed || s.Carrier == "" {
			e.Fatalf("state %+v, want resumed", s)
		}
		e.eventually("one connection", func() bool { return e.m.ConnectionCount(comm.ToGroup("g")) == 1 })
	}
	if u.Session() != session || u.Welcome().Conn == conn {
		e.Fatal("the session changed, or the connection did not")
	}
	u.stop()
	if err := <-u.done; err != nil {
		e.Fatalf("Run after its context: %v", err)
	}
	u.done <- nil
	e.eventually("the end", func() bool { return e.m.ConnectionCount(comm.ToAll()) == 0 })
	if err := u.Send(e.bounded(), e.message("n", 1)); !errors.Is(err, comm.ErrClosed) {
		e.Fatalf("Send after the end: %v", err)
	}
}

func clientTalkRow(e *env) {
	m := e.start(comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		if a.Group == "secret" {
			return comm.ErrForbidden
		}
		return nil
	}))
	comm.OnCall(m, "double", func(_ context.Context, _ *comm.Conn, n int) (int, error) { return 2 * n, nil })
	comm.On(m, "bad", func(context.Context, *comm.Conn, int) error { return comm.ErrForbidden })
	u := e.client(nil)
	u.OnCall("name", func(context.Context, *comm.Message) (any, error) { return "ann", nil })
	u.OnCall("fail", func(context.Context, *comm.Message) (any, error) {
		return nil, &comm.PeerError{Code: comm.CodeForbidden, Message: "no"}
	})
	u.run()
	ctx := e.bounded()
	if err := u.Join(ctx, "g"); err != nil {
		e.Fatal(err)
	}
	u.gets(e.numbers(comm.ToGroup("g"), 1, 3, 1)...)
	e.eventually("the position behind the last handler", func() bool {
		at, ok := u.Position().Get("group:g")
		return ok && at.Offset == 3
	})
	if pe, ok := errors.AsType[*comm.PeerError](u.Join(ctx, "secret")); !ok || pe.Code != comm.CodeForbidden {
		e.Fatal("joined a secret group")
	}
	reply, err := u.Call(ctx, e.message("double", 21))
	if err != nil || string(reply.Content()) != "42" {
		e.Fatalf("call: %v, %v", reply, err)
	}
	if err := u.SendAck(ctx, e.message("double", 1)); err != nil {
		e.Fatal(err)
	}
	if err := u.SendAck(ctx, e.message("bad", 1)); err == nil {
		e.Fatal("no error of a handler that failed")
	}
	id := u.Welcome().Conn
	if name, err := comm.CallAs[string](ctx, m, id, "name", 0); err != nil || name != "ann" {
		e.Fatalf("called back: %q, %v", name, err)
	}
	for typ, code := range map[string]comm.Code{"fail": comm.CodeForbidden, "never heard of": comm.CodeUnknownType} {
		_, err := m.Call(ctx, id, e.message(typ, 0))
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != code {
			e.Fatalf("calling %q: %v, want %s", typ, err, code)
		}
	}
	u.acksAndLeaves(id)
}

func (u *user) acksAndLeaves(id string) {
	u.e.Helper()
	ctx := u.e.bounded()
	d, err := u.e.m.Send(ctx, comm.ToConn(id), u.e.message("n", "ack"), comm.WithAck())
	if err != nil {
		u.e.Fatal(err)
	}
	if acked, err := d.Pending.Wait(ctx); acked != 1 || err != nil {
		u.e.Fatalf("acked %d, %v", acked, err)
	}
	u.gets("ack")
	if err := u.Leave(ctx, "g"); err != nil {
		u.e.Fatal(err)
	}
	u.e.send(comm.ToGroup("g"), 4, 0)
	if u.Position().Len() != 0 {
		u.e.Fatalf("position %v after leaving", u.Position())
	}
}

// clientAskRow: a handler of a client calls and joins while more messages arrive than the client takes
// beside a busy handler.
func clientAskRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	comm.OnCall(m, "double", func(_ context.Context, _ *comm.Conn, n int) (int, error) { return 2 * n, nil })
	u := e.client(nil, comm.WithGroups("g"))
	began, gathered, asked := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	u.On("ask", func(ctx context.Context, _ *comm.Message) error {
		close(began)
		<-gathered
		_, err := u.Call(ctx, e.message("double", 1))
		asked <- errors.Join(err, u.Join(ctx, "h"), u.SendAck(ctx, e.message("double", 1)))
		return nil
	})
	u.run()
	e.eventually("the join", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 1 })
	if _, err := m.Send(e.bounded(), comm.ToGroup("g"), e.message("ask", nil)); err != nil {
		e.Fatal(err)
	}
	<-began
	contents := e.numbers(comm.ToGroup("g"), 1, 200, 1)
	close(gathered)
	if err := <-asked; err != nil {
		e.Fatalf("the handler's requests: %v", err)
	}
	u.gets(contents...)
	e.eventually("both groups", func() bool { return u.Position().Len() == 2 })
}

// clientAskCutRow: a handler that asks while its connection is lost is told so, and holds up nothing.
func clientAskCutRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	never := make(chan struct{})
	defer close(never)
	comm.OnCall(m, "never", func(context.Context, *comm.Conn, int) (int, error) { <-never; return 0, nil })
	var wires cuttable
	u := e.client([]comm.Dialer{e.setup.Dialer(wires.over(e.endpoint))}, comm.WithGroups("g"))
	began, asked := make(chan struct{}, 1), make(chan [2]error, 1)
	u.On("ask", func(ctx context.Context, _ *comm.Message) error {
		began <- struct{}{}
		_, first := u.Call(ctx, e.message("never", 1))
		_, second := u.Call(ctx, e.message("never", 1))
		asked <- [2]error{first, second}
		return nil
	})
	u.run()
	u.becomes(comm.ClientConnected)
	e.eventually("the join", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 1 })
	if _, err := m.Send(e.bounded(), comm.ToGroup("g"), e.message("ask", nil)); err != nil {
		e.Fatal(err)
	}
	<-began
	wires.cut()
	for _, err := range <-asked {
		if err == nil {
			e.Fatal("a call was answered that nothing answers")
		}
	}
	u.becomes(comm.ClientConnected)
	e.eventually("one connection", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 1 })
	u.gets(e.numbers(comm.ToGroup("g"), 1, 3, 1)...)
}

func clientEndRow(e *env) {
	m := e.start(comm.WithDrainSpread(10 * time.Second))
	u := e.client(nil).run()
	u.becomes(comm.ClientConnected)
	stopped := make(chan error, 1)
	go func() { stopped <- m.Stop(e.bounded()) }()
	if w := u.becomes(comm.ClientWaiting); comm.ReasonOf(w.Err) != comm.ReasonDrain {
		e.Fatalf("waiting because of %v, want the drain", w.Err)
	}
	if err := <-stopped; err != nil {
		e.Fatal(err)
	}
	if err := m.Start(e.bounded()); err != nil {
		e.Fatal(err)
	}
	u.becomes(comm.ClientConnected)
	e.eventually("the connection", func() bool { return m.Connection(u.Welcome().Conn) != nil })
	if err := m.CloseConnection(e.bounded(), u.Welcome().Conn, "out"); err != nil {
		e.Fatal(err)
	}
	u.becomes(comm.ClientClosed)
	if err := <-u.done; comm.ReasonOf(err) != comm.ReasonKicked {
		e.Fatalf("Run: %v, want kicked", err)
	}
	u.done <- nil
}

func clientTokenRow(e *env) {
	e.start(comm.WithAuthenticator(ephemeral), comm.WithExpiryGrace(time.Second))
	var asked atomic.Int64
	u := e.client(nil, comm.WithTokenSource(func(context.Context) (string, error) {
		asked.Add(1)
		return "ann:1m", nil
	})).run()
	u.becomes(comm.ClientConnected)
	conn := u.Welcome().Conn
	time.Sleep(10 * time.Minute)
	if u.State() != comm.ClientConnected || u.Welcome().Conn != conn {
		e.Fatalf("state %v, connection %q after %q", u.State(), u.Welcome().Conn, conn)
	}
	if n := asked.Load(); n < 10 || n > 20 {
		e.Fatalf("asked for %d tokens of a minute in 10 minutes", n)
	}
}

// broken is a dialer that never connects.
type broken struct{ dials atomic.Int64 }

func (*broken) Name() string { return "broken" }

func (b *broken) Dial(context.Context, *comm.Frame) (comm.Carrier, error) {
	b.dials.Add(1)
	return nil, errors.New("no such carrier here")
}

func clientFallbackRow(e *env) {
	e.start(comm.WithOpenAccess())
	b := &broken{}
	u := e.client([]comm.Dialer{b, e.setup.Dialer(e.endpoint)}, comm.WithGroups("g"))
	u.run()
	if s := u.becomes(comm.ClientConnected); s.Carrier != e.setup.Provider.Name() || b.dials.Load() != 1 {
		e.Fatalf("state %+v after %d dials of the broken one", s, b.dials.Load())
	}
	if got := u.Welcome(); got.Conn == "" || !slices.Contains(e.m.Providers(), e.setup.Provider.Name()) {
		e.Fatalf("welcome %+v", got)
	}
}

// clientTooMuchRow: a message that the server would not take is refused, and costs neither the connection nor those
// that follow.
func clientTooMuchRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithMaxMessage(4096))
	comm.On(m, "n", func(context.Context, *comm.Conn, string) error { return nil })
	u := e.client(nil).run()
	u.becomes(comm.ClientConnected)
	conn := u.Welcome().Conn
	for _, size := range []int{3000, 10_000, 3000} {
		msg, err := comm.NewMessage("n", strings.Repeat("x", size))
		if err != nil {
			e.Fatal(err)
		}
		err = u.SendAck(e.bounded(), msg)
		refused, ok := errors.AsType[*comm.PeerError](err)
		if over := size > 4096; over && (!ok || refused.Code != comm.CodeTooLarge) || !over && err != nil {
			e.Fatalf("%d bytes: %v", size, err)
		}
	}
	if now := u.Welcome().Conn; now != conn || m.ConnectionCount(comm.ToAll()) != 1 {
		e.Fatalf("the connection is %s, was %s, of %d", now, conn, m.ConnectionCount(comm.ToAll()))
	}
}

// clientGoodbyeRow ends clients by their own context, one after the other: the gateway learns that
// they went, so that none of them counts as lost.
func clientGoodbyeRow(e *env) {
	reasons := make(chan comm.ReasonKind, 4)
	m := e.start(comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { reasons <- d.Reason.Kind }))
	comm.On(m, "n", func(context.Context, *comm.Conn, int) error { return nil })
	for range 4 {
		u := e.client(nil).run()
		u.becomes(comm.ClientConnected)
		if err := u.SendAck(e.bounded(), e.message("n", 1)); err != nil {
			e.Fatal(err)
		}
		u.stop()
		u.becomes(comm.ClientClosed)
		if err := <-u.done; err != nil {
			e.Fatalf("Run: %v", err)
		}
		if k := <-reasons; k != comm.ReasonClient {
			e.Fatalf("the client ended itself, and its connection as %v", k)
		}
	}
}
