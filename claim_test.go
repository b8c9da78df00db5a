package comm_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// claimer is a provider with a transport of its own: it takes connections that begin with its preface
// and answers each line behind it in capitals. It also routes POST /echo and GET /proto.
type claimer struct {
	fake
	preface string
	claimed atomic.Int32
	serving sync.WaitGroup
	ctx     context.Context // of this start
	end     context.CancelFunc
}

func newClaimer(name string) *claimer {
	c := &claimer{preface: name + "/1\r\n"}
	c.fake = fake{name: name, onStart: func(_ context.Context, h comm.Host) error {
		c.ctx, c.end = context.WithCancel(h.Context())
		return errors.Join(h.ClaimConns(c.claim),
			h.Route("POST /"+name+"/echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				w.Write(b)
			})),
			h.Route("GET /"+name+"/proto", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })))
	}}
	c.onStop = func(context.Context) error { c.end(); c.serving.Wait(); return nil }
	return c
}

func (c *claimer) claim(_ context.Context, pc comm.PeekConn) (bool, error) {
	for n := range len(c.preface) {
		if b, err := pc.Peek(n + 1); err != nil || b[n] != c.preface[n] {
			return false, nil // it is for net/http to say what is wrong with a short one
		}
	}
	c.claimed.Add(1)
	conn, ctx := pc.Replay(), c.ctx
	c.serving.Go(func() {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			fmt.Fprintln(conn, strings.ToUpper(lines.Text()))
		}
	})
	return true, nil
}

// dial opens a connection to the manager in memory, with TLS where conf is not nil.
func dial(t *testing.T, m *comm.Manager, conf *tls.Config) net.Conn {
	t.Helper()
	c, err := m.DialContext(t.Context(), "tcp", "localhost:80")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		conf = conf.Clone()
		conf.ServerName = "localhost"
		c = tls.Client(c, conf)
	}
	return c
}

// speak says the preface and a line, and reads what they are answered with.
func speak(t *testing.T, c net.Conn, preface string) string {
	t.Helper()
	io.WriteString(c, preface+"hello\n")
	r := bufio.NewReader(c)
	first, _ := r.ReadString('\n')
	second, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %q, %v", first, second, err)
	}
	return first + second
}

// overProtocols are HTTP clients of one port, by the protocol that they speak.
func overProtocols(t *testing.T, m *comm.Manager, conf *tls.Config) (scheme string, clients map[string]*http.Client) {
	t.Helper()
	clients = make(map[string]*http.Client)
	scheme = "http"
	if conf != nil {
		scheme = "https"
	}
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{DialContext: m.DialContext, Protocols: new(http.Protocols), TLSClientConfig: conf.Clone()}
		tr.Protocols.SetHTTP1(proto == "HTTP/1.1")
		tr.Protocols.SetHTTP2(proto == "HTTP/2.0")
		tr.Protocols.SetUnencryptedHTTP2(proto == "HTTP/2.0")
		t.Cleanup(tr.CloseIdleConnections)
		clients[proto] = &http.Client{Transport: tr}
	}
	return scheme, clients
}

// inClearAndTLS runs f for a gateway with two claiming providers, once in the clear and once with TLS.
func inClearAndTLS(t *testing.T, f func(t *testing.T, m *comm.Manager, conf *tls.Config, a, b *claimer)) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := newClaimer("alpha"), newClaimer("beta")
				opts := []comm.Option{comm.WithProvider(a, b)}
				if secure {
					opts = append(opts, comm.WithDevelopmentCertificate())
				}
				m := newManager(t, opts...)
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				conf, _ := m.DevelopmentCertificate()
				f(t, m, conf, a, b)
			})
		})
	}
}

// Two claimers and every version of HTTP live on one port; who is asked and declines loses no byte
// of what others send.
func TestClaimedConnsBesideHTTP(t *testing.T) {
	body := make([]byte, 300<<10)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(body)
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, conf *tls.Config, a, b *claimer) {
		scheme, clients := overProtocols(t, m, conf)
		for range 2 { // with claimed connections open meanwhile, too
			for proto, client := range clients {
				same(t, "protocol", get(t, client, scheme+"://localhost/beta/proto").body, proto)
				resp, err := client.Post(scheme+"://localhost/alpha/echo", "", bytes.NewReader(body))
				if err != nil {
					t.Fatal(proto, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s: %d bytes of %d came back, or others, %v", proto, len(got), len(body), err)
				}
			}
			for _, c := range []*claimer{a, b} {
				conn := dial(t, m, conf)
				defer conn.Close()
				same(t, c.name, speak(t, conn, c.preface), strings.ToUpper(strings.TrimRight(c.preface, "\r\n"))+"\nHELLO\n")
			}
		}
		same(t, "claimed", []int32{a.claimed.Load(), b.claimed.Load()}, []int32{2, 2})
	})
}

// A request that comes byte by byte, beginning like a preface, is net/http's from its first byte.
func TestUnclaimedBytesInPieces(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, conf *tls.Config, a, _ *claimer) {
		a.preface = "POST /gamma"
		conn := dial(t, m, conf)
		defer conn.Close()
		for _, b := range []byte("POST /alpha/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwhole") {
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != "whole" || a.claimed.Load() != 0 {
			t.Errorf("%q, %v, claimed %d", got, err, a.claimed.Load())
		}
	})
}

