package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// crossing is a load whose requests are all in flight when the drain begins, and whose
// clients then go on until they are refused at the door.
type crossing struct {
	url      string
	handled  atomic.Int64 // requests the handler answered
	answered atomic.Int64 // answers the clients got
	refused  atomic.Int64 // clients that found the listener closed
	held     atomic.Int64
	release  chan struct{}
}

func (x *crossing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client counts it as lost
	}
	if r.URL.Path == "/held" {
		x.held.Add(1)
		<-x.release
		time.Sleep(rand.N(50 * time.Millisecond))
	}
	x.handled.Add(1)
	w.Write(body)
}

// run is one client: a held request, then more until it is refused.
func (x *crossing) run(c *http.Client, id string, h2 bool) error {
	for i, path := 0, "/held"; ; i, path = i+1, "/next" {
		want := fmt.Sprintf("%s-%d", id, i)
		got, err := x.post(c, x.url+path, want, h2)
		if i > 0 && errors.Is(err, syscall.ECONNREFUSED) {
			x.refused.Add(1)
			return nil
		}
		if err != nil {
			return fmt.Errorf("request %s lost: %w", want, err)
		}
		if got != want {
			return fmt.Errorf("request %s answered with %q", want, got)
		}
		x.answered.Add(1)
	}
}

// post sends one request that net/http's client must not repeat on its own: over HTTP/1.1 a
// body that cannot be had again. Over HTTP/2 it repeats only what GOAWAY declared untouched.
func (x *crossing) post(c *http.Client, url, text string, h2 bool) (string, error) {
	body := io.Reader(bytes.NewReader([]byte(text)))
	if !h2 {
		body = io.NopCloser(body)
	}
	req, err := http.NewRequest("POST", url, body)
	if err != nil {
		return "", err
	}
	req.ContentLength = int64(len(text))
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// patient is a server's configuration for many clients at once: a starved test machine makes them slow, not idle.
func patient(h http.Handler) listen.Config {
	return listen.Config{
		Handler: h, DrainIdle: time.Minute,
		HandshakeTimeout: time.Minute, ClaimTimeout: time.Minute, ReadHeaderTimeout: time.Minute,
	}
}

// TestDrainLosesNothing has, in its first case, more than 1,000 requests cross the drain on keep-alive
// HTTP/1.1 and on HTTP/2 connections, and more follow; each one is answered, or refused
// before it could be sent.
func TestDrainLosesNothing(t *testing.T) {
	serverConf, clientConf := serverTLS(t)
	for _, tc := range []struct {
		name               string
		tls                bool
		claimers           int
		h1Conns, h2Streams int
	}{
		{"cleartext", false, 0, 200, 210},
		{"cleartext claimers", false, 1, 50, 50},
		{"tls", true, 0, 50, 50},
		{"tls claimers", true, 1, 50, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const h2Conns = 4
			x := &crossing{release: make(chan struct{})}
			cfg, conf := patient(x), (*tls.Config)(nil)
			if tc.tls {
				cfg.TLS, conf = serverConf, clientConf
			}
			s, addr := serve(t, cfg)
			for range tc.claimers {
				s.ClaimConns(claimMagic)
			}
			x.url = map[bool]string{false: "http://", true: "https://"}[tc.tls] + addr
			var clients sync.WaitGroup
			start := func(c *http.Client, id string, h2 bool) {
				clients.Go(func() {
					if err := x.run(c, id, h2); err != nil {
						t.Error(err)
					}
				})
			}
			for i := range tc.h1Conns {
				start(client(t, false, conf), fmt.Sprint("h1-", i), false)
			}
			for i := range h2Conns {
				c := client(t, true, conf)
				// One request alone first, so that the others share its connection.
				if _, err := x.post(c, x.url+"/next", "first", true); err != nil {
					t.Fatal(err)
				}
				x.answered.Add(1)
				for j := range tc.h2Streams {
					start(c, fmt.Sprint("h2-", i, "-", j), true)
				}
			}
			all := int64(tc.h1Conns + h2Conns*tc.h2Streams)
			eventually(t, func() bool { return x.held.Load() == all })
			time.AfterFunc(20*time.Millisecond, func() { close(x.release) })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			clients.Wait()
			if h, a := x.handled.Load(), x.answered.Load(); h != a || a < all+h2Conns {
				t.Errorf("%d requests handled, %d answered, want the same and at least %d", h, a, all)
			}
			if got := x.refused.Load(); got != all {
				t.Errorf("%d clients ended refused, want %d", got, all)
			}
			if st := s.Stats(); st.Open != 0 || st.Handshaking != 0 {
				t.Errorf("after the drain: %+v", st)
			}
			t.Logf("%d requests answered across the drain", x.answered.Load())
		})
	}
}

