package ws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// witness is a client beside a misbehaving one: it must get every message of its group, in order.
type witness struct {
	*inbox
	m     *comm.Manager
	group string // its own: subtests share a gateway
	sent  int
}

func newWitness(t *testing.T, m *comm.Manager) *witness {
	t.Helper()
	w := &witness{inbox: dialClient(t, m), m: m, group: "witness of " + t.Name()}
	if err := w.Join(t.Context(), w.group); err != nil {
		t.Fatal(err)
	}
	w.tick(t)
	return w
}

// tick sends one more message to the witness.
func (w *witness) tick(t *testing.T) {
	t.Helper()
	w.sent++
	msg, err := comm.NewMessage("tick", w.sent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Send(t.Context(), comm.ToGroup(w.group), msg); err != nil {
		t.Fatal(err)
	}
}

// complete asserts that nothing was lost, after one last message.
func (w *witness) complete(t *testing.T) {
	t.Helper()
	w.tick(t)
	for i := range w.sent {
		if got := string(w.next(t).Content()); got != fmt.Sprint(i+1) {
			t.Fatalf("witness: message %d is %s", i+1, got)
		}
	}
}

// simple is a client without the subprotocol, which has read its welcome.
func simple(t *testing.T, m *comm.Manager, opts ...ws.DialOption) *ws.Conn {
	t.Helper()
	c, _, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/ws", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	if got := readText(t, c); !strings.Contains(got, `"op":"welcome"`) {
		t.Fatalf("first frame: %s", got)
	}
	return c
}

func readText(t *testing.T, c *ws.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, b, err := c.Read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeText(t *testing.T, c *ws.Conn, s string) {
	t.Helper()
	if err := c.Write(t.Context(), ws.Text, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestProviderRefusesHandshake(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithOpenAccess(), comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.Token == "" && hs.Hello.Session == "" && !strings.HasPrefix(hs.Header.Get("X-Let"), "me") {
			return comm.Identity{}, errors.New("no token")
		}
		return comm.Identity{User: hs.Token}, nil
	}))
	base := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "X-Let": {"me in"},
	}
	for _, tt := range []struct {
		name, method, header, value string
		status                      int
		says                        string
	}{
		{"method", "POST", "", "", 405, "GET"},
		{"no upgrade", "GET", "Upgrade", "", 426, "Upgrade"},
		{"no connection", "GET", "Connection", "", 426, "Connection"},
		{"version", "GET", "Sec-Websocket-Version", "8", 426, "Sec-WebSocket-Version"},
		{"no key", "GET", "Sec-Websocket-Key", "", 400, "Sec-WebSocket-Key"},
		{"origin", "GET", "Origin", "https://evil.example", 403, "evil.example"},
		{"protocol version", "GET", "Sec-Websocket-Protocol", "comm.v9.json", 400, "comm.v9.json"},
		{"no credentials", "GET", "X-Let", "", 401, "unauthenticated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://"+addr(t, m)+"/ws", nil)
			r.Header = base.Clone()
			if tt.header != "" {
				r.Header.Del(tt.header)
			}
			if tt.value != "" {
				r.Header.Set(tt.header, tt.value)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.says) {
				t.Fatalf("%d %q, want %d naming %q", resp.StatusCode, body, tt.status, tt.says)
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestProviderProtocolClient(t *testing.T) {
	t.Parallel()
	auth := comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.Token != "good" {
			return comm.Identity{}, comm.ErrUnauthenticated
		}
		return comm.Identity{User: "ann"}, nil
	})
	patient, hasty := gateway(t, auth, comm.WithHandshakeTimeout(time.Minute)), gateway(t, auth, comm.WithHandshakeTimeout(300*time.Millisecond))
	for _, tt := range []struct {
		name, first string
		answer      string
		code        ws.StatusCode
	}{
		{"wrong token", `{"op":"hello","id":"h","token":"bad"}`, `"code":"unauthenticated"`, 1008},
		{"no hello", `{"op":"join","group":"g"}`, `"code":"bad_frame"`, 1002},
		{"no JSON", `hello`, `"code":"bad_frame"`, 1002},
		{"version", `{"op":"hello","version":9,"token":"good"}`, `"code":"unsupported_version"`, 1002},
		{"session", `{"op":"hello","token":"good","session":"nope"}`, `"code":"session_unknown"`, 0},
		{"silence", ``, `"code":"timeout"`, 1002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := patient
			if tt.first == "" {
				m = hasty
			}
			c, _, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/ws", ws.WithSubprotocols("comm.v1.json"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			if tt.first != "" {
				writeText(t, c, tt.first)
			}
			var got string
			for got == "" || strings.Contains(got, `"op":"welcome"`) {
				got = readText(t, c)
			}
			if !strings.Contains(got, tt.answer) {
				t.Fatalf("got %s, want %s", got, tt.answer)
			}
			if tt.code == 0 {
				return
			}
			if _, _, err := c.Read(t.Context(), nil); ws.CloseStatus(err) != tt.code {
				t.Fatalf("closed with %v, want %d", err, tt.code)
			}
		})
	}
}

