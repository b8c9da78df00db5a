package ws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

func TestReadContextEndsBetweenMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		for i := range 3 {
			if _, _, err := server.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("round %d: %v", i, err)
			}
			go client.Write(t.Context(), ws.Text, []byte("later"))
			if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "later" {
				t.Fatalf("round %d: the connection did not live on: %q, %v", i, p, err)
			}
		}
		dead, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		cancel(why)
		if _, _, err := server.Read(dead, nil); err != why {
			t.Errorf("cause: %v", err)
		}
		if err := server.Write(dead, ws.Text, nil); err != why {
			t.Errorf("cause: %v", err)
		}
	})
}

func TestReadContextEndsInsideAMessage(t *testing.T) {
	t.Parallel()
	for _, portable := range []bool{false, true} {
		opts := []ws.DialOption{}
		if portable {
			opts = append(opts, ws.WithPortableIO())
		}
		p, c := clientPeer(t, "", opts...)
		b := p.wire(text("one κόσμε"))
		p.write(b[:7]) // cut inside a character
		if _, _, err := c.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[7:9])
		if _, _, err := c.Read(soon(t), make([]byte, 100)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[9:])
		if _, got, err := c.Read(t.Context(), nil); err != nil || string(got) != "one κόσμε" {
			t.Fatalf("%q, %v", got, err)
		}
		// Inside a header.
		b = p.wire(bin(strings.Repeat("x", 300)))
		p.write(b[:2])
		if _, _, err := c.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[2:])
		if _, got, err := c.Read(t.Context(), nil); err != nil || len(got) != 300 {
			t.Fatalf("%d, %v", len(got), err)
		}
	}
}

