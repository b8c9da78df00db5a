package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// TestClaimerBesideHTTP proves the seam: one port, two protocols, in cleartext and TLS,
// with a claimer that comes and goes while the server runs.
func TestClaimerBesideHTTP(t *testing.T) {
	t.Parallel()
	serverConf, clientConf := serverTLS(t)
	for _, secure := range []bool{false, true} {
		cfg, url, conf := listen.Config{Handler: http.HandlerFunc(describe)}, "http://", (*tls.Config)(nil)
		if secure {
			cfg.TLS, url, conf = serverConf, "https://", clientConf
		}
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			s, addr := serve(t, cfg)
			c := client(t, true, conf)
			get(t, c, url+addr)
			remove := s.ClaimConns(claimMagic)
			if got := magic(t, addr, conf); got != "HELLO\nWORLD\n" {
				t.Errorf("claimed connection answered %q", got)
			}
			if got := get(t, c, url+addr); !strings.HasPrefix(got, "HTTP/2.0") {
				t.Errorf("the connection from before the claimer: %q", got)
			}
			c.CloseIdleConnections()
			if got := get(t, c, url+addr); !strings.HasPrefix(got, "HTTP/2.0") {
				t.Errorf("a connection the claimer declined: %q", got)
			}
			remove()
			if got := magic(t, addr, conf); strings.HasPrefix(got, "HELLO") {
				t.Errorf("claimed after the claimer was removed: %q", got)
			}
			if st := s.Stats(); st.Claimed != 1 || st.Accepted != 4 || st.Handshaking != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// magic speaks the dummy protocol, byte by byte, and returns the answer.
func magic(t *testing.T, addr string, conf *tls.Config) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if conf != nil {
		conf = conf.Clone()
		conf.ServerName = "localhost"
		c = tls.Client(c, conf)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	for _, b := range []byte("MAGIC\nhello\nworld\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
	}
	r := bufio.NewReader(c)
	skipped, _ := r.Peek(5)
	if string(skipped) == "MAGIC" {
		r.Discard(6)
	}
	got, _ := io.ReadAll(r)
	return string(got)
}

func TestClaimOutcomes(t *testing.T) {
	t.Parallel()
	closed := errors.New("closed without an answer")
	for _, tc := range []struct {
		name   string
		claim  listen.Claimer
		want   string
		err    error
		failed uint64
	}{
		{"declines without a look", func(context.Context, listen.PeekConn) (bool, error) { return false, nil }, "HTTP/1.1 alpn=none", nil, 0},
		{"declines after replay", func(_ context.Context, c listen.PeekConn) (bool, error) {
			c.Peek(3)
			c.Replay()
			return false, nil
		}, "HTTP/1.1 alpn=none", nil, 0},
		{"fails", func(context.Context, listen.PeekConn) (bool, error) { return false, errors.New("no") }, "", closed, 1},
		{"panics", func(context.Context, listen.PeekConn) (bool, error) { panic("no") }, "", closed, 1},
		{"peeks beyond the limit", func(_ context.Context, c listen.PeekConn) (bool, error) {
			p, err := c.Peek(1 << 20)
			if len(p) != 16 || !errors.Is(err, listen.ErrPeekLimit) {
				return false, errors.New("no limit")
			}
			return false, nil
		}, "HTTP/1.1 alpn=none", nil, 0},
		{"passes another connection", func(_ context.Context, c listen.PeekConn) (bool, error) {
			c.Peek(1)
			c.Pass(&unslash{c.Replay()})
			return false, nil
		}, "HTTP/1.1 alpn=none", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, addr := serve(t, listen.Config{Handler: http.HandlerFunc(describe), PeekLimit: 16})
			s.ClaimConns(tc.claim)
			resp, err := client(t, false, nil).Get("http://" + addr)
			if (err != nil) != (tc.err != nil) {
				t.Fatalf("request: %v, want %v", err, tc.err)
			}
			if err == nil {
				defer resp.Body.Close()
				if got, _ := io.ReadAll(resp.Body); string(got) != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			}
			eventually(t, func() bool { return s.Stats().ClaimFailures == tc.failed && s.Stats().Handshaking == 0 })
		})
	}
}

// unslash is a passed connection with a type net/http knows nothing of.
type unslash struct{ net.Conn }

// TestReplayGivesWay checks the way down to the TCP connection that WebSocket needs.
func TestReplayGivesWay(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	for _, claimers := range []int{0, 1} {
		s, addr := serve(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			tcp, ok := listen.TCPConn(c)
			got <- ok && tcp == listen.AcceptedConn(r.Context())
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		})})
		for range claimers {
			s.ClaimConns(claimMagic)
		}
		get(t, client(t, false, nil), "http://"+addr)
		if !<-got {
			t.Errorf("with %d claimers the hijacked connection does not lead to the TCP connection", claimers)
		}
		eventually(t, func() bool { st := s.Stats(); return st.Hijacked == 1 && st.Open == 0 })
	}
}

