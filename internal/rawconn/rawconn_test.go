//go:build unix && !comm_portable

package rawconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/rawconn"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pair returns two ends of a connection.
func pair(t *testing.T, network, addr string) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// wrapper hands the connection below it out, or not.
type wrapper struct {
	net.Conn
	ok bool
}

func (w wrapper) BareConn() (net.Conn, bool) { return w.Conn, w.ok }

// promoted has the methods of the socket, but bytes of its own.
type promoted struct{ *net.TCPConn }

func TestUnder(t *testing.T) {
	t.Parallel()
	tcp, _ := pair(t, "tcp", "127.0.0.1:0")
	unix, _ := pair(t, "unix", filepath.Join(t.TempDir(), "s"))
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	secure := tls.Client(tcp, &tls.Config{ServerName: "x"})
	for _, c := range []struct {
		name       string
		conn       any
		under, tls bool
	}{
		{"TCP", tcp, true, false},
		{"unix", unix, true, false},
		{"memory", pipe, false, false},
		{"nothing", nil, false, false},
		{"a wrapper that lets through", wrapper{tcp, true}, true, false},
		{"a wrapper that does not", wrapper{tcp, false}, false, false},
		{"a wrapper that only looks like a socket", promoted{tcp.(*net.TCPConn)}, false, false},
		{"TLS", secure, false, true},
		{"a wrapper of TLS that lets through", wrapper{secure, true}, false, true},
		{"a wrapper of TLS that does not", wrapper{secure, false}, false, false},
		{"TLS in memory", tls.Client(pipe, &tls.Config{ServerName: "x"}), false, false},
	} {
		if got := rawconn.Under(c.conn) != nil; got != c.under {
			t.Errorf("%s: a socket: %v, want %v", c.name, got, c.under)
		}
		if got := rawconn.UnderTLS(c.conn) != nil; got != c.tls {
			t.Errorf("%s: a socket under TLS: %v, want %v", c.name, got, c.tls)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	near, far := pair(t, "tcp", "127.0.0.1:0")
	sys := rawconn.Under(near)
	buf := make([]byte, 8)
	if n, err := rawconn.Read(sys, buf); n != 0 || err != rawconn.ErrAgain {
		t.Fatalf("before anything has come: %d, %v", n, err)
	}
	if _, err := far.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"01234567", "89"} {
		n, err := read(sys, buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("%q, %v, want %q", buf[:n], err, want)
		}
	}
	if err := near.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := rawconn.Read(sys, buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("past the deadline: %v", err)
	}
	_ = near.SetReadDeadline(time.Time{})
	far.Close()
	if _, err := read(sys, buf); err != io.EOF {
		t.Fatalf("at the end: %v", err)
	}
	near.Close()
	if _, err := rawconn.Read(sys, buf); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("once closed: %v", err)
	}
}

// read is rawconn.Read once there is something.
func read(sys rawconn.Conn, p []byte) (int, error) {
	for {
		if n, err := rawconn.Read(sys, p); err != rawconn.ErrAgain {
			return n, err
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	near, far := pair(t, "tcp", "127.0.0.1:0")
	sys := rawconn.Under(near)
	const size = 16 << 20 // more than a socket takes
	p := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	n, err := rawconn.Write(sys, p)
	if n <= 0 || n >= size || err != nil {
		t.Fatalf("%d bytes of %d, %v", n, size, err)
	}
	if more, err := rawconn.Write(sys, p[n:]); more != 0 && n+more == size || err != nil {
		t.Fatalf("%d bytes more, %v", more, err)
	} else {
		n += more
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, p[:n]) {
		t.Fatalf("what came is other than what was written, or %v", err)
	}
	if err := near.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := rawconn.Write(sys, p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("past the deadline: %d, %v", n, err)
	}
	near.Close()
	if n, err := rawconn.Write(sys, p); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Fatalf("once closed: %d, %v", n, err)
	}
}
