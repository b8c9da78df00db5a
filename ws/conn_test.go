package ws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// pair is a server and a client connection joined in memory.
func pair(t testing.TB, opts ...ws.ConnOption) (server, client *ws.Conn) {
	t.Helper()
	a, b := net.Pipe()
	server, err := ws.NewConn(a, ws.Server, opts...)
	if err != nil {
		t.Fatal(err)
	}
	client, err = ws.NewConn(b, ws.Client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.CloseNow(); client.CloseNow() })
	return server, client
}

// tcpPair is a connection of each side over loopback.
func tcpPair(t testing.TB, opts ...ws.ConnOption) (server, client *ws.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server, err = ws.NewConn(far, ws.Server, opts...)
	if err != nil {
		t.Fatal(err)
	}
	client, err = ws.NewConn(near, ws.Client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.CloseNow(); client.CloseNow() })
	return server, client
}

// modes runs f over memory, sockets directly, and sockets portably.
func modes(t *testing.T, f func(t *testing.T, server, client *ws.Conn)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); s, c := pair(t); f(t, s, c) })
	t.Run("tcp", func(t *testing.T) { t.Parallel(); s, c := tcpPair(t); f(t, s, c) })
	t.Run("portable", func(t *testing.T) { t.Parallel(); s, c := tcpPair(t, ws.WithPortableIO()); f(t, s, c) })
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestStalledPeerIsCut(t *testing.T) {
	t.Parallel()
	server, _ := tcpPair(t, ws.WithWriteTimeout(50*time.Millisecond))
	if err := server.Write(t.Context(), ws.Binary, make([]byte, 32<<20)); !errors.Is(err, ws.ErrStalled) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		const writers, each = 4, 100
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					msg := bytes.Repeat([]byte{byte('a' + w)}, 1+i*17)
					if i%10 == 9 {
						wr, err := client.Writer(t.Context(), ws.Binary)
						if err != nil {
							t.Error(err)
							return
						}
						wr.Write(msg[:len(msg)/2])
						wr.Write(msg[len(msg)/2:])
						if err := wr.Close(); err != nil {
							t.Error(err)
						}
					} else if err := client.Write(t.Context(), ws.Binary, msg); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go client.Serve(t.Context(), func(ws.Type, []byte) error { return nil })
		counts := map[byte]int{}
		for range writers * each {
			_, p, err := server.Read(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.Trim(p, string(p[:1]))) > 0 || len(p) != 1+counts[p[0]]*17 {
				t.Fatalf("messages are mixed or out of order: %d bytes of %q after %d", len(p), p[0], counts[p[0]])
			}
			counts[p[0]]++
		}
		wg.Wait()
	})
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	url := echoServer(t, ws.WithReadLimit(1000))
	p := dialPeer(t, url)
	p.send(bin(strings.Repeat("x", 1000)))
	p.want(bin(strings.Repeat("x", 1000)))
	p.write(p.wire(bin(strings.Repeat("x", 1001)))[:8]) // the header is enough
	p.wantClose(1009)
	p = dialPeer(t, url)
	p.send(bin(strings.Repeat("x", 600)).open(), cont(strings.Repeat("x", 401)))
	p.wantClose(1009)
}

// A header that claims much is not believed before bytes arrive.
//
// Not parallel: what others allocate would be counted.
func TestClaimsAllocateNothing(t *testing.T) {
	p, c := clientPeer(t, "", ws.WithReadLimit(-1))
	h := wsframe.Header{Fin: true, Op: wsframe.Binary, Length: 1 << 40}
	p.write(append(h.Append(nil), "ten bytes."...))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := c.Read(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("%d bytes allocated", allocated)
	}
}

// onlyRWC hides the deadlines of a pipe.
type onlyRWC struct{ io.ReadWriteCloser }

func TestNewConnWithoutDeadlines(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	server, err := ws.NewConn(onlyRWC{a}, ws.Server, ws.WithWriteTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ws.NewConn(onlyRWC{b}, ws.Client)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	go client.Write(t.Context(), ws.Text, []byte("after"))
	if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "after" {
		t.Fatalf("%q, %v", p, err)
	}
	go client.Serve(t.Context(), func(ws.Type, []byte) error { return nil })
	if err := server.Close(t.Context(), 1000, ""); err != nil {
		t.Error(err)
	}
	a, b = net.Pipe()
	defer b.Close()
	stuck, _ := ws.NewConn(onlyRWC{a}, ws.Server, ws.WithWriteTimeout(20*time.Millisecond))
	if err := stuck.Write(t.Context(), ws.Text, nil); err == nil || stuck.Err() == nil {
		t.Error("a write that nobody takes did not end")
	}
	if _, err := ws.NewConn(a, 0); err == nil {
		t.Error("side 0 was accepted")
	}
}
