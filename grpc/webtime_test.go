package commgrpc_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	commgrpc "github.com/anasamu/comm/grpc"
	"github.com/anasamu/comm/internal/memnet"
)

// memoryServer serves a handler in memory, so that its time is the bubble's, and connects to it.
func memoryServer(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	var network memnet.Network
	l, err := network.Listen("web")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	c, err := network.DialContext(t.Context(), "tcp", "web")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func readResponse(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

const webHead = "POST " + unaryPath + " HTTP/1.1\r\nHost: here\r\nContent-Type: application/grpc-web\r\n"

// A request that stops coming is answered, and its connection ends.
func TestWebSlowRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := memoryServer(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{BodyTimeout: 3 * time.Second}))
		start := time.Now()
		send(t, c, webHead+"Content-Length: 100\r\n\r\n\x00\x00\x00")
		res := readResponse(t, c)
		if code, message := statusIn(res, webFrames{}); code != "4" || !strings.Contains(message, "did not come") {
			t.Errorf("status %s %q", code, message)
		}
		if waited := time.Since(start); waited < 3*time.Second || waited > 4*time.Second || !res.Close {
			t.Errorf("answered after %v, and the connection's end is %v", waited, res.Close)
		}
	})
}

// A client that trickles bytes gets no more time by them.
func TestWebTrickle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := memoryServer(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{BodyTimeout: 3 * time.Second}))
		start := time.Now()
		send(t, c, webHead+"Content-Length: 100\r\n\r\n")
		var trickle sync.WaitGroup
		trickle.Go(func() {
			for range 100 {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{0}); err != nil {
					return
				}
			}
		})
		if code, _ := statusIn(readResponse(t, c), webFrames{}); code != "4" || time.Since(start) > 4*time.Second {
			t.Errorf("status %s after %v", code, time.Since(start))
		}
		c.Close()
		trickle.Wait()
	})
}

// Streams may be silent for longer than a write may take.
func TestWebSilentStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := &webService{step: make(chan struct{}), entered: make(chan error, 1)}
		c := memoryServer(t, newWebHandler(t, service, commgrpc.WebSettings{WriteTimeout: 3 * time.Second}))
		in := frame(t, 0, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 1}, {Size: 1}}})
		send(t, c, strings.Replace(webHead, unaryPath, streamPath, 1)+"Transfer-Encoding: chunked\r\n\r\n"+chunked(in))
		go func() {
			time.Sleep(time.Hour)
			service.step <- struct{}{}
		}()
		if f := readWeb(t, readResponse(t, c)); len(f.messages) != 2 || f.trailers["grpc-status"] != "0" {
			t.Errorf("%+v", f)
		}
	})
}

// A client that does not read ends its call, once a write has waited for long enough.
func TestWebStalledClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := &webService{step: make(chan struct{}), entered: make(chan error, 1)}
		c := memoryServer(t, newWebHandler(t, service, commgrpc.WebSettings{WriteTimeout: 3 * time.Second}))
		in := frame(t, 0, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 1 << 20}, {Size: 1}}})
		start := time.Now()
		send(t, c, strings.Replace(webHead, unaryPath, streamPath, 1)+"Transfer-Encoding: chunked\r\n\r\n"+chunked(in))
		if err := <-service.entered; !errors.Is(err, context.Canceled) || time.Since(start) > 4*time.Second {
			t.Errorf("the call ends by %v after %v", err, time.Since(start))
		}
	})
}

// The client's timeout is the handler's deadline, and its going away ends the handler's context.
func TestWebEndOfCall(t *testing.T) {
	t.Parallel()
	body := string(frame(t, 0, &testpb.SimpleRequest{}))
	waiting := webHead + "X-Wait: 1\r\nContent-Length: 5\r\n"
	synctest.Test(t, func(t *testing.T) {
		service := &webService{entered: make(chan error, 1)}
		c := memoryServer(t, newWebHandler(t, service, commgrpc.WebSettings{}))
		start := time.Now()
		send(t, c, waiting+"Grpc-Timeout: 1500m\r\n\r\n"+body)
		code, _ := statusIn(readResponse(t, c), webFrames{})
		if err := <-service.entered; code != "4" || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("status %s, %v after %v", code, err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		service := &webService{entered: make(chan error, 1)}
		c := memoryServer(t, newWebHandler(t, service, commgrpc.WebSettings{}))
		send(t, c, waiting+"\r\n"+body)
		synctest.Wait()
		c.Close()
		if err := <-service.entered; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ends by %v", err)
		}
	})
}

// chunked is a body in one chunk.
func chunked(b []byte) string {
	return hex(len(b)) + "\r\n" + string(b) + "\r\n0\r\n\r\n"
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	if n < 16 {
		return digits[n : n+1]
	}
	return hex(n/16) + digits[n%16:n%16+1]
}
