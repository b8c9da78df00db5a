package sse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/sse"
)

// goneResponse is a response whose Write waits until it is let go, and that must be left alone once its handler has
// returned, as net/http's over HTTP/2 must.
type goneResponse struct {
	*httptest.ResponseRecorder
	blocked chan struct{}
	mu      sync.Mutex
	gone    bool
	after   int // deadlines set when the handler had returned
}

func (g *goneResponse) Write(b []byte) (int, error) {
	if string(b) == "data: wait\n\n" {
		<-g.blocked
	}
	return len(b), nil
}

func (g *goneResponse) SetWriteDeadline(time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		g.after++
	}
	return nil
}

func (*goneResponse) SetReadDeadline(time.Time) error { return nil }

// Whoever cuts a write in flight does not touch the response of a handler that has returned meanwhile.
func TestCutLeavesAReturnedHandlerAlone(t *testing.T) {
	t.Parallel()
	for range 500 { // who comes first is left to the scheduler
		synctest.Test(t, cutWhileItEnds)
	}
}

func cutWhileItEnds(t *testing.T) {
	w := &goneResponse{ResponseRecorder: httptest.NewRecorder(), blocked: make(chan struct{})}
	opened := make(chan *sse.Stream, 1)
	handler := sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		opened <- s
		<-ctx.Done()
		return nil
	}, sse.WithWriteTimeout(0))
	var wg sync.WaitGroup
	wg.Go(func() {
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
	})
	s := <-opened
	wg.Go(func() { _, _ = s.SendRaw([][]byte{[]byte("data: wait\n\n")}, time.Time{}) })
	synctest.Wait()
	// At the deadline of CloseBy the write ends by itself: either of them may come first.
	wg.Go(func() { _ = s.CloseBy(time.Now().Add(time.Second)) })
	wg.Go(func() { time.Sleep(time.Second); close(w.blocked) })
	wg.Wait()
	if w.after > 0 {
		t.Errorf("%d deadlines were set behind the handler's end", w.after)
	}
}
