package ws_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// stream is bytes to read and a place for what is written.
type stream struct {
	*bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *stream) Close() error { return nil }

// Whatever a peer sends, a connection ends in an error, keeps to its limits,
// and answers in valid frames only.
func FuzzConn(f *testing.F) {
	p := &peer{masked: true}
	f.Add(append(p.wire(text("hello")), p.wire(closing(1000, "bye"))...), uint8(0))
	f.Add(append(p.wire(text("a").open()), append(p.wire(ping("p")), p.wire(cont("b"))...)...), uint8(1))
	f.Add(p.wire(bin("\x00\x01")), uint8(2))
	f.Add([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0}, uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, mode uint8) {
		const limit = 1 << 12
		s := &stream{Reader: bytes.NewReader(in)}
		c, err := ws.NewConn(s, ws.Server, ws.WithReadLimit(limit), ws.WithoutHeartbeat())
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		drive(t, c, mode, limit)
		if c.Err() == nil {
			t.Fatal("the stream ended and the connection did not")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for b := s.out.Bytes(); len(b) > 0; {
			h, n, err := wsframe.Parse(b, wsframe.Rules{})
			if err != nil || n == 0 || int64(len(b)-n) < h.Length {
				t.Fatalf("answered %x: %v", b, err)
			}
			b = b[n+int(h.Length):]
		}
	})
}

// drive reads c to its end in one of three ways.
func drive(t *testing.T, c *ws.Conn, mode uint8, limit int) {
	switch mode % 3 {
	case 0:
		for {
			_, p, err := c.Read(t.Context(), nil)
			if err != nil {
				return
			}
			if len(p) > limit {
				t.Fatalf("%d bytes", len(p))
			}
		}
	case 1:
		_ = c.Serve(t.Context(), func(typ ws.Type, p []byte) error { return c.Write(t.Context(), typ, p) })
	default:
		for {
			_, r, err := c.Reader(t.Context())
			if err != nil {
				return
			}
			if n, err := io.Copy(io.Discard, r); n > int64(limit) || err != nil {
				return
			}
		}
	}
}
