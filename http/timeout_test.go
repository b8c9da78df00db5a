package commhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	commhttp "github.com/anasamu/comm/http"
)

// timed runs h under a timeout of a second, in a bubble, and returns the answer and
// how long it took.
func timed(t *testing.T, h http.HandlerFunc) (*httptest.ResponseRecorder, time.Duration) {
	t.Helper()
	w := httptest.NewRecorder()
	start := time.Now()
	must(commhttp.Timeout(time.Second))(h).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	return w, time.Since(start)
}

func TestTimeout(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := timed(t, func(w http.ResponseWriter, r *http.Request) {
				if d, ok := r.Context().Deadline(); !ok || time.Until(d) != time.Second {
					t.Errorf("deadline %v, %v", d, ok)
				}
				w.Header().Set("X-A", "b")
				w.WriteHeader(201)
			})
			equal(t, "answer", words(w.Code, w.Header().Get("X-A")), "201 b")
		})
	})
	t.Run("handler heeds its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, took := timed(t, func(w http.ResponseWriter, r *http.Request) {
				child, cancel := context.WithTimeout(r.Context(), time.Hour)
				defer cancel()
				<-child.Done()
				equal(t, "derived", child.Err(), context.DeadlineExceeded)
				equal(t, "own", r.Context().Err(), context.DeadlineExceeded)
			})
			equal(t, "answer", words(w.Code, took), "503 1s")
		})
	})
	t.Run("handler does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			late := make(chan error, 1)
			w, took := timed(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-A", "b")
				time.Sleep(time.Minute)
				_, err := io.WriteString(w, "late")
				w.WriteHeader(200)
				w.Header().Set("X-Late", "c")
				late <- err
			})
			equal(t, "answer", words(w.Code, took, w.Header().Get("X-A"), w.Header().Get("Content-Type")), "503 1s  application/problem+json")
			body := w.Body.String()
			equal(t, "late write", <-late, http.ErrHandlerTimeout)
			equal(t, "body afterwards", w.Body.String(), body)
			equal(t, "header afterwards", w.Header().Get("X-Late"), "")
		})
	})
	t.Run("begun answers are the handler's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, took := timed(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "begun ")
				<-r.Context().Done()
				io.WriteString(w, "ended")
			})
			equal(t, "answer", words(w.Code, took, w.Body.String()), "200 1s begun ended")
		})
	})
	t.Run("a stream has no deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, took := timed(t, func(w http.ResponseWriter, r *http.Request) {
				child, cancel := context.WithCancel(r.Context())
				defer cancel()
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				for range 3 {
					time.Sleep(900 * time.Millisecond)
					io.WriteString(w, "data: x\n\n")
				}
				if _, ok := r.Context().Deadline(); ok || child.Err() != nil {
					t.Errorf("the stream is bounded: %v, %v", ok, child.Err())
				}
			})
			equal(t, "answer", words(w.Code, took), "200 2.7s")
		})
	})
	t.Run("nor what is marked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, took := timed(t, commhttp.Stream(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(5 * time.Second)
				equal(t, "context", r.Context().Err(), nil)
			})).ServeHTTP)
			equal(t, "took", took, 5*time.Second)
		})
	})
	t.Run("the client leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			gone := errors.New("gone")
			time.AfterFunc(time.Millisecond, func() { cancel(gone) })
			h := must(commhttp.Timeout(time.Second))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				child, cancel := context.WithCancel(r.Context())
				defer cancel()
				<-child.Done()
				equal(t, "err", child.Err(), context.Canceled)
				equal(t, "cause", context.Cause(r.Context()), gone)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
			equal(t, "written", w.Body.Len(), 0)
		})
	})
	t.Run("panic", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, "very bad") || !strings.Contains(v, "panicHere") {
					t.Errorf("the panic became %v", v)
				}
			}()
			timed(t, func(http.ResponseWriter, *http.Request) { panicHere() })
		})
	})
	for _, d := range []time.Duration{0, -1} {
		if _, err := commhttp.Timeout(d); err == nil {
			t.Errorf("a timeout of %v was taken", d)
		}
	}
}

// On real servers the 503 is complete while the handler is still stuck.
func TestTimeoutOnServers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	h := full(t, func(w http.ResponseWriter, r *http.Request) { <-release }, commhttp.WithRequestTimeout(20*time.Millisecond))
	onServers(t, h, func(t *testing.T, client *http.Client, url string) {
		for range 2 {
			a := ask(t, client, "GET", url+"/x", nil, "Accept-Encoding", "gzip")
			equal(t, "answer", words(a.StatusCode, a.err), "503 <nil>")
		}
	})
}