func TestPlainHTTPToTLS(t *testing.T) {
	t.Parallel()
	conf, _ := serverTLS(t)
	s, addr := serve(t, listen.Config{TLS: conf})
	resp, err := client(t, false, nil).Post("http://"+addr, "text/plain", strings.NewReader(strings.Repeat("x", 10_000)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || string(body) != "Client sent an HTTP request to an HTTPS server.\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	eventually(t, func() bool { return s.Stats().HandshakeFailures == 1 && s.Stats().Handshaking == 0 })
}

// TestSilentPeers holds the gate full of peers that say nothing, and an honest client is
// served all the same; the silent ones are cut in time.
func TestSilentPeers(t *testing.T) {
	t.Parallel()
	serverConf, clientConf := serverTLS(t)
	for _, tc := range []struct {
		name string
		cfg  listen.Config
		conf *tls.Config
		url  string
	}{
		{"tls", listen.Config{TLS: serverConf, MaxHandshakes: 8, MaxHandshakesPerAddr: 100}, clientConf, "https://"},
		{"claimers", listen.Config{MaxHandshakes: 8, MaxHandshakesPerAddr: 100}, nil, "http://"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, addr := serve(t, tc.cfg)
			s.ClaimConns(claimMagic)
			for range 20 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			eventually(t, func() bool { return s.Stats().Accepted == 20 && s.Stats().Refused == 12 })
			if got := s.Stats().Handshaking; got != 8 {
				t.Errorf("%d in handshake, want 8", got)
			}
			get(t, client(t, false, tc.conf), tc.url+addr)
		})
	}
}

func TestHandshakeAndClaimTimeouts(t *testing.T) {
	t.Parallel()
	serverConf, _ := serverTLS(t)
	for _, tc := range []struct {
		name string
		tls  *tls.Config
		want time.Duration
		send string
	}{
		{"silent tls", serverConf, 10 * time.Second, ""},
		{"half a tls record", serverConf, 10 * time.Second, "\x16\x03\x01\x02\x00\x01"},
		{"silent cleartext", nil, 5 * time.Second, ""},
		{"half a magic word", nil, 5 * time.Second, "MAG"},
		// Not the magic word at once, so net/http's header timeout counts.
		{"half a request", nil, 10 * time.Second, "GET / HTTP/1.1\r\nHo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n memnet.Network
				l, _ := n.Listen(":443")
				s := serveOn(t, listen.Config{TLS: tc.tls}, l)
				s.ClaimConns(claimMagic)
				start := time.Now()
				c, err := n.DialContext(t.Context(), "tcp", ":443")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, tc.send)
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("read: %v", err)
				}
				if got := time.Since(start); got != tc.want {
					t.Errorf("cut after %v, want %v", got, tc.want)
				}
				synctest.Wait()
				if places, addrs := s.Waiting(); places != 0 || addrs != 0 {
					t.Errorf("the gate still counts %d places, %d addresses", places, addrs)
				}
			})
		})
	}
}

