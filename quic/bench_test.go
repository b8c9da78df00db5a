package commquic_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// The benchmarks hold the provider beside bare quic-go: one stream, frames with a length of four bytes before them,
// and one Write each. Both ends are in this process, over UDP on loopback. The reader is the same for both, quic-go
// alone, so that what differs is the server; what the client side of this package costs is in those named client.

// bareServer serves each connection's first stream with f, after its first byte.
func bareServer(b *testing.B, f func(*quic.Stream)) string {
	b.Helper()
	conf := &tls.Config{Certificates: []tls.Certificate{certificate().TLS}, NextProtos: []string{"bare"}}
	l, err := quic.ListenAddr("127.0.0.1:0", conf, &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				if s, err := c.AcceptStream(context.Background()); err == nil {
					if _, err := io.ReadFull(s, make([]byte, 1)); err == nil {
						f(s)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// bareStream is a client's stream whose first byte has been sent.
func bareStream(b *testing.B, addr string) *quic.Stream {
	b.Helper()
	c, err := bare(b, addr, "bare")
	if err != nil {
		b.Fatal(err)
	}
	s, err := c.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Write([]byte{0}); err != nil {
		b.Fatal(err)
	}
	return s
}

func framed(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// readBare reads one frame into buf.
func readBare(b *testing.B, r io.Reader, buf []byte) []byte {
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		b.Fatal(err)
	}
	n := binary.BigEndian.Uint32(buf[:4])
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		b.Fatal(err)
	}
	return buf[:n]
}

// reader is a client of the provider on quic-go alone.
type reader struct {
	conn string // its id at the server
	s    *quic.Stream
	r    *bufio.Reader
	buf  []byte
}

func newReader(b *testing.B, addr string, groups ...string) *reader {
	b.Helper()
	conn, err := bare(b, addr, commquic.Protocol)
	if err != nil {
		b.Fatal(err)
	}
	s, err := conn.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Write(encode(b, helloFrame(groups...))); err != nil {
		b.Fatal(err)
	}
	r := &reader{s: s, r: bufio.NewReaderSize(s, 32<<10), buf: make([]byte, 64<<10)}
	f, err := commquic.Codec().ParseFrame(r.next(b))
	if err != nil || f.Op != comm.OpWelcome {
		b.Fatalf("%+v, %v", f, err)
	}
	r.conn = f.Welcome.Conn
	for range groups {
		r.next(b)
	}
	return r
}

// next returns the next frame, and answers no ping: a benchmark is shorter than a heartbeat.
func (r *reader) next(b *testing.B) []byte {
	typ, err := quicvarint.Read(r.r)
	length, err2 := quicvarint.Read(r.r)
	if err != nil || err2 != nil {
		b.Fatal(err, err2)
	}
	head := quicvarint.Append(quicvarint.Append(r.buf[:0], typ), length)
	if need := len(head) + int(length); need > len(r.buf) {
		r.buf = append(head, make([]byte, need)...)
	}
	frame := r.buf[:uint64(len(head))+length]
	if _, err := io.ReadFull(r.r, frame[len(head):]); err != nil {
		b.Fatal(err)
	}
	return frame
}

func bytesMessage(b testing.TB, typ string, size int) *comm.Message {
	return message(b, typ, bytes.Repeat([]byte("x"), size))
}

// BenchmarkMessages is messages of 100 B from the server to one client, as fast as they go.
func BenchmarkMessages(b *testing.B) { benchOneWay(b, 100, 0) }

// BenchmarkThroughput is messages of 1 MiB.
func BenchmarkThroughput(b *testing.B) { benchOneWay(b, 1<<20, 1<<20) }

func benchOneWay(b *testing.B, size, bytesEach int) {
	b.Run("impl=comm", func(b *testing.B) {
		m := gateway(b, commquic.New(), comm.WithQueue(10_000, 64<<20))
		r := newReader(b, addrOf(b, m))
		msg, to := bytesMessage(b, "n", size), comm.ToConn(r.conn)
		b.SetBytes(int64(bytesEach))
		b.ReportAllocs()
		b.ResetTimer()
		go func() {
			for range b.N {
				_, _ = m.Send(context.Background(), to, msg, comm.WithBlock())
			}
		}()
		for range b.N {
			if f := r.next(b); len(f) < size {
				b.Fatal(len(f))
			}
		}
	})
	b.Run("impl=comm/client", func(b *testing.B) {
		m := gateway(b, commquic.New(), comm.WithQueue(10_000, 64<<20))
		p := dial(b, addrOf(b, m), nil)
		msg, to := bytesMessage(b, "n", size), comm.ToConn(p.welcome.Conn)
		b.SetBytes(int64(bytesEach))
		b.ReportAllocs()
		b.ResetTimer()
		go func() {
			for range b.N {
				_, _ = m.Send(context.Background(), to, msg, comm.WithBlock())
			}
		}()
		ctx := context.Background()
		for range b.N {
			f, err := p.Receive(ctx)
			if err != nil || len(f.Message.Content()) != size {
				b.Fatal(err)
			}
		}
	})
	b.Run("impl=bare", func(b *testing.B) {
		frame := framed(bytes.Repeat([]byte("x"), size))
		start := make(chan struct{})
		s := bareStream(b, bareServer(b, func(s *quic.Stream) {
			<-start
			for range b.N {
				if _, err := s.Write(frame); err != nil {
					return
				}
			}
		}))
		r, buf := bufio.NewReaderSize(s, 32<<10), make([]byte, size+4)
		b.SetBytes(int64(bytesEach))
		b.ReportAllocs()
		b.ResetTimer()
		close(start)
		for range b.N {
			if got := readBare(b, r, buf); len(got) != size {
				b.Fatal(len(got))
			}
		}
	})
}

// BenchmarkEcho is a message of 64 B that comes back, one at a time.
func BenchmarkEcho(b *testing.B) {
	echoing := func(b *testing.B) *comm.Manager {
		m := gateway(b, commquic.New(), comm.WithMessageRate(1_000_000, 1_000_000))
		comm.On(m, "echo", func(ctx context.Context, c *comm.Conn, msg *comm.Message) error {
			_, err := c.Send(ctx, msg)
			return err
		})
		return m
	}
	b.Run("impl=comm", func(b *testing.B) {
		r := newReader(b, addrOf(b, echoing(b)))
		frame := encode(b, &comm.Frame{Message: bytesMessage(b, "echo", 64)})
		median(b, func() {
			if _, err := r.s.Write(frame); err != nil {
				b.Fatal(err)
			}
			r.next(b)
		})
	})
	b.Run("impl=comm/client", func(b *testing.B) {
		p := dial(b, addrOf(b, echoing(b)), nil)
		f := &comm.Frame{Message: bytesMessage(b, "echo", 64)}
		ctx := context.Background()
		median(b, func() {
			if err := p.Send(ctx, f); err != nil {
				b.Fatal(err)
			}
			if _, err := p.Receive(ctx); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("impl=bare", func(b *testing.B) {
		s := bareStream(b, bareServer(b, func(s *quic.Stream) {
			buf := make([]byte, 100)
			for {
				if _, err := io.ReadFull(s, buf[:68]); err != nil {
					return
				}
				if _, err := s.Write(buf[:68]); err != nil {
					return
				}
			}
		}))
		frame, buf := framed(make([]byte, 64)), make([]byte, 100)
		median(b, func() {
			if _, err := s.Write(frame); err != nil {
				b.Fatal(err)
			}
			readBare(b, s, buf)
		})
	})
}

// median reports the median time of one.
func median(b *testing.B, one func()) {
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		one()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
}

// BenchmarkBroadcast is 1,000 messages of 100 B to 200 clients; comm also has one client more, which reads nothing.
func BenchmarkBroadcast(b *testing.B) {
	const clients, messages = 200, 1000
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*clients*messages/b.Elapsed().Seconds(), "deliveries/s")
	}
	for _, stalled := range []bool{true, false} {
		b.Run("impl=comm/stalled="+map[bool]string{true: "1", false: "0"}[stalled], func(b *testing.B) {
			m := gateway(b, commquic.New(), comm.WithQueue(10_000, 64<<20), comm.WithLogs(false, false, false))
			var readers []*reader
			for range clients {
				readers = append(readers, newReader(b, addrOf(b, m), "g"))
			}
			if stalled {
				dial(b, addrOf(b, m), []string{"g"}, small)
			}
			msg := bytesMessage(b, "n", 100)
			done := make(chan bool, clients)
			b.ResetTimer()
			for range b.N {
				for _, r := range readers {
					go func() {
						for range messages {
							r.next(b)
						}
						done <- true
					}()
				}
				for range messages {
					if _, err := m.Send(context.Background(), comm.ToGroup("g"), msg); err != nil {
						b.Fatal(err)
					}
				}
				for range readers {
					<-done
				}
			}
			report(b)
		})
	}
	b.Run("impl=bare", func(b *testing.B) {
		streams := make(chan *quic.Stream, clients)
		addr := bareServer(b, func(s *quic.Stream) { streams <- s })
		var readers []*bufio.Reader
		var writers []*quic.Stream
		for range clients {
			readers = append(readers, bufio.NewReaderSize(bareStream(b, addr), 32<<10))
			writers = append(writers, <-streams)
		}
		frame := framed(make([]byte, 100))
		done := make(chan bool, clients)
		b.ResetTimer()
		for range b.N {
			for _, r := range readers {
				go func() {
					buf := make([]byte, 104)
					for range messages {
						readBare(b, r, buf)
					}
					done <- true
				}()
			}
			for range messages {
				for _, s := range writers {
					if _, err := s.Write(frame); err != nil {
						b.Fatal(err)
					}
				}
			}
			for range readers {
				<-done
			}
		}
		report(b)
	})
}

// BenchmarkBesideLarge is the time of a small message while one of 50 MiB is under way: on a lane of its own, and on
// the stream of the small ones.
func BenchmarkBesideLarge(b *testing.B) {
	for name, opts := range map[string][]comm.SendOption{"lane": {comm.WithLane("files")}, "same": nil} {
		b.Run(name, func(b *testing.B) {
			m := gateway(b, commquic.New(), comm.WithQueue(100_000, 1<<30))
			p := dial(b, addrOf(b, m), nil)
			to, large := comm.ToConn(p.welcome.Conn), bytesMessage(b, "large", 50<<20)
			var took []time.Duration
			for range b.N {
				took = append(took, besideLarge(b, m, p, to, large, opts)...)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}

// besideLarge sends small messages on a schedule until the large one has come, and tells how late each was.
func besideLarge(b *testing.B, m *comm.Manager, p *peer, to comm.Target, large *comm.Message, opts []comm.SendOption) (took []time.Duration) {
	if _, err := m.Send(b.Context(), to, large, opts...); err != nil {
		b.Fatal(err)
	}
	stop, sent := make(chan struct{}), make(chan int)
	start := time.Now()
	due := func(i int) time.Time { return start.Add(time.Duration(i) * time.Millisecond) }
	small := bytesMessage(b, "small", 64)
	go func() {
		n := 0
		for ; ; n++ {
			time.Sleep(time.Until(due(n)))
			select {
			case <-stop:
				sent <- n
				return
			default:
			}
			_, _ = m.Send(context.Background(), to, small)
		}
	}()
	came, all := false, -1
	for all < 0 || len(took) < all {
		f, err := p.Receive(b.Context())
		switch {
		case err != nil:
			b.Fatal(err)
		case f.Message.Type() == "large":
			came = true
			close(stop)
		default:
			took = append(took, time.Since(due(len(took))))
		}
		if came && all < 0 {
			all = <-sent
		}
	}
	return took
}
