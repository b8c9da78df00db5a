package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
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
