package ws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/deflate"
	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// deflating is a raw peer that compresses, with what the handshake agreed on.
type deflating struct {
	*peer
	enc *deflate.Encoder
	dec *deflate.Decoder
}

// message sends one message, compressed, in fragments of size bytes.
func (d *deflating) message(typ ws.Type, p []byte, size int) {
	z := d.enc.Append(nil, p)
	op, first := wsframe.Opcode(typ), true
	for first || len(z) > 0 {
		n := min(size, len(z))
		d.send(frame{op: op, rsv1: first, p: z[:n], more: n < len(z)})
		z, op, first = z[n:], wsframe.Continuation, false
	}
}

// read reads one message, compressed or not.
func (d *deflating) read() []byte {
	d.t.Helper()
	f, err := d.next()
	if err != nil || f.op.Control() {
		d.t.Fatalf("%s, %v", f, err)
	}
	z := f.p
	for more := f.more; more; {
		next, err := d.next()
		if err != nil {
			d.t.Fatal(err)
		}
		z, more = append(z, next.p...), next.more
	}
	if !f.rsv1 {
		return z
	}
	p, err := d.dec.Append(nil, z, -1)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// payloads are like those of the suite's section 12: text that compresses, of
// many sizes.
func payloads() [][]byte {
	var out [][]byte
	for _, n := range []int{0, 16, 256, 4096, 16384, 70000} {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, `{"id":%d,"name":"AutobahnPython","value":"κόσμε %d"}`, i*7919, i%13)
		}
		p := []byte(b.String())
		for len(p) > n && (p[n]&0xC0) == 0x80 {
			n--
		}
		out = append(out, p[:n])
	}
	return out
}

// Sections 12 and 13: every combination of parameters, on both sides.
func TestSuiteCompression(t *testing.T) {
	t.Parallel()
	offers := []string{
		"permessage-deflate",
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover",
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
		"permessage-deflate; server_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits=9",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
		"permessage-bogus, permessage-deflate; server_max_window_bits=99, permessage-deflate; server_max_window_bits=12",
	}
	for _, takeover := range []bool{false, true} {
		z := ws.WithCompression(ws.Compression{Takeover: takeover, MinSize: -1})
		url := echoServer(t, z, ws.WithReadLimit(-1))
		for _, offer := range offers {
			t.Run(fmt.Sprintf("server/takeover=%v/%s", takeover, offer), func(t *testing.T) {
				t.Parallel()
				compressedEcho(t, deflatePeer(t, url, offer))
			})
		}
		for _, answer := range []string{
			"permessage-deflate", "permessage-deflate; server_no_context_takeover", "permessage-deflate; client_no_context_takeover",
			"permessage-deflate; client_max_window_bits=8; server_max_window_bits=8", "permessage-deflate; client_max_window_bits=9; server_no_context_takeover",
		} {
			t.Run(fmt.Sprintf("client/takeover=%v/%s", takeover, answer), func(t *testing.T) {
				t.Parallel()
				p, c := clientPeer(t, "Sec-WebSocket-Extensions: "+answer+"\r\n", z, ws.WithReadLimit(-1))
				go echo(t.Context(), c)
				params := agreedParams(t, answer)
				params.Client.Takeover = params.Client.Takeover && takeover
				compressedEcho(t, &deflating{p, deflate.NewEncoder(params.Server, 1), deflate.NewDecoder(params.Client)})
			})
		}
	}
}

func agreedParams(t testing.TB, answer string) deflate.Params {
	t.Helper()
	list, err := deflate.ParseExtensions([]string{answer})
	if err != nil {
		t.Fatal(err)
	}
	params, ok, err := deflate.Check(list, deflate.Wish{Takeover: true, PeerTakeover: true, Bits: 15, PeerBits: 15})
	if !ok || err != nil {
		t.Fatalf("answer %q: %v", answer, err)
	}
	return params
}

func deflatePeer(t testing.TB, url, offer string) *deflating {
	t.Helper()
	p := dialPeer(t, url, "Sec-WebSocket-Extensions: "+offer)
	params := agreedParams(t, p.extensions)
	return &deflating{p, deflate.NewEncoder(params.Client, 1), deflate.NewDecoder(params.Server)}
}

