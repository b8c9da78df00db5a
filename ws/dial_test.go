package ws_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anasamu/comm/ws"
)

func TestDialRefusesAnswers(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n"
	for _, tt := range []struct{ name, answer, header string }{
		{"no Upgrade", strings.Replace(ok, "Upgrade: websocket\r\n", "", 1), "Upgrade"},
		{"no Connection", strings.Replace(ok, "Connection: Upgrade\r\n", "", 1), "Connection"},
		{"wrong key", strings.Replace(ok, "KEY", "nonsense", 1), "Sec-WebSocket-Accept"},
		{"protocol not offered", ok + "Sec-WebSocket-Protocol: v9\r\n", "Sec-WebSocket-Protocol"},
		{"two protocols", ok + "Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v1\r\n", "Sec-WebSocket-Protocol"},
		{"extension not offered", ok + "Sec-WebSocket-Extensions: x\r\n", "Sec-WebSocket-Extensions"},
		{"bad parameter", ok + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n", "Sec-WebSocket-Extensions"},
		{"malformed extensions", ok + "Sec-WebSocket-Extensions: ;\r\n", "Sec-WebSocket-Extensions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := answering(t, func(key string) string {
				return strings.Replace(tt.answer, "KEY", ws.AcceptKey(key), 1) + "\r\n"
			})
			_, resp, err := ws.Dial(t.Context(), "ws://"+addr, ws.WithSubprotocols("v1"), ws.WithCompression(ws.Compression{}))
			var herr *ws.HandshakeError
			if !errors.As(err, &herr) || herr.Header != tt.header || resp == nil {
				t.Errorf("%v, want one about %s", err, tt.header)
			}
		})
	}
}

// answering listens for one handshake and answers it with bytes.
func answering(t *testing.T, answer func(key string) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		req, err := http.ReadRequest(bufio.NewReader(nc))
		if err == nil {
			io.WriteString(nc, answer(req.Header.Get("Sec-WebSocket-Key")))
			io.Copy(io.Discard, nc)
		}
	}()
	return ln.Addr().String()
}

func TestDialShowsRefusal(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	defer s.Close()
	_, resp, err := ws.Dial(t.Context(), strings.Replace(s.URL, "http", "ws", 1))
	var herr *ws.HandshakeError
	if !errors.As(err, &herr) || herr.Status != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Fatalf("%v, %v", err, resp)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "who are you?\n" {
		t.Errorf("%q", body)
	}
}

func TestDialTimesOut(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, scheme := range []string{"ws://", "wss://"} {
		start := time.Now()
		_, _, err = ws.Dial(t.Context(), scheme+ln.Addr().String(), ws.WithHandshakeTimeout(50*time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 30*time.Second {
			t.Errorf("%s: %v after %v", scheme, err, time.Since(start))
		}
		_, _, err = ws.Dial(soon(t), scheme+ln.Addr().String())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestDialRefusesArguments(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://h", "ws://", "ws://h/#f", "ws://h:port", "::"} {
		if _, _, err := ws.Dial(t.Context(), u); err == nil {
			t.Errorf("%s was accepted", u)
		}
	}
	_, _, err := ws.Dial(t.Context(), "ws://h", ws.WithHeader(http.Header{"Upgrade": {"x"}}), ws.WithSubprotocols("a b"), ws.WithTLS(nil), ws.WithCompression(ws.Compression{Level: 12}))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("not all are reported: %v", err)
	}
}

// recorder is an echo server that keeps its last request.
func recorder(t *testing.T, secure bool) (*httptest.Server, *atomic.Pointer[http.Request]) {
	t.Helper()
	var last atomic.Pointer[http.Request]
	h := ws.Handler(echo, ws.WithSubprotocols("v1"))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(r.Clone(context.Background()))
		h.ServeHTTP(w, r)
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, &last
}

func roundTrip(t *testing.T, c *ws.Conn) {
	t.Helper()
	if err := c.Write(t.Context(), ws.Text, []byte("there and back")); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(t.Context(), nil); err != nil || string(p) != "there and back" {
		t.Fatalf("%q, %v", p, err)
	}
	if err := c.Close(t.Context(), ws.StatusNormal, ""); err != nil {
		t.Error(err)
	}
}

func TestDialSendsWhatItIsTold(t *testing.T) {
	t.Parallel()
	s, last := recorder(t, false)
	u := strings.Replace(s.URL, "http://", "ws://user:pass@", 1) + "/path?q=1"
	c, resp, err := ws.Dial(t.Context(), u, ws.WithSubprotocols("v2", "v1"),
		ws.WithHeader(http.Header{"X-Token": {"t"}, "Host": {"virtual.example"}, "Origin": {"http://virtual.example"}}))
	if err != nil {
		t.Fatal(err)
	}
	r := last.Load()
	user, pass, _ := r.BasicAuth()
	if r.Header.Get("X-Token") != "t" || r.Host != "virtual.example" || r.URL.String() != "/path?q=1" || user != "user" || pass != "pass" {
		t.Errorf("%v %s %s", r.Header, r.Host, r.URL)
	}
	if c.Subprotocol() != "v1" || resp.StatusCode != 101 || c.Side() != ws.Client || c.RemoteAddr().String() != s.Listener.Addr().String() || c.LocalAddr() == nil {
		t.Errorf("%q, %d, %v, %v", c.Subprotocol(), resp.StatusCode, c.Side(), c.RemoteAddr())
	}
	roundTrip(t, c)
}

func TestDialTLS(t *testing.T) {
	t.Parallel()
	s, _ := recorder(t, true)
	u := strings.Replace(s.URL, "https", "wss", 1)
	if _, _, err := ws.Dial(t.Context(), u); err == nil {
		t.Fatal("an unknown certificate was accepted")
	}
	conf := s.Client().Transport.(*http.Transport).TLSClientConfig
	c, _, err := ws.Dial(t.Context(), u, ws.WithTLS(conf))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, c)
}

// proxy is a CONNECT or SOCKS 5 proxy that wants a user and password.
func proxy(t *testing.T, serve func(*bufio.Reader, net.Conn) (target string, ok bool)) (addr string, uses *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	uses = new(atomic.Int32)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				br := bufio.NewReader(nc)
				target, ok := serve(br, nc)
				if !ok {
					return
				}
				far, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer far.Close()
				uses.Add(1)
				go func() { io.Copy(far, br); far.Close() }()
				io.Copy(nc, far)
			}()
		}
	}()
	return ln.Addr().String(), uses
}

