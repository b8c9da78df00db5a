package commhttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/rawconn"
)

// Whatever carries it, a hijacked connection ends its log once and keeps its nature.
func TestHijackedConnections(t *testing.T) {
	t.Parallel()
	certificate := httptest.NewTLSServer(nil)
	t.Cleanup(certificate.Close)
	for _, tt := range []struct {
		name   string
		listen func(t *testing.T) (net.Listener, func() (net.Conn, error))
		nature func(net.Conn) bool
	}{
		{"TLS", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			ln := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificate.TLS.Certificates}))
			return ln, func() (net.Conn, error) {
				return tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
			}
		}, func(c net.Conn) bool {
			s, ok := c.(interface{ ConnectionState() tls.ConnectionState })
			return ok && s.ConnectionState().HandshakeComplete
		}},
		{"Unix", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			name := filepath.Join(t.TempDir(), "s")
			ln, err := net.Listen("unix", name)
			if err != nil {
				t.Skip(err)
			}
			return ln, func() (net.Conn, error) { return net.Dial("unix", name) }
		}, func(c net.Conn) bool {
			_, ok := c.(syscall.Conn)
			_, inner := c.(interface{ NetConn() net.Conn }).NetConn().(*net.UnixConn)
			return ok && inner
		}},
		{"TCP", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			ln := must(net.Listen("tcp", "127.0.0.1:0"))
			return ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
		}, func(c net.Conn) bool {
			_, inner := c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
			return inner
		}},
		{"memory", func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
			return ln, func() (net.Conn, error) { return ln.dial(context.Background(), "", "") }
		}, func(c net.Conn) bool { return c.(interface{ NetConn() net.Conn }).NetConn() != nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan commhttp.Result, 2)
			h := commhttp.Observe(func(_ *http.Request, res commhttp.Result) { ended <- res })(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				equal(t, "nature", tt.nature(conn), true)
				go func() {
					io.WriteString(conn, "own protocol")
					conn.Close()
					conn.Close()
				}()
			}))
			ln, dial := tt.listen(t)
			srv := &http.Server{Handler: h}
			var serving sync.WaitGroup
			serving.Go(func() { srv.Serve(ln) })
			defer serving.Wait()
			defer srv.Close()
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			all, _ := io.ReadAll(conn)
			equal(t, "said", string(all), "own protocol")
			res := <-ended
			equal(t, "result", words(res.Hijacked, res.Status, len(ended)), "true 0 0")
		})
	}
}

// A panic after hijacking closes the connection, which nobody else would.
func TestPanicAfterHijack(t *testing.T) {
	t.Parallel()
	ended := make(chan commhttp.Result, 1)
	_, base := server(t, full(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			t.Error(err)
		}
		panicHere()
	}, commhttp.WithObserver(func(_ *http.Request, res commhttp.Result) { ended <- res })), false)
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := bufio.NewReader(conn).ReadByte(); err != io.EOF {
		t.Errorf("the connection was not closed: %v", err)
	}
	equal(t, "hijacked", (<-ended).Hijacked, true)
}

// Everything that a handler may do with its writer, in time and too late.
func TestWriterUnderTimeout(t *testing.T) {
	deeds := map[string]func(http.ResponseWriter) error{
		"write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte("x")); return err },
		"copy":        func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("x")); return err },
		"flush":       func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
		"hijack":      func(w http.ResponseWriter) error { _, _, err := http.NewResponseController(w).Hijack(); return err },
		"read time":   func(w http.ResponseWriter) error { return http.NewResponseController(w).SetReadDeadline(time.Time{}) },
		"write time":  func(w http.ResponseWriter) error { return http.NewResponseController(w).SetWriteDeadline(time.Time{}) },
		"full duplex": func(w http.ResponseWriter) error { return http.NewResponseController(w).EnableFullDuplex() },
		"hook": func(w http.ResponseWriter) error {
			if !commhttp.OnHeader(w, func(int, http.Header) {}) {
				return http.ErrHandlerTimeout
			}
			return nil
		},
		"old flush": func(w http.ResponseWriter) error { w.(http.Flusher).Flush(); return nil },
		"header":    func(w http.ResponseWriter) error { w.Header().Set("X-Late", "x"); w.WriteHeader(200); return nil },
	}
	for name, deed := range deeds {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, start func(http.Handler) *http.Client) {
				late := make(chan error, 1)
				client := start(must(commhttp.Timeout(time.Second))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/late" {
						time.Sleep(2 * time.Second)
						late <- deed(w)
						return
					}
					if err := deed(w); err != nil && !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("in time: %v", err)
					}
				})))
				if name == "hijack" {
					if a, err := tryAsk(t.Context(), client, "POST", "http://x/late", nil); err != nil || a.StatusCode != 503 {
						t.Errorf("late: %v, %v", a.StatusCode, err)
					}
				} else {
					equal(t, "in time", ask(t, client, "GET", "http://x/", nil).StatusCode, 200)
					a := ask(t, client, "GET", "http://x/late", nil)
					equal(t, "late", words(a.StatusCode, a.Header.Get("X-Late")), "503")
				}
				err := <-late
				silent := name == "old flush" || name == "header" || name == "hijack" && errors.Is(err, http.ErrNotSupported)
				if !silent && !errors.Is(err, http.ErrHandlerTimeout) {
					t.Errorf("late: got %v", err)
				}
			})
		})
	}
}

// The hook given through the gate runs with the header that passes it.
func TestOnHeaderUnderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := timed(t, func(w http.ResponseWriter, r *http.Request) {
			commhttp.OnHeader(w, func(status int, h http.Header) { h.Set("X-Seen", fmt.Sprint(status)) })
			w.WriteHeader(http.StatusCreated)
		})
		equal(t, "hook", w.Header().Get("X-Seen"), "201")
	})
}

// What the access log puts around a connection that was taken over leaves its bytes as they are, and says so.
func TestEndingLetsBytesThrough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": dir + "/s"} {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ends := 0
		ending := func(c net.Conn) net.Conn { return commhttp.EndWith(c, func() { ends++ }) }
		secure, wrapped := tls.Client(conn, &tls.Config{ServerName: "x"}), struct{ net.Conn }{conn}
		same := func(what string, got, want rawconn.Conn) {
			if (got == nil) != (want == nil) {
				t.Errorf("%s over %s: a socket below: %v, want %v", what, network, got != nil, want != nil)
			}
		}
		same("cleartext", rawconn.Under(ending(conn)), rawconn.Under(conn))
		same("twice", rawconn.Under(ending(ending(conn))), rawconn.Under(conn))
		same("TLS", rawconn.UnderTLS(ending(secure)), rawconn.UnderTLS(secure))
		same("what has bytes of its own", rawconn.Under(ending(wrapped)), nil)
		if err := ending(conn).Close(); err != nil || ends != 1 {
			t.Errorf("%v, ended %d times", err, ends)
		}
	}
}