// What a stopped provider claimed is net/http's again, which knows no such protocol; its neighbour
// goes on, and a new start claims anew, once.
func TestClaimsEndWithTheProvider(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, conf *tls.Config, a, b *claimer) {
		open := dial(t, m, conf)
		defer open.Close()
		speak(t, open, a.preface)
		if err := m.Stop(t.Context(), "alpha"); err != nil {
			t.Fatal(err)
		}
		if _, err := open.Read(make([]byte, 1)); err == nil {
			t.Error("a claimed connection outlives its provider")
		}
		ask := func(c *claimer) string {
			conn := dial(t, m, conf)
			defer conn.Close()
			return speak(t, conn, c.preface)
		}
		contains(t, errors.New(ask(a)), "HTTP/1.1 400")
		contains(t, errors.New(ask(b)), "HELLO")
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		contains(t, errors.New(ask(a)), "HELLO")
		same(t, "claimed", []int32{a.claimed.Load(), b.claimed.Load()}, []int32{2, 1})
	})
}

// deciding is a gateway whose one claimer decides as the test says.
func deciding(t *testing.T, claim comm.ClaimFunc) (*comm.Manager, *fake) {
	return gatewayOf(t, &fake{onStart: func(_ context.Context, h comm.Host) error {
		return errors.Join(h.ClaimConns(claim), h.Route("GET /fake", text("fake")))
	}})
}

func gatewayOf(t *testing.T, f *fake, opts ...comm.Option) (*comm.Manager, *fake) {
	t.Helper()
	m := newManager(t, append(opts, comm.WithProvider(f))...)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, f
}

// A claimer has 5 seconds in all, whatever it waits for; then the connection is net/http's if it
// declines, and closed if it fails.
func TestClaimIsBoundedInTime(t *testing.T) {
	for name, row := range map[string]struct {
		claim  comm.ClaimFunc
		served bool
	}{
		"waits for its context": {func(ctx context.Context, _ comm.PeekConn) (bool, error) { <-ctx.Done(); return false, nil }, true},
		"waits for more bytes":  {func(_ context.Context, c comm.PeekConn) (bool, error) { c.Peek(4000); return false, nil }, true},
		"fails":                 {func(ctx context.Context, _ comm.PeekConn) (bool, error) { <-ctx.Done(); return false, ctx.Err() }, false},
		"panics":                {func(ctx context.Context, _ comm.PeekConn) (bool, error) { <-ctx.Done(); panic("no idea") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, _ := deciding(t, row.claim)
				start := time.Now()
				a, err := tryGet(t, httpClient(m), "http://gateway/fake")
				if (err == nil && a.body == "fake") != row.served {
					t.Errorf("%+v, %v", a, err)
				}
				same(t, "took", time.Since(start), 5*time.Second)
			})
		})
	}
}

// A claimer may look at 4 KiB; asking for more says so at once.
func TestClaimIsBoundedInBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var peeked atomic.Int64
		m, _ := deciding(t, func(_ context.Context, c comm.PeekConn) (bool, error) {
			b, err := c.Peek(1 << 20)
			if peeked.Store(int64(len(b))); err == nil {
				t.Error("a peek without an end")
			}
			return false, nil
		})
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://gateway/fake", nil)
		r.Header.Set("X-Long", strings.Repeat("x", 6<<10))
		resp, err := httpClient(m).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		same(t, "status and bytes", []any{resp.StatusCode, peeked.Load()}, []any{200, int64(4 << 10)})
	})
}

// A drain gives the undecided their time, refuses newcomers, and when its own is over cuts them.
func TestClaimsEndOnDrain(t *testing.T) {
	for patience, took := range map[time.Duration]time.Duration{time.Minute: 5 * time.Second, 2 * time.Second: 2 * time.Second} {
		t.Run(fmt.Sprint(patience), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, _ := deciding(t, func(ctx context.Context, c comm.PeekConn) (bool, error) {
					_, err := c.Peek(1)
					return false, err
				})
				conn := dial(t, m, nil)
				defer conn.Close()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				start := time.Now()
				err := m.Drain(ctx)
				if (err == nil) != (took < patience) {
					t.Errorf("Drain: %v", err)
				}
				same(t, "took", time.Since(start).Round(100*time.Millisecond), took)
				if n, err := conn.Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes on a connection of a gateway that has gone", n)
				}
				if _, err := m.DialContext(t.Context(), "tcp", "gateway:80"); err == nil {
					t.Error("a newcomer is let in")
				}
			})
		})
	}
}

// A claimer may also write first, and hand net/http another connection in the place of its own.
func TestClaimerPassesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var read atomic.Int64
		m, _ := deciding(t, func(_ context.Context, c comm.PeekConn) (bool, error) {
			if b, err := c.Peek(2); err != nil || string(b) != "?\n" {
				return false, err
			}
			c.Write([]byte("go on\n"))
			conn := c.Replay()
			io.ReadFull(conn, make([]byte, 2))
			c.Pass(&countedConn{Conn: conn, read: &read})
			return false, nil
		})
		conn := dial(t, m, nil)
		defer conn.Close()
		r := bufio.NewReader(conn)
		io.WriteString(conn, "?\n")
		if line, err := r.ReadString('\n'); err != nil || line != "go on\n" {
			t.Fatalf("%q, %v", line, err)
		}
		const request = "GET /fake HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		io.WriteString(conn, request)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "status, and bytes read through the other", []any{resp.StatusCode, read.Load()}, []any{200, int64(len(request))})
		io.Copy(io.Discard, resp.Body)
	})
}

type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}
