package comm_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

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

// Handlers have half of the time to drain; whoever outlasts it is ended, and the log says for how many that was so.
func TestDrainEndsHandlersAtHalfTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(logs)
		m, f := gateway(t, log.logger())
		ended := make(chan time.Duration, 2)
		comm.On(m, "work", func(ctx context.Context, _ *comm.Conn, d time.Duration) error {
			start := time.Now()
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
			ended <- time.Since(start).Round(time.Second)
			return nil
		})
		for _, d := range []time.Duration{time.Second, time.Hour} {
			c, _ := f.attach(t, comm.Handshake{})
			if err := f.host().Receive(c, &comm.Frame{Op: comm.OpMessage, Message: message(t, "work", d)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := m.Drain(ctx); err != nil {
			t.Errorf("Drain: %v", err)
		}
		same(t, "one that is done in time", <-ended, time.Second)
		same(t, "one that is not", <-ended, 5*time.Second)
		same(t, "warnings", len(log.with("half of the time to drain is over\" connections=1")), 1)
	})
}
