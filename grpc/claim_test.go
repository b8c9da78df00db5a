package commgrpc_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// inClearAndTLS runs f for a gateway in the clear and with TLS.
func inClearAndTLS(t *testing.T, f func(t *testing.T, m *comm.Manager, p *commgrpc.Provider)) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := commgrpc.New(with(new(service)))
				var opts []comm.Option
				if secure {
					opts = append(opts, comm.WithDevelopmentCertificate())
				}
				f(t, gateway(t, p, opts...), p)
			})
		})
	}
}

// Every kind of client is served on one port.
func TestOnePort(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, p *commgrpc.Provider) {
		start := time.Now()
		for range 2 {
			for proto, v2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
				if got := newWeb(t, m, v2).page(t); got != "page over "+proto {
					t.Errorf("%s: %q", proto, got)
				}
			}
			resp, err := testClient(t, m).UnaryCall(t.Context(), payload(300_000))
			if err != nil || len(resp.GetPayload().GetBody()) != 300_000 {
				t.Errorf("%v, %v", resp.GetPayload(), err)
			}
		}
		if got := p.NativeConns(); got != 2 {
			t.Errorf("%d connections of the native transport, want 2", got)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("somebody waited: %v", took)
		}
	})
}

// One connection may carry calls and other requests, whichever comes first.
func TestMixedConnection(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, p *commgrpc.Provider) {
		call := func(w *web) {
			t.Helper()
			out := new(grpc_testing.SimpleResponse)
			if err := w.call(t, unaryCall, payload(100_000), out, nil); err != nil || len(out.GetPayload().GetBody()) != 100_000 {
				t.Errorf("call: %d bytes, %v", len(out.GetPayload().GetBody()), err)
			}
		}
		page := func(w *web) {
			t.Helper()
			if got := w.page(t); got != "page over HTTP/2.0" {
				t.Errorf("page: %q", got)
			}
		}
		for name, steps := range map[string][]func(*web){
			"page first": {page, call, page, call},
			"call first": {call, page, call},
		} {
			w := newWeb(t, m, true)
			for _, step := range steps {
				step(w)
			}
			if w.conns != 1 || p.NativeConns() != 0 {
				t.Errorf("%s: %d connections, %d native", name, w.conns, p.NativeConns())
			}
		}
	})
}

// A proxy keeps the library's User-Agent; what it adds tells that others may follow on the connection.
func TestCallThroughProxy(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, p *commgrpc.Provider) {
		w := newWeb(t, m, true)
		h := http.Header{"User-Agent": {"grpc-go/1.85.0"}, "X-Forwarded-For": {"192.0.2.1"}}
		if err := w.call(t, unaryCall, payload(1), nil, h); err != nil {
			t.Error(err)
		}
		if got := w.page(t); got != "page over HTTP/2.0" || w.conns != 1 || p.NativeConns() != 0 {
			t.Errorf("%q over %d connections, %d native", got, w.conns, p.NativeConns())
		}
	})
}

// A client that waits for the server's SETTINGS before its first request gets them at once.
func TestClientThatWaitsForSettings(t *testing.T) {
	inClearAndTLS(t, func(t *testing.T, m *comm.Manager, p *commgrpc.Provider) {
		start := time.Now()
		c := newPeer(t, m, "gateway:80")
		until[*http2.SettingsFrame](t, c)
		c.WriteSettings()
		c.WriteSettingsAck()
		c.WriteHeaders(headers(1, call(), true))
		until[*http2.SettingsFrame](t, c)
		c.WriteSettingsAck()
		c.WriteData(1, true, []byte{0, 0, 0, 0, 0})
		until[*http2.HeadersFrame](t, c)
		if took := time.Since(start); took != 0 || p.NativeConns() != 1 {
			t.Errorf("after %v, %d native", took, p.NativeConns())
		}
	})
}

