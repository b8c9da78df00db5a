package commquic_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/lossy"
	commquic "github.com/anasamu/comm/quic"
)

// site is a server of HTTP/3 on loopback.
type site struct {
	*commquic.Server
	addr   string
	client *tls.Config
}

// serveH3 serves until the test ends.
func serveH3(t *testing.T, s *commquic.Server) *site {
	t.Helper()
	cert, err := devcert.New()
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert.TLS}, NextProtos: []string{"h3"}}
	socket := udp(t)
	tr := &quic.Transport{Conn: socket}
	l, err := tr.ListenEarly(conf, &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true, Allow0RTT: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return
			}
			go func() { _ = s.ServeConn(ctx, c) }()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = s.Shutdown(ctx)
		_ = l.Close()
		_ = tr.Close() // also of connections whose end has not been heard
		_ = socket.Close()
	})
	return &site{s, l.Addr().String(), cert.Client()}
}

// transport is a client of the site.
func (s *site) transport(t *testing.T) *http3.Transport {
	t.Helper()
	tr := &http3.Transport{TLSClientConfig: s.client, EnableDatagrams: true}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func (s *site) url(path string) string { return "https://" + s.addr + path }

// within is a context that bounds a test's waiting.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func get(t *testing.T, rt http.RoundTripper, method, url, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// What a handler sees of a request is what it sees over TCP.
func TestHTTP3Request(t *testing.T) {
	t.Parallel()
	s := serveH3(t, &commquic.Server{MaxHeaderBytes: 8 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %v %v %t %s %q", r.Method, r.Proto, host, err, r.TLS != nil && r.TLS.HandshakeComplete, b, r.Header.Get("Early-Data"))
	})})
	tr := s.transport(t)
	if _, got := get(t, tr, http.MethodPost, s.url("/"), "hello"); got != `POST HTTP/3.0 127.0.0.1 <nil> true hello ""` {
		t.Error(got)
	}
	r, _ := http.NewRequestWithContext(within(t), http.MethodGet, s.url("/"), nil)
	r.Header.Set("X-Long", strings.Repeat("a", 9<<10))
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

// Headers of HTTP/1.1's connections, which would make a response malformed, are left out, however it begins.
func TestHTTP3ConnectionHeaders(t *testing.T) {
	t.Parallel()
	s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-Kept", "yes")
		switch r.URL.Path {
		case "/head":
			w.WriteHeader(http.StatusAccepted)
		case "/write":
			_, _ = io.WriteString(w, "x")
		case "/flush":
			_ = http.NewResponseController(w).Flush()
		}
	})})
	tr := s.transport(t)
	for _, path := range []string{"/head", "/write", "/flush", "/none"} {
		if resp, _ := get(t, tr, http.MethodGet, s.url(path), ""); resp.Header.Get("Connection")+resp.Header.Get("Keep-Alive") != "" || resp.Header.Get("X-Kept") != "yes" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

// A stream of events reaches the client as it is flushed, and a write deadline ends one that does not read.
func TestHTTP3StreamingAndDeadlines(t *testing.T) {
	t.Parallel()
	stalled := make(chan error, 1)
	next := make(chan struct{})
	s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/stall" {
			for {
				_ = rc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					stalled <- err
					return
				}
			}
		}
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})})
	tr := s.transport(t)
	r, _ := http.NewRequestWithContext(within(t), http.MethodGet, s.url("/"), nil)
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprint("data: ", i) {
			t.Fatal(i, lines.Text(), lines.Err())
		}
		lines.Scan()
		next <- struct{}{}
	}
	resp.Body.Close()
	r, _ = http.NewRequestWithContext(within(t), http.MethodGet, s.url("/stall"), nil)
	resp, err = tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-stalled; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// Shutdown lets requests under way end, refuses new ones so that clients repeat them, and closes in good order.
func TestHTTP3Shutdown(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		_, _ = io.WriteString(w, "done")
	})})
	c, h := s.raw(t)
	answer := make(chan string, 1)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/slow"), nil)
		resp, err := h.RoundTrip(r)
		if err != nil {
			answer <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(within(t)) }()
	rejected := func() bool {
		r, _ := http.NewRequestWithContext(within(t), http.MethodGet, s.url("/"), nil)
		resp, err := h.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
			return false
		}
		he, ok := errors.AsType[*http3.Error](err)
		if !ok || he.ErrorCode != http3.ErrCodeRequestRejected {
			t.Error(err)
		}
		return true
	}
	for !rejected() {
	}
	close(release)
	if got := <-answer; got != "done" {
		t.Error(got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	<-c.Context().Done()
	ae, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.Context()))
	if !ok || ae.ErrorCode != quic.ApplicationErrorCode(http3.ErrCodeNoError) {
		t.Error(context.Cause(c.Context()))
	}
}