// A client that takes nothing is cut after the write timeout; one that is slow but
// steady is not, and a stream has no such timeout.
func TestWriteDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, start func(http.Handler) *http.Client) {
		ended := make(chan time.Duration, 1)
		client := start(mustHandler(t, commhttp.WithWriteTimeout(time.Second), commhttp.HandleFunc("/stall", func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			buf := make([]byte, 64<<10)
			var err error
			for err == nil {
				_, err = w.Write(buf)
			}
			ended <- time.Since(began)
		}), commhttp.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			for range 6 {
				time.Sleep(700 * time.Millisecond)
				io.WriteString(w, "x")
				http.NewResponseController(w).Flush()
			}
		}), commhttp.HandleFunc("/idle", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(2 * time.Second)
			io.WriteString(w, "y")
		}), commhttp.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(time.Hour)
			io.WriteString(w, "y")
		})))
		for range 2 { // the second on a connection whose last deadline has passed
			equal(t, "slow", ask(t, client, "GET", "http://x/slow", nil).body, "xxxxxx")
			a := ask(t, client, "GET", "http://x/stream", nil)
			equal(t, "stream", words(a.body, a.err), "xy <nil>")
			time.Sleep(5 * time.Second)
		}
		if a, err := tryAsk(t.Context(), client, "GET", "http://x/idle", nil); err == nil && a.err == nil {
			t.Errorf("a handler that wrote nothing for longer than the timeout was answered %q", a.body)
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://x/stall", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took < 900*time.Millisecond || took > 1300*time.Millisecond {
			t.Errorf("a stalled client held its handler for %v", took)
		}
		resp.Body.Close()
	})
}

// A body that stops coming ends with a timeout, a slow but steady one does not, and the
// request's context lives on past the read timeout once the body is there.
func TestReadDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, start func(http.Handler) *http.Client) {
		client := start(mustHandler(t, commhttp.WithReadTimeout(time.Second), commhttp.WithWriteTimeout(0), commhttp.HandleFunc("/x", func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				equal(t, "error", errors.Is(err, os.ErrDeadlineExceeded), true)
				commhttp.RefuseError(w, r, err)
				return
			}
			time.Sleep(time.Minute)
			equal(t, "context after the body", r.Context().Err(), nil)
		}), commhttp.HandleFunc("/unread", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })))
		for _, tt := range []struct {
			path   string
			body   io.Reader
			status int
		}{
			{"/x", strings.NewReader("at once"), 200},
			{"/x", &slowBody{pieces: 8, size: 65 << 10, pause: 700 * time.Millisecond}, 200},
			{"/x", &slowBody{pieces: 8, size: 10, pause: 700 * time.Millisecond}, 408},
			{"/unread", &slowBody{pieces: 1, size: 10, pause: 10 * time.Second}, 200},
		} {
			began := time.Now()
			a, err := tryAsk(t.Context(), client, "POST", "http://x"+tt.path, tt.body)
			if err != nil {
				t.Errorf("%s: %v", tt.path, err)
				continue
			}
			equal(t, tt.path, a.StatusCode, tt.status)
			// An HTTP/2 client of net/http waits for its own body's Read.
			if tt.path == "/unread" && a.ProtoMajor == 1 || tt.status != 200 {
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("%s: took %v", tt.path, took)
				}
			}
		}
	})
}

// slowBody sends pieces with pauses before them.
type slowBody struct {
	pieces, size int
	pause        time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.pieces == 0 {
		return 0, io.EOF
	}
	b.pieces--
	time.Sleep(b.pause)
	n := min(b.size, len(p))
	if n < b.size { // the rest at once
		b.pieces++
		b.size, b.pause = b.size-n, 0
		return n, nil
	}
	return n, nil
}

// inBubble runs test with fake time, over each HTTP version on an in-memory network.
func inBubble(t *testing.T, test func(t *testing.T, start func(http.Handler) *http.Client)) {
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "http1", true: "http2"}[h2], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, func(h http.Handler) *http.Client {
					protocols := new(http.Protocols)
					protocols.SetHTTP1(!h2)
					protocols.SetUnencryptedHTTP2(h2)
					ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
					srv := &http.Server{Handler: h, Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0)}
					done := make(chan error, 1)
					go func() { done <- srv.Serve(ln) }()
					tr := &http.Transport{Protocols: protocols, DialContext: ln.dial, DisableCompression: true}
					t.Cleanup(func() {
						time.Sleep(time.Minute) // for bodies that still come
						tr.CloseIdleConnections()
						srv.Close()
						<-done
						synctest.Wait()
					})
					return &http.Client{Transport: tr}
				})
			})
		})
	}
}

// pipeListener is a network of one address.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