// Whoever says nothing more is net/http's after the claim's 5 seconds, and served whatever comes then; on an address of
// its own gRPC alone is served, so there it is gRPC's.
func TestSilentConnection(t *testing.T) {
	for addr, native := range map[string]int64{"gateway:80": 0, "gateway:9090": 1} {
		t.Run(addr, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opts := []commgrpc.Option{with(new(service))}
				if native > 0 {
					opts = append(opts, commgrpc.WithAddr(addr))
				}
				p := commgrpc.New(opts...)
				m := gateway(t, p)
				c := newPeer(t, m, addr)
				c.WriteSettings()
				until[*http2.SettingsFrame](t, c)
				c.WriteSettingsAck()
				start := time.Now()
				until[*http2.SettingsFrame](t, c) // the acknowledgement, at once
				if took := time.Since(start); took != 0 {
					t.Errorf("acknowledged after %v", took)
				}
				until[*http2.SettingsFrame](t, c) // of who serves it
				if took := time.Since(start); took != 5*time.Second || p.NativeConns() != native {
					t.Errorf("after %v, %d native", took, p.NativeConns())
				}
				c.WriteSettingsAck()
				c.WriteHeaders(headers(1, call(), false))
				c.WriteContinuation(1, true, nil)
				c.WriteData(1, true, []byte{0, 0, 0, 0, 0})
				until[*http2.HeadersFrame](t, c)
			})
		})
	}
}

// A slow sender has the claim's time for its first request, and is served either way.
func TestSlowSender(t *testing.T) {
	for pace, native := range map[time.Duration]int64{time.Millisecond: 1, 100 * time.Millisecond: 0} {
		t.Run(pace.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := commgrpc.New(with(new(service)))
				m := gateway(t, p)
				c := dial(t, m, "gateway:80")
				w := newWire()
				w.WriteHeaders(headers(1, call(), true))
				w.WriteData(1, true, []byte{0, 0, 0, 0, 0})
				go func() {
					for _, b := range w.Bytes() {
						time.Sleep(pace)
						c.Write([]byte{b})
					}
				}()
				until[*http2.HeadersFrame](t, &peer{http2.NewFramer(io.Discard, c), c})
				if got := p.NativeConns(); got != native {
					t.Errorf("%d native, want %d", got, native)
				}
			})
		})
	}
}

// What HTTP/1.1 clients send is net/http's, at once: also what begins like HTTP/2, and an upgrade that nobody offers.
func TestHTTP1DoesNotWait(t *testing.T) {
	for name, row := range map[string]struct{ request, answer string }{
		"GET":      {"GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"},
		"upgrade":  {"GET /page HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "HTTP/1.1 200 OK"},
		"P":        {"PROPFIND /page HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405"},
		"PRI":      {"PRI * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 "},
		"preface?": {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "HTTP/1.1 "},
		"garbage":  {"\x16\x03\x01\x02\x00\x01\x00 of TLS, in the clear\r\n\r\n", "HTTP/1.1 400"},
		"call":     {"POST " + unaryCall + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n\x00\x00\x00\x00\x00", "HTTP/1.1 505"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := gateway(t, commgrpc.New(with(new(service))))
				c := dial(t, m, "gateway:80")
				start := time.Now()
				io.WriteString(c, row.request)
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil || !bytes.HasPrefix([]byte(line), []byte(row.answer)) || time.Since(start) != 0 {
					t.Errorf("%q, %v, after %v", line, err, time.Since(start))
				}
			})
		})
	}
}

