package comm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

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