func connectProxy(br *bufio.Reader, nc net.Conn) (string, bool) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return "", false
	}
	if req.Method != "CONNECT" || req.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("u:p")) {
		io.WriteString(nc, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return "", false
	}
	io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
	return req.Host, true
}

func socksProxy(br *bufio.Reader, nc net.Conn) (string, bool) {
	read := func(n int) []byte { b := make([]byte, n); io.ReadFull(br, b); return b }
	read(int(read(2)[1]))
	nc.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	pass := string(read(int(read(1)[0])))
	if user != "u" || pass != "p" {
		nc.Write([]byte{1, 1})
		return "", false
	}
	nc.Write([]byte{1, 0})
	head := read(4)
	host := ""
	switch head[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	port := read(2)
	nc.Write([]byte{5, 0, 0, 3, 4, 'h', 'o', 's', 't', 0, 80})
	return net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1]))), true
}

func TestDialThroughProxies(t *testing.T) {
	t.Parallel()
	plain, _ := recorder(t, false)
	secure, _ := recorder(t, true)
	conf := secure.Client().Transport.(*http.Transport).TLSClientConfig
	for scheme, serve := range map[string]func(*bufio.Reader, net.Conn) (string, bool){"http": connectProxy, "socks5": socksProxy} {
		addr, uses := proxy(t, serve)
		for i, target := range []string{plain.URL, secure.URL, strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)} {
			via := http.ProxyURL(&url.URL{Scheme: scheme, Host: addr, User: url.UserPassword("u", "p")})
			c, _, err := ws.Dial(t.Context(), strings.Replace(target, "http", "ws", 1), ws.WithProxy(via), ws.WithTLS(conf))
			if err != nil {
				t.Fatalf("%s %s: %v", scheme, target, err)
			}
			roundTrip(t, c)
			if uses.Load() != int32(i+1) {
				t.Errorf("%s: the proxy was not used", scheme)
			}
		}
		via := http.ProxyURL(&url.URL{Scheme: scheme, Host: addr, User: url.UserPassword("u", "wrong")})
		if _, _, err := ws.Dial(t.Context(), strings.Replace(plain.URL, "http", "ws", 1), ws.WithProxy(via)); err == nil {
			t.Errorf("%s: a refused tunnel was used", scheme)
		}
	}
	bad := http.ProxyURL(&url.URL{Scheme: "gopher", Host: plain.Listener.Addr().String()})
	if _, _, err := ws.Dial(t.Context(), strings.Replace(plain.URL, "http", "ws", 1), ws.WithProxy(bad)); err == nil {
		t.Error("gopher was accepted")
	}
}

func TestDialThroughTLSProxy(t *testing.T) {
	t.Parallel()
	plain, _ := recorder(t, false)
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	addr, _ := proxy(t, func(br *bufio.Reader, nc net.Conn) (string, bool) {
		tc := tls.Server(bufferedConn{nc, br}, certified.TLS)
		return "", tc.Handshake() == nil
	})
	via := http.ProxyURL(&url.URL{Scheme: "https", Host: addr})
	_, _, err := ws.Dial(t.Context(), strings.Replace(plain.URL, "http", "ws", 1), ws.WithProxy(via))
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a proxy's unknown certificate: %v", err)
	}
}

type bufferedConn struct {
	net.Conn
	br *bufio.Reader
}

func (b bufferedConn) Read(p []byte) (int, error) { return b.br.Read(p) }