func TestReaderContinuesAfterItsContext(t *testing.T) {
	t.Parallel()
	p, c := clientPeer(t, "")
	p.send(text("first ").open())
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := c.Reader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != "first " {
		t.Fatalf("%q, %v", head, err)
	}
	cancel()
	if _, err := r.Read(head); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.send(cont("second"), text("third"))
	if _, rest, err := c.Read(t.Context(), nil); err != nil || string(rest) != "second" {
		t.Fatalf("%q, %v", rest, err)
	}
	// What is not read is skipped.
	if _, r, err = c.Reader(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.send(text("fourth"))
	if _, got, err := c.Read(t.Context(), nil); err != nil || string(got) != "fourth" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.Read(head); err != ws.ErrReaderDone {
		t.Error(err)
	}
}

func TestWriteContextEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	held, err := server.Writer(t.Context(), ws.Text) // keeps other messages waiting
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Write(soon(t), ws.Text, []byte("never sent")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	go func() { held.Write([]byte("lives")); held.Close() }()
	if _, p, err := client.Read(t.Context(), nil); err != nil || string(p) != "lives" {
		t.Fatalf("%q, %v", p, err)
	}
}

func TestWriteContextEndsBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	server, client := pair(t) // a pipe takes nothing until it is read
	if err := server.Write(soon(t), ws.Text, []byte("never sent")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	go server.Write(t.Context(), ws.Text, []byte("sent"))
	if _, p, err := client.Read(t.Context(), nil); err != nil || string(p) != "sent" {
		t.Fatalf("%q, %v", p, err)
	}
}

func TestWriteContextEndsInsideAMessage(t *testing.T) {
	t.Parallel()
	p, server := clientPeer(t, "")
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		p.br.ReadByte() // it has begun
		time.Sleep(10 * time.Millisecond)
		cancel(why)
	}()
	if err := server.Write(ctx, ws.Binary, make([]byte, 32<<20)); err != why {
		t.Fatal(err)
	}
	if server.Err() != why {
		t.Errorf("the connection's cause is %v", server.Err())
	}
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

func TestCloseHandshakes(t *testing.T) {
	t.Parallel()
	t.Run("peer reads", func(t *testing.T) {
		modes(t, func(t *testing.T, server, client *ws.Conn) {
			got := make(chan error, 1)
			go func() { _, _, err := client.Read(t.Context(), nil); got <- err }()
			if err := server.Close(t.Context(), 4001, "because"); err != nil {
				t.Fatal(err)
			}
			err := <-got
			var ce *ws.CloseError
			if !errors.As(err, &ce) || ce.Code != 4001 || ce.Reason != "because" || ce.Local || ws.CloseStatus(err) != 4001 {
				t.Errorf("the peer got %v", err)
			}
			for what, err := range map[string]error{
				"Err": server.Err(), "Write": server.Write(t.Context(), ws.Text, nil), "Close": server.Close(t.Context(), 1000, ""), "CloseNow": server.CloseNow(),
			} {
				if !errors.Is(err, ws.ErrClosed) || !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s after Close: %v", what, err)
				}
			}
		})
	})
	t.Run("peer serves, own reader is parked", func(t *testing.T) {
		modes(t, func(t *testing.T, server, client *ws.Conn) {
			go client.Serve(t.Context(), func(ws.Type, []byte) error { return nil })
			read := make(chan error, 1)
			go func() { read <- server.Serve(t.Context(), func(ws.Type, []byte) error { return nil }) }()
			time.Sleep(5 * time.Millisecond)
			if err := server.Close(t.Context(), 1000, ""); err != nil {
				t.Error(err)
			}
			if err := <-read; !errors.Is(err, ws.ErrClosed) {
				t.Error(err)
			}
		})
	})
	t.Run("from inside Serve", func(t *testing.T) {
		modes(t, func(t *testing.T, server, client *ws.Conn) {
			go func() {
				for i := range 3 {
					client.Write(t.Context(), ws.Text, fmt.Append(nil, "message ", i))
				}
				client.Read(t.Context(), nil)
			}()
			n := 0
			err := server.Serve(t.Context(), func(_ ws.Type, p []byte) error {
				if n++; string(p) != "message 0" {
					t.Errorf("got %q", p)
				}
				err := server.Close(t.Context(), 1000, "")
				if string(p) != "message 0" {
					t.Errorf("p became %q", p)
				}
				return err
			})
			if !errors.Is(err, ws.ErrClosed) || n != 1 {
				t.Errorf("%v after %d messages", err, n)
			}
		})
	})
	t.Run("both at once", func(t *testing.T) {
		server, client := tcpPair(t)
		errs := make(chan error, 2)
		for _, c := range []*ws.Conn{server, client} {
			go func() { errs <- c.Close(t.Context(), 1000, "") }()
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCloseNeverHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c, _ := ws.NewConn(a, ws.Server)
		go io.Copy(io.Discard, b) // takes the close frame and is silent
		start := time.Now()
		if err := c.Close(t.Context(), 1000, ""); err == nil || time.Since(start) != ws.DefaultCloseTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		b.Close()
		a, b = net.Pipe() // takes nothing
		c, _ = ws.NewConn(a, ws.Server)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := c.Close(ctx, 1000, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		b.Close()
	})
}

func TestCloseRefusesBadArguments(t *testing.T) {
	t.Parallel()
	server, _ := pair(t)
	for _, code := range []ws.StatusCode{0, 999, 1004, ws.StatusNoStatus, ws.StatusAbnormal, 1015, 5000} {
		if err := server.Close(t.Context(), code, ""); err != ws.ErrStatus {
			t.Errorf("%d: %v", code, err)
		}
	}
	if err := server.Close(t.Context(), 1000, strings.Repeat("x", 124)); err != ws.ErrStatus {
		t.Error(err)
	}
	if err := server.Close(t.Context(), 1000, "\xff"); err != ws.ErrStatus || server.Err() != nil {
		t.Error(err, server.Err())
	}
}

func TestHeartbeatClosesAHalfOpenPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c, err := ws.NewConn(a, ws.Server, ws.WithHeartbeat(10*time.Second, 3*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, nc: b, masked: true}
		pings := make(chan time.Duration, 10)
		start := time.Now()
		go func() { // answers nothing
			for buf := make([]byte, 100); ; {
				n, err := p.nc.Read(buf)
				if err != nil {
					return
				}
				if n > 0 && buf[0]&0xF == byte(wsframe.Ping) {
					pings <- time.Since(start)
				}
			}
		}()
		go func() {
			time.Sleep(4 * time.Second)
			p.nc.Write(p.wire(text("alive")))
		}()
		if _, _, err := c.Read(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		_, _, err = c.Read(t.Context(), nil)
		if at := time.Since(start); !errors.Is(err, ws.ErrHeartbeat) || at != 17*time.Second {
			t.Errorf("%v after %v", err, at)
		}
		if at := <-pings; at != 14*time.Second || len(pings) != 0 {
			t.Errorf("pinged at %v and %d times more", at, len(pings))
		}
		if ws.CloseStatus(err) != ws.StatusAbnormal {
			t.Error(err)
		}
	})
}

func TestHeartbeatKeepsALivePeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := pair(t, ws.WithHeartbeat(time.Second, time.Second))
		nothing := func(ws.Type, []byte) error { return nil }
		done := make(chan error, 2)
		go func() { done <- client.Serve(t.Context(), nothing) }()
		go func() { done <- server.Serve(t.Context(), nothing) }()
		time.Sleep(time.Hour)
		if server.Err() != nil || client.Err() != nil {
			t.Fatal(server.Err(), client.Err())
		}
		server.CloseNow()
		<-done
		<-done
	})
}

// A function that takes longer than the heartbeat does not fail it.
func TestHeartbeatWaitsForServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := pair(t, ws.WithHeartbeat(time.Second, time.Second))
		served := make(chan error, 1)
		slow := make(chan struct{})
		go func() {
			served <- server.Serve(t.Context(), func(ws.Type, []byte) error {
				time.Sleep(time.Minute)
				slow <- struct{}{}
				return nil
			})
		}()
		client2 := make(chan error, 1)
		if err := client.Write(t.Context(), ws.Text, nil); err != nil {
			t.Fatal(err)
		}
		<-slow
		go func() { client2 <- client.Serve(t.Context(), func(ws.Type, []byte) error { return nil }) }()
		time.Sleep(time.Minute)
		if err := server.Err(); err != nil {
			t.Error(err)
		}
		client.CloseNow()
		<-served
		<-client2
	})
}

