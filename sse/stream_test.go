package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/sse"
)

// serve runs h on real loopback sockets, over HTTP/1.1 or HTTP/2.
func serve(t *testing.T, h http.Handler, h2 bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	if h2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func open(t *testing.T, srv *httptest.Server, edit func(*http.Request)) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(req)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// carriers runs f over every way a stream can travel.
func carriers(t *testing.T, f func(t *testing.T, h2 bool, opts ...sse.AcceptOption)) {
	t.Run("h1", func(t *testing.T) { t.Parallel(); f(t, false) })
	t.Run("h2", func(t *testing.T) { t.Parallel(); f(t, true) })
	t.Run("hijack", func(t *testing.T) { t.Parallel(); f(t, false, sse.WithHijack()) })
	t.Run("hijack refused by h2", func(t *testing.T) { t.Parallel(); f(t, true, sse.WithHijack()) })
}

func TestStream(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		go1 := make(chan struct{})
		opts = append(opts, sse.WithRetry(1500*time.Millisecond))
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			<-go1
			if err := s.Send(ctx, sse.Event{ID: "1", Data: []byte(s.LastEventID())}, sse.Event{Type: "b", Data: []byte("x\ny")}); err != nil {
				return err
			}
			raw := [][]byte{[]byte("id: 3\n"), []byte("data: raw\n\n")}
			if n, err := s.SendRaw(raw, time.Time{}); n != 2 || err != nil {
				return fmt.Errorf("SendRaw: %d, %w", n, err)
			}
			big := sse.Event{Data: []byte(strings.Repeat("z", 300<<10))}
			return s.Send(ctx, big)
		}, opts...), h2)
		res := open(t, srv, func(r *http.Request) { r.Header.Set("Last-Event-ID", "é:9") })
		close(go1) // the headers have arrived before any event
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if res.StatusCode != 200 || res.Header.Get("Date") == "" || res.ProtoMajor == 2 != h2 {
			t.Errorf("status %d, date %q, %s", res.StatusCode, res.Header.Get("Date"), res.Proto)
		}
		d := sse.NewDecoder(res.Body)
		var got []sse.Event
		for ev, err := range d.Events() { // an unclean end would be an error
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ev)
		}
		if len(got) != 4 || len(got[3].Data) != 300<<10 {
			t.Fatalf("got %d events", len(got))
		}
		if want := `[1||"é:9"|0s][1|b|"x\ny"|0s][3||"raw"|0s]`; show(got[:3]) != want {
			t.Errorf("got %s, want %s", show(got[:3]), want)
		}
		if r, ok := d.Retry(); !ok || r != 1500*time.Millisecond {
			t.Errorf("retry %v, %v", r, ok)
		}
	})
}

func TestStreamOutlivesServerTimeouts(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		synctest.Test(t, func(t *testing.T) {
			srv := serveMemory(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
				for range 3 {
					time.Sleep(2 * absoluteTimeout)
					if err := s.Send(ctx, sse.Event{Data: []byte("x")}); err != nil {
						t.Error(err)
					}
				}
				return nil
			}, opts...))
			srv.transport.Protocols = protocols(!h2, false, h2)
			res := srv.get(t, nil)
			body, err := io.ReadAll(res.Body)
			if want := strings.Repeat("data: x\n\n", 3); string(body) != want || err != nil || res.ProtoMajor == 2 != h2 {
				t.Errorf("%s: %q, %v; want %q", res.Proto, body, err, want)
			}
		})
	})
}

func TestStreamClientGone(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		ended, stands := make(chan error, 2), make(chan struct{}) // a client that goes before has had no stream
		opts = append(opts, sse.WithOnEnd(func(s *sse.Stream, cause error) { ended <- cause }))
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			close(stands)
			<-s.Done()
			if err := s.Send(context.Background(), sse.Event{Data: []byte("late")}); !errors.Is(err, sse.ErrClosed) || !errors.Is(err, sse.ErrGone) {
				t.Errorf("Send after the end: %v", err)
			}
			if n, err := s.SendRaw([][]byte{[]byte("x")}, time.Now().Add(time.Second)); n != 0 || !errors.Is(err, sse.ErrClosed) {
				t.Errorf("SendRaw after the end: %d, %v", n, err)
			}
			return nil
		}, opts...), h2)
		res := open(t, srv, nil)
		<-stands
		res.Body.Close()
		select {
		case cause := <-ended:
			if !errors.Is(cause, sse.ErrGone) {
				t.Errorf("cause %v, want ErrGone", cause)
			}
		case <-time.After(time.Minute):
			t.Fatal("the client's departure was not noticed")
		}
		srv.Close()
		if len(ended) != 0 {
			t.Error("OnEnd was called twice")
		}
	})
}

