package listen_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

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