// TestBoundPerAddr floods from one address, and from one /64, while others come in.
func TestBoundPerAddr(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, _ := n.Listen(":80")
		s := serveOn(t, listen.Config{MaxHandshakesPerAddr: 3}, l)
		s.ClaimConns(claimMagic)
		dial := func(from string) net.Conn {
			c, err := n.DialContext(memnet.WithLocalAddr(t.Context(), from), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			t.Cleanup(func() { c.Close() })
			return c
		}
		for i, step := range []struct {
			from             string
			handshaking, out int
		}{
			{"192.0.2.1:1", 1, 0},
			{"192.0.2.1:2", 2, 0},
			{"[::ffff:192.0.2.1]:3", 3, 0},
			{"192.0.2.1:4", 3, 1},
			{"192.0.2.2:1", 4, 1},
			{"[2001:db8::1]:1", 5, 1},
			{"[2001:db8::2]:1", 6, 1},
			{"[2001:db8::ffff:1:2:3]:1", 7, 1},
			{"[2001:db8::4]:1", 7, 2},
			{"[2001:db8:0:1::4]:1", 8, 2},
			{"client", 9, 2},
			{"client", 10, 2},
			{"client", 11, 2},
			{"client", 12, 2},
		} {
			dial(step.from)
			if st := s.Stats(); st.Handshaking != step.handshaking || int(st.Refused) != step.out {
				t.Errorf("step %d, %s: %d in handshake, %d refused; want %d, %d",
					i, step.from, st.Handshaking, st.Refused, step.handshaking, step.out)
			}
		}
		s.Close()
		synctest.Wait()
		if places, addrs := s.Waiting(); places != 0 || addrs != 0 {
			t.Errorf("after close the gate still counts %d places, %d addresses", places, addrs)
		}
	})
}

func TestMaxConns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, _ := n.Listen(":80")
		s := serveOn(t, listen.Config{MaxConns: 2}, l)
		var conns []net.Conn
		for range 3 {
			c, err := n.DialContext(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
			synctest.Wait()
		}
		if st := s.Stats(); st.Open != 2 || st.Refused != 1 {
			t.Errorf("stats %+v, want 2 open, 1 refused", st)
		}
		if _, err := conns[2].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the third connection: %v, want EOF", err)
		}
		conns[0].Close()
		synctest.Wait()
		if st := s.Stats(); st.Open != 1 {
			t.Errorf("%d open after one closed, want 1", st.Open)
		}
	})
}

// TestTrustedValue follows an in-process identity from the dialler to the handler.
func TestTrustedValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, _ := n.Listen(":80")
		s := serveOn(t, listen.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _ := listen.AcceptedConn(r.Context()).(*memnet.Conn)
			io.WriteString(w, c.Value().(string))
		})}, l)
		s.ClaimConns(claimMagic)
		tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return n.DialContext(memnet.WithValue(ctx, "alice"), network, addr)
		}}
		defer tr.CloseIdleConnections()
		if got := get(t, &http.Client{Transport: tr}, "http://localhost/"); got != "alice" {
			t.Errorf("handler saw %q, want alice", got)
		}
	})
}

