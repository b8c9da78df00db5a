package sse_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// eachWay runs f for streams through net/http and for those that are taken over.
func eachWay(t *testing.T, f func(t *testing.T, opts []sse.ProviderOption)) {
	t.Parallel()
	for _, hijack := range []bool{false, true} {
		t.Run(fmt.Sprint("hijack=", hijack), func(t *testing.T) {
			t.Parallel()
			var opts []sse.ProviderOption
			if hijack {
				opts = append(opts, sse.WithHijack())
			}
			synctest.Test(t, func(t *testing.T) { f(t, opts) })
		})
	}
}

// A drain sends what is queued, then the closing frame with the wait before a return, and nothing more.
func TestDrain(t *testing.T) {
	eachWay(t, func(t *testing.T, opts []sse.ProviderOption) {
		g := startMemory(t, opts, comm.WithOpenAccess())
		s := g.subscribe(t, "?group=lobby")
		s.frame("joined")
		for i := range 100 {
			g.send(t, comm.ToGroup("lobby"), i)
		}
		drained := make(chan error, 1)
		go func() { drained <- g.Drain(t.Context()) }()
		for i := range 100 {
			s.message(fmt.Sprint(i))
		}
		f := s.frame("closing")
		retry, ok := s.d.Retry()
		after, _ := f["after"].(float64) // whole milliseconds; EventSource's are rounded up
		if late := float64(retry.Milliseconds()) - after; !ok || after <= 0 || late < 0 || late > 1 || f["reconnect"] != true {
			t.Errorf("retry %v, %v in %v", retry, ok, f)
		}
		s.ends()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// The heartbeat of the provider is a comment, after each silence of its length and no sooner.
func TestHeartbeat(t *testing.T) {
	eachWay(t, func(t *testing.T, opts []sse.ProviderOption) {
		g := startMemory(t, append(opts, sse.WithHeartbeat(7*time.Second)))
		s := g.subscribe(t, "")
		conn, buf := s.welcome["conn"].(string), make([]byte, 1000)
		read := func(want string, after time.Duration) {
			t.Helper()
			began := time.Now()
			n, err := s.res.Body.Read(buf)
			if took := time.Since(began); err != nil || !strings.Contains(string(buf[:n]), want) || took != after {
				t.Errorf("%q, %v after %v; want %q after %v", buf[:n], err, took, want, after)
			}
		}
		read(":\n\n", 7*time.Second)
		read(":\n\n", 7*time.Second)
		time.Sleep(5 * time.Second)
		g.send(t, comm.ToConn(conn), 1)
		read("data: ", 0)
		read(":\n\n", 7*time.Second) // counted from the message
	})
}

// Messages that gather while a client does not read leave together: a hundred in a few writes.
func TestCoalescedWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startMemory(t, []sse.ProviderOption{sse.WithHijack()})
		conn := g.raw(t)
		defer conn.Close()
		head := make([]byte, 64<<10)
		if _, err := conn.Read(head); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := g.sent(t)
		const large = 512 << 10 // more than the connection in memory takes, so that the next ones gather
		if _, err := g.Broadcast(t.Context(), message(t, "note", strings.Repeat("x", large))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 100 {
			if _, err := g.Broadcast(t.Context(), message(t, "note", i)); err != nil {
				t.Fatal(err)
			}
		}
		var stream bytes.Buffer
		go func() { _, _ = io.Copy(&stream, conn) }()
		synctest.Wait()
		if n := g.sent(t) - before; n != 101 {
			t.Errorf("%d messages left", n)
		}
		// each write is one chunk of the body: the large message, and the hundred behind it
		if n := strings.Count(stream.String(), "\ndata: "); n < 100 {
			t.Fatalf("%d events", n)
		}
		if n := chunks(stream.String()); n > 4 {
			t.Errorf("101 messages left in %d writes", n)
		}
	})
}

// chunks counts the chunk heads of a body (RFC 9112, 7.1) that holds JSON events.
func chunks(body string) (n int) {
	for line := range strings.SplitSeq(body, "\r\n") {
		if line != "" && strings.Trim(line, "0123456789abcdef") == "" {
			n++
		}
	}
	return n
}

// raw opens a stream and returns its connection.
func (g *gateway) raw(t *testing.T) net.Conn {
	t.Helper()
	conn, err := g.DialContext(context.Background(), "tcp", "gateway:80")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: gateway\r\n\r\n")
	return conn
}

// sent is how many messages have left.
func (g *gateway) sent(t *testing.T) int64 {
	t.Helper()
	s, err := g.Stats("")
	if err != nil {
		t.Fatal(err)
	}
	return s.MessagesOut
}
