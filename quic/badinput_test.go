package commquic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// guarded is a gateway with a witness: whatever is done to the gateway, check sees that the witness loses nothing.
func guarded(t *testing.T, p *commquic.Provider, opts ...comm.Option) (m *comm.Manager, check func()) {
	t.Helper()
	m = gateway(t, p, opts...)
	witness := dial(t, addrOf(t, m), []string{"g"})
	return m, func() {
		t.Helper()
		if _, err := m.Send(t.Context(), comm.ToGroup("g"), message(t, "n", "still here")); err != nil {
			t.Fatal(err)
		}
		if f := witness.next(); f.Op != comm.OpMessage {
			t.Errorf("the witness got %s", canonical(t, f))
		}
	}
}

func TestUnknownALPN(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	_, err := bare(t, addrOf(t, m), "comm/9", "h9")
	if te, ok := errors.AsType[*quic.TransportError](err); !ok || te.ErrorCode != 0x178 || !te.Remote {
		t.Errorf("got %v, want no_application_protocol", err)
	}
	check()
}

// A client of another protocol is told by name that this one is not spoken.
func TestServerOfAnotherProtocol(t *testing.T) {
	t.Parallel()
	conf := &tls.Config{Certificates: []tls.Certificate{certificate().TLS}, NextProtos: []string{"other"}}
	l, err := quic.ListenAddr("127.0.0.1:0", conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = commquic.Dialer(l.Addr().String(), trusting()...).Dial(t.Context(), helloFrame())
	if r, ok := errors.AsType[comm.CloseReason](err); !ok || r.Kind != comm.ReasonProtocol || !strings.Contains(r.Text, commquic.Protocol) {
		t.Errorf("got %v", err)
	}
}

// What is said in the place of a hello ends the connection with a code and a reason.
func TestFirstFrames(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(), comm.WithHandshakeTimeout(3*time.Second), comm.WithMaxMessage(4096),
		comm.WithAuthenticator(func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
			if hs.Token == "bad" {
				return comm.Identity{}, comm.ErrUnauthenticated
			}
			return comm.Identity{}, nil
		}))
	bad := helloFrame()
	bad.Token = "bad"
	other := helloFrame()
	other.Hello.Version = 7
	for name, c := range map[string]struct {
		send    []byte
		fin     bool
		code    quic.ApplicationErrorCode
		text    string
		errCode comm.Code // of the error frame, or ""
	}{
		"nothing at all":      {nil, false, 1002, "no hello", ""},
		"half a hello":        {encode(t, helloFrame())[:3], false, 1002, "no hello", comm.CodeTimeout},
		"half a hello, ended": {encode(t, helloFrame())[:3], true, 1002, "before a hello", comm.CodeBadFrame},
		"a join":              {encode(t, &comm.Frame{Op: comm.OpJoin, ID: "j", Group: "g"}), false, 1002, "not join", comm.CodeBadFrame},
		"no frame":            {[]byte{0x02, 0x02, 0x01, 0x09}, false, 1002, "field ends", comm.CodeBadFrame},
		"unknown type":        {[]byte{0x1f, 0x00}, false, 1002, "unknown frame type", comm.CodeUnknownOp},
		"a frame of 4 GiB":    {append([]byte{0x02}, quicvarint.Append(nil, 4<<30)...), false, 1009, "4294967", comm.CodeTooLarge},
		"another version":     {encode(t, other), false, 1002, "7", comm.CodeUnsupportedVersion},
		"bad token":           {encode(t, bad), false, 1008, "unauthenticated", comm.CodeUnauthenticated},
		"HTTP":                {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), false, 1009, "allowed is 4096", comm.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := bare(t, addrOf(t, m), commquic.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			if c.send == nil {
				refusedWith(t, conn, c.code, c.text)
				return
			}
			s, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(c.send); err != nil {
				t.Fatal(err)
			}
			if c.fin {
				_ = s.Close()
			}
			first, last := twoFrames(t, s)
			if first.Op != comm.OpError || first.Code != c.errCode || last.Op != comm.OpClosing {
				t.Errorf("got %s and %s, want the error %s and closing", canonical(t, first), canonical(t, last), c.errCode)
			}
			_ = s.Close() // which the server need not wait for any longer
			refusedWith(t, conn, c.code, c.text)
		})
	}
	t.Cleanup(check)
}