// TestDrainUnderLoad drains while keep-alive clients send without a pause, so that the
// drain's start meets every state a connection can be in.
func TestDrainUnderLoad(t *testing.T) {
	for round := range 5 {
		x := &crossing{release: make(chan struct{})}
		close(x.release)
		s, addr := serve(t, patient(x))
		x.url = "http://" + addr
		var clients sync.WaitGroup
		h2 := client(t, true, nil)
		for i := range 40 {
			c := h2
			if i%2 == 0 {
				c = client(t, false, nil)
			}
			clients.Go(func() {
				if err := x.run(c, fmt.Sprint(round, "-", i), c == h2); err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, func() bool { return x.answered.Load() > 500 })
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		clients.Wait()
		if h, a := x.handled.Load(), x.answered.Load(); h != a {
			t.Errorf("%d requests handled, %d answered", h, a)
		}
	}
}

// inMemory serves in memory and returns a keep-alive client's transport.
func inMemory(t *testing.T, cfg listen.Config) (*listen.Server, *memnet.Network, *http.Transport) {
	t.Helper()
	n := new(memnet.Network)
	l, err := n.Listen(":80")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DialContext: n.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return serveOn(t, cfg, l), n, tr
}

func TestDrainIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, n, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(describe)})
		c := &http.Client{Transport: tr}
		get(t, c, "http://localhost/")
		silent, err := n.DialContext(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		synctest.Wait()

		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(t.Context()) }()
		time.Sleep(1900 * time.Millisecond)
		if _, err := n.DialContext(t.Context(), "tcp", ":80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial during the drain: %v, want ECONNREFUSED", err)
		}
		resp, err := c.Get("http://localhost/")
		if err != nil {
			t.Fatalf("a request on an idle connection, 1.9 s into the drain: %v", err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if !resp.Close {
			t.Error("its response does not say Connection: close")
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := time.Since(start); got < 2*time.Second || got > 2100*time.Millisecond {
			t.Errorf("drained after %v, want 2 s for the silent connection", got)
		}
		if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the silent connection: %v, want EOF", err)
		}
	})
}

func TestDrainWaitsForRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A header sent before the drain cannot announce it, so the connection lives on.
			http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Minute):
			case <-r.Context().Done():
				t.Error("the request's context ended while it drained")
			}
			io.WriteString(w, "late")
		})})
		c := &http.Client{Transport: tr}
		answer := make(chan string, 1)
		go func() { answer <- get(t, c, "http://localhost/") }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := s.Shutdown(ctx)
		if busy, ok := errors.AsType[*listen.BusyError](err); !ok || busy.Conns != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown with a request that takes longer: %v", err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown with patience: %v", err)
		}
		if got := <-answer; got != "late" {
			t.Errorf("the request in flight got %q", got)
		}
	})
}

// TestAnnounceDrain has a wrapper announce the drain on a response that began before it.
func TestAnnounceDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			listen.AnnounceDrain(r.Context(), w.Header())
			if got := w.Header().Get("Connection"); got != "" {
				t.Errorf("announced %q before the drain", got)
			}
			time.Sleep(time.Minute)
			listen.AnnounceDrain(r.Context(), w.Header())
		})})
		closed := make(chan bool, 1)
		go func() {
			resp, err := (&http.Client{Transport: tr}).Get("http://localhost/")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			closed <- resp.Close
		}()
		synctest.Wait()
		start := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > time.Minute+100*time.Millisecond {
			t.Errorf("drained after %v, want as soon as the request was answered", got)
		}
		if !<-closed {
			t.Error("the response does not say Connection: close")
		}
	})
	h := http.Header{}
	if listen.AnnounceDrain(t.Context(), h); len(h) != 0 {
		t.Errorf("announced %v without a server", h)
	}
}

func TestCloseCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		s, _, tr := inMemory(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(ended)
		})})
		failed := make(chan error, 1)
		go func() {
			_, err := (&http.Client{Transport: tr}).Get("http://localhost/")
			failed <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-failed; err == nil {
			t.Error("a request survived Close")
		}
		<-ended
	})
}

// TestDrainTakesTheBacklog has connections wait in the listener when the drain begins.
func TestDrainTakesTheBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := new(memnet.Network)
		l, _ := n.Listen(":80")
		slow := &slowListener{Listener: l.(*memnet.Listener), first: make(chan struct{})}
		s := serveOn(t, listen.Config{Handler: http.HandlerFunc(describe)}, slow)
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() {
				tr := &http.Transport{DialContext: n.DialContext, DisableKeepAlives: true}
				get(t, &http.Client{Transport: tr}, "http://localhost/")
			})
		}
		synctest.Wait()
		go func() {
			time.Sleep(time.Second)
			close(slow.first)
		}()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		clients.Wait()
	})
}

// slowListener accepts nothing before first is closed, as on a busy machine.
type slowListener struct {
	*memnet.Listener
	first chan struct{}
}

func (l *slowListener) Accept() (net.Conn, error) {
	<-l.first
	return l.Listener.Accept()
}

func TestStopBeforeServe(t *testing.T) {
	t.Parallel()
	s, err := listen.New(listen.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown of a server that never served: %v", err)
	}
	s.Close()
	var n memnet.Network
	l, _ := n.Listen(":80")
	if err := s.Serve(l); !errors.Is(err, listen.ErrClosed) {
		t.Errorf("Serve after Shutdown: %v, want ErrClosed", err)
	}
	if _, err := n.DialContext(t.Context(), "tcp", ":80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("its listener still accepts: %v", err)
	}
}
