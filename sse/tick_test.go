package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/sse"
)

func TestStreamTimers(t *testing.T) {
	t.Parallel()
	for _, hijack := range []bool{false, true} {
		t.Run(fmt.Sprint("hijack=", hijack), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				opts := []sse.AcceptOption{sse.WithHeartbeat(10 * time.Second), sse.WithLifetime(100 * time.Second)}
				if hijack {
					opts = append(opts, sse.WithHijack())
				}
				ended := make(chan error, 1)
				srv := serveMemory(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
					time.Sleep(25 * time.Second)
					err := s.Send(ctx, sse.Event{Data: []byte("x")})
					<-ctx.Done()
					return err
				}, append(opts, sse.WithOnEnd(func(_ *sse.Stream, cause error) { ended <- cause }))...))
				start := time.Now()
				res := srv.get(t, nil)
				var at []string
				for lines := bufio.NewScanner(res.Body); lines.Scan(); {
					if line := lines.Text(); line != "" {
						at = append(at, fmt.Sprintf("%s@%.0f", line, time.Since(start).Seconds()))
					}
				}
				if got := strings.Join(at[:5], " "); got != ":@10 :@20 data: x@25 :@35 :@45" {
					t.Errorf("got %s", got)
				}
				if lived := time.Since(start); lived < 80*time.Second || lived > 100*time.Second {
					t.Errorf("lived %v, want 80 to 100 s", lived)
				}
				if cause := <-ended; cause != sse.ErrLifetime {
					t.Errorf("cause %v, want ErrLifetime", cause)
				}
			})
		})
	}
}

// A client that vanished without a word is found by the heartbeat.
func TestStreamHeartbeatFindsStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		srv := serveMemory(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			<-ctx.Done()
			ended <- time.Now()
			return nil
		}, sse.WithHeartbeat(15*time.Second), sse.WithWriteTimeout(5*time.Second), sse.WithHijack()))
		conn := srv.dial(t)
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		head := make([]byte, 4096)
		if _, err := conn.Read(head); err != nil { // the headers, and then nothing more
			t.Fatal(err)
		}
		start := time.Now()
		if lived := (<-ended).Sub(start); lived != 20*time.Second {
			t.Errorf("ended after %v, want heartbeat + write timeout = 20 s", lived)
		}
	})
}
