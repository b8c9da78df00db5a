package listen_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/devcert"
	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/listen"
)

func TestMain(m *testing.M) { leak.Main(m) }

// serve starts a server on a fresh loopback port and stops it at the test's end.
func serve(t testing.TB, cfg listen.Config) (*listen.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, cfg, l), l.Addr().String()
}

func serveOn(t testing.TB, cfg listen.Config, l net.Listener) *listen.Server {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := listen.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, listen.ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
	return s
}

// client makes an HTTP client for one version of HTTP, over TLS if conf is set.
func client(t testing.TB, h2 bool, conf *tls.Config) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2 && conf != nil)
	p.SetUnencryptedHTTP2(h2 && conf == nil)
	tr := &http.Transport{Protocols: &p, TLSClientConfig: conf.Clone(), MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func serverTLS(t testing.TB) (*tls.Config, *tls.Config) {
	t.Helper()
	cert, err := devcert.New()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := listen.TLS{Certificates: []tls.Certificate{cert.TLS}}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return conf, cert.Client()
}

func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// describe answers with what the handler sees of the request.
func describe(w http.ResponseWriter, r *http.Request) {
	alpn := "none"
	if r.TLS != nil {
		alpn = r.TLS.NegotiatedProtocol
	}
	fmt.Fprintf(w, "%s alpn=%s", r.Proto, alpn)
}

// claimMagic takes connections that begin with the dummy protocol's magic word and echoes
// its three lines in capitals.
func claimMagic(ctx context.Context, c listen.PeekConn) (bool, error) {
	ok, err := listen.HasPrefix(c, "MAGIC\n")
	if !ok {
		return false, err
	}
	conn := c.Replay()
	go func() {
		defer conn.Close()
		r := bufio.NewReader(conn)
		for range 3 {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(conn, strings.ToUpper(line))
		}
	}()
	return true, nil
}

func TestProtocolsOnOnePort(t *testing.T) {
	t.Parallel()
	serverConf, clientConf := serverTLS(t)
	for _, tc := range []struct {
		name       string
		tls, h2    bool
		claimers   int
		want       string
		raw        string // type of the connection net/http's hook sees
		withH2COff bool
	}{
		{name: "h1", want: "HTTP/1.1 alpn=none", raw: "*net.TCPConn"},
		{name: "h2c", h2: true, want: "HTTP/2.0 alpn=none", raw: "*net.TCPConn"},
		{name: "h1 tls", tls: true, want: "HTTP/1.1 alpn=", raw: "*tls.Conn"},
		{name: "h2 tls", tls: true, h2: true, want: "HTTP/2.0 alpn=h2", raw: "*tls.Conn"},
		{name: "h2 tls without h2c", tls: true, h2: true, claimers: 1, withH2COff: true, want: "HTTP/2.0 alpn=h2", raw: "*listen.replay"},
		{name: "h1 claimers", claimers: 2, want: "HTTP/1.1 alpn=none", raw: "*listen.plainReplay"},
		{name: "h2c claimers", h2: true, claimers: 2, want: "HTTP/2.0 alpn=none", raw: "*listen.plainReplay"},
		{name: "h1 tls claimers", tls: true, claimers: 2, want: "HTTP/1.1 alpn=", raw: "*listen.replay"},
		{name: "h2 tls claimers", tls: true, h2: true, claimers: 2, want: "HTTP/2.0 alpn=h2", raw: "*listen.replay"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			raw := make(chan string, 1)
			cfg := listen.Config{
				Handler: http.HandlerFunc(describe), NoH2C: tc.withH2COff,
				ConnContext: func(ctx context.Context, c net.Conn) context.Context {
					raw <- fmt.Sprintf("%T", c)
					return ctx
				},
			}
			url, conf := "http://", (*tls.Config)(nil)
			if tc.tls {
				cfg.TLS, conf, url = serverConf, clientConf, "https://"
			}
			s, addr := serve(t, cfg)
			for range tc.claimers {
				s.ClaimConns(claimMagic)
			}
			if got := get(t, client(t, tc.h2, conf), url+addr+"/"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := <-raw; got != tc.raw {
				t.Errorf("net/http serves a %s, want %s", got, tc.raw)
			}
		})
	}
}

func TestNoH2C(t *testing.T) {
	t.Parallel()
	_, addr := serve(t, listen.Config{Handler: http.HandlerFunc(describe), NoH2C: true})
	if resp, err := client(t, true, nil).Get("http://" + addr); err == nil {
		resp.Body.Close()
		t.Errorf("h2c answered %s", resp.Status)
	}
}

func TestSetHandler(t *testing.T) {
	t.Parallel()
	s, addr := serve(t, listen.Config{})
	c := client(t, false, nil)
	if got := get(t, c, "http://"+addr); !strings.Contains(got, "not found") {
		t.Errorf("without a handler: %q", got)
	}
	for _, want := range []string{"one", "two"} {
		s.SetHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, want) }))
		if got := get(t, c, "http://"+addr); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestConfigErrorsTogether(t *testing.T) {
	t.Parallel()
	_, err := listen.New(listen.Config{IdleTimeout: -1, PeekLimit: -2, MaxConns: -3})
	for _, want := range []string{"IdleTimeout -1ns", "PeekLimit -2", "MaxConns -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}

func TestServeOnce(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, listen.Config{})
	eventually(t, func() bool { return s.Health() == nil })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// The first Serve has the server; whichever comes second is refused.
	s.Close()
	if err := s.Serve(l); !errors.Is(err, listen.ErrClosed) {
		t.Errorf("second Serve: %v, want ErrClosed", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its listener: %v, want closed", err)
	}
}

// eventually waits for a state that another goroutine brings about.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("state not reached within a minute")
		}
		time.Sleep(time.Millisecond)
	}
}
