package sse_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// numbers is a gateway that keeps the content of messages of type "n", in the order of their handling.
func numbers(t *testing.T, start func(testing.TB, []sse.ProviderOption, ...comm.Option) *gateway) (*gateway, func() string) {
	g := start(t, nil)
	var mu sync.Mutex
	var got []int
	comm.On(g.Manager, "n", func(_ context.Context, _ *comm.Conn, n int) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, n)
		return nil
	})
	return g, func() string {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(got)
	}
}

func TestUpward(t *testing.T) {
	t.Parallel()
	g, got := numbers(t, startGateway)
	s := g.hello(t, `{"op":"hello"}`)
	for _, row := range []struct{ body, want string }{
		{`{"type":"n","content":1}`, `{"accepted":1}`},
		{` [{"type":"n","content":2},{"type":"n","content":3}] `, `{"accepted":2}`},
		{`[]`, `{"accepted":0}`},
	} {
		status, h, body := g.do(t, "POST", row.body, s.names()...)
		if status != 202 || strings.TrimSpace(body) != row.want || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", row.body, status, body)
		}
	}
	// what stands before a frame that is none was taken, nothing behind it was
	status, _, body := g.do(t, "POST", `[{"type":"n","content":4},{"id":"bad","type":5},{"type":"n","content":6}]`, s.names()...)
	if status != 400 || !contains(body, `"id":"bad","code":"bad_frame"`) || !contains(body, `"accepted":1}`) {
		t.Errorf("%d %s", status, body)
	}
	if f := s.frame("error"); f["id"] != "bad" {
		t.Error(f) // its stream tells it too
	}
	// an array that is no JSON at all: nothing was taken
	if status, _, body := g.do(t, "POST", `[{"type":"n","content":7},{`, s.names()...); status != 400 || !contains(body, `"accepted":0}`) {
		t.Errorf("%d %s", status, body)
	}
	s.frame("error")
	if status, _, _ := g.do(t, "POST", `{"op":"ping","id":"p"}`, s.names()...); status != 202 {
		t.Error(status)
	}
	if f := s.frame("pong"); f["id"] != "p" {
		t.Error(f)
	}
	eventually(t, "all are handled in order", func() bool { return got() == "[1 2 3 4]" })
	stats := g.Connection(s.welcome["conn"].(string)).Stats()
	if stats.MessagesIn != 4 || stats.FailedIn != 2 || stats.BytesIn < 100 || stats.BytesOut < 100 {
		t.Errorf("%+v", stats)
	}
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	reasons := make(chan comm.ReasonKind, 1)
	g := startGateway(t, nil, comm.WithOnDisconnect(func(_ *comm.Conn, d comm.Disconnection) { reasons <- d.Reason.Kind }))
	s := g.hello(t, `{"op":"hello"}`)
	if status, _, body := g.do(t, "DELETE", "", s.names()...); status != 204 || body != "" {
		t.Fatal(status, body)
	}
	if f := s.frame("closing"); f["code"] != "client" || f["reconnect"] != true {
		t.Error(f)
	}
	s.ends()
	if r := <-reasons; r != comm.ReasonClient {
		t.Error(r)
	}
	for _, method := range []string{"DELETE", "POST"} {
		if status, _, _ := g.do(t, method, "", s.names()...); status != 404 {
			t.Errorf("%s after the end: %d", method, status)
		}
	}
}

// TestUpwardBackpressure: a slow handler makes its client's requests wait, few of them, and nobody else's.
func TestUpwardBackpressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startMemory(t, nil)
		release := make(chan struct{})
		comm.On(g.Manager, "slow", func(context.Context, *comm.Conn, int) error { <-release; return nil })
		s, other := g.hello(t, `{"op":"hello"}`), g.hello(t, `{"op":"hello"}`)
		frames := "[" + strings.Repeat(`{"type":"slow","content":1},`, 39) + `{"type":"slow","content":1}]`
		statuses := make(chan int, sse.MaxUpward+4)
		for range sse.MaxUpward + 4 {
			go func() {
				status, _, _ := g.do(t, "POST", frames, s.names()...)
				statuses <- status
			}()
		}
		synctest.Wait()
		for range 4 - 1 + 0 {
			if status := <-statuses; status != http.StatusTooManyRequests {
				t.Errorf("%d, want 429", status)
			}
		}
		if status, _, _ := g.do(t, "POST", `{"op":"ping","id":"p"}`, other.names()...); status != 202 {
			t.Error(status)
		}
		other.frame("pong")
		close(release)
		for range sse.MaxUpward + 1 {
			if status := <-statuses; status != 202 {
				t.Errorf("%d, want 202", status)
			}
		}
	})
}

// TestUpwardEnds: a request whose connection ends while it waits learns that.
func TestUpwardEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startMemory(t, nil)
		release := make(chan struct{})
		comm.On(g.Manager, "slow", func(context.Context, *comm.Conn, int) error { <-release; return nil })
		s := g.hello(t, `{"op":"hello"}`)
		frames := "[" + strings.Repeat(`{"type":"slow","content":1},`, 39) + `{"type":"slow","content":1}]`
		status := make(chan int, 1)
		go func() {
			n, _, _ := g.do(t, "POST", frames, s.names()...)
			status <- n
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.CloseConnection(ctx, s.welcome["conn"].(string), "enough"); err != nil {
			t.Fatal(err)
		}
		if n := <-status; n != 404 {
			t.Errorf("%d, want 404", n)
		}
		close(release)
	})
}

// FuzzUpward holds the splitting of bodies against its promise: what it takes are frames, in order, and
// it says which one is none.
func FuzzUpward(f *testing.F) {
	for _, body := range []string{
		`{"type":"n","content":1}`, `[{"type":"n","content":1},{"op":"ping","id":"1"}]`, ` [ ] `, `[[{"op":"ping"}]]`,
		`[{"op":"ping"},5]`, `{"op":"join","group":"lobby","position":"group:lobby@a.1:3"}`, `[`, ``, "\xff", `[{"op":"ping"}]x`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var taken []*comm.Frame
		err := sse.EachFrame(body, func(f *comm.Frame) error { taken = append(taken, f); return nil })
		again := []byte{'['}
		for i, f := range taken {
			if i > 0 {
				again = append(again, ',')
			}
			var encodeErr error
			if again, encodeErr = comm.JSON().AppendFrame(again, f); encodeErr != nil {
				t.Fatalf("%+v cannot be sent on: %v", f, encodeErr)
			}
		}
		if len(taken) > 0 && err == nil {
			n := 0
			if err := sse.EachFrame(append(again, ']'), func(*comm.Frame) error { n++; return nil }); err != nil || n != len(taken) {
				t.Fatalf("%q: %d of %d frames again, %v", body, n, len(taken), err)
			}
		}
		if err != nil && comm.HTTPStatus(err) != http.StatusBadRequest {
			t.Fatalf("%q: %v is no bad request", body, err)
		}
	})
}