func TestHeartbeatOverSockets(t *testing.T) {
	t.Parallel()
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprint("portable=", portable), func(t *testing.T) {
			t.Parallel()
			p, _ := heartbeaten(t, portable, 2*time.Second) // what is heard shows when this has passed
			for range 5 {                                   // answered, it lives
				f, err := p.next()
				if err != nil || f.op != wsframe.Ping {
					t.Fatalf("%s, %v", f, err)
				}
				p.send(pong(string(f.p)))
			}
			p, ended := heartbeaten(t, portable, 50*time.Millisecond)
			if f, err := p.next(); err != nil || f.op != wsframe.Ping {
				t.Fatalf("%s, %v", f, err)
			}
			if err := <-ended; !errors.Is(err, ws.ErrHeartbeat) {
				t.Error(err)
			}
		})
	}
}

// heartbeaten is a raw client whose server pings it often, and where the server's end is told.
func heartbeaten(t *testing.T, portable bool, timeout time.Duration) (*peer, <-chan error) {
	t.Helper()
	opts := []ws.AcceptOption{ws.WithHeartbeat(20*time.Millisecond, timeout)}
	if portable {
		opts = append(opts, ws.WithPortableIO())
	}
	ended := make(chan error, 1)
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		if portable && ws.Direct(c) {
			t.Error("WithPortableIO has no effect")
		}
		err := echo(ctx, c)
		ended <- err
		return err
	}, opts...)
	return dialPeer(t, url), ended
}

func TestPing(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		nothing := func(ws.Type, []byte) error { return nil }
		go client.Serve(t.Context(), nothing)
		go server.Serve(t.Context(), nothing)
		for range 3 {
			if rtt, err := server.Ping(t.Context()); err != nil || rtt <= 0 || server.RTT() != rtt {
				t.Errorf("%v, %v, RTT %v", rtt, err, server.RTT())
			}
		}
	})
	_, lonely := pair(t)
	if _, err := lonely.Ping(soon(t)); !errors.Is(err, context.DeadlineExceeded) || lonely.Err() != nil {
		t.Error(err, lonely.Err())
	}
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

func TestLostConnection(t *testing.T) {
	t.Parallel()
	p, c := clientPeer(t, "")
	p.nc.Close()
	_, _, err := c.Read(t.Context(), nil)
	if ws.CloseStatus(err) != ws.StatusAbnormal || !errors.Is(err, io.ErrUnexpectedEOF) || c.Err() != err {
		t.Error(err)
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

func TestServeStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		go func() {
			for i := range 4 {
				client.Write(t.Context(), ws.Text, fmt.Append(nil, i))
			}
		}()
		stop := errors.New("stop")
		got := ""
		err := server.Serve(t.Context(), func(_ ws.Type, p []byte) error {
			if got += string(p); got == "01" {
				return stop
			}
			return nil
		})
		if err != stop || got != "01" {
			t.Fatalf("%v after %q", err, got)
		}
		if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "2" {
			t.Fatalf("%q, %v", p, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = server.Serve(ctx, func(_ ws.Type, p []byte) error { got += string(p); cancel(); return nil })
		if !errors.Is(err, context.Canceled) || got != "013" || server.Err() != nil {
			t.Fatalf("%v after %q, %v", err, got, server.Err())
		}
	})
}

// Replies to one read leave in one write; a slow function does not hold back
// the replies before it.
func TestServeCoalesces(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		return c.Serve(ctx, func(typ ws.Type, p []byte) error {
			if string(p) == "slow" {
				<-gate
			}
			return c.Write(ctx, typ, p)
		})
	})
	p := dialPeer(t, url)
	var out []frame
	for i := range 50 {
		out = append(out, text(fmt.Sprint("message ", i)))
	}
	p.send(append(out, text("slow"), text("last"))...)
	p.want(out...) // while the function blocks
	close(gate)
	p.want(text("slow"), text("last"))
	bye(p)
}

// A connection that waits on a socket holds no buffer. Its portable twin does,
// and everything else about them is the same.
func TestServeHoldsNoBuffer(t *testing.T) {
	direct, portable := idleCost(t), idleCost(t, ws.WithPortableIO())
	s, _ := tcpPair(t)
	if ws.Direct(s) && portable-direct < 3000 {
		t.Errorf("%d bytes directly, %d portably", direct, portable)
	}
}

// idleCost returns the memory of an idle connection after one message, its
// test client's socket included.
func idleCost(t *testing.T, opts ...ws.AcceptOption) int {
	const n = 200
	url := echoServer(t, opts...)
	before := memory()
	for range n {
		p := dialPeer(t, url)
		p.send(text("x"))
		p.want(text("x"))
		p.br = nil
	}
	return (memory() - before) / n
}

func memory() int {
	var m runtime.MemStats
	for range 3 { // empties the pools, too
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