func refusedWith(t *testing.T, c *quic.Conn, code quic.ApplicationErrorCode, text string) {
	t.Helper()
	if got, said := closedWith(t, c); got != code || !strings.Contains(said, text) {
		t.Errorf("closed with %d %q, want %d and %q", got, said, code, text)
	}
}

// twoFrames are the error and the closing of a refusal.
func twoFrames(t *testing.T, s io.Reader) (first, last *comm.Frame) {
	t.Helper()
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	frames := split(t, b)
	if len(frames) != 2 {
		t.Fatalf("%d frames", len(frames))
	}
	return frames[0], frames[1]
}

// split parses the frames in b.
func split(t *testing.T, b []byte) (frames []*comm.Frame) {
	t.Helper()
	for len(b) > 0 {
		_, n, err := quicvarint.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		length, m, err := quicvarint.Parse(b[n:])
		if err != nil || uint64(len(b)) < uint64(n+m)+length {
			t.Fatalf("%x: %v", b, err)
		}
		size := n + m + int(length)
		f, err := commquic.Codec().ParseFrame(b[:size])
		if err != nil {
			t.Fatal(err)
		}
		frames, b = append(frames, f), b[size:]
	}
	return frames
}

// The server answers every refused vector with its error, and the connection goes on.
func TestVectorsOverTheWire(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(), comm.WithMessageRate(10_000, 10_000))
	p := dial(t, addrOf(t, m), nil)
	for _, v := range load[refused](t, "refused.json") {
		b := unhex(t, v.Hex)
		if len(b) < 2 || isCut(b) {
			continue // on a stream, the rest of it would still come
		}
		if err := commquic.SendBytes(t.Context(), p.Carrier, b); err != nil {
			t.Fatal(err)
		}
		if f := p.next(); f.Op != comm.OpError || f.Code != v.Error || f.ID != v.ID || f.Text == "" {
			t.Errorf("%s: got %s, want %s for %q", v.Name, canonical(t, f), v.Error, v.ID)
		}
	}
	for _, v := range load[vector](t, "frames.json") {
		if v.Direction == "server" || strings.Contains(v.Name, "close") { // which may close p
			continue
		}
		if err := commquic.SendBytes(t.Context(), p.Carrier, unhex(t, v.Hex)); err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		fence := &comm.Frame{Op: comm.OpPing, ID: "fence"}
		if err := p.Send(t.Context(), fence); err != nil {
			t.Fatal(err)
		}
		for f := p.next(); f.Op != comm.OpPong || f.ID != "fence"; f = p.next() {
			if f.Op == comm.OpError && (f.Code == comm.CodeBadFrame || f.Code == comm.CodeBadMessage || f.Code == comm.CodeBadPosition) {
				t.Errorf("%s: refused with %s", v.Name, canonical(t, f))
			}
		}
	}
	check()
}

// isCut reports whether a vector's length is not that of its bytes.
func isCut(b []byte) bool {
	_, n, err := quicvarint.Parse(b)
	if err != nil {
		return true
	}
	length, m, err := quicvarint.Parse(b[n:])
	return err != nil || length != uint64(len(b)-n-m)
}

