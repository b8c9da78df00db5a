package ws_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anasamu/comm/ws"
)

// good is a valid handshake; edits change it.
func good() http.Header {
	return http.Header{
		"Connection":            {"keep-alive, Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {testKey},
	}
}

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	url := echoServer(t, ws.WithSubprotocolFunc(func(_ *http.Request, offered []string) (string, error) {
		if len(offered) > 0 {
			return "", fmt.Errorf("%s is unknown", offered[0])
		}
		return "", nil
	}))
	for _, tt := range []struct {
		name   string
		method string
		edit   func(http.Header)
		status int
		names  string // in the body
		header string // in the response
	}{
		{"POST", "POST", func(http.Header) {}, 405, "GET", "Allow"},
		{"no Connection", "GET", func(h http.Header) { h.Del("Connection") }, 426, "Connection", "Upgrade"},
		{"no Upgrade", "GET", func(h http.Header) { h.Del("Upgrade") }, 426, "Upgrade", "Upgrade"},
		{"other Upgrade", "GET", func(h http.Header) { h.Set("Upgrade", "h2c") }, 426, "Upgrade", "Upgrade"},
		{"version 8", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Version", "8") }, 426, "Sec-WebSocket-Version", "Sec-Websocket-Version"},
		{"no version", "GET", func(h http.Header) { h.Del("Sec-WebSocket-Version") }, 426, "Sec-WebSocket-Version", "Sec-Websocket-Version"},
		{"no key", "GET", func(h http.Header) { h.Del("Sec-WebSocket-Key") }, 400, "Sec-WebSocket-Key", ""},
		{"two keys", "GET", func(h http.Header) { h.Add("Sec-WebSocket-Key", testKey) }, 400, "Sec-WebSocket-Key", ""},
		{"short key", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Key", "c2hvcnQ=") }, 400, "Sec-WebSocket-Key", ""},
		{"key not base64", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Key", "!") }, 400, "Sec-WebSocket-Key", ""},
		{"bad protocol", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "a b") }, 400, "Sec-WebSocket-Protocol", ""},
		{"unknown protocol", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "v9") }, 400, "v9 is unknown", ""},
		{"bad extensions", "GET", func(h http.Header) { h.Set("Sec-WebSocket-Extensions", "a; =") }, 400, "Sec-WebSocket-Extensions", ""},
		{"other origin", "GET", func(h http.Header) { h.Set("Origin", "https://evil.example") }, 403, "Origin", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, _ := http.NewRequestWithContext(t.Context(), tt.method, url, nil)
			req.Header = good()
			tt.edit(req.Header)
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.names) {
				t.Errorf("%d %q, want %d naming %s", resp.StatusCode, body, tt.status, tt.names)
			}
			if tt.header != "" && resp.Header.Get(tt.header) == "" {
				t.Errorf("no %s in %v", tt.header, resp.Header)
			}
		})
	}
}

// A body's bytes would be taken for frames.
func TestAcceptRefusesBody(t *testing.T) {
	t.Parallel()
	for header, value := range map[string]string{"Content-Length": "5", "Transfer-Encoding": "chunked"} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n" +
				"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + testKey + "\r\n" +
				header + ": " + value + "\r\n\r\n5\r\nhello\r\n0\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			ws.Handler(echo).ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), header) {
				t.Fatalf("%d %q, want 400 naming %s", w.Code, w.Body, header)
			}
		})
	}
}

// Only a version of HTTP that has Upgrade is asked for it.
func TestAcceptRefusesProtocol(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		major, minor, status int
		upgrade              string
	}{{1, 0, http.StatusUpgradeRequired, "websocket"}, {2, 0, http.StatusNotImplemented, ""}, {3, 0, http.StatusNotImplemented, ""}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header, r.ProtoMajor, r.ProtoMinor = good(), tt.major, tt.minor
		ws.Handler(echo).ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("Upgrade") != tt.upgrade || !strings.Contains(w.Body.String(), "HTTP/1.1") {
			t.Errorf("HTTP/%d.%d: %d %v %q", tt.major, tt.minor, w.Code, w.Header(), w.Body)
		}
	}
}