func compressedEcho(t *testing.T, d *deflating) {
	for round := range 2 {
		for _, p := range payloads() {
			for _, size := range []int{1 << 20, 1000} {
				typ := []ws.Type{ws.Text, ws.Binary}[round]
				go d.message(typ, p, size)
				if got := d.read(); !bytes.Equal(got, p) {
					t.Fatalf("round %d: %d bytes came back as %d", round, len(p), len(got))
				}
			}
		}
		d.send(text("not compressed"))
		if got := d.read(); string(got) != "not compressed" {
			t.Fatalf("%q", got)
		}
	}
	bye(d.peer)
}

func TestCompressedFaults(t *testing.T) {
	t.Parallel()
	url := echoServer(t, ws.WithCompression(ws.Compression{}), ws.WithReadLimit(10_000))
	bomb := deflate.Append(nil, make([]byte, 1<<20), 15, 6)
	for _, tt := range []struct {
		name string
		code int
		f    []frame
	}{
		{"bomb", 1009, []frame{{op: wsframe.Binary, rsv1: true, p: bomb}}},
		{"corrupt", 1007, []frame{{op: wsframe.Binary, rsv1: true, p: []byte{0xFF, 0xFF}}}},
		{"not UTF-8", 1007, []frame{{op: wsframe.Text, rsv1: true, p: deflate.Append(nil, []byte("\xff"), 15, 1)}}},
		{"RSV1 on a continuation", 1002, []frame{{op: wsframe.Text, rsv1: true, more: true}, {op: wsframe.Continuation, rsv1: true}}},
		{"RSV1 on a ping", 1002, []frame{{op: wsframe.Ping, rsv1: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := dialPeer(t, url, "Sec-WebSocket-Extensions: permessage-deflate")
			p.send(tt.f...)
			p.wantClose(tt.code)
		})
	}
}

// Reader and Writer stream compressed messages too, and skip what is not read.
func TestCompressedStreams(t *testing.T) {
	t.Parallel()
	want := payloads()[5]
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		for skip := true; ; skip = !skip {
			typ, r, err := c.Reader(ctx)
			if err != nil {
				return err
			}
			if skip {
				io.CopyN(io.Discard, r, 100)
				continue
			}
			w, err := c.Writer(ctx, typ)
			if err != nil {
				return err
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 777)); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
		}
	}, ws.WithCompression(ws.Compression{Takeover: true}))
	d := deflatePeer(t, url, "permessage-deflate")
	for range 3 {
		d.message(ws.Text, []byte("skip "+string(want)), 5000)
		d.message(ws.Text, want, 5000)
		if got := d.read(); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes", len(got))
		}
	}
	d.message(ws.Text, []byte("skipped"), 5000)
	d.message(ws.Text, nil, 5000)
	if got := d.read(); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

// Shared frames between a connection's own messages, with takeover.
func TestPreparedAmongOwnMessages(t *testing.T) {
	t.Parallel()
	shared, err := ws.Prepare(ws.Text, []byte(strings.Repeat(`{"shared":true}`, 40)))
	if err != nil {
		t.Fatal(err)
	}
	own := []byte(strings.Repeat(`{"type":"own","shared":false}`, 40))
	for _, offer := range []string{"permessage-deflate", "permessage-deflate; server_max_window_bits=9"} {
		url := serve(t, func(ctx context.Context, c *ws.Conn) error {
			for range 3 {
				if err := c.Write(ctx, ws.Text, own); err != nil {
					return err
				}
				if err := c.WritePrepared(ctx, shared); err != nil {
					return err
				}
				if err := c.Write(ctx, ws.Text, own); err != nil {
					return err
				}
				f := shared.Frame(c.Encoding())
				if n, err := c.WriteFrames([][]byte{f, f}, farTime()); n != 2 || err != nil {
					return fmt.Errorf("%d, %w", n, err)
				}
			}
			return nil
		}, ws.WithCompression(ws.Compression{Takeover: true}))
		d := deflatePeer(t, url, offer)
		for range 3 {
			for i, want := range [][]byte{own, []byte(strings.Repeat(`{"shared":true}`, 40)), own, nil, nil} {
				got := d.read()
				if want == nil {
					want = []byte(strings.Repeat(`{"shared":true}`, 40))
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%s, message %d: %q", offer, i, got)
				}
			}
		}
		d.wantCloseFrom(1000)
	}
	if _, err := ws.Prepare(ws.Text, []byte{0xFF}); !errors.Is(err, ws.ErrText) {
		t.Error(err)
	}
	if _, err := ws.Prepare(0, nil); !errors.Is(err, ws.ErrType) {
		t.Error(err)
	}
}