// A stalled client loses its own stream to the write deadline; a witness on the same server loses nothing.
func TestStreamStalledClient(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		var mu sync.Mutex
		streams := map[string]*sse.Stream{}
		joined := make(chan struct{}, 2)
		opts = append(opts, sse.WithWriteTimeout(2*time.Second))
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			mu.Lock()
			streams[s.LastEventID()] = s
			mu.Unlock()
			joined <- struct{}{}
			<-ctx.Done()
			return nil
		}, opts...), h2)
		open(t, srv, func(r *http.Request) { r.Header.Set("Last-Event-ID", "stalled") }) // never read
		<-joined
		witness := sse.NewDecoder(open(t, srv, func(r *http.Request) { r.Header.Set("Last-Event-ID", "witness") }).Body)
		<-joined

		stalledErr := make(chan error, 1)
		go func() {
			chunk := sse.Event{Data: []byte(strings.Repeat("x", 256<<10))}
			var err error
			for range 400 { // far beyond what socket buffers take
				if err = streams["stalled"].Send(context.Background(), chunk); err != nil {
					break
				}
			}
			stalledErr <- err
		}()
		for i := range 20 {
			if err := streams["witness"].Send(t.Context(), sse.Event{Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
			if ev, err := witness.Next(); err != nil || string(ev.Data) != fmt.Sprint(i) {
				t.Fatalf("witness got %q, %v instead of %d", ev.Data, err, i)
			}
		}
		select {
		case err := <-stalledErr:
			if err == nil {
				t.Error("a client that reads nothing took 100 MB")
			}
		case <-time.After(time.Minute):
			t.Fatal("the write deadline did not end the stalled stream")
		}
		<-streams["stalled"].Done()
		if err := streams["witness"].Send(t.Context(), sse.Event{Data: []byte("last")}); err != nil {
			t.Fatal(err)
		}
		if ev, err := witness.Next(); err != nil || string(ev.Data) != "last" {
			t.Errorf("witness got %q, %v", ev.Data, err)
		}
	})
}