// flaky is a listener whose Accept fails as given before it works.
type flaky struct {
	net.Listener
	mu   sync.Mutex
	errs []error
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	t.Parallel()
	emfile := &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	t.Run("out of files", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var n memnet.Network
			l, _ := n.Listen(":80")
			s := serveOn(t, listen.Config{Handler: http.HandlerFunc(describe)}, &flaky{Listener: l, errs: []error{emfile, emfile, emfile}})
			start := time.Now()
			synctest.Wait()
			if err := s.Health(); !errors.Is(err, syscall.EMFILE) {
				t.Errorf("health while accept fails: %v", err)
			}
			tr := &http.Transport{DialContext: n.DialContext}
			defer tr.CloseIdleConnections()
			get(t, &http.Client{Transport: tr}, "http://localhost/")
			if got := time.Since(start); got != 35*time.Millisecond {
				t.Errorf("served after %v, want 5+10+20 ms", got)
			}
			if err := s.Health(); err != nil || s.Stats().AcceptErrors != 3 {
				t.Errorf("health %v, stats %+v", err, s.Stats())
			}
		})
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		var n memnet.Network
		l, _ := n.Listen(":80")
		s, err := listen.New(listen.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		if err := s.Serve(&flaky{Listener: l, errs: []error{broken}}); !errors.Is(err, broken) {
			t.Errorf("Serve: %v, want %v", err, broken)
		}
		if err := s.Health(); !errors.Is(err, broken) {
			t.Errorf("health: %v, want %v", err, broken)
		}
		s.Close()
	})
}

// TestClaimDuringClose holds a claimer while the server closes: its connection ends and
// Serve waits for it.
func TestClaimDuringClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, _ := n.Listen(":80")
		s := serveOn(t, listen.Config{}, l)
		var ended atomic.Int32
		s.ClaimConns(func(ctx context.Context, c listen.PeekConn) (bool, error) {
			_, err := c.Peek(1)
			<-ctx.Done()
			ended.Add(1)
			return false, err
		})
		c, _ := n.DialContext(t.Context(), "tcp", ":80")
		synctest.Wait()
		s.Close()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection in a claim, after close: %v, want EOF", err)
		}
		c.Close()
		synctest.Wait()
		if ended.Load() != 1 {
			t.Error("the claimer's context did not end")
		}
	})
}

func FuzzPeek(f *testing.F) {
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []byte{24, 1, 3}, uint8(64), "PRI * ")
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte{1, 1, 200}, uint8(8), "GET / HTTP/1.1")
	f.Add([]byte("MAG"), []byte{9}, uint8(255), "MAGIC\n")
	f.Add([]byte{}, []byte{0, 1}, uint8(0), "")
	f.Fuzz(func(t *testing.T, sent, steps []byte, limit uint8, prefix string) {
		peer, own := memnet.Pipe()
		defer own.Close()
		go func() {
			// The steps also cut what is sent, so that bytes arrive in pieces.
			rest := sent
			for i := 0; len(rest) > 0; i++ {
				n := len(rest)
				if len(steps) > 0 {
					n = min(n, 1+int(steps[i%len(steps)])%7)
				}
				peer.Write(rest[:n])
				rest = rest[n:]
			}
			peer.Close()
		}()
		c := listen.NewPeekConn(own, int(limit), nil)
		for _, n := range steps {
			checkPeek(t, c, sent, int(n), int(limit))
		}
		if got, err := listen.HasPrefix(c, prefix); got != bytes.HasPrefix(sent, []byte(prefix)) && len(prefix) <= int(limit) {
			t.Errorf("HasPrefix(%q) of %q = %v, %v", prefix, sent, got, err)
		}
		got, err := io.ReadAll(c.Replay())
		if !bytes.Equal(got, sent) || err != nil {
			t.Errorf("replay %q, %v; sent %q", got, err, sent)
		}
		if _, err := c.Peek(1); err == nil {
			t.Error("peek after replay")
		}
	})
}

func checkPeek(t *testing.T, c listen.PeekConn, sent []byte, n, limit int) {
	t.Helper()
	p, err := c.Peek(n)
	if !bytes.HasPrefix(sent, p) {
		t.Fatalf("Peek(%d) = %q of %q", n, p, sent)
	}
	switch {
	case n <= len(sent) && n <= limit:
		if len(p) != n || err != nil {
			t.Errorf("Peek(%d) = %d bytes, %v", n, len(p), err)
		}
	case err == nil:
		t.Errorf("Peek(%d) with limit %d of %d bytes: no error", n, limit, len(sent))
	}
}
