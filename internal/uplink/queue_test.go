package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anasamu/comm/internal/uplink"
)

var (
	errClosed = errors.New("closed")
	errFull   = errors.New("full")
	errPost   = errors.New("refused")
)

// wire is the other side: it keeps the bodies, and answers each when the test lets it.
type wire struct {
	bodies []string
	answer chan result
}

type result struct {
	taken int
	err   error
}

func (w *wire) post(body []byte) (int, error) {
	w.bodies = append(w.bodies, string(body))
	r := <-w.answer
	return r.taken, r.err
}

// bubble runs f with a queue whose first request is under way.
func bubble(t *testing.T, f func(t *testing.T, q *uplink.Queue, w *wire, send func(data string) <-chan error)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: make(chan result, 100)}
		q := &uplink.Queue{Post: w.post, Closed: errClosed, Full: errFull}
		send := func(data string) <-chan error {
			sent := make(chan error, 1)
			go func() { sent <- q.Send(t.Context(), []byte(data)) }()
			synctest.Wait()
			return sent
		}
		first := send("first")
		f(t, q, w, send)
		if err := <-first; err != nil {
			t.Errorf("first: %v", err)
		}
		q.Close()
	})
}

func TestQueueGathers(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		a, b := send("a"), send("b")
		close(w.answer)
		if err := errors.Join(<-a, <-b); err != nil {
			t.Error(err)
		}
		if got := strings.Join(w.bodies, " "); got != "first [a,b]" {
			t.Errorf("bodies %s", got)
		}
	})
}

// What stood behind a refused frame is sent again, without it.
func TestQueueRefused(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		var sent []<-chan error
		for _, data := range []string{"a", "bad", "c", "d"} {
			sent = append(sent, send(data))
		}
		for _, r := range []result{{}, {1, errPost}, {-1, errPost}} {
			w.answer <- r
		}
		for i, want := range []error{nil, errPost, errPost, errPost} {
			if err := <-sent[i]; err != want {
				t.Errorf("frame %d: %v, want %v", i, err, want)
			}
		}
		if got := strings.Join(w.bodies, " "); got != "first [a,bad,c,d] [c,d]" {
			t.Errorf("bodies %s", got)
		}
	})
}

// An answer that counts more frames than there were is about all of them, and never loops.
func TestQueueMiscounted(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		a := send("a")
		w.answer <- result{}
		w.answer <- result{7, errPost}
		if err := <-a; err != errPost {
			t.Error(err)
		}
	})
}

func TestQueueBatches(t *testing.T) {
	for _, c := range []struct{ name, frame, want string }{
		{"by number", "x", "64 36"},
		{"by size", strings.Repeat("x", 10_000), "26 26 26 22"},
		{"single larger ones", strings.Repeat("x", 300_000), "1 1 1 1 1 1 1 1 1 1 1 1 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
				var sent []<-chan error
				for range 100 {
					if s := send(c.frame); len(s) == 0 { // not refused
						sent = append(sent, s)
					}
				}
				close(w.answer)
				for _, s := range sent {
					<-s
				}
				var counts []string
				for _, b := range w.bodies[1:] {
					counts = append(counts, fmt.Sprint(strings.Count(b, ",")+1))
				}
				if got := strings.Join(counts, " "); got != c.want {
					t.Errorf("batches of %s, want %s", got, c.want)
				}
			})
		})
	}
}

// A body with several frames is never larger than the other side takes.
func TestQueueLimit(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		q.Limit(len("[aa,bb]"))
		last := send("aa")
		for _, data := range []string{"bb", "cc", "d", "longer than the limit"} {
			last = send(data)
		}
		close(w.answer)
		<-last
		if got := strings.Join(w.bodies, " "); got != "first [aa,bb] [cc,d] longer than the limit" {
			t.Errorf("bodies %s", got)
		}
	})
}

func TestQueueFull(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		for range uplink.MaxWaiting {
			send("x")
		}
		if err := <-send("one more"); err != errFull {
			t.Errorf("got %v, want full", err)
		}
		close(w.answer)
		synctest.Wait()
		if err := <-send("there is room again"); err != nil {
			t.Error(err)
		}
	})
}

// A sender that gives up leaves its frame where it stands.
func TestQueueContext(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errPost)
		if err := q.Send(ctx, []byte("a")); err != errPost {
			t.Error(err)
		}
		close(w.answer)
		synctest.Wait()
		if got := strings.Join(w.bodies, " "); got != "first a" {
			t.Errorf("bodies %s", got)
		}
	})
}

func TestQueueClose(t *testing.T) {
	bubble(t, func(t *testing.T, q *uplink.Queue, w *wire, send func(string) <-chan error) {
		a := send("a")
		closed := make(chan struct{})
		go func() { defer close(closed); q.Close() }()
		if err := <-a; err != errClosed {
			t.Errorf("waiting: %v", err)
		}
		select {
		case <-closed:
			t.Error("Close did not wait for the request under way")
		default:
		}
		w.answer <- result{}
		<-closed
		if err := <-send("b"); err != errClosed {
			t.Errorf("after the end: %v", err)
		}
	})
}
