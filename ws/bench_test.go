package ws_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// BenchmarkEcho measures one connection of a server with Serve; the client
// sends prebuilt frames and adds no allocation of its own.
func BenchmarkEcho(b *testing.B) {
	for _, bm := range []struct{ size, flight int }{{128, 1}, {128, 16}, {16 << 10, 1}, {1 << 20, 1}} {
		for _, portable := range []bool{false, true} {
			b.Run(fmt.Sprintf("size=%d,flight=%d,portable=%v", bm.size, bm.flight, portable), func(b *testing.B) {
				opts := []ws.AcceptOption{}
				if portable {
					opts = append(opts, ws.WithPortableIO())
				}
				p := dialPeer(b, echoServer(b, opts...))
				one := p.wire(frame{op: wsframe.Binary, p: make([]byte, bm.size)})
				var out []byte
				for range bm.flight {
					out = append(out, one...)
				}
				answer := make([]byte, bm.flight*(len(one)-4))
				p.br = bufio.NewReaderSize(p.nc, 64<<10)
				b.SetBytes(int64(bm.size * bm.flight))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.nc.Write(out); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(p.br, answer); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bm.flight), "ns/msg")
			})
		}
	}
}

// BenchmarkWriteFrames measures the batch write that a hub uses.
func BenchmarkWriteFrames(b *testing.B) {
	conns := make(chan *ws.Conn, 1)
	url := serve(b, func(ctx context.Context, c *ws.Conn) error {
		conns <- c
		return echo(ctx, c)
	})
	p := dialPeer(b, url)
	go io.Copy(io.Discard, p.nc)
	c := <-conns
	msg, err := ws.Prepare(ws.Text, make([]byte, 128))
	if err != nil {
		b.Fatal(err)
	}
	frames := make([][]byte, 16)
	for i := range frames {
		frames[i] = msg.Frame(c.Encoding())
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, err := c.WriteFrames(frames, time.Now().Add(time.Second)); n != len(frames) {
			b.Fatal(n, err)
		}
	}
}
