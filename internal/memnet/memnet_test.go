package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/memnet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// dialled returns the two ends of a connection over a listener.
func dialled(t *testing.T, ctx context.Context) (client, server *memnet.Conn) {
	t.Helper()
	var n memnet.Network
	l, err := n.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := n.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*memnet.Conn), s.(*memnet.Conn)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		listen, dial string
		addr         string
		err          error
	}{
		{":8080", "localhost:8080", "127.0.0.1:8080", nil},
		{"0.0.0.0:8080", "[::1]:8080", "127.0.0.1:8080", nil},
		{"[::]:8080", "127.0.0.1:8080", "127.0.0.1:8080", nil},
		{":8080", "127.0.0.1:8081", "127.0.0.1:8080", syscall.ECONNREFUSED},
		{"gateway", "gateway", "gateway", nil},
		{"gateway", "gateway:80", "gateway", nil},
		{"gateway:80", "gateway:80", "gateway:80", nil},
		{"gateway:80", "other:80", "gateway:80", syscall.ECONNREFUSED},
		{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80", syscall.ECONNREFUSED},
	} {
		t.Run(tc.listen+" "+tc.dial, func(t *testing.T) {
			t.Parallel()
			var n memnet.Network
			l, err := n.Listen(tc.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if got := l.Addr().String(); got != tc.addr {
				t.Errorf("listener's address %q, want %q", got, tc.addr)
			}
			c, err := n.DialContext(t.Context(), "tcp", tc.dial)
			if !errors.Is(err, tc.err) {
				t.Fatalf("dial: %v, want %v", err, tc.err)
			}
			if err == nil {
				if got := c.RemoteAddr().String(); got != tc.addr {
					t.Errorf("dialled end's remote address %q, want %q", got, tc.addr)
				}
				c.Close()
			}
		})
	}
}

func TestListenTwice(t *testing.T) {
	t.Parallel()
	var n memnet.Network
	l, err := n.Listen(":80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen("localhost:80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v, want EADDRINUSE", err)
	}
	p, err := n.ListenPacket(":80")
	if err != nil {
		t.Fatalf("packets on a port with a stream listener: %v", err)
	}
	if _, err := n.ListenPacket(":80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second packet socket: %v, want EADDRINUSE", err)
	}
	p.Close()
	l.Close()
	if again, err := n.Listen(":80"); err != nil {
		t.Errorf("listen after close: %v", err)
	} else {
		again.Close()
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v, want net.ErrClosed", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v, want net.ErrClosed", err)
	}
	if _, err := n.Listen(""); err == nil {
		t.Error("empty address accepted")
	}
}

func TestValueAndLocalAddr(t *testing.T) {
	t.Parallel()
	ctx := memnet.WithLocalAddr(memnet.WithValue(t.Context(), "alice"), "192.0.2.7:1234")
	c, s := dialled(t, ctx)
	if s.Value() != "alice" || c.Value() != nil {
		t.Errorf("values %v (server), %v (client); want alice, nil", s.Value(), c.Value())
	}
	if got := s.RemoteAddr().String(); got != "192.0.2.7:1234" {
		t.Errorf("remote address %q", got)
	}
}

func TestTransferIsExact(t *testing.T) {
	t.Parallel()
	c, s := dialled(t, t.Context())
	want := make([]byte, 1<<20+17)
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	var wg sync.WaitGroup
	for _, dir := range [][2]*memnet.Conn{{c, s}, {s, c}} {
		wg.Go(func() {
			for rest := want; len(rest) > 0; {
				n, err := dir[0].Write(rest[:min(len(rest), 1+rand.IntN(100_000))])
				if err != nil {
					t.Errorf("write: %v", err)
					return
				}
				rest = rest[n:]
			}
			if err := dir[0].CloseWrite(); err != nil {
				t.Errorf("CloseWrite: %v", err)
			}
		})
		wg.Go(func() {
			var got bytes.Buffer
			buf := make([]byte, 30_000)
			for {
				n, err := dir[1].Read(buf[:1+rand.IntN(len(buf))])
				got.Write(buf[:n])
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("received %d bytes that differ from the %d sent", got.Len(), len(want))
			}
		})
	}
	wg.Wait()
}

func TestWriterWaitsForReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.Pipe()
		defer c.Close()
		defer s.Close()
		c.SetWriteDeadline(time.Now().Add(time.Second))
		start := time.Now()
		n, err := c.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != 64<<10 {
			t.Errorf("write to a peer that does not read: %d, %v", n, err)
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("the deadline came after %v, want 1s", got)
		}
		c.SetWriteDeadline(time.Time{})
		go io.CopyN(io.Discard, s, 64<<10+5)
		if n, err := c.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("write with room again: %d, %v", n, err)
		}
		synctest.Wait()
	})
}

func TestReadDeadlineMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.Pipe()
		defer c.Close()
		defer s.Close()
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { c.SetReadDeadline(start.Add(3 * time.Second)) })
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("read ended after %v, want 3s", got)
		}
		c.SetReadDeadline(time.Time{})
		s.Write([]byte("x"))
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read after the deadline was removed: %d, %v", n, err)
		}
		c.SetReadDeadline(time.Unix(1, 0))
		s.Write([]byte("y"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v", err)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	c, s := memnet.Pipe()
	c.Write([]byte("last words"))
	c.Close()
	if got, err := io.ReadAll(s); string(got) != "last words" || err != nil {
		t.Errorf("after the peer's close: %q, %v", got, err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a closed peer: %v, want EPIPE", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v, want net.ErrClosed", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v, want net.ErrClosed", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v, want net.ErrClosed", err)
	}
	if err := c.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("deadline after close: %v, want net.ErrClosed", err)
	}
	s.Close()
}

func TestCloseUnblocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("blocked read: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := c.Write(make([]byte, 1<<20)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("blocked write: %v", err)
			}
		})
		synctest.Wait()
		c.Close()
		wg.Wait()
		s.Close()
	})
}

func TestBacklogAndAcceptDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen(":80")
		if err != nil {
			t.Fatal(err)
		}
		var conns []net.Conn
		for range 128 {
			c, err := n.DialContext(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.DialContext(ctx, "tcp", ":80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial with a full backlog: %v", err)
		}
		dl := l.(*memnet.Listener)
		dl.SetDeadline(time.Now().Add(time.Second))
		accepted := 0
		for {
			c, err := l.Accept()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			accepted++
			c.Close()
		}
		if accepted != 128 {
			t.Errorf("accepted %d, want 128", accepted)
		}
		late, err := n.DialContext(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := late.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection that nobody accepted, after the listener's close: %v, want EOF", err)
		}
		for _, c := range append(conns, late) {
			c.Close()
		}
	})
}

func TestPackets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		a, _ := n.ListenPacket(":0")
		b, _ := n.ListenPacket(":8443")
		defer b.Close()
		for _, s := range []string{"one", "two"} {
			if _, err := a.WriteTo([]byte(s), memnet.Addr("localhost:8443")); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 100)
		for _, want := range []string{"one", "two"} {
			k, from, err := b.ReadFrom(buf)
			if err != nil || string(buf[:k]) != want || from != a.LocalAddr() {
				t.Errorf("got %q from %v, %v; want %q from %v", buf[:k], from, err, want, a.LocalAddr())
			}
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read with nothing there: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		if _, err := a.WriteTo(make([]byte, 65508), b.LocalAddr()); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("too large a packet: %v", err)
		}
		if k, err := a.WriteTo([]byte("lost"), memnet.Addr("127.0.0.1:1")); k != 4 || err != nil {
			t.Errorf("packet to nobody: %d, %v", k, err)
		}
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		if _, _, err := a.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read unblocked by close: %v", err)
		}
		if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
	})
}

func TestPacketsDropWhenFull(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ size, fit int }{{100, 1024}, {10_000, 104}} {
		var n memnet.Network
		a, _ := n.ListenPacket(":0")
		b, _ := n.ListenPacket(":0")
		for range 2000 {
			a.WriteTo(make([]byte, tc.size), b.LocalAddr())
		}
		if got := b.(*memnet.PacketConn).Dropped(); got != uint64(2000-tc.fit) {
			t.Errorf("%d-byte packets: %d dropped, want %d", tc.size, got, 2000-tc.fit)
		}
		a.Close()
		b.Close()
	}
}

// TestHTTP serves net/http over the network under synctest, which is what it is for.
func TestHTTP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("gateway")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
		})}
		go srv.Serve(l)
		tr := &http.Transport{DialContext: n.DialContext}
		body := strings.Repeat("x", 300_000)
		resp, err := (&http.Client{Transport: tr}).Post("http://gateway/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != body || err != nil {
			t.Errorf("echo of %d bytes: %d, %v", len(body), len(got), err)
		}
		tr.CloseIdleConnections()
		srv.Close()
		synctest.Wait()
	})
}

func BenchmarkEcho(b *testing.B) {
	c, s := memnet.Pipe()
	go func() { io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{s}); s.Close() }()
	buf := make([]byte, 512)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
}