// Frames that are none are answered with the right error of HTTP/2 (RFC 9113, section 7), and the connection ends.
func TestMalformedFrames(t *testing.T) {
	for name, row := range map[string]struct {
		write func(w *wire)
		code  http2.ErrCode
	}{
		"no SETTINGS":         {func(w *wire) { w.Reset(); w.WriteString(commgrpc.Preface); w.WriteHeaders(headers(1, call(), true)) }, http2.ErrCodeProtocol},
		"frame too large":     {func(w *wire) { w.WriteString(raw(1<<24-1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, nil)) }, http2.ErrCodeFrameSize},
		"HEADERS on stream 0": {func(w *wire) { w.WriteHeaders(headers(0, call(), true)) }, http2.ErrCodeProtocol},
		"even stream":         {func(w *wire) { w.WriteHeaders(headers(2, call(), true)) }, http2.ErrCodeProtocol},
		"DATA of no stream":   {func(w *wire) { w.WriteData(1, true, []byte("x")) }, http2.ErrCodeProtocol},
		"bad HPACK":           {func(w *wire) { w.WriteHeaders(headers(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true)) }, http2.ErrCodeCompression},
		"CONTINUATION alone":  {func(w *wire) { w.WriteContinuation(1, true, call()) }, http2.ErrCodeProtocol},
		"interrupted header":  {func(w *wire) { w.WriteHeaders(headers(1, call(), false)); w.WritePing(false, [8]byte{}) }, http2.ErrCodeProtocol},
	} {
		for _, addr := range []string{"gateway:80", "gateway:9090"} {
			t.Run(name+" "+addr, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					opts := []commgrpc.Option{with(new(service))}
					if addr != "gateway:80" {
						opts = append(opts, commgrpc.WithAddr(addr))
					}
					m := gateway(t, commgrpc.New(opts...))
					c := dial(t, m, addr)
					w := newWire()
					row.write(w)
					c.Write(w.Bytes())
					p := &peer{http2.NewFramer(io.Discard, c), c}
					if got := until[*http2.GoAwayFrame](t, p); got.ErrCode != row.code {
						t.Errorf("%v, want %v", got.ErrCode, row.code)
					}
					if _, err := io.Copy(io.Discard, c); err != nil {
						t.Errorf("the connection: %v", err)
					}
				})
			})
		}
	}
}

// More connections than are allowed are told to calm down.
func TestTooManyConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := commgrpc.New(with(new(service)), commgrpc.WithMaxConnections(1))
		m := gateway(t, p)
		first := testClient(t, m)
		if _, err := first.EmptyCall(t.Context(), new(grpc_testing.Empty)); err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, m, "gateway:80")
		c.WriteSettings()
		c.WriteHeaders(headers(1, call(), true))
		if got := until[*http2.GoAwayFrame](t, c); got.ErrCode != http2.ErrCodeEnhanceYourCalm || got.LastStreamID != 0 {
			t.Errorf("%v", got)
		}
		if _, err := first.EmptyCall(t.Context(), new(grpc_testing.Empty)); err != nil {
			t.Error(err)
		}
	})
}

// The end of the gateway ends the looks under way, too.
func TestCloseWhileLooking(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(new(service))))
		c := newPeer(t, m, "gateway:80")
		until[*http2.SettingsFrame](t, c)
		synctest.Wait()
		start := time.Now()
		m.Close()
		if _, err := c.ReadFrame(); err == nil || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// The very first call of a connection knows the bound of its metadata, and costs no more than itself.
func TestFirstHeaderTooLarge(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10 << 10, 64 << 10, 1 << 20} {
		m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithMaxHeaderSize(size)))
		c := testClient(t, m)
		_, err := c.UnaryCall(metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 64<<10)), payload(1))
		wantCode(t, fmt.Sprintf("first call, %d bytes allowed", size), err, codes.Internal)
		contains(t, fmt.Sprint(err), fmt.Sprintf("the maximum size (%d bytes) set by server", min(size, 64<<10)))
		_, err = c.UnaryCall(t.Context(), payload(1))
		wantCode(t, "another", err, codes.OK)
		if size > 64<<10 {
			_, err = c.UnaryCall(metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 64<<10)), payload(1))
			wantCode(t, "a later call", err, codes.OK)
		}
	}
}
