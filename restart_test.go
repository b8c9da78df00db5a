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
