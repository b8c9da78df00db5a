package ws_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

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