// A request that does not end is cut when Shutdown's context does.
func TestHTTP3ShutdownCuts(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	tr := s.transport(t)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/"), nil)
		if resp, err := tr.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// raw is a connection whose streams the test handles itself.
func (s *site) raw(t *testing.T) (*quic.Conn, *http3.RawClientConn) {
	t.Helper()
	return s.rawWith(t, map[uint64]uint64{0x2b603742: 1})
}

func (s *site) rawWith(t *testing.T, settings map[uint64]uint64) (*quic.Conn, *http3.RawClientConn) {
	t.Helper()
	conf := s.client.Clone()
	conf.NextProtos = []string{"h3"}
	c, err := quic.DialAddr(within(t), s.addr, conf, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http3.Transport{EnableDatagrams: true, AdditionalSettings: settings}
	h := tr.NewRawClientConn(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			str, err := c.AcceptUniStream(context.Background())
			if err != nil {
				return
			}
			go func() {
				if kind, err := commquic.PeekVarint(str); err == nil && kind == 0x54 {
					return // a session's, which nobody reads
				}
				h.HandleUnidirectionalStream(str)
			}()
		}
	}()
	t.Cleanup(func() { _ = c.CloseWithError(0x100, ""); <-done })
	return c, h
}

// A head that does not come costs its stream only.
func TestHTTP3SlowHead(t *testing.T) {
	t.Parallel()
	s := serveH3(t, &commquic.Server{HeaderTimeout: 2 * time.Second, Handler: http.NotFoundHandler()})
	c, h := s.raw(t)
	begun := make(map[string]*quic.Stream)
	for _, begin := range []string{"\x01", "\x40", "\x01\x20\x00", "\x40\x41"} {
		str, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write([]byte(begin))
		begun[begin] = str
	}
	for begin, str := range begun {
		if _, err := str.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("% x: %v", begin, err)
		}
	}
	resp, err := h.RoundTrip(mustRequest(t, s.url("/")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// In 0-RTT a safe request is answered at once and marked; another waits for the handshake, whose end is a long way off.
func TestHTTP3EarlyData(t *testing.T) {
	t.Parallel()
	const way = 300 * time.Millisecond
	came := make(chan time.Time, 1)
	s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- time.Now()
		w.Header().Set("Early", r.Header.Get("Early-Data"))
	})})
	proxy := lossy.New(udp(t), func() (net.PacketConn, error) { return listenOn("127.0.0.1:0") }, udpAddr(s.addr), lossy.Config{Delay: way})
	t.Cleanup(func() { _ = proxy.Close() })
	conf := s.client.Clone()
	tickets := &ticketCache{tls.NewLRUClientSessionCache(1), make(chan struct{}, 16)}
	conf.NextProtos, conf.ClientSessionCache = []string{http3.NextProtoH3}, tickets
	for n, test := range []struct {
		method, early string
		ways          time.Duration // that the handshake, or its beginning alone, takes to the server
	}{{http.MethodGet, "", 3}, {http.MethodGet, "1", 1}, {http.MethodHead, "1", 1}, {http.MethodPost, "", 3}} {
		began := time.Now()
		c, err := quic.DialAddrEarly(within(t), proxy.Addr().String(), conf, &quic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && c.ConnectionState().TLS.HandshakeComplete {
			t.Fatal("the handshake is over")
		}
		resp := early(t, c, test.method)
		if took := (<-came).Sub(began); resp.Header.Get("Early") != test.early || took < test.ways*way {
			t.Errorf("%s: Early-Data %q after %v, want %q", test.method, resp.Header.Get("Early"), took, test.early)
		}
		if got := c.ConnectionState().Used0RTT; got != (n > 0) {
			t.Errorf("%s: 0-RTT used: %v", test.method, got)
		}
		select {
		case <-tickets.came: // for the next connection: it may come behind the answer
		case <-time.After(patience):
			t.Fatal("no ticket")
		}
		_ = c.CloseWithError(0x100, "")
	}
}

// ticketCache tells when a ticket has come.
type ticketCache struct {
	tls.ClientSessionCache
	came chan struct{}
}

func (c *ticketCache) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	if s != nil {
		c.came <- struct{}{}
	}
}

// early sends a request with the first packet where that can be.
func early(t *testing.T, c *quic.Conn, method string) *http.Response {
	t.Helper()
	h := new(http3.Transport).NewRawClientConn(c)
	str, err := h.OpenRequestStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	r := mustRequest(t, "https://localhost/")
	r.Method = method
	r.Header.Set("Early-Data", "0") // which is not for the client to say
	if err := str.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	_ = str.Close()
	resp, err := str.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