// Streams and datagrams that break the rules cost their client alone.
func TestBadStreams(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(commquic.WithMaxStreams(8)), comm.WithMaxMessage(4096))
	for name, c := range map[string]struct {
		lane []byte
		code quic.ApplicationErrorCode // 0: the connection stays
		text string
	}{
		"a lane without its frame": {encode(t, &comm.Frame{Op: comm.OpPing}), 1002, "must begin with the frame lane"},
		"a lane of another form":   {[]byte{0x20, 0x02, 0x01, 0x09}, 1002, "frame lane"},
		"a large frame on a lane":  {append(commquic.LaneFrame("x", 0), 0x01, 0x80, 0x10, 0x00, 0x00), 1009, "allowed is 4096"},
		"a lane that ends early":   {commquic.LaneFrame("x", 0)[:1], 1002, "inside a frame"},
		"a ping on a lane":         {append(commquic.LaneFrame("x", 0), encode(t, &comm.Frame{Op: comm.OpPing})...), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, s, frames := hello(t, addrOf(t, m))
			lane, err := conn.OpenUniStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lane.Write(c.lane); err != nil {
				t.Fatal(err)
			}
			if c.code != 0 {
				_ = lane.Close()
				go func() { _, _ = io.Copy(io.Discard, s); _ = s.Close() }()
				refusedWith(t, conn, c.code, c.text)
				return
			}
			_ = lane.Close()
			if f := frames(); f.Op != comm.OpError || f.Code != comm.CodeBadFrame {
				t.Errorf("got %s", canonical(t, f))
			}
			if _, err := s.Write(encode(t, &comm.Frame{Op: comm.OpPing, ID: "1"})); err != nil {
				t.Fatal(err)
			}
			if f := frames(); f.Op != comm.OpPong {
				t.Errorf("got %s", canonical(t, f))
			}
		})
	}
	t.Run("too many streams", func(t *testing.T) {
		conn, _, _ := hello(t, addrOf(t, m))
		opened := 0
		for ; opened < 20; opened++ {
			if _, err := conn.OpenUniStream(); err != nil {
				if _, ok := errors.AsType[*quic.StreamLimitReachedError](err); !ok {
					t.Errorf("got %v", err)
				}
				break
			}
		}
		if opened != 8 {
			t.Errorf("%d streams, want 8", opened)
		}
	})
	check()
}

// hello is a bare connection that is welcome, its default lane, and what reads the next frame of it.
func hello(t *testing.T, addr string) (*quic.Conn, *quic.Stream, func() *comm.Frame) {
	t.Helper()
	conn, err := bare(t, addr, commquic.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	s, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(encode(t, helloFrame())); err != nil {
		t.Fatal(err)
	}
	next := func() *comm.Frame {
		t.Helper()
		_ = s.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 2)
		if _, err := io.ReadFull(s, b[:1]); err != nil {
			t.Fatal(err)
		}
		r := quicvarint.NewReader(s)
		length, err := quicvarint.Read(r)
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		f, err := commquic.Codec().ParseFrame(append(quicvarint.Append(b[:1], length), payload...))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := next(); f.Op != comm.OpWelcome {
		t.Fatalf("got %s", canonical(t, f))
	}
	return conn, s, next
}

func TestBadDatagrams(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(), comm.WithMaxMessage(500))
	got := collecting(m, "up")
	conn, _, next := hello(t, addrOf(t, m))
	good := message(t, "up", "x")
	for name, b := range map[string][]byte{
		"empty":     {},
		"no frame":  {0x01},
		"a ping":    encode(t, &comm.Frame{Op: comm.OpPing}),
		"two":       encode(t, &comm.Frame{Message: good}, &comm.Frame{Message: good}),
		"too large": encode(t, &comm.Frame{Message: message(t, "up", strings.Repeat("x", 600))}),
	} {
		if err := conn.SendDatagram(b); err != nil {
			t.Fatal(err)
		}
		want := comm.CodeBadFrame
		if name == "too large" {
			want = comm.CodeTooLarge
		}
		if f := next(); f.Op != comm.OpError || f.Code != want {
			t.Errorf("%s: got %s, want %s", name, canonical(t, f), want)
		}
	}
	if err := conn.SendDatagram(encode(t, &comm.Frame{Message: good})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the good one", func() bool { return len(got.of("up")) == 1 })
	check()
}

// Bytes that are no QUIC, from anywhere, change nothing.
func TestNoise(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	c := udp(t)
	defer c.Close()
	to, err := net.ResolveUDPAddr("udp", addrOf(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := c.WriteTo(bytes.Repeat([]byte{byte(i), 0xc0, 0xff}, i+1), to); err != nil {
			t.Fatal(err)
		}
	}
	check()
}
