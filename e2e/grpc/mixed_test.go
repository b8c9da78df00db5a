package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
)

// connect opens one HTTP/2 connection to a gateway.
func (g gateway) connect(t *testing.T) *http2.ClientConn {
	t.Helper()
	var conn net.Conn
	var err error
	if g.tls == nil {
		conn, err = net.Dial("tcp", g.addr)
	} else {
		conf := g.tls.Clone()
		conf.NextProtos = []string{"h2"}
		d := tls.Dialer{Config: conf}
		conn, err = d.DialContext(context.Background(), "tcp", g.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	cc, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	return cc
}

func (g gateway) url(path string) string {
	if g.tls != nil {
		return "https://" + g.addr + path
	}
	return "http://" + g.addr + path
}

// get asks for the page over a connection.
func (g gateway) get(t *testing.T, cc *http2.ClientConn) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url("/page"), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := cc.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(string(b), "a page") {
		t.Errorf("status %d, %.20q, %v", res.StatusCode, b, err)
	}
}

// call is one call of gRPC as any HTTP client can make it.
func (g gateway) call(t *testing.T, cc *http2.ClientConn, agent string, size int) {
	t.Helper()
	in, err := proto.Marshal(&testpb.SimpleRequest{ResponseSize: int32(size)})
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0, 0, 0, 0, 0}, in...)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(in)))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/grpc.testing.TestService/UnaryCall"), bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	r.Header.Set("User-Agent", agent)
	res, err := cc.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || len(b) < 5 || res.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%d bytes, trailers %q, %v", len(b), res.Trailer, err)
		return
	}
	var out testpb.SimpleResponse
	if err := proto.Unmarshal(b[5:], &out); err != nil || len(out.GetPayload().GetBody()) != size {
		t.Errorf("a payload of %d bytes, %v", len(out.GetPayload().GetBody()), err)
	}
}

// One connection carries pages and calls at the same time.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, secure, false)
			cc := g.connect(t)
			g.get(t, cc)
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() { g.get(t, cc) })
				all.Go(func() { g.call(t, cc, "grpc-go/1.85.0", i*10_000) })
			}
			all.Wait()
			if n := g.web.n.Load(); n != 20 {
				t.Errorf("%d calls came as HTTP requests, want 20", n)
			}
		})
	}
}

// A connection that begins by a call of a gRPC library is gRPC's own. Any other client may ask for pages later.
func TestCallFirst(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, secure, false)
			library, other := g.connect(t), g.connect(t)
			for i := range 20 {
				g.call(t, library, "grpc-go/1.85.0", i*10_000)
			}
			if n := g.web.n.Load(); n != 0 {
				t.Errorf("%d calls of a library came as HTTP requests", n)
			}
			g.call(t, other, "curl/8.0", 10_000)
			g.get(t, other)
			if n := g.web.n.Load(); n != 1 {
				t.Errorf("%d calls of another client came as HTTP requests, want 1", n)
			}
		})
	}
}
