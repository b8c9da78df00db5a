package comm_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

var errBroken = errors.New("broken")

// failing fails to start the first n times.
func failing(n int32) *fake {
	f := &fake{}
	f.onStart = func(_ context.Context, h comm.Host) error {
		if f.starts.Load() <= n {
			return errBroken
		}
		return h.Route("GET /fake", text("fake"))
	}
	return f
}

func TestStartRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := failing(3)
		var seen events
		m := newManager(t, comm.WithProvider(f), comm.WithRetry(3, time.Second), comm.WithObserver(&seen))
		start := time.Now()
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 7*time.Second { // 1 + 2 + 4
			t.Errorf("took %v", took)
		}
		same(t, "starts", f.starts.Load(), int32(4))
		same(t, "stops after failed starts", f.stops.Load(), int32(3))
		same(t, "start events", len(seen.of(comm.EventStart)), 1)
	})
}

func TestStartGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, well := failing(100), &fake{name: "well"}
		m := newManager(t, comm.WithProvider(f, well), comm.WithRetry(2, time.Millisecond))
		err := m.Start(t.Context())
		pe, ok := errors.AsType[*comm.ProviderError](err)
		if !ok || pe.Provider != "fake" || pe.Op != "start" || !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
		same(t, "starts", f.starts.Load(), int32(3))
		same(t, "running", []bool{m.Running("fake"), m.Running("well"), m.Running("")}, []bool{false, true, false})
		addrs, err := m.Addrs("fake")
		if len(addrs) > 0 || err != nil {
			t.Errorf("Addrs of a provider that does not run: %v, %v", addrs, err)
		}
	})
}

func TestStartIsBoundedByItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := failing(100)
		m := newManager(t, comm.WithProvider(f), comm.WithRetry(1000, time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		contains(t, m.Start(ctx), "broken")
		f.onStart = func(ctx context.Context, _ comm.Host) error { <-ctx.Done(); return context.Cause(ctx) }
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a start that hangs: %v", err)
		}
	})
}

func TestStopDuringStartCancelsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, f := range map[string]*fake{
			"while it starts": {onStart: func(ctx context.Context, _ comm.Host) error { <-ctx.Done(); return context.Cause(ctx) }},
			"between tries":   failing(100),
		} {
			m := newManager(t, comm.WithProvider(f), comm.WithRetry(1000, time.Hour))
			started := make(chan error, 1)
			go func() { started <- m.Start(t.Context()) }()
			synctest.Wait()
			if err := m.Stop(t.Context()); err != nil {
				t.Errorf("%s: Stop: %v", name, err)
			}
			if err := <-started; err == nil {
				t.Errorf("%s: Start succeeded", name)
			}
			same(t, name+": starts", f.starts.Load(), int32(1))
		}
	})
}

func TestStartStopByName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		m := newManager(t, comm.WithProvider(a, b))
		ctx := t.Context()
		for _, step := range []struct {
			act          func() error
			a, b         bool
			starts, stop int32 // of b
		}{
			{func() error { return m.Start(ctx, "b") }, false, true, 1, 0},
			{func() error { return m.Start(ctx) }, true, true, 1, 0},
			{func() error { return m.Stop(ctx, "b") }, true, false, 1, 1},
			{func() error { return m.Stop(ctx, "b") }, true, false, 1, 1},
			{func() error { return m.Start(ctx, "b", "a") }, true, true, 2, 1},
			{func() error { return m.Stop(ctx) }, false, false, 2, 2},
			{func() error { return m.Start(ctx, "") }, true, true, 3, 2},
		} {
			if err := step.act(); err != nil {
				t.Fatal(err)
			}
			same(t, "running", []bool{m.Running("a"), m.Running("b")}, []bool{step.a, step.b})
			same(t, "starts and stops of b", []int32{b.starts.Load(), b.stops.Load()}, []int32{step.starts, step.stop})
		}
		for _, err := range []error{m.Start(ctx, "a", "c"), m.Stop(ctx, "c")} {
			if !errors.Is(err, comm.ErrNotFound) {
				t.Errorf("unknown name: %v", err)
			}
		}
		_, err := m.Addrs("c")
		if !errors.Is(err, comm.ErrNotFound) || m.Running("c") {
			t.Errorf("unknown name: %v", err)
		}
	})
}

func TestRegisterWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t)
		same(t, "without providers", []any{m.DefaultProvider(), m.Providers(), m.Running("")}, []any{"", []string{}, false})
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f := &fake{}
		if err := m.Register(f); err != nil {
			t.Fatal(err)
		}
		same(t, "names", []any{m.DefaultProvider(), m.Providers(), m.Running("fake")}, []any{"fake", []string{"fake"}, false})
		if err := m.Start(t.Context(), "fake"); err != nil {
			t.Fatal(err)
		}
		if c, p := f.attach(t, comm.Handshake{}); c.Provider() != "fake" || p == nil {
			t.Errorf("provider %q", c.Provider())
		}
		for _, bad := range []comm.Provider{nil, &fake{}} {
			if err := m.Register(bad); err == nil {
				t.Errorf("Register(%v) succeeded", bad)
			}
		}
		if err := m.Register(&fake{}); !errors.Is(err, comm.ErrRunning) {
			t.Errorf("a name twice: %v", err)
		}
	})
}

// A stopped provider's clients are told to come back; its host is dead, and a new start gives another.
func TestStopSendsClientsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		first := f.host()
		if err := m.Stop(t.Context(), "fake"); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		same(t, "reason", p.closed().Kind, comm.ReasonDrain)
		if first.Context().Err() == nil {
			t.Error("the host outlives Stop")
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.host() == first || f.host().Context().Err() != nil {
			t.Error("no new host")
		}
		f.attach(t, comm.Handshake{})
		first.Fail(errBroken) // of the life before: nobody cares
		same(t, "running", m.Running("fake"), true)
	})
}

func TestStopErrorNamesTheProvider(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		f.onStop = func(context.Context) error { return errBroken }
		err := m.Stop(t.Context())
		pe, ok := errors.AsType[*comm.ProviderError](err)
		if !ok || pe.Op != "stop" || pe.Provider != "fake" {
			t.Errorf("error %v", err)
		}
		same(t, "running", m.Running("fake"), false)
	})
}

func TestFailRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen events
		var out logs
		m, f := gateway(t, comm.WithRetry(3, time.Second), comm.WithObserver(&seen), out.logger())
		c, p := f.attach(t, comm.Handshake{})
		f.host().Fail(errBroken)
		h := m.Health(t.Context())
		same(t, "unhealthy at once", []any{h.Ready, h.Providers["fake"].Healthy, h.Providers["fake"].Error}, []any{false, false, "broken"})
		<-c.Done()
		same(t, "clients are told to return", p.closed().Reconnect(), true)
		time.Sleep(time.Second)
		synctest.Wait()
		same(t, "running", m.Running("fake"), true)
		same(t, "starts", f.starts.Load(), int32(2))
		same(t, "healthy again", m.Health(t.Context()).Ready, true)
		same(t, "fail events", len(seen.of(comm.EventFail)), 1)
		same(t, "start events", len(seen.of(comm.EventStart)), 2)
		same(t, "log lines", len(out.with("provider failed")), 1)
		resp, err := httpClient(m).Get("http://gateway/fake")
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
	})
}

// run runs the manager until the test or the manager ends it.
func run(t *testing.T, m *comm.Manager) <-chan error {
	ran := make(chan error, 1)
	go func() { ran <- m.Run(t.Context()) }()
	synctest.Wait()
	return ran
}

func TestRunEndsWhenAProviderIsGivenUp(t *testing.T) {
	for name, again := range map[string]func(f *fake, h comm.Host) error{
		"does not start again": func(*fake, comm.Host) error { return errBroken },
		"dies after each start": func(_ *fake, h comm.Host) error {
			time.AfterFunc(time.Second, func() { h.Fail(errBroken) })
			return nil
		},
		"dies while it starts":      func(_ *fake, h comm.Host) error { h.Fail(errBroken); return nil },
		"has a route that is wrong": func(_ *fake, h comm.Host) error { return h.Route("GET /{", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := &fake{}
				m := newManager(t, comm.WithProvider(f), comm.WithRetry(2, time.Second), comm.WithDrainSpread(0))
				ran := run(t, m)
				same(t, "running", m.Running("fake"), true)
				f.onStart = func(_ context.Context, h comm.Host) error { return again(f, h) }
				f.host().Fail(errBroken)
				err := <-ran
				pe, ok := errors.AsType[*comm.ProviderError](err)
				if !ok || pe.Provider != "fake" || pe.Op != "serve" {
					t.Errorf("Run: %v", err)
				}
				want := int32(3)
				if strings.Contains(name, "route") {
					want = 2 // trying again cannot help
				}
				same(t, "starts", f.starts.Load(), want)
			})
		})
	}
}