func TestAcceptTellsTheCaller(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = good()
	_, err := ws.Accept(w, r) // a recorder cannot be hijacked
	var herr *ws.HandshakeError
	if !errors.As(err, &herr) || herr.Status != 501 || w.Code != 501 || !strings.Contains(w.Body.String(), "Hijack") {
		t.Errorf("%v, %d, %s", err, w.Code, w.Body)
	}
	r.Header.Del("Upgrade")
	w = httptest.NewRecorder()
	if _, err := ws.Accept(w, r); !errors.As(err, &herr) || herr.Header != "Upgrade" || w.Code != 426 {
		t.Errorf("%v, %d", err, w.Code)
	}
	if _, err := ws.Accept(w, r, ws.WithReadLimit(0), ws.WithHeartbeat(0, 1), nil); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("bad options: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opt    ws.AcceptOption
		origin string
		fine   bool
	}{
		{nil, "", true},
		{nil, "http://example.com", true},
		{nil, "https://example.com", true},
		{nil, "https://EXAMPLE.com", true},
		{nil, "https://example.com:443", true},
		{nil, "https://example.com:8443", false},
		{nil, "https://example.com.evil.example", false},
		{nil, "https://sub.example.com", false},
		{nil, "null", false},
		{nil, "nonsense", false},
		{ws.WithOrigins("*.friend.example"), "https://app.friend.example", true},
		{ws.WithOrigins("*.friend.example"), "https://app.friend.example:8443", true},
		{ws.WithOrigins("*.friend.example"), "https://friend.example", false},
		{ws.WithOrigins("*.friend.example"), "https://app.friend.example.evil.example", false},
		{ws.WithOrigins("https://friend.example"), "http://friend.example", false},
		{ws.WithOrigins("https://friend.example"), "https://friend.example", true},
		{ws.WithOrigins("null"), "null", true},
		{ws.WithAnyOrigin(), "https://evil.example", true},
		{ws.WithOriginCheck(func(r *http.Request) error { return errors.New("never") }), "https://example.com", false},
	} {
		opts := []ws.AcceptOption{}
		if tt.opt != nil {
			opts = append(opts, tt.opt)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://example.com/", nil)
		r.Header = good()
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		_, _ = ws.Accept(w, r, opts...)
		if fine := w.Code != 403; fine != tt.fine {
			t.Errorf("%q: %d %s", tt.origin, w.Code, w.Body)
		}
	}
	if _, err := ws.NewAcceptor(ws.WithOrigins("a"), ws.WithAnyOrigin()); err == nil {
		t.Error("two origin policies were accepted")
	}
}

func TestAcceptAnswers(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	h := ws.Handler(func(_ context.Context, c *ws.Conn) error { got <- c.Subprotocol(); return nil }, ws.WithSubprotocols("v2", "v1"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Extra", "yes")
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, nc: nc, br: bufio.NewReader(nc), masked: true}
	resp := p.upgrade("Sec-WebSocket-Protocol: v1, v2", "Sec-WebSocket-Protocol: v3")
	// The key and its answer are RFC 6455 1.3's.
	for name, want := range map[string]string{
		"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol": "v2",
		"Upgrade": "websocket", "Connection": "Upgrade", "X-Extra": "yes", "Sec-WebSocket-Extensions": "",
	} {
		if resp.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, resp.Header.Get(name), want)
		}
	}
	if sub := <-got; sub != "v2" {
		t.Errorf("Subprotocol %q", sub)
	}
	p.wantCloseFrom(1000)
}

// wantCloseFrom answers a close that the other end begins.
func (p *peer) wantCloseFrom(code int) {
	p.t.Helper()
	f, err := p.next()
	if err != nil || string(f.p[:2]) != string(closing(code, "").p) {
		p.t.Fatalf("%s, %v", f, err)
	}
	p.send(f)
	p.wantEnd()
}

// A frame in the same packet as the handshake is the first one.
func TestFramesWithTheHandshake(t *testing.T) {
	t.Parallel()
	for _, portable := range []bool{false, true} {
		opts := []ws.AcceptOption{}
		if portable {
			opts = append(opts, ws.WithPortableIO())
		}
		url := echoServer(t, opts...)
		nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, nc: nc, br: bufio.NewReader(nc), masked: true}
		early := text("early " + strings.Repeat("x", 3000))
		p.write(fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n%s%s", testKey, p.wire(early), p.wire(text("next"))[:3]))
		if resp, err := http.ReadResponse(p.br, nil); err != nil || resp.StatusCode != 101 {
			t.Fatal(err, resp)
		}
		p.want(early)
		p.write(p.wire(text("next"))[3:])
		p.want(text("next"))
		bye(p)
	}
}

func TestHandlerOutcomes(t *testing.T) {
	t.Parallel()
	type key struct{}
	for _, tt := range []struct {
		name string
		f    func(context.Context, *ws.Conn) error
		code int
	}{
		{"nil", func(context.Context, *ws.Conn) error { return nil }, 1000},
		{"context", func(context.Context, *ws.Conn) error { return context.Canceled }, 1001},
		{"error", func(context.Context, *ws.Conn) error { return errors.New("secret") }, 1011},
		{"panic", func(context.Context, *ws.Conn) error { panic("secret") }, 1011},
		{"panic in Serve", func(ctx context.Context, c *ws.Conn) error {
			return c.Serve(ctx, func(ws.Type, []byte) error { panic("secret") })
		}, 1011},
		{"value", func(ctx context.Context, c *ws.Conn) error {
			if ctx.Value(key{}) != "v" {
				return errors.New("the request's values are lost")
			}
			return nil
		}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log syncBuffer
			h := ws.Handler(tt.f, ws.WithLogger(log.logger()))
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "v")))
			}))
			defer s.Close()
			p := dialPeer(t, s.URL)
			p.send(text("go"))
			p.wantCloseFrom(tt.code)
			if strings.HasPrefix(tt.name, "panic") != strings.Contains(log.String(), "secret") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestConnContextEnds(t *testing.T) {
	t.Parallel()
	type ends struct{ own, derived, hook context.Context }
	got := make(chan ends, 1)
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		hooked, done := context.WithCancel(context.Background())
		context.AfterFunc(ctx, done)
		got <- ends{ctx, derived, hooked}
		return echo(ctx, c)
	})
	p := dialPeer(t, url)
	e := <-got
	if e.own.Err() != nil || e.derived.Err() != nil {
		t.Fatal("ended too early")
	}
	bye(p)
	for _, ctx := range []context.Context{e.own, e.derived, e.hook} {
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error(ctx.Err())
		}
	}
}

func TestConnContextOption(t *testing.T) {
	t.Parallel()
	app, stop := context.WithCancel(context.Background())
	defer stop()
	up := make(chan struct{})
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		close(up)
		return echo(ctx, c)
	}, ws.WithConnContext(func(*http.Request) context.Context { return app }))
	p := dialPeer(t, url)
	<-up
	stop() // Serve ends, and Handler closes with "going away"
	p.wantCloseFrom(1001)
}
