package ws_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// peer is the other end of a connection under test, speaking in raw frames.
type peer struct {
	t      testing.TB
	nc     net.Conn
	br     *bufio.Reader
	masked bool // we are the client

	extensions string        // the server's answer
	patience   time.Duration // beyond the usual, for a frame
}

const testKey = "dGhlIHNhbXBsZSBub25jZQ=="

// dialPeer is a raw client of the server at url.
func dialPeer(t testing.TB, url string, headers ...string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return upgraded(t, nc, headers...)
}

// upgraded is a raw client on a connection of its own.
func upgraded(t testing.TB, nc net.Conn, headers ...string) *peer {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, nc: nc, br: bufio.NewReader(nc), masked: true}
	resp := p.upgrade(headers...)
	if resp.StatusCode != 101 {
		t.Fatalf("handshake: %s", resp.Status)
	}
	p.extensions = resp.Header.Get("Sec-WebSocket-Extensions")
	return p
}

// upgrade sends a good request with headers added and returns the answer.
func (p *peer) upgrade(headers ...string) *http.Response {
	p.t.Helper()
	fmt.Fprintf(p.nc, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n", testKey, lines(headers))
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

func lines(headers []string) string {
	s := ""
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s
}

// clientPeer is a raw server that our client, made with opts, has dialled;
// answer is added to the 101 response.
func clientPeer(t testing.TB, answer string, opts ...ws.DialOption) (*peer, *ws.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan *peer, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			close(got)
			return
		}
		p := &peer{t: t, nc: nc, br: bufio.NewReader(nc)}
		req, err := http.ReadRequest(p.br)
		if err == nil {
			fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
				ws.AcceptKey(req.Header.Get("Sec-WebSocket-Key")), answer)
		}
		got <- p
	}()
	c, _, err := ws.Dial(t.Context(), "ws://"+ln.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	p := <-got
	t.Cleanup(func() { c.CloseNow(); p.nc.Close() })
	return p, c
}

// echo is what the tests' servers run.
func echo(ctx context.Context, c *ws.Conn) error {
	return c.Serve(ctx, func(t ws.Type, p []byte) error { return c.Write(ctx, t, p) })
}

// echoServer serves echo and returns its URL.
func echoServer(t testing.TB, opts ...ws.AcceptOption) string { return serve(t, echo, opts...) }

func serve(t testing.TB, f func(context.Context, *ws.Conn) error, opts ...ws.AcceptOption) string {
	t.Helper()
	a, err := ws.NewAcceptor(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(a.Handler(f))
	t.Cleanup(s.Close)
	return s.URL
}

// frame is a frame as the tests write it down.
type frame struct {
	op   wsframe.Opcode
	more bool // FIN is not set
	rsv1 bool
	p    []byte
}

func text(s string) frame   { return frame{op: wsframe.Text, p: []byte(s)} }
func bin(s string) frame    { return frame{op: wsframe.Binary, p: []byte(s)} }
func ping(s string) frame   { return frame{op: wsframe.Ping, p: []byte(s)} }
func pong(s string) frame   { return frame{op: wsframe.Pong, p: []byte(s)} }
func cont(s string) frame   { return frame{op: wsframe.Continuation, p: []byte(s)} }
func (f frame) open() frame { f.more = true; return f }

func closing(code int, reason string) frame {
	return frame{op: wsframe.Close, p: append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)}
}

// wire is f in bytes, as p's side sends it.
func (p *peer) wire(f frame) []byte {
	h := wsframe.Header{Fin: !f.more, RSV1: f.rsv1, Op: f.op, Length: int64(len(f.p)), Masked: p.masked, Key: 0x12345678}
	b := h.Append(nil)
	body := bytes.Clone(f.p)
	if p.masked {
		wsframe.Mask(body, h.Key)
	}
	return append(b, body...)
}

func (p *peer) send(frames ...frame) {
	p.t.Helper()
	var b []byte
	for _, f := range frames {
		b = append(b, p.wire(f)...)
	}
	p.write(b)
}

// write sends bytes; the other end may have closed already.
func (p *peer) write(b []byte) {
	p.nc.SetWriteDeadline(time.Now().Add(time.Minute))
	p.nc.Write(b)
}

// chop sends frames in writes of size bytes.
func (p *peer) chop(size int, frames ...frame) {
	for _, f := range frames {
		for b := p.wire(f); len(b) > 0; {
			n := min(size, len(b))
			p.write(b[:n])
			b = b[n:]
		}
	}
}

// next reads one frame.
func (p *peer) next() (frame, error) {
	p.nc.SetReadDeadline(time.Now().Add(time.Minute + p.patience))
	var b []byte
	for {
		h, n, err := wsframe.Parse(b, wsframe.Rules{Masked: !p.masked, Deflate: true})
		if err != nil {
			return frame{}, err
		}
		if n > 0 {
			body := make([]byte, h.Length)
			if _, err := io.ReadFull(p.br, body); err != nil {
				return frame{}, err
			}
			if h.Masked {
				wsframe.Mask(body, h.Key)
			}
			return frame{op: h.Op, more: !h.Fin, rsv1: h.RSV1, p: body}, nil
		}
		c, err := p.br.ReadByte()
		if err != nil {
			return frame{}, err
		}
		b = append(b, c)
	}
}

// want reads frames and compares them.
func (p *peer) want(frames ...frame) {
	p.t.Helper()
	for i, w := range frames {
		got, err := p.next()
		if err != nil {
			p.t.Fatalf("frame %d: %v, want %s", i, err, w)
		}
		if got.op != w.op || got.more != w.more || !bytes.Equal(got.p, w.p) {
			p.t.Fatalf("frame %d: got %s, want %s", i, got, w)
		}
	}
}

// wantClose reads up to a close frame with code, then the end of the stream.
func (p *peer) wantClose(code int) {
	p.t.Helper()
	got, err := p.next()
	if err != nil {
		p.t.Fatalf("want close %d, got %v", code, err)
	}
	if got.op != wsframe.Close {
		p.t.Fatalf("want close %d, got %s", code, got)
	}
	gotCode := wsframe.NoStatus
	if len(got.p) >= 2 {
		gotCode = int(binary.BigEndian.Uint16(got.p))
	}
	if gotCode != code {
		p.t.Fatalf("closed with %d %q, want %d", gotCode, got.p[min(2, len(got.p)):], code)
	}
	p.wantEnd()
}

func (p *peer) wantEnd() {
	p.t.Helper()
	if p.masked { // the server ends the stream
		if f, err := p.next(); err == nil {
			p.t.Fatalf("got %s after the close frame", f)
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			p.t.Fatal("the server did not end the connection")
		}
	}
	p.nc.Close()
}

func (f frame) String() string {
	return fmt.Sprintf("{op %d more %v rsv1 %v %d bytes %.60q}", f.op, f.more, f.rsv1, len(f.p), f.p)
}
