package listen_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/listen"
)

// shut shuts a server down and returns how long that took.
func shut(t *testing.T, s *listen.Server) time.Duration {
	t.Helper()
	start := time.Now()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	return time.Since(start)
}

// A drain counts for how long a connection has been idle before it: what nobody has used for DrainIdle is not
// waited for, and what was used lately only for the rest of it.
func TestDrainCountsIdleTimeBefore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ idle, took time.Duration }{
		"long idle":   {2 * time.Second, 0},
		"idle a day":  {time.Minute, 0},
		"used lately": {1500 * time.Millisecond, 500 * time.Millisecond},
		"just used":   {0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, n, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(describe)})
				get(t, &http.Client{Transport: tr}, "http://localhost/")
				silent, err := n.DialContext(t.Context(), "tcp", ":80") // and one that never carried a request
				if err != nil {
					t.Fatal(err)
				}
				defer silent.Close()
				time.Sleep(tt.idle)
				synctest.Wait()
				if got := shut(t, s); got < tt.took || got > tt.took+100*time.Millisecond {
					t.Errorf("drained after %v, want %v", got, tt.took)
				}
				if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("the silent connection: %v, want EOF", err)
				}
			})
		})
	}
}

// A request under way on a connection is no idleness, however long ago the one before it was.
func TestDrainOfALongRequestAfterIdleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			io.WriteString(w, "late")
		})})
		c := &http.Client{Transport: tr}
		get(t, c, "http://localhost/")
		time.Sleep(time.Minute)
		answer := make(chan string, 1)
		go func() { answer <- get(t, c, "http://localhost/") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown with a request under way: %v", err)
		}
		// The request began before the drain, so its answer announces nothing, and its client may go on.
		if got := shut(t, s); got < 5900*time.Millisecond || got > 6100*time.Millisecond {
			t.Errorf("drained after %v more, want 4 s for the answer and 2 s of idleness", got)
		}
		if got := <-answer; got != "late" {
			t.Errorf("the request under way got %q", got)
		}
	})
}
