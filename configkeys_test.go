package comm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// effect is one key of "communication" and what it does to a manager that runs.
type effect struct {
	key     string
	set     map[string]string // keys and values, as an environment has them
	opts    []comm.Option
	idle    bool // observe starts the manager itself
	observe func(t *testing.T, m *comm.Manager, f *fake)
}

// TestConfigKeys observes every key of comm.Config on a live manager, once read from a file and once
// from the environment.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	keys, err := conf.Keys(new(comm.Config))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range effects() {
		have = append(have, e.key)
		if _, ok := e.set[e.key]; !ok {
			t.Errorf("row %s does not set its key", e.key)
		}
		t.Run(e.key+"/file", func(t *testing.T) { e.run(t, comm.WithConfigJSON("config.json", e.document(t))) })
		t.Run(e.key+"/environment", func(t *testing.T) { e.run(t, comm.WithEnviron(e.environ(), "")) })
	}
	slices.Sort(keys)
	slices.Sort(have)
	same(t, "keys with a row", have, keys)
}

func (e *effect) run(t *testing.T, source comm.Option) {
	bubble(t, func(t *testing.T) {
		f := &fake{}
		m := newManager(t, append(e.opts, source, comm.WithProvider(f))...)
		if !e.idle {
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		e.observe(t, m, f)
	})
}

func (e *effect) document(t *testing.T) []byte {
	section := make(map[string]any)
	for k, v := range e.set {
		n, err := strconv.Atoi(v)
		switch {
		case err == nil:
			section[k] = n
		case k == "allowed_origins", k == "trusted_proxies":
			section[k] = strings.Split(v, ",")
		default:
			section[k] = v
		}
	}
	b, err := json.Marshal(map[string]any{"communication": section})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (e *effect) environ() []string {
	var list []string
	for k, v := range e.set {
		list = append(list, "COMMUNICATION_"+strings.ToUpper(k)+"="+v)
	}
	return list
}

func one(key, value string, more ...string) map[string]string {
	m := map[string]string{key: value}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func effects() []effect {
	return slices.Concat(addressEffects(), limitEffects(), queueEffects(), timeEffects(), lifecycleEffects())
}

func addressEffects() []effect {
	return []effect{
		{
			key: "default_provider", set: one("default_provider", "other"),
			opts: []comm.Option{comm.WithProvider(&fake{name: "other", addr: "127.0.0.1:7001"})},
			observe: func(t *testing.T, m *comm.Manager, _ *fake) {
				same(t, "DefaultProvider", m.DefaultProvider(), "other")
				addrs, err := m.Addrs("")
				if err != nil || !slices.Equal(addrs, []string{"127.0.0.1:7001"}) {
					t.Errorf("Addrs: %v, %v", addrs, err)
				}
			},
		}, {
			key: "addr", set: one("addr", "127.0.0.1:7002"),
			observe: func(t *testing.T, m *comm.Manager, _ *fake) {
				addrs, err := m.Addrs("fake")
				if err != nil || !slices.Equal(addrs, []string{"127.0.0.1:7002"}) {
					t.Errorf("Addrs: %v, %v", addrs, err)
				}
			},
		}, {
			key: "trusted_proxies", set: one("trusted_proxies", "127.0.0.0/8,::1/128"),
			observe: func(t *testing.T, m *comm.Manager, f *fake) {
				err := f.host().Route("GET /client", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
				if err != nil {
					t.Fatal(err)
				}
				req, err := http.NewRequestWithContext(t.Context(), "GET", "http://gateway/client", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Forwarded-For", "198.51.100.1, 192.0.2.7, 127.0.0.9")
				resp, err := httpClient(m).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if b, _ := io.ReadAll(resp.Body); string(b) != "192.0.2.7:0" {
					t.Errorf("the client is %s", b)
				}
			},
		}, {
			key: "allowed_origins", set: one("allowed_origins", "https://a.example,https://*.b.example"),
			observe: func(t *testing.T, m *comm.Manager, _ *fake) {
				for origin, ok := range map[string]bool{"https://a.example": true, "https://x.b.example": true, "https://b.example": false} {
					r := httptest.NewRequest("GET", "http://gateway/", nil)
					r.Header.Set("Origin", origin)
					if err := m.CheckOrigin(r); (err == nil) != ok || !ok && !errors.Is(err, comm.ErrOrigin) {
						t.Errorf("origin %s: %v", origin, err)
					}
				}
			},
		},
	}
}

// refusedAt expects a refusal by that limit.
func refusedAt(t *testing.T, err error, limit string, max int) *comm.LimitError {
	t.Helper()
	le, ok := errors.AsType[*comm.LimitError](err)
	if !ok || le.Limit != limit || le.Max != max {
		t.Fatalf("error %v, want the limit %q of %d", err, limit, max)
	}
	return le
}

func limitEffects() []effect {
	return []effect{
		{key: "max_connections", set: one("max_connections", "1"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			f.attach(t, comm.Handshake{})
			_, _, err := f.try(t, comm.Handshake{})
			refusedAt(t, err, "connections", 1)
		}},
		{
			key: "max_connections_per_user", set: one("max_connections_per_user", "1"), opts: []comm.Option{tokenIsUser()},
			observe: func(t *testing.T, _ *comm.Manager, f *fake) {
				f.attach(t, as("ann"))
				f.attach(t, as("ben"))
				_, _, err := f.try(t, as("ann"))
				refusedAt(t, err, "connections per user", 1)
			},
		},
		{key: "max_connections_per_addr", set: one("max_connections_per_addr", "1"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			f.attach(t, from("192.0.2.1"))
			f.attach(t, from("192.0.2.2"))
			_, _, err := f.try(t, from("192.0.2.1"))
			refusedAt(t, err, "connections per address", 1)
		}},
		{key: "handshake_rate", set: one("handshake_rate", "2", "handshake_burst", "1"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			same(t, "retry", admitUntilRefused(t, f, 1, "handshakes per second and address", 2), 500*time.Millisecond)
		}},
		{key: "handshake_burst", set: one("handshake_burst", "3"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			admitUntilRefused(t, f, 3, "handshakes per second and address", 100)
		}},
		{key: "max_handshakes_per_addr", set: one("max_handshakes_per_addr", "2"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			admitUntilRefused(t, f, 2, "handshakes at once per address", 2)
		}},
		{
			key: "failed_auth_burst", set: one("failed_auth_burst", "2"), opts: []comm.Option{tokenIsUser()},
			observe: func(t *testing.T, _ *comm.Manager, f *fake) {
				bad := from("192.0.2.1")
				bad.Token = "bad"
				for range 2 {
					if _, _, err := f.try(t, bad); !errors.Is(err, comm.ErrUnauthenticated) {
						t.Fatalf("bad token: %v", err)
					}
				}
				_, _, err := f.try(t, bad)
				refusedAt(t, err, "failed authentications per address", 2)
			},
		},
		{key: "max_message", set: one("max_message", "12345"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			_, p := f.attach(t, comm.Handshake{})
			synctest.Wait()
			same(t, "welcome", p.got(comm.OpWelcome)[0].Welcome.MaxMessage, 12345)
			same(t, "settings", f.host().Settings().MaxMessage, 12345)
		}},
		{key: "message_rate", set: one("message_rate", "2", "message_burst", "1"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			same(t, "answers", pings(t, f, 2, 499*time.Millisecond), []comm.Op{comm.OpPong, comm.OpError})
			same(t, "answers", pings(t, f, 2, 500*time.Millisecond), []comm.Op{comm.OpPong, comm.OpPong})
		}},
		{key: "message_burst", set: one("message_burst", "2"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			same(t, "answers", pings(t, f, 3, 0), []comm.Op{comm.OpPong, comm.OpPong, comm.OpError})
		}},
		{key: "max_groups", set: one("max_groups", "2"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			c, _ := f.attach(t, comm.Handshake{})
			for _, g := range []string{"a", "b", "a"} {
				if err := c.Join(g); err != nil {
					t.Fatal(err)
				}
			}
			refusedAt(t, c.Join("c"), "groups per connection", 2)
		}},
	}
}

// admitUntilRefused makes n handshakes from one address that are under way at once, and returns when
// the one after them may try again. Another address is not concerned.
func admitUntilRefused(t *testing.T, f *fake, n int, limit string, max int) time.Duration {
	t.Helper()
	addr := from("192.0.2.1").RemoteAddr
	for range n {
		done, err := f.host().Admit(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	_, err := f.host().Admit(addr)
	if done, err := f.host().Admit(from("192.0.2.2").RemoteAddr); err != nil {
		t.Errorf("another address: %v", err)
	} else {
		done()
	}
	return refusedAt(t, err, limit, max).Retry
}

// pings sends n pings of a new client, so far apart, and returns the kinds of the answers.
func pings(t *testing.T, f *fake, n int, apart time.Duration) (ops []comm.Op) {
	t.Helper()
	c, p := f.attach(t, comm.Handshake{})
	for i := range n {
		if err := f.host().Receive(c, &comm.Frame{Op: comm.OpPing, ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(apart)
	}
	synctest.Wait()
	for _, f := range p.got(comm.OpPong, comm.OpError) {
		if f.Op == comm.OpError && f.Code != comm.CodeRateLimited {
			t.Errorf("code %q", f.Code)
		}
		ops = append(ops, f.Op)
	}
	return ops
}

func queueEffects() []effect {
	return []effect{
		{key: "queue_messages", set: one("queue_messages", "2"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			same(t, "queued", fill(t, m, f, 0), 2)
		}},
		{key: "queue_bytes", set: one("queue_bytes", "3200"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			same(t, "queued", fill(t, m, f, 500), 3)
		}},
		{key: "handler_concurrency", set: one("handler_concurrency", "2"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			var running atomic.Int32
			end := make(chan struct{})
			comm.On(m, "work", func(context.Context, *comm.Conn, *comm.Message) error {
				running.Add(1)
				<-end
				return nil
			})
			c, _ := f.attach(t, comm.Handshake{})
			for range 3 {
				if err := f.host().Receive(c, &comm.Frame{Op: comm.OpMessage, Message: message(t, "work", nil)}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			same(t, "handlers at once", running.Load(), int32(2))
			close(end)
		}},
	}
}

// fill sends messages of a size to a client that does not read until one is refused, and returns how
// many wait.
func fill(t *testing.T, m *comm.Manager, f *fake, size int) int {
	t.Helper()
	c, p := f.attach(t, comm.Handshake{})
	synctest.Wait()
	p.halt()
	send(t, m, comm.ToConn(c.ID()), message(t, "taken", nil))
	synctest.Wait() // the writer has it, and is stuck
	for n := range 5000 {
		if d := send(t, m, comm.ToConn(c.ID()), message(t, "waits", make([]byte, size))); d.Queued == 0 {
			synctest.Wait()
			same(t, "reason", comm.ReasonOf(c.Err()), comm.ReasonSlow)
			return n
		}
	}
	t.Fatal("the queue has no end")
	return 0
}

func timeEffects() []effect {
	return []effect{
		{key: "timeout", set: one("timeout", "3s"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			c, _ := f.attach(t, comm.Handshake{})
			start := time.Now()
			_, err := m.Call(t.Context(), c.ID(), message(t, "ask", nil))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}},
		{key: "handler_timeout", set: one("handler_timeout", "3s"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			comm.On(m, "wait", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) error { <-ctx.Done(); return nil })
			c, p := f.attach(t, comm.Handshake{})
			receive(t, f, c, comm.OpCall, "c1", "wait")
			time.Sleep(2999 * time.Millisecond)
			synctest.Wait()
			same(t, "answers before", answers(p), []string{})
			time.Sleep(time.Millisecond)
			synctest.Wait()
			same(t, "answers", answers(p), []string{"error c1" + tookTooLong})
		}},
		{key: "handshake_timeout", set: one("handshake_timeout", "3s"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			same(t, "settings", f.host().Settings().HandshakeTimeout, 3*time.Second)
			c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			start := time.Now()
			c.Read(make([]byte, 1)) // nothing is said: the address hangs up
			if since := time.Since(start); since < 3*time.Second || since > 4*time.Second {
				t.Errorf("a silent connection was closed after %v", since)
			}
		}},
		{key: "write_timeout", set: one("write_timeout", "7s"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			_, p := f.attach(t, comm.Handshake{})
			synctest.Wait()
			same(t, "deadline", time.Until(p.deadlines[0]), 7*time.Second)
		}},
		{key: "heartbeat", set: one("heartbeat", "7s"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			_, p := f.attach(t, comm.Handshake{})
			synctest.Wait()
			same(t, "welcome", p.got(comm.OpWelcome)[0].Welcome.Heartbeat, 7*time.Second)
			same(t, "settings", f.host().Settings().Heartbeat, 7*time.Second)
		}},
		{key: "resume_window", set: one("resume_window", "1m", "health_interval", "1h"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			for away, resumed := range map[time.Duration]bool{59 * time.Second: true, 61 * time.Second: false} {
				c, _ := f.attach(t, comm.Handshake{})
				f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
				time.Sleep(away)
				again, _ := f.attach(t, comm.Handshake{Hello: &comm.Hello{Session: c.Session()}})
				same(t, fmt.Sprint("resumed after ", away), again.Resumed(), resumed)
			}
		}},
		{
			key: "presence_grace", set: one("presence_grace", "3s"), opts: []comm.Option{tokenIsUser()},
			observe: func(t *testing.T, m *comm.Manager, f *fake) {
				c, _ := f.attach(t, as("ann"))
				if err := c.Join("lobby"); err != nil {
					t.Fatal(err)
				}
				f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
				time.Sleep(2999 * time.Millisecond)
				same(t, "present before the grace is over", len(m.Presence("lobby")), 1)
				time.Sleep(2 * time.Millisecond)
				same(t, "present after it", len(m.Presence("lobby")), 0)
			},
		},
		{
			key: "expiry_grace", set: one("expiry_grace", "5s"),
			opts: []comm.Option{comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
				return comm.Identity{User: "ann", Expires: time.Now().Add(10 * time.Second)}, nil
			})},
			observe: func(t *testing.T, _ *comm.Manager, f *fake) {
				c, _ := f.attach(t, comm.Handshake{})
				start := time.Now()
				<-c.Done()
				same(t, "lasted", time.Since(start), 15*time.Second)
				same(t, "reason", comm.ReasonOf(c.Err()), comm.ReasonExpired)
			},
		},
	}
}

func lifecycleEffects() []effect {
	failing := func(f *fake) { f.onStart = func(context.Context, comm.Host) error { return errors.New("not today") } }
	return []effect{
		{key: "retry_attempts", set: one("retry_attempts", "1"), idle: true, observe: func(t *testing.T, m *comm.Manager, f *fake) {
			failing(f)
			contains(t, m.Start(t.Context()), `provider "fake"`, "not today")
			same(t, "starts", f.starts.Load(), int32(2))
		}},
		{key: "retry_delay", set: one("retry_delay", "1ms"), idle: true, observe: func(t *testing.T, m *comm.Manager, f *fake) {
			failing(f)
			start := time.Now()
			contains(t, m.Start(t.Context()), "not today")
			if took := time.Since(start); took > 7*time.Millisecond { // 1 + 2 + 4
				t.Errorf("three attempts more took %v", took)
			}
		}},
		{key: "health_interval", set: one("health_interval", "2s"), observe: func(t *testing.T, _ *comm.Manager, f *fake) {
			time.Sleep(7 * time.Second)
			same(t, "checks", f.checks.Load(), int32(3))
		}},
		{key: "drain_delay", set: one("drain_delay", "4s"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			start := time.Now()
			drained := make(chan error, 1)
			go func() { drained <- m.Drain(t.Context()) }()
			synctest.Wait()
			same(t, "ready", ready(m), http.StatusServiceUnavailable)
			f.attach(t, comm.Handshake{}) // is still let in
			if err := <-drained; err != nil || time.Since(start) < 4*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}},
		{key: "drain_timeout", set: one("drain_timeout", "3s"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			_, p := f.attach(t, comm.Handshake{})
			synctest.Wait()
			p.halt()
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- m.Run(ctx) }()
			synctest.Wait()
			_, _ = m.Broadcast(t.Context(), message(t, "stuck", nil))
			start := time.Now()
			cancel()
			<-ran
			same(t, "drained", time.Since(start), 3*time.Second)
		}},
		{key: "drain_spread", set: one("drain_spread", "2ms"), observe: func(t *testing.T, m *comm.Manager, f *fake) {
			_, p := f.attach(t, comm.Handshake{})
			if err := m.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := p.closed().After; after <= 0 || after > 3*time.Millisecond {
				t.Errorf("told to return after %v", after)
			}
		}},
	}
}

// ready is the status of /readyz.
func ready(m *comm.Manager) int {
	w := httptest.NewRecorder()
	m.ReadyHandler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	return w.Code
}