// A provider that ran well for long has all its attempts again.
func TestAttemptsAreForgottenAfterAStableRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithRetry(1, time.Second))
		for i := range int32(4) {
			time.Sleep(20 * time.Second)
			f.host().Fail(errBroken)
			time.Sleep(2 * time.Second)
			same(t, "running", m.Running("fake"), true)
			same(t, "starts", f.starts.Load(), i+2)
		}
	})
}

func TestNoRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fake{}
		m := newManager(t, comm.WithProvider(f), comm.WithRetry(0, time.Second))
		ran := run(t, m)
		f.host().Fail(errBroken)
		if err := <-ran; !errors.Is(err, errBroken) {
			t.Errorf("Run: %v", err)
		}
		same(t, "starts", f.starts.Load(), int32(1))
	})
}

// Whoever stops a provider that waits for its restart has the last word.
func TestStopEndsARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithRetry(3, time.Hour))
		f.host().Fail(errBroken)
		synctest.Wait()
		if err := m.Stop(t.Context(), "fake"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		same(t, "running", m.Running("fake"), false)
		same(t, "starts", f.starts.Load(), int32(1))
		if err := m.Start(t.Context()); err != nil || !m.Running("fake") {
			t.Errorf("start after that: %v", err)
		}
	})
}

// A listener that dies takes every provider of the address with it, and they come back on a new one.
func TestListenerFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &fake{name: "a"}, &fake{name: "b"}
		var seen events
		m := newManager(t, comm.WithProvider(a, b), comm.WithObserver(&seen), comm.WithRetry(5, time.Second))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.BreakListener(errBroken)
		same(t, "fail events", len(seen.of(comm.EventFail)), 2)
		time.Sleep(30 * time.Second)
		same(t, "running", []bool{m.Running("a"), m.Running("b")}, []bool{true, true})
		for _, path := range []string{"/a", "/b"} {
			resp, err := httpClient(m).Get("http://gateway" + path)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %v, %v", path, resp, err)
			}
			resp.Body.Close()
		}
		same(t, "ready", m.Health(t.Context()).Ready, true)
	})
}

// A listener of a real socket that fails for good is noticed without anyone asking.
func TestOwnListeners(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fake{}
		f.onStart = func(ctx context.Context, h comm.Host) error {
			l, err := h.Listen(ctx, "tcp", "127.0.0.1:7100")
			if err != nil {
				return err
			}
			c, err := h.ListenPacket(ctx, "udp", "127.0.0.1:7100")
			context.AfterFunc(h.Context(), func() { l.Close(); c.Close() })
			return err
		}
		m := newManager(t, comm.WithProvider(f))
		for range 2 { // the address is free again after Stop
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			addrs, _ := m.Addrs("fake")
			same(t, "addrs", addrs, []string{"127.0.0.1:7100", "127.0.0.1:7100"})
			c, err := m.DialContext(t.Context(), "tcp", "127.0.0.1:7100")
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if err := m.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
	})
}

func TestHealthChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen events
		var out logs
		health := make(chan error, 1)
		f := &fake{onHealth: func(context.Context) error { err := <-health; health <- err; return err }}
		m := newManager(t, comm.WithProvider(f), comm.WithObserver(&seen), out.logger(), comm.WithHealthInterval(time.Second))
		health <- nil
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		change := func(err error) { <-health; health <- err }
		for i, step := range []struct {
			err   error
			ready int
		}{{nil, 200}, {errBroken, 503}, {errBroken, 503}, {nil, 200}, {errBroken, 503}} {
			change(step.err)
			time.Sleep(3 * time.Second) // three checks, one change at most
			same(t, "status", ready(m), step.ready)
			changes := []int{0, 1, 1, 2, 3}[i]
			same(t, "events", len(seen.of(comm.EventHealth)), changes)
			same(t, "log lines", len(out.with("health changed")), changes)
		}
		last := seen.of(comm.EventHealth)
		if !errors.Is(last[0].Err, errBroken) || last[1].Err != nil || last[0].Provider != "fake" {
			t.Errorf("events %+v", last)
		}
		f.healthBy(func(context.Context) error { panic("no health") })
		contains(t, errors.New(m.Health(t.Context()).Providers["fake"].Error), "panicked", "no health")
		f.healthBy(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		start := time.Now()
		same(t, "a check that hangs", m.Health(t.Context()).Ready, false)
		same(t, "is bounded", time.Since(start), 5*time.Second)
	})
}

func TestHooksMayPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		m, f := gateway(t, out.logger(), comm.WithPresenceGrace(0),
			comm.WithOnJoin(func(*comm.Conn, string) { panic("join") }),
			comm.WithOnLeave(func(*comm.Conn, string) { panic("leave") }),
			comm.WithOnDisconnect(func(*comm.Conn, comm.Disconnection) { panic("disconnect") }),
			comm.WithOnPresence(func(comm.PresenceChange) { panic("presence") }))
		comm.On(m, "boom", func(context.Context, *comm.Conn, *comm.Message) error { panic("handler") })
		c, p := f.attach(t, comm.Handshake{})
		if err := c.Join("lobby"); err != nil {
			t.Fatal(err)
		}
		if err := f.host().Receive(c, &comm.Frame{Op: comm.OpMessage, ID: "m1", Message: message(t, "boom", nil)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		same(t, "the message fails", []string{p.got(comm.OpError)[0].ID, string(p.got(comm.OpError)[0].Code)}, []string{"m1", "internal"})
		same(t, "the connection lives", c.Err(), nil)
		if err := c.Close(t.Context(), "bye"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the hooks
		for _, hook := range []string{"join", "leave", "disconnect", "handler"} {
			if len(out.with("panic="+hook)) != 1 {
				t.Errorf("no log of the panic in %s", hook)
			}
		}
		same(t, "presence panics", len(out.with("panic=presence")), 2)
		if lines := out.with("handler panicked"); !strings.Contains(lines[0], "stack=") {
			t.Errorf("no stack in %q", lines)
		}
		f.attach(t, comm.Handshake{})
	})
}

func TestOnConnectPanicIsARefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		_, f := gateway(t, out.logger(), comm.WithOnConnect(func(context.Context, *comm.Handshake, *comm.Admission) error { panic("connect") }))
		_, _, err := f.try(t, comm.Handshake{})
		if err == nil {
			t.Error("admitted")
		}
		same(t, "log lines", len(out.with("panic=connect")), 1)
	})
}

func TestCloseIsForGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		for range 3 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		<-c.Done()
		same(t, "reason", p.closed().Kind, comm.ReasonDrain)
		same(t, "stops", f.stops.Load(), int32(1))
		_, err := m.Broadcast(t.Context(), message(t, "x", nil))
		for what, err := range map[string]error{
			"Start": m.Start(t.Context()), "Register": m.Register(&fake{name: "late"}), "Send": err, "Join": c.Join("g"),
		} {
			if !errors.Is(err, comm.ErrClosed) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		if _, err := m.DialContext(t.Context(), "tcp", "gateway:80"); err == nil {
			t.Error("the address is still served")
		}
		same(t, "ready", ready(m), 503)
	})
}

func TestNewProcessNewNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var nodes, epochs []string
		for range 2 {
			m, f := gateway(t)
			c, _ := f.attach(t, comm.Handshake{})
			if err := c.Join("lobby"); err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, m.Node())
			epochs = append(epochs, send(t, m, comm.ToGroup("lobby"), message(t, "x", nil)).Position.Epoch)
		}
		if nodes[0] == nodes[1] || epochs[0] == epochs[1] || epochs[0] == "" {
			t.Errorf("nodes %q, epochs %q", nodes, epochs)
		}
	})
}

func TestDuplicateHandlersFailTheStart(t *testing.T) {
	t.Parallel()
	m := newManager(t, comm.WithProvider(&fake{}))
	h := func(context.Context, *comm.Conn, *comm.Message) error { return nil }
	comm.On(m, "a", h)
	comm.On(m, "a", h)
	comm.On(m, "", h)
	contains(t, m.Start(t.Context()), `second handler for message type "a"`, "type")
}

func TestDrainOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen events
		m, f := gateway(t, comm.WithObserver(&seen), comm.WithDrainDelay(2*time.Second), comm.WithDrainSpread(10*time.Second))
		slow := make(chan struct{})
		if err := f.host().Route("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-slow
			io.WriteString(w, "whole")
		})); err != nil {
			t.Fatal(err)
		}
		handled := make(chan struct{})
		comm.On(m, "work", func(ctx context.Context, c *comm.Conn, _ *comm.Message) error {
			defer close(handled)
			time.Sleep(5 * time.Second)
			_, err := c.Send(ctx, message(t, "done", nil))
			return err
		})
		answer := make(chan string, 1)
		go func() {
			resp, err := httpClient(m).Get("http://gateway/slow")
			if err != nil {
				answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			answer <- string(b)
		}()
		var peers []*peer
		var conns []*comm.Conn
		for range 20 {
			c, p := f.attach(t, comm.Handshake{})
			conns, peers = append(conns, c), append(peers, p)
		}
		synctest.Wait()
		if err := f.host().Receive(conns[0], &comm.Frame{Op: comm.OpMessage, Message: message(t, "work", nil)}); err != nil {
			t.Fatal(err)
		}
		drained := make(chan error, 1)
		go func() { drained <- m.Drain(t.Context()) }()
		synctest.Wait()

		same(t, "readyz at once", ready(m), 503)
		same(t, "drain event", len(seen.of(comm.EventDrain)), 1)
		same(t, "nobody is closed during the delay", peers[1].closed() == nil, true)
		late, _ := f.attach(t, comm.Handshake{}) // balancers have not noticed yet
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if _, err := m.DialContext(t.Context(), "tcp", "gateway:80"); err == nil {
			t.Error("still accepting after the delay")
		}
		_, _, err := f.try(t, comm.Handshake{})
		if le, ok := errors.AsType[*comm.LimitError](err); !ok || le.Retry == 0 {
			t.Errorf("a handshake after the delay: %v", err)
		}
		send(t, m, comm.ToConn(conns[0].ID()), message(t, "last", nil))
		<-handled
		<-late.Done()
		for _, c := range conns {
			<-c.Done()
		}
		same(t, "what waited has left", peers[0].types(), []string{"last", "done"})
		var after []time.Duration
		for _, p := range peers {
			r := p.closed()
			if r.Kind != comm.ReasonDrain || !r.Reconnect() || r.After <= 0 || r.After > 10*time.Second+time.Millisecond {
				t.Errorf("closed with %+v", r)
			}
			after = append(after, r.After)
		}
		slices.Sort(after)
		if first, last := after[0], after[len(after)-1]; last-first < 3*time.Second {
			t.Errorf("returns are spread from %v to %v only", first, last)
		}
		same(t, "the provider runs while a request is under way", m.Running("fake"), true)
		close(slow)
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
		same(t, "the request in flight", <-answer, "whole")
		same(t, "running", m.Running("fake"), false)
		same(t, "stop events", len(seen.of(comm.EventStop)), 1)
	})
}

// Who does not read is cut when the time is over, and Drain returns then.
func TestDrainCuts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		synctest.Wait()
		p.halt()
		send(t, m, comm.ToConn(c.ID()), message(t, "stuck", nil))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_ = m.Drain(ctx)
		same(t, "took", time.Since(start), 3*time.Second)
		same(t, "reason", *p.closed(), comm.CloseReason{Kind: comm.ReasonDrain, Text: "the time to drain is over"})
	})
}

// A request that does not end is cut too, and the error says what was left.
func TestDrainOfAnEndlessRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		if err := f.host().Route("GET /endless", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })); err != nil {
			t.Fatal(err)
		}
		answer := make(chan error, 1)
		go func() {
			resp, err := httpClient(m).Get("http://gateway/endless")
			if err == nil {
				resp.Body.Close()
			}
			answer <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Drain(ctx); err == nil || time.Since(start) > 4*time.Second {
			t.Errorf("Drain: %v after %v", err, time.Since(start))
		}
		if err := <-answer; err == nil {
			t.Error("the endless request was answered")
		}
	})
}

func TestRunDrainsWhenItsContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &fake{}
		m := newManager(t, comm.WithProvider(f))
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- m.Run(ctx) }()
		synctest.Wait()
		c, p := f.attach(t, comm.Handshake{})
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-c.Done()
		same(t, "reason", p.closed().Kind, comm.ReasonDrain)
		if err := m.Run(t.Context()); !errors.Is(err, comm.ErrClosed) {
			t.Errorf("a second Run: %v", err)
		}
	})
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := comm.New(comm.WithAddr(l.Addr().String()), comm.WithProvider(&fake{}), comm.WithRetry(0, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	contains(t, m.Start(t.Context()), `provider "fake"`, l.Addr().String(), "in use")
}
