package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/park"
	"github.com/anasamu/comm/sse"
)

// hijacker serves hijacked streams over loopback and hands each of them out.
func hijacker(t *testing.T, opts ...sse.AcceptOption) (*httptest.Server, <-chan *sse.Stream) {
	t.Helper()
	opened := make(chan *sse.Stream, 64)
	return serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		opened <- s
		<-ctx.Done()
		return nil
	}, append(opts, sse.WithHijack())...), false), opened
}

// client opens a stream and has read the head of the answer.
func client(t *testing.T, srv *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(conn)
	for line := "-"; strings.TrimSpace(line) != ""; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return conn, r
}

// Streams that wait for their clients to go hold no goroutine for that, and hear of it.
func TestIdleStreamsHoldNoGoroutine(t *testing.T) {
	const streams = 20
	opened, ended := make(chan *sse.Stream, streams), make(chan *sse.Stream, streams)
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.Accept(w, r, sse.WithHijack(), sse.WithOnEnd(func(s *sse.Stream, _ error) { ended <- s }))
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}), false)
	before := park.Count()
	var conns []net.Conn
	for range streams {
		conn, _ := client(t, srv)
		conns = append(conns, conn)
		if s := <-opened; !park.Available() || !sse.Direct(s) {
			t.Skip("nothing is parked here")
		}
	}
	eventually(t, "the streams were not parked", func() bool { return park.Count()-before == streams && looking() == 0 })
	fmt.Fprint(conns[0], "a little that nobody asked for")
	eventually(t, "a stream was not parked again", func() bool { return park.Count()-before == streams && looking() == 0 })
	for _, c := range conns {
		c.Close()
	}
	for range streams {
		<-ended
	}
	if n := park.Count() - before; n != 0 {
		t.Errorf("%d streams that have ended are parked", n)
	}
}

// looking counts the goroutines that wait for a client to go.
func looking() int {
	buf := make([]byte, 4<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	return strings.Count(stacks, "sse.(*departure).look(") + strings.Count(stacks, "sse.awaitClose(")
}

// A deadline that an earlier write has left behind ends nothing.
func TestStreamOutlivesWriteDeadlines(t *testing.T) {
	t.Parallel()
	srv, opened := hijacker(t, sse.WithWriteTimeout(time.Minute))
	_, r := client(t, srv)
	s := <-opened
	for i := range 3 {
		if err := sse.ExpireWrites(s); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), sse.Event{Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
		if got, want := chunk(t, r), fmt.Sprintf("data: %d\n\n", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func chunk(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var n int
	if _, err := fmt.Fscanf(r, "%x\r\n", &n); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// What has left of a write that ended too early is told to the byte, whichever part of it was written how.
func TestStreamTellsWhatHasLeft(t *testing.T) {
	t.Parallel()
	srv, opened := hijacker(t)
	conn, r := client(t, srv)
	s := <-opened
	part := bytes.Repeat([]byte("data: 123456789\n"), 1<<10)
	batch := make([][]byte, 1<<10) // 16 MiB, which no socket takes at once
	for i := range batch {
		batch[i] = part
	}
	n, err := s.SendRaw(batch, time.Now().Add(time.Second))
	if !isTimeout(err) || s.Err() == nil {
		t.Fatalf("%v, and the stream's end %v", err, s.Err())
	}
	head, err := r.ReadString('\n')
	if err != nil || head != fmt.Sprintf("%x\r\n", len(part)*len(batch)) {
		t.Fatalf("the chunk begins with %q, %v", head, err)
	}
	got, _ := io.ReadAll(r)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if want := len(got) / len(part); n != want {
		t.Errorf("%d parts are said to have left; %d have come, and %d bytes", n, want, len(got)%len(part))
	}
}

// A write that waits is cut off, with and without a deadline of its own.
func TestStreamIsCutOff(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			srv, opened := hijacker(t, sse.WithWriteTimeout(timeout))
			client(t, srv)
			s := <-opened
			failed := make(chan error, 1)
			go func() { failed <- s.Send(t.Context(), sse.Event{Data: make([]byte, 16<<20)}) }()
			eventually(t, "the write does not wait", func() bool { return waitsToWrite() })
			if err := s.CloseBy(time.Now()); err != nil {
				t.Error(err)
			}
			if err := <-failed; err == nil {
				t.Error("the write did not fail")
			}
		})
	}
}

// waitsToWrite reports whether a goroutine is in a write of a hijacked stream that waits.
func waitsToWrite() bool {
	buf := make([]byte, 4<<20)
	return strings.Contains(string(buf[:runtime.Stack(buf, true)]), "sse.(*connCarrier).write(")
}

// Where a stream cannot be parked, a goroutine waits for its client to go.
func TestAwaitClose(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		name  string
		say   int
		end   func(near, far net.Conn)
		fails bool
	}{
		{"the client goes", 0, func(_, far net.Conn) { far.Close() }, false},
		{"the client says a little and goes", 100, func(_, far net.Conn) { far.Close() }, false},
		{"the stream ends", 0, func(near, _ net.Conn) { near.Close() }, false},
		{"the client says too much", 101, func(net.Conn, net.Conn) {}, true},
	} {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- sse.AwaitClose(near, 100) }()
		if _, err := far.Write(make([]byte, c.say)); err != nil {
			t.Error(err)
		}
		c.end(near, far)
		if err := <-ended; (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		near.Close()
		far.Close()
	}
}
