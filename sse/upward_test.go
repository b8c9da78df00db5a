package sse_test

import (
	"context"
	"errors"
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

// maxUpward is how many requests of a connection wait for one another, as comm.Upward documents.
const maxUpward = 16

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
	// an array that is no JSON at all: nothing was taken
	if status, _, body := g.do(t, "POST", `[{"type":"n","content":7},{`, s.names()...); status != 400 || !contains(body, `"accepted":0}`) {
		t.Errorf("%d %s", status, body)
	}
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
		statuses := make(chan int, maxUpward+4)
		for range maxUpward + 4 {
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
		for range maxUpward + 1 {
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

// A frame that is none among those that gathered fails alone; the others arrive.
func TestDialerSend(t *testing.T) {
	t.Parallel()
	g, got := numbers(t, startGateway)
	c, err := sse.Dialer(g.url, sse.WithHTTPClient(g.http)).Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: new(comm.Hello)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpPing}); err == nil {
		t.Error("sent before welcome")
	}
	if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpWelcome {
		t.Fatal(f, err)
	}
	var senders sync.WaitGroup
	for i := range 100 {
		senders.Go(func() {
			f := &comm.Frame{Op: comm.OpMessage, Message: message(t, "n", i)}
			if i%10 == 5 {
				f = &comm.Frame{Op: comm.OpPing, ID: strings.Repeat("x", 200)} // longer than an id may be
			}
			err := c.Send(t.Context(), f)
			if pe, ok := errors.AsType[*comm.PeerError](err); i%10 == 5 && (!ok || pe.Code != comm.CodeBadFrame) || i%10 != 5 && err != nil {
				t.Errorf("frame %d: %v", i, err)
			}
		})
	}
	senders.Wait()
	eventually(t, "90 are handled", func() bool { return strings.Count(got(), " ") == 89 })
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpPing}); !errors.Is(err, comm.ErrDisconnected) {
		t.Errorf("sent after Close: %v", err)
	}
}