func TestProviderBadInput(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithOpenAccess(), comm.WithMaxMessage(4<<10))
	comm.On(m, "panic", func(context.Context, *comm.Conn, *comm.Message) error { panic("in a handler") })
	comm.OnCall(m, "echo", func(_ context.Context, _ *comm.Conn, v string) (string, error) { return v, nil })
	for _, tt := range []struct {
		name string
		typ  ws.Type
		send string
		says string        // an error frame, and the connection is kept
		code ws.StatusCode // or it is closed
	}{
		{"unknown type", ws.Text, `{"id":"m1","type":"nobody","content":1}`, `"id":"m1","code":"unknown_type"`, 0},
		{"unknown op", ws.Text, `{"op":"dance","id":"m2"}`, `"code":"unknown_op"`, 0},
		{"invalid JSON", ws.Text, `{"type":`, `"code":"bad_frame"`, 0},
		{"wrong type of member", ws.Text, `{"id":"m3","type":5}`, `"id":"m3","code":"bad_frame"`, 0},
		{"panic", ws.Text, `{"id":"m4","type":"panic"}`, `"id":"m4","code":"internal"`, 0},
		{"oversize", ws.Text, `{"type":"` + strings.Repeat("x", 5000) + `"}`, "", ws.StatusTooBig},
		{"binary", ws.Binary, `{"id":"b","type":"nobody"}`, "", ws.StatusUnsupportedData},
		{"hello again", ws.Text, `{"op":"hello","id":"m5"}`, `"code":"unexpected_hello"`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t, m)
			c := simple(t, m)
			if err := c.Write(t.Context(), tt.typ, []byte(tt.send)); err != nil {
				t.Fatal(err)
			}
			w.tick(t)
			if tt.code != 0 {
				if err := untilClosed(t, c); ws.CloseStatus(err) != tt.code {
					t.Fatalf("closed with %v, want %d", err, tt.code)
				}
			} else {
				if got := readText(t, c); !strings.Contains(got, tt.says) {
					t.Fatalf("got %s, want %s", got, tt.says)
				}
				writeText(t, c, `{"op":"call","id":"c","type":"echo","content":"still here"}`)
				if got := readText(t, c); got != `{"op":"reply","id":"c","content":"still here"}` {
					t.Fatalf("got %s", got)
				}
			}
			w.complete(t)
		})
	}
}

// untilClosed reads what may come before the end: a closing frame.
func untilClosed(t *testing.T, c *ws.Conn) error {
	t.Helper()
	for {
		_, b, err := c.Read(t.Context(), nil)
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), `"op":"closing"`) {
			t.Fatalf("got %s before the end", b)
		}
	}
}