// CloseBy runs beside a blocked write and unblocks it long before the write's own deadline.
func TestStreamCloseByUnblocks(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		opened := make(chan *sse.Stream, 1)
		opts = append(opts, sse.WithWriteTimeout(time.Minute))
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			opened <- s
			<-ctx.Done()
			return nil
		}, opts...), h2)
		open(t, srv, nil)
		s := <-opened
		failed := make(chan error, 1)
		go func() {
			for {
				if _, err := s.SendRaw([][]byte{[]byte(strings.Repeat("x", 1<<20))}, time.Time{}); err != nil {
					failed <- err
					return
				}
			}
		}()
		time.Sleep(100 * time.Millisecond) // most likely the buffers are full now; the assertions hold either way
		start := time.Now()
		_ = s.CloseBy(time.Now().Add(50 * time.Millisecond))
		<-failed
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("closing took %v", took)
		}
		if !errors.Is(s.Err(), sse.ErrClosed) {
			t.Errorf("cause %v", s.Err())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// stuckWriter takes a header and nothing more until its deadline is in the past.
type stuckWriter struct {
	httptest.ResponseRecorder
	writing  chan struct{} // closed with the first Write
	cut      chan struct{} // closed with the first such deadline
	returned chan struct{} // closed when the handler has returned
	t        *testing.T
}

func (w *stuckWriter) Write([]byte) (int, error) {
	close(w.writing)
	<-w.cut
	return 0, os.ErrDeadlineExceeded
}

func (w *stuckWriter) SetReadDeadline(time.Time) error { return nil }

func (w *stuckWriter) SetWriteDeadline(at time.Time) error {
	if at.IsZero() || at.After(time.Now()) {
		return nil
	}
	select {
	case <-w.cut:
	default:
		close(w.cut)
	}
	select {
	case <-w.returned:
		w.t.Error("the writer is used when the handler has returned")
	case <-time.After(50 * time.Millisecond): // for long the handler could, if nothing held it
	}
	return nil
}

// A handler does not return while another goroutine still cuts its writer off.
func TestStreamCloseByBesideItsHandler(t *testing.T) {
	t.Parallel()
	w := &stuckWriter{*httptest.NewRecorder(), make(chan struct{}), make(chan struct{}), make(chan struct{}), t}
	s, err := sse.Accept(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), sse.WithWriteTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup
	others.Go(func() {
		if err := s.Send(context.Background(), sse.Event{Data: []byte("x")}); err == nil {
			t.Error("sent to nobody")
		}
	})
	<-w.writing
	others.Go(func() { _ = s.CloseBy(time.Now().Add(time.Millisecond)) })
	<-s.Done()
	_ = s.Close() // as a handler does
	close(w.returned)
	others.Wait()
}

func TestStreamConcurrentSend(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, opts ...sse.AcceptOption) {
		const senders, each = 8, 50
		srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			var wg sync.WaitGroup
			for i := range senders {
				wg.Go(func() {
					for j := range each {
						ev := sse.Event{Type: fmt.Sprint(i), Data: fmt.Append(nil, j)}
						var err error
						if j%2 == 0 {
							err = s.Send(ctx, ev)
						} else {
							raw, _ := ev.Append(nil)
							_, err = s.SendRaw([][]byte{raw}, time.Now().Add(time.Minute))
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			return nil
		}, opts...), h2)
		next := map[string]int{}
		for ev, err := range sse.NewDecoder(open(t, srv, nil).Body).Events() {
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprint(next[ev.Type]); string(ev.Data) != want {
				t.Fatalf("sender %s: got %s, want %s", ev.Type, ev.Data, want)
			}
			next[ev.Type]++
		}
		for i := range senders {
			if got := next[fmt.Sprint(i)]; got != each {
				t.Errorf("sender %d: %d events", i, got)
			}
		}
	})
}

func TestStreamRefusedEventKeepsStream(t *testing.T) {
	t.Parallel()
	srv := serve(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		err := s.Send(ctx, sse.Event{Data: []byte("not sent either")}, sse.Event{Type: "a\ndata: forged"})
		if _, ok := errors.AsType[*sse.FieldError](err); !ok {
			t.Errorf("got %v, want a FieldError", err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.Send(gone, sse.Event{Data: []byte("x")}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if err := s.Send(ctx, sse.Event{}); err != nil {
			t.Error(err)
		}
		return s.Send(ctx, sse.Event{Data: []byte("ok")})
	}), false)
	body, err := io.ReadAll(open(t, srv, nil).Body)
	if err != nil || string(body) != "data: ok\n\n" {
		t.Errorf("got %q, %v", body, err)
	}
}

// A sender that waits for another one gives up at its own limit, and the stream lives on.
func TestStreamWaitingSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan *sse.Stream, 1)
		srv := serveMemory(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			opened <- s
			<-ctx.Done()
			return nil
		}, sse.WithHijack(), sse.WithWriteTimeout(30*time.Second)))
		res := srv.get(t, nil)
		s := <-opened
		first := make(chan error, 1)
		go func() { first <- s.Send(context.Background(), sse.Event{Data: []byte(strings.Repeat("x", 64<<10))}) }()
		synctest.Wait() // blocked: nobody reads
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Send(ctx, sse.Event{Data: []byte("y")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		if n, err := s.SendRaw([][]byte{[]byte("data: z\n\n")}, time.Now().Add(time.Second)); n != 0 || !isTimeout(err) {
			t.Errorf("SendRaw: %d, %v", n, err)
		}
		d := sse.NewDecoder(res.Body)
		if ev, err := d.Next(); err != nil || len(ev.Data) != 64<<10 {
			t.Fatalf("%d bytes, %v", len(ev.Data), err)
		}
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		go func() { first <- s.Send(context.Background(), sse.Event{Data: []byte("after")}) }()
		if ev, err := d.Next(); err != nil || string(ev.Data) != "after" {
			t.Errorf("%q, %v", ev.Data, err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
}

// SendRaw counts what left wholly before a hijacked connection stalled.
func TestStreamSendRawPartial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan *sse.Stream, 1)
		srv := serveMemory(t, sse.Handler(func(ctx context.Context, s *sse.Stream) error {
			opened <- s
			<-ctx.Done()
			return nil
		}, sse.WithHijack()))
		conn := srv.dial(t)
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		head := make([]byte, 4096)
		if _, err := conn.Read(head); err != nil {
			t.Fatal(err)
		}
		s := <-opened
		part := []byte("data: 12345678\n\n") // 16 bytes
		go func() {
			_, _ = io.ReadFull(conn, make([]byte, len("40\r\n")+2*len(part)+5))
		}()
		n, err := s.SendRaw([][]byte{part, part, part, part}, time.Now().Add(time.Second))
		if n != 2 || !isTimeout(err) {
			t.Errorf("got %d, %v; want 2 and a timeout", n, err)
		}
		if s.Err() == nil {
			t.Error("a partial write left the stream open")
		}
	})
}
