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
	m := gateway(t, commgrpc.New(), comm.WithHandshakeTimeout(time.Minute))
	c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
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
