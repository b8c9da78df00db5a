package comm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
)

// tapped is a manager with one client over the suite's own provider, which reads on and hangs up when it is told to: a
// drain waits for that, and for one that does not for a second.
func tapped(t *testing.T) (*comm.Manager, comm.Carrier, string) {
	t.Helper()
	p := commtest.NewPipe()
	m, err := comm.New(comm.WithInMemory(), comm.WithOpenAccess(), comm.WithProvider(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs, err := m.Addrs(p.Name())
	if err != nil {
		t.Fatal(err)
	}
	d := commtest.PipeDialer(commtest.Endpoint{Addr: addrs[0], DialContext: m.DialContext})
	c, err := d.Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: 1}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Receive(t.Context())
	if err != nil || f.Op != comm.OpWelcome {
		t.Fatal(f, err)
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		for err := error(nil); err == nil; {
			_, err = c.Receive(context.Background())
		}
		c.Close(context.Background())
	}()
	t.Cleanup(func() {
		c.Close(context.Background())
		<-left
	})
	return m, c, f.Welcome.Conn
}

func TestTap(t *testing.T) {
	t.Parallel()
	m, c, conn := tapped(t)
	all, err := m.Tap(t.Context(), comm.TapFilter{Conn: conn}, 16)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := m.Tap(t.Context(), comm.TapFilter{Type: "n"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpAuth, ID: "a", Token: "secret"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		msg, _ := comm.NewMessage("n", 1)
		if _, err := m.Send(t.Context(), comm.ToConn(conn), msg); err != nil {
			t.Fatal(err)
		}
	}
	in, out := 0, 0
	for range 5 { // auth in, its refusal or authed out, three messages out
		e := <-all.Events()
		if e.Conn != conn || e.Provider == "" || e.At.IsZero() || strings.Contains(e.Frame.Token, "secret") {
			t.Errorf("event %+v", e)
		}
		if e.In {
			in++
		} else {
			out++
		}
	}
	if in != 1 || out != 4 {
		t.Errorf("%d in, %d out", in, out)
	}
	if e := <-typed.Events(); e.In || e.Frame.Message.Type() != "n" {
		t.Errorf("event %+v", e)
	}
	if typed.Dropped() == 0 {
		t.Error("a tap of one event dropped none of three")
	}
	all.Close()
	all.Close()
	if e, open := <-all.Events(); open {
		t.Errorf("an event beside the five, %+v of a frame %v", e, e.Frame.Op)
	}
}

// What was under way to a client when the tap was opened, the client may have had before; no tap sees it.
func TestTapSeesNothingOfBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		synctest.Wait() // it is welcomed
		p.halt()
		send(t, m, comm.ToConn(c.ID()), message(t, "before", nil))
		synctest.Wait() // the writer has it, and is stuck
		send(t, m, comm.ToConn(c.ID()), message(t, "waits", nil))
		tap, err := m.Tap(t.Context(), comm.TapFilter{Conn: c.ID()}, 16)
		if err != nil {
			t.Fatal(err)
		}
		p.resume()
		send(t, m, comm.ToConn(c.ID()), message(t, "after", nil))
		synctest.Wait()
		tap.Close()
		send(t, m, comm.ToConn(c.ID()), message(t, "closed", nil))
		synctest.Wait()
		same(t, "the client got", p.types(), []string{"before", "waits", "after", "closed"})
		var saw []string
		for e := range tap.Events() {
			saw = append(saw, e.Frame.Message.Type())
		}
		same(t, "the tap saw", saw, []string{"waits", "after"})
	})
}

func TestTapBounds(t *testing.T) {
	t.Parallel()
	m, _, conn := tapped(t)
	if _, err := m.Tap(t.Context(), comm.TapFilter{}, 1); !errors.Is(err, comm.ErrTarget) {
		t.Errorf("no filter: %v", err)
	}
	for _, n := range []int{0, -1, 4097} {
		if _, err := m.Tap(t.Context(), comm.TapFilter{Conn: conn}, n); err == nil {
			t.Errorf("a buffer of %d was taken", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var taps []*comm.Tap
	for range 8 {
		tap, err := m.Tap(ctx, comm.TapFilter{Conn: conn}, 1)
		if err != nil {
			t.Fatal(err)
		}
		taps = append(taps, tap)
	}
	if _, err := m.Tap(ctx, comm.TapFilter{Conn: conn}, 1); err == nil {
		t.Error("a ninth tap was opened")
	} else if _, ok := errors.AsType[*comm.LimitError](err); !ok {
		t.Error(err)
	}
	cancel()
	for _, tap := range taps {
		for range tap.Events() { // ends with the context
		}
	}
	if _, err := m.Tap(t.Context(), comm.TapFilter{Conn: conn}, 1); err != nil {
		t.Errorf("places are not given back: %v", err)
	}
	if err := m.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := m.Tap(t.Context(), comm.TapFilter{Conn: conn}, 1); !errors.Is(err, comm.ErrClosed) {
		t.Errorf("after the drain: %v", err)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body   string
		frames int
		code   comm.Code // of the error behind them; "" is none
	}{
		{`{"type":"n"}`, 1, ""},
		{" [ {\"type\":\"n\"} , {\"op\":\"ping\"} ]\n", 2, ""},
		{`[]`, 0, ""},
		{`[{"type":"n"},{"op":"dance"},{"type":"n"}]`, 1, comm.CodeUnknownOp},
		{`[{"type":"n"},[]]`, 1, comm.CodeBadFrame},
		{`[{"type":"n"}`, 0, comm.CodeBadFrame},
		{`[{"type":"n"}] x`, 0, comm.CodeBadFrame},
		{``, 0, comm.CodeBadFrame},
		{`1`, 0, comm.CodeBadFrame},
	} {
		n, code := 0, comm.Code("")
		for f, err := range comm.Frames(comm.JSON(), []byte(c.body)) {
			if fe, ok := errors.AsType[*comm.FrameError](err); ok {
				code = fe.Code
			} else if f != nil {
				n++
			}
		}
		if n != c.frames || code != c.code {
			t.Errorf("%s: %d frames and %q, want %d and %q", c.body, n, code, c.frames, c.code)
		}
	}
	for range comm.Frames(comm.JSON(), []byte(`[{"type":"n"},{"type":"n"}]`)) {
		break // a loop that ends early ends the walk
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(`[{"type":"n"},{"op":"ping","id":"1"}]`))
	f.Add([]byte(`{"type":"n"}`))
	f.Add([]byte(`[[]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		failed := false
		for frame, err := range comm.Frames(comm.JSON(), body) {
			if failed || (frame == nil) == (err == nil) {
				t.Fatalf("%q: %v, %v", body, frame, err)
			}
			failed = err != nil
		}
	})
}
