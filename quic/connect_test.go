//lint:file-ignore SA1019 net/http's Transport refuses the header ":protocol"; that of x/net takes it

package commquic_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// over is one way to reach a WebSocket handler by extended CONNECT.
type over struct {
	url string
	rt  http.RoundTripper
}

// serveBoth serves a handler over HTTP/2 and HTTP/3.
func serveBoth(t *testing.T, h http.Handler) map[string]over {
	t.Helper()
	s := serveH3(t, &commquic.Server{Handler: h})
	ways := map[string]over{"HTTP/3": {"wss://" + s.addr, commquic.ExtendedConnect(s.transport(t))}}
	if !xconnect {
		return ways
	}
	two := httptest.NewUnstartedServer(h)
	two.EnableHTTP2 = true
	two.StartTLS()
	t.Cleanup(two.Close)
	rt := &http2.Transport{TLSClientConfig: two.Client().Transport.(*http.Transport).TLSClientConfig}
	t.Cleanup(rt.CloseIdleConnections)
	ways["HTTP/2"] = over{"wss" + strings.TrimPrefix(two.URL, "https"), rt}
	return ways
}

// xconnect says that net/http serves extended CONNECT over HTTP/2, which it decides when the process starts.
var xconnect = strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1")

// TestOverHTTP2 runs the tests of this file in a process whose net/http serves extended CONNECT over HTTP/2.
func TestOverHTTP2(t *testing.T) {
	t.Parallel()
	if xconnect {
		t.Skip("this is that process")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestWebSocket", "-test.timeout=5m", "-test.v")
	c.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWebSocketEcho/HTTP/2") {
		t.Errorf("%v\n%s", err, out)
	}
}

func echo(ctx context.Context, c *ws.Conn) error {
	for {
		typ, b, err := c.Read(ctx, nil)
		if err != nil {
			return nil
		}
		if err := c.Write(ctx, typ, b); err != nil {
			return err
		}
	}
}

