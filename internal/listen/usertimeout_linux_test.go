package listen_test

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/listen"
)

func TestUserTimeout(t *testing.T) {
	t.Parallel()
	set := make(chan int, 1)
	look := func(ctx context.Context, c net.Conn) context.Context {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Error(err)
			return ctx
		}
		const tcpUserTimeout = 18
		err = raw.Control(func(fd uintptr) {
			ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
			if err != nil {
				t.Error(err)
			}
			set <- ms
		})
		if err != nil {
			t.Error(err)
		}
		return ctx
	}
	_, addr := serve(t, listen.Config{Handler: http.HandlerFunc(describe), UserTimeout: 42 * time.Second, ConnContext: look})
	get(t, client(t, false, nil), "http://"+addr)
	if ms := <-set; ms != 42_000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, want 42,000", ms)
	}
}