// A hello is a text message too.
func TestProviderBinaryHello(t *testing.T) {
	t.Parallel()
	m := gateway(t)
	c, _, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/ws", ws.WithSubprotocols("comm.v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), ws.Binary, []byte(`{"op":"hello"}`)); err != nil {
		t.Fatal(err)
	}
	if got := readText(t, c); !strings.Contains(got, `"code":"bad_frame"`) {
		t.Fatal(got)
	}
	if _, _, err := c.Read(t.Context(), nil); ws.CloseStatus(err) != ws.StatusUnsupportedData || !strings.Contains(err.Error(), "binary") {
		t.Fatalf("closed with %v", err)
	}
}

func TestProviderBadFrames(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithOpenAccess())
	for _, tt := range []struct {
		name  string
		bytes string
		code  ws.StatusCode
	}{
		{"bad UTF-8", "\x81\x82\x00\x00\x00\x00\xff\xfe", ws.StatusInvalidData},
		{"unmasked", "\x81\x02{}", ws.StatusProtocolError},
		{"reserved bit", "\xc1\x82\x00\x00\x00\x00{}", ws.StatusProtocolError},
		{"reserved opcode", "\x83\x82\x00\x00\x00\x00{}", ws.StatusProtocolError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t, m)
			var raw net.Conn
			c := simple(t, m, ws.WithNetDial(func(ctx context.Context, network, a string) (net.Conn, error) {
				var d net.Dialer
				var err error
				raw, err = d.DialContext(ctx, network, a)
				return raw, err
			}))
			if _, err := raw.Write([]byte(tt.bytes)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(t.Context(), nil); ws.CloseStatus(err) != tt.code {
				t.Fatalf("closed with %v, want %d", err, tt.code)
			}
			w.complete(t)
		})
	}
}

// A client that does not read is closed by its policy, and costs the others nothing.
func TestProviderSlowReader(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithOpenAccess(), comm.WithQueue(64, 64<<10), comm.WithWriteTimeout(2*time.Second))
	w := newWitness(t, m)
	c := simple(t, m)
	writeText(t, c, `{"op":"join","id":"j","group":"flood"}`)
	if got := readText(t, c); !strings.Contains(got, `"op":"joined"`) {
		t.Fatal(got)
	}
	var slow *comm.Conn
	for s := range m.Connections(comm.ToGroup("flood")) {
		slow = s
	}
	big, err := comm.NewMessage("flood", strings.Repeat("x", 32<<10))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; slow.Err() == nil && i < 10_000; i++ {
		if _, err := m.Send(t.Context(), comm.ToGroup("flood"), big); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			w.tick(t)
		}
	}
	<-slow.Done()
	if got := comm.ReasonOf(slow.Err()); got != comm.ReasonSlow {
		t.Fatalf("closed for %v", got)
	}
	w.complete(t)
}

// A peer that vanishes without a word is found by the heartbeat.
func TestProviderHalfOpen(t *testing.T) {
	t.Parallel()
	// Long enough for the witness to answer on a busy machine.
	m := gatewayWith(t, ws.New(ws.WithHeartbeat(100*time.Millisecond, 3*time.Second)), comm.WithOpenAccess())
	w := newWitness(t, m)
	c := simple(t, m)
	writeText(t, c, `{"op":"join","id":"j","group":"gone"}`)
	readText(t, c) // from here on nobody reads, so no pong is sent
	var gone *comm.Conn
	for s := range m.Connections(comm.ToGroup("gone")) {
		gone = s
	}
	select {
	case <-gone.Done():
	case <-time.After(time.Minute):
		t.Fatal("still there")
	}
	if got := comm.ReasonOf(gone.Err()); got != comm.ReasonHeartbeat {
		t.Fatalf("closed for %v", got)
	}
	w.complete(t)
}

func TestProviderTooManyConnections(t *testing.T) {
	t.Parallel()
	m := gateway(t, comm.WithMaxConnections(1))
	simple(t, m)
	_, resp, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/ws")
	if err == nil || resp == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("got %v, %v", resp, err)
	}
}
