package ws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/ws"
)

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

func TestLostConnection(t *testing.T) {
	t.Parallel()
	p, c := clientPeer(t, "")
	p.nc.Close()
	_, _, err := c.Read(t.Context(), nil)
	if ws.CloseStatus(err) != ws.StatusAbnormal || !errors.Is(err, io.ErrUnexpectedEOF) || c.Err() != err {
		t.Error(err)
	}
}
