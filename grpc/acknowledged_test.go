package commgrpc_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// writeOnly is a connection that keeps what is written.
type writeOnly struct {
	net.Conn
	written bytes.Buffer
}

func (c *writeOnly) Write(p []byte) (int, error) { return c.written.Write(p) }

// However the server's frames are cut into writes, the client gets all but the one acknowledgement.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	var before, after bytes.Buffer
	f := http2.NewFramer(&before, nil)
	f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
	f.WriteWindowUpdate(0, 99)
	f = http2.NewFramer(&after, nil)
	f.WritePing(true, [8]byte{1})
	f.WriteSettingsAck()
	f.WriteData(1, true, []byte("data"))
	ack := "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
	sent := before.String() + ack + after.String()
	const settings = 9 + 6
	for again, want := range map[bool]string{
		false: before.String() + after.String(),
		true:  before.String()[settings:] + after.String(),
	} {
		acknowledgedIn(t, sent, want, again)
	}
}

func acknowledgedIn(t *testing.T, sent, want string, again bool) {
	t.Helper()
	for size := 1; size <= len(sent); size++ {
		var c writeOnly
		w := commgrpc.Acknowledged(&c, 0, again)
		for rest := []byte(sent); len(rest) > 0; {
			n, err := w.Write(rest[:min(size, len(rest))])
			if err != nil || n != min(size, len(rest)) {
				t.Fatal(n, err)
			}
			rest = rest[n:]
		}
		if c.written.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, c.written.String(), want)
		}
	}
}

// A client may wait for the acknowledgement of its SETTINGS before it says anything else, and gets one
// for each.
func TestClaimAcknowledges(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(), comm.WithHandshakeTimeout(2*patience))
	c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	framer := http2.NewFramer(c, c)
	c.Write([]byte(commgrpc.Preface))
	framer.WriteSettings()
	acks := 0
	read := func(until func(http2.Frame) bool) {
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := f.(*http2.SettingsFrame); ok && s.IsAck() {
				acks++
			} else if ok {
				framer.WriteSettingsAck()
			}
			if until(f) {
				return
			}
		}
	}
	read(func(http2.Frame) bool { return acks > 0 })
	framer.WriteSettings() // acknowledged by itself
	read(func(http2.Frame) bool { return acks > 1 })
	framer.WritePing(false, [8]byte{1})
	read(func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && p.IsAck() })
	framer.WriteHeaders(headers(1, block(":method", "GET", ":scheme", "http", ":authority", "gateway", ":path", "/none"), true))
	read(func(f http2.Frame) bool { h, ok := f.(*http2.HeadersFrame); return ok && h.StreamID == 1 })
	if acks != 2 {
		t.Errorf("%d acknowledgements came", acks)
	}
}

// acknowledgedWhole is what of the server's bytes is to be written, the slow and simple way.
func acknowledgedWhole(b []byte, mute bool) (out []byte) {
	for len(b) >= 9 {
		length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		settings := b[3] == byte(http2.FrameSettings)
		frame := b[:min(len(b), 9+length)]
		if settings && b[4]&1 != 0 {
			return append(out, b[9:]...) // without its header, and all that follows
		}
		if !settings || !mute {
			out = append(out, frame...)
		}
		b = b[len(frame):]
	}
	return out // a header that is not whole is kept
}

// FuzzAcknowledged: whatever the server writes, in whatever pieces, comes out but for what is to be left out.
func FuzzAcknowledged(f *testing.F) {
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\xfa\x00\x00\x00\x04\x01\x00\x00\x00\x00rest"), []byte{0, 3}, true)
	f.Add([]byte("\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678\x00\x00"), []byte{9}, false)
	f.Fuzz(func(t *testing.T, sent, sizes []byte, mute bool) {
		var c writeOnly
		w := commgrpc.Acknowledged(&c, 0, mute)
		for i, rest := 0, sent; len(rest) > 0; i++ {
			n := len(rest)
			if len(sizes) > 0 {
				n = min(n, 1+int(sizes[i%len(sizes)]))
			}
			if wrote, err := w.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		if want := acknowledgedWhole(sent, mute); !bytes.Equal(c.written.Bytes(), want) {
			t.Fatalf("%q became %q, want %q", sent, c.written.Bytes(), want)
		}
	})
}
