//go:build !race

package sse_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/anasamu/comm/sse"
)

const raceDetector = false

// idleCost returns the memory, heap and stacks, of one idle stream with its client's socket.
func idleCost(t *testing.T, streams int, opts ...sse.AcceptOption) uint64 {
	t.Helper()
	opened := make(chan *sse.Stream)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.Accept(w, r, opts...)
		if err != nil {
			t.Error(err)
			return
		}
		opened <- s
		if !s.Hijacked() {
			<-s.Done()
			s.Close()
		}
	}))
	defer srv.Close()
	dial := func() (net.Conn, *sse.Stream) {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := bufio.NewReaderSize(conn, 16).Peek(1); err != nil {
			t.Fatal(err)
		}
		return conn, <-opened
	}
	conns, live := make([]net.Conn, streams), make([]*sse.Stream, streams)
	first, firstStream := dial() // what one of them builds for all does not count
	before := memory()
	for i := range streams {
		conns[i], live[i] = dial()
	}
	cost := (memory() - before) / uint64(streams)
	for _, conn := range append(conns, first) {
		_ = conn.Close()
	}
	for _, s := range append(live, firstStream) {
		<-s.Done()
		_ = s.Close()
	}
	return cost
}

func memory() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// idleAlone is set in the process that measures.
const idleAlone = "SSE_TEST_IDLE_ALONE"

// It measures a whole process, so it has one of its own: in that of other tests, what they have left goes meanwhile.
func TestIdleCost(t *testing.T) {
	if os.Getenv(idleAlone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIdleCost$", "-test.v", "-test.timeout=1m")
		cmd.Env = append(os.Environ(), idleAlone+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestIdleCost") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	hijacked := idleCost(t, 400, sse.WithHijack()) // first: it is what is left of the other that would falsify it
	plain := idleCost(t, 400)
	t.Logf("an idle stream: %d bytes through net/http, %d hijacked", plain, hijacked)
	if hijacked > 8<<10 {
		t.Errorf("an idle hijacked stream costs %d bytes, want at most 8 KiB with its client's socket", hijacked)
	}
	if hijacked*2 > plain {
		t.Errorf("hijacking saves too little: %d of %d bytes", hijacked, plain)
	}
}