func TestPreparedIsEncodedOnce(t *testing.T) {
	t.Parallel()
	p, err := ws.Prepare(ws.Binary, make([]byte, 1000))
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.Frame(ws.Encoding{}), p.Frame(ws.Encoding{})
	if &a[0] != &b[0] || len(a) != 1004 {
		t.Error("encoded twice")
	}
	server, client := tcpPair(t)
	go client.WritePrepared(t.Context(), p)
	if _, got, err := server.Read(t.Context(), nil); err != nil || len(got) != 1000 {
		t.Errorf("%d, %v", len(got), err)
	}
	if _, err := client.WriteFrames([][]byte{a}, farTime()); !errors.Is(err, ws.ErrSide) {
		t.Error(err)
	}
}

// Past the budget, connections do without takeover.
func TestTakeoverBudget(t *testing.T) {
	t.Parallel()
	budget := ws.NewBudget(2 << 20)
	free := budget.Free()
	url := echoServer(t, ws.WithCompression(ws.Compression{Takeover: true, Budget: budget}))
	const offer = "Sec-WebSocket-Extensions: permessage-deflate"
	first := dialPeer(t, url, offer)
	second := dialPeer(t, url, offer)
	if strings.Contains(first.extensions, "server_no") || !strings.Contains(second.extensions, "server_no") {
		t.Errorf("%q, then %q", first.extensions, second.extensions)
	}
	dialPeer(t, url, offer+"; server_no_context_takeover") // takes nothing
	bye(first)
	// The server gives it back when it has seen the end.
	eventually(t, "the budget was not given back", func() bool { return budget.Free() == free })
}

func TestWriteFramesCounts(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	small := ws.Encoding{}.AppendFrame(nil, ws.Binary, make([]byte, 1000))
	large := ws.Encoding{}.AppendFrame(nil, ws.Binary, make([]byte, 200_000))
	frames := [][]byte{small, large, small, small}
	go func() {
		if n, err := server.WriteFrames(frames, farTime()); n != len(frames) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}()
	for _, want := range []int{1000, 200_000, 1000, 1000} {
		if _, p, err := client.Read(t.Context(), nil); err != nil || len(p) != want {
			t.Fatalf("%d bytes, %v", len(p), err)
		}
	}
	// A peer that does not read: frames are cut at some point, and counted up to it.
	many := make([][]byte, 2000)
	for i := range many {
		many[i] = large
	}
	n, err := server.WriteFrames(many, soonTime())
	if n == 0 || n >= len(many) || err == nil || server.Err() == nil {
		t.Fatalf("%d frames, %v, connection %v", n, err, server.Err())
	}
	for range n {
		if _, p, err := client.Read(t.Context(), nil); err != nil || len(p) != 200_000 {
			t.Fatalf("a frame that was counted is missing: %d bytes, %v", len(p), err)
		}
	}
	// Memory takes nothing: nothing is cut, and the connection lives.
	server, client = pair(t)
	if n, err := server.WriteFrames(frames, soonTime()); n != 0 || err == nil || server.Err() != nil {
		t.Fatalf("%d frames, %v, connection %v", n, err, server.Err())
	}
	go server.WriteFrames(frames[:1], farTime())
	if _, p, err := client.Read(t.Context(), nil); err != nil || len(p) != 1000 {
		t.Fatalf("%d bytes, %v", len(p), err)
	}
}
