package comm_test

import (
	"context"
	"errors"
	"net"
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