// A WebSocket echoes over HTTP/2 and HTTP/3, compressed too, and closes with code and reason.
func TestWebSocketEcho(t *testing.T) {
	t.Parallel()
	h := ws.Handler(func(ctx context.Context, c *ws.Conn) error {
		if c.RemoteAddr() == nil || c.LocalAddr() == nil {
			return errors.New("no address")
		}
		return echo(ctx, c)
	}, ws.WithSubprotocols("chat"), ws.WithCompression(ws.Compression{}))
	for name, o := range serveBoth(t, h) {
		for _, opts := range [][]ws.DialOption{nil, {ws.WithCompression(ws.Compression{})}} {
			t.Run(name, func(t *testing.T) {
				c, resp, err := ws.Dial(within(t), o.url, append(opts, ws.WithRoundTripper(o.rt), ws.WithSubprotocols("other", "chat"))...)
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				if resp.StatusCode != http.StatusOK || c.Subprotocol() != "chat" || c.Compressed() != (opts != nil) {
					t.Error(resp.Status, c.Subprotocol(), c.Compressed())
				}
				for _, size := range []int{0, 1, 125, 126, 4096, 70_000, 1 << 20} {
					want := strings.Repeat("x", size)
					if err := c.Write(within(t), ws.Text, []byte(want)); err != nil {
						t.Fatal(err)
					}
					if _, b, err := c.Read(within(t), nil); err != nil || string(b) != want {
						t.Fatalf("%d: %d bytes, %v", size, len(b), err)
					}
				}
				if err := c.Close(within(t), ws.StatusNormal, "bye"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The server's close reaches the client with its code; a client that goes without a word ends the server's side.
func TestWebSocketEnds(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 4)
	h := ws.Handler(func(ctx context.Context, c *ws.Conn) error {
		_, b, err := c.Read(ctx, nil)
		if string(b) == "leave" {
			return c.Close(ctx, ws.StatusPolicyViolation, "because")
		}
		gone <- err
		return nil
	})
	for name, o := range serveBoth(t, h) {
		t.Run(name, func(t *testing.T) {
			c, _, err := ws.Dial(within(t), o.url, ws.WithRoundTripper(o.rt))
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Write(within(t), ws.Text, []byte("leave"))
			_, _, err = c.Read(within(t), nil)
			if ce, ok := errors.AsType[*ws.CloseError](err); !ok || ce.Code != ws.StatusPolicyViolation || ce.Reason != "because" {
				t.Error(err)
			}
			_ = c.CloseNow()
			if c, _, err = ws.Dial(within(t), o.url, ws.WithRoundTripper(o.rt)); err != nil {
				t.Fatal(err)
			}
			_ = c.CloseNow()
			select {
			case err := <-gone:
				if err == nil {
					t.Error("no error")
				}
			case <-within(t).Done():
				t.Error("the server's side lives on")
			}
		})
	}
}

// A heartbeat waits for silence without harm, and a client that does not read ends by the write timeout.
func TestWebSocketSilenceAndStall(t *testing.T) {
	t.Parallel()
	stalled := make(chan error, 2)
	h := ws.Handler(func(ctx context.Context, c *ws.Conn) error {
		if _, _, err := c.Read(ctx, nil); err != nil { // after some heartbeats
			stalled <- err
			return err
		}
		for {
			if err := c.Write(ctx, ws.Binary, make([]byte, 1<<20)); err != nil {
				stalled <- err
				return err
			}
		}
	}, ws.WithHeartbeat(50*time.Millisecond, patience), ws.WithWriteTimeout(time.Second))
	for name, o := range serveBoth(t, h) {
		t.Run(name, func(t *testing.T) {
			c, _, err := ws.Dial(within(t), o.url, ws.WithRoundTripper(o.rt))
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, _, err := c.Read(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if err := c.Write(within(t), ws.Text, []byte("go")); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-stalled:
				if err == nil {
					t.Error("no error")
				}
			case <-within(t).Done():
				t.Error("the writer waits for ever")
			}
		})
	}
}

// Accept alone does not take a stream of HTTP/2, which ends with its handler, unless the handler is held.
func TestWebSocketHeldHandler(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{false, true} {
		var opts []ws.AcceptOption
		if held {
			opts = append(opts, ws.WithHeldHandler())
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := ws.Accept(w, r, opts...)
			if err != nil {
				return
			}
			go func() { _ = echo(context.Background(), c); _ = c.CloseNow() }()
			c.HoldHandler()
		})
		for name, o := range serveBoth(t, h) {
			c, resp, err := ws.Dial(within(t), o.url, ws.WithRoundTripper(o.rt))
			if name == "HTTP/2" && !held {
				if err == nil || resp.StatusCode != http.StatusNotImplemented {
					t.Error(err)
				}
				continue
			}
			if err != nil {
				t.Fatal(name, err)
			}
			if err := c.Write(within(t), ws.Text, []byte("x")); err != nil {
				t.Error(err)
			}
			if _, b, err := c.Read(within(t), nil); string(b) != "x" {
				t.Error(name, err)
			}
			_ = c.CloseNow()
		}
	}
}

// What is no good handshake is answered by a status that says so.
func TestWebSocketConnectRefusals(t *testing.T) {
	t.Parallel()
	h := ws.Handler(func(context.Context, *ws.Conn) error { return nil })
	for name, o := range serveBoth(t, h) {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				change func(*http.Request)
				status int
			}{
				{func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "12") }, http.StatusBadRequest},
				{func(r *http.Request) { r.Header[":protocol"] = []string{"chat"} }, http.StatusNotImplemented},
				{func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") }, http.StatusForbidden},
				{func(r *http.Request) { r.Method = http.MethodGet; delete(r.Header, ":protocol") }, http.StatusNotImplemented},
			} {
				r, _ := http.NewRequestWithContext(within(t), http.MethodConnect, "https"+strings.TrimPrefix(o.url, "wss"), nil)
				r.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
				c.change(r)
				resp, err := o.rt.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != c.status {
					t.Errorf("%v: %s, want %d", r.Header, resp.Status, c.status)
				}
			}
			_, resp, err := ws.Dial(within(t), o.url, ws.WithRoundTripper(o.rt), ws.WithHeader(http.Header{"Origin": {"https://elsewhere.example"}}))
			he, ok := errors.AsType[*ws.HandshakeError](err)
			if !ok || he.Status != http.StatusForbidden || resp == nil {
				t.Error(err)
			}
		})
	}
	if _, _, err := ws.Dial(t.Context(), "wss://127.0.0.1:1", ws.WithRoundTripper(http.DefaultTransport), ws.WithProxy(nil)); err == nil {
		t.Error("WithProxy beside WithRoundTripper")
	}
}

// The WebSocket provider is reached by extended CONNECT over HTTP/2 as it is, and passes the suite of providers.
func TestWebSocketProviderOverHTTP2(t *testing.T) {
	t.Parallel()
	if !xconnect {
		t.Skip("TestOverHTTP2 runs it")
	}
	commtest.Run(t, func(t *testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: ws.New(), RealTime: true, NeedsTLS: true,
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				rt := &http2.Transport{TLSClientConfig: e.TLS, DialTLSContext: func(ctx context.Context, network, addr string, conf *tls.Config) (net.Conn, error) {
					c, err := e.DialContext(ctx, network, e.Addr)
					if err != nil {
						return nil, err
					}
					return tls.Client(c, conf), nil
				}}
				t.Cleanup(rt.CloseIdleConnections)
				return ws.Dialer("wss://"+e.Addr+"/ws", ws.WithRoundTripper(rt))
			},
		}
	})
}
