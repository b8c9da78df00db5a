package sse_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/sse"
)

// The wire format of a hijacked stream, byte by byte.
func TestStreamHijackWire(t *testing.T) {
	t.Parallel()
	tests := []struct{ proto, head, body string }{
		{
			"HTTP/1.1", "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Type: text/event-stream\r\nDate: D\r\nTransfer-Encoding: chunked\r\nX-Accel-Buffering: no\r\nX-Mine: a  b\r\n\r\n",
			"9\r\ndata: a\n\n\r\n1b\r\ndata: b\n\nevent: c\ndata: d\n\n\r\n0\r\n\r\n",
		},
		{
			"HTTP/1.0", "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Type: text/event-stream\r\nDate: D\r\nX-Accel-Buffering: no\r\nX-Mine: a  b\r\n\r\n",
			"data: a\n\ndata: b\n\nevent: c\ndata: d\n\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.proto, func(t *testing.T) {
			t.Parallel()
			h := sse.Handler(func(ctx context.Context, s *sse.Stream) error {
				_ = s.Send(ctx, sse.Event{Data: []byte("a")})
				return s.Send(ctx, sse.Event{Data: []byte("b")}, sse.Event{Type: "c", Data: []byte("d")})
			}, sse.WithHijack())
			srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Mine", "a\r\nb")
				w.Header().Set("Date", "D")
				h.ServeHTTP(w, r)
			}), false)
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET / %s\r\nHost: x\r\n\r\n", tt.proto)
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.head + tt.body; string(got) != want {
				t.Errorf("got\n%q, want\n%q", got, want)
			}
		})
	}
}

func TestStreamHijackStrayData(t *testing.T) {
	t.Parallel()
	opened := make(chan *sse.Stream, 1)
	srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		opened <- s
		<-ctx.Done()
		return nil
	}, sse.WithHijack()), false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\nsome bytes that nobody asked for")
	s := <-opened
	if !s.Hijacked() {
		t.Fatal("not hijacked")
	}
	if err := s.Send(t.Context(), sse.Event{Data: []byte("still here")}); err != nil {
		t.Fatalf("a little stray data ended the stream: %v", err)
	}
	go func() {
		junk := make([]byte, 4<<10)
		for range 64 {
			if _, err := conn.Write(junk); err != nil {
				return
			}
		}
	}()
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("endless stray data was accepted")
	}
	if err := s.Err(); !strings.Contains(err.Error(), "client sent data") {
		t.Errorf("cause %v", err)
	}
}

func TestStreamHijackPanic(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	ended := make(chan error, 1)
	srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		panic("boom")
	}, sse.WithHijack(), sse.WithLogger(textLogger(&log)), sse.WithOnEnd(func(_ *sse.Stream, cause error) { ended <- cause })), false)
	if _, err := io.ReadAll(open(t, srv, nil).Body); err != nil {
		t.Fatal(err)
	}
	if cause := <-ended; cause == nil || !strings.Contains(cause.Error(), "panicked") {
		t.Errorf("cause %v", cause)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "TestStreamHijackPanic") {
		t.Errorf("log %q holds no panic with its stack", log.String())
	}
}
