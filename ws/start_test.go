package ws_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/park"
	"github.com/anasamu/comm/ws"
)

// echoMessage is what the tests' started servers run.
func echoMessage(ctx context.Context, c *ws.Conn, t ws.Type, p []byte) error {
	return c.Write(ctx, t, p)
}

func startedEcho(t testing.TB, opts ...ws.AcceptOption) string {
	s := httptest.NewServer(ws.MessageHandler(echoMessage, opts...))
	t.Cleanup(s.Close)
	return s.URL
}

// tlsServer is a server that raw clients reach over TLS.
type tlsServer struct{ s *httptest.Server }

func startedEchoTLS(t testing.TB, opts ...ws.AcceptOption) tlsServer {
	s := httptest.NewUnstartedServer(ws.MessageHandler(echoMessage, opts...))
	s.StartTLS()
	t.Cleanup(s.Close)
	return tlsServer{s}
}

func (s tlsServer) dialPeer(t testing.TB) *peer {
	t.Helper()
	return upgradedThrough(t, s, new(corked))
}

// start makes a connection whose server end runs Start, and returns the other end and where its end is told.
func start(t *testing.T, ctx context.Context, f func(c *ws.Conn, t ws.Type, p []byte) error, opts ...ws.AcceptOption) (*peer, *ws.Conn, <-chan error) {
	t.Helper()
	conns, ends := make(chan *ws.Conn, 1), make(chan error, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, opts...)
		if err != nil {
			t.Error(err)
			return
		}
		c.Start(ctx, func(typ ws.Type, p []byte) error { return f(c, typ, p) }, func(err error) { ends <- err })
		conns <- c
	}))
	t.Cleanup(s.Close)
	p := dialPeer(t, s.URL)
	c := <-conns
	t.Cleanup(func() {
		c.CloseNow()
		select {
		case err := <-ends:
			t.Errorf("a second end: %v", err)
		default:
		}
	})
	return p, c, ends
}

func echoed1(c *ws.Conn, t ws.Type, p []byte) error {
	return c.Write(context.Background(), t, p)
}

// eventually waits for what others do in their own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// serving counts goroutines that serve a started connection.
func serving() int {
	buf := make([]byte, 4<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "ws.(*started)")
}

// Not parallel: others' connections would be counted.
func TestIdleConnectionHoldsNoGoroutine(t *testing.T) {
	if !park.Available() || !ws.Parkable() {
		t.Skip("nothing is parked here")
	}
	over := startedEchoTLS(t)
	url := startedEcho(t)
	before := park.Count()
	var peers []*peer
	for range 20 {
		peers = append(peers, dialPeer(t, url), over.dialPeer(t))
	}
	parked := func() bool { return park.Count()-before == len(peers) && serving() == 0 }
	eventually(t, "new connections were not parked", parked)
	for _, p := range peers {
		p.send(text("once"))
		p.want(text("once"))
	}
	eventually(t, "connections were not parked after a message", parked)
	// In quick succession they keep their goroutines. A busy machine may need several tries to be quick.
	eventually(t, "busy connections were parked", func() bool {
		for range 20 {
			for _, p := range peers {
				p.send(text("often"))
			}
			for _, p := range peers {
				p.want(text("often"))
			}
		}
		return serving() > 0
	})
	eventually(t, "connections were not parked after they were busy", parked)
	for _, p := range peers {
		p.send(text("again"))
		p.want(text("again"))
		bye(p)
	}
	eventually(t, "closed connections are still parked", func() bool { return park.Count() == before })
}

// TLS reads ahead: what it holds already, no socket tells of.
func TestStartSeesWhatTLSHolds(t *testing.T) {
	t.Parallel()
	s := startedEchoTLS(t)
	for _, cut := range []int{0, 1, 7, 30} {
		c := &corked{}
		p := upgradedThrough(t, s, c)
		c.hold = true
		for i := range 5 { // five records
			p.send(text(fmt.Sprint("message ", i)))
		}
		c.release(cut)
		for i := range 5 {
			p.want(text(fmt.Sprint("message ", i)))
		}
		bye(p)
	}
}

// corked gathers what is written while hold is set.
type corked struct {
	net.Conn
	hold bool
	held bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) {
	if c.hold {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// release sends what is held in one write, or all but its last cut bytes first.
func (c *corked) release(cut int) {
	c.hold = false
	b := c.held.Bytes()
	c.Conn.Write(b[:len(b)-cut])
	c.Conn.Write(b[len(b)-cut:])
}

func upgradedThrough(t testing.TB, s tlsServer, c *corked) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", s.s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = nc
	conf := s.s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.ServerName, conf.NextProtos = "example.com", []string{"http/1.1"}
	return upgraded(t, tls.Client(c, conf))
}

func TestStartEnds(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	t.Run("by its function's error", func(t *testing.T) {
		t.Parallel()
		p, c, ends := start(t, context.Background(), func(*ws.Conn, ws.Type, []byte) error { return mine })
		p.send(text("x"))
		if err := <-ends; err != mine {
			t.Fatal(err)
		}
		if c.Err() != nil {
			t.Fatal("Start has closed the connection")
		}
		p.send(text("and on"))
		if _, b, err := c.Read(t.Context(), nil); err != nil || string(b) != "and on" {
			t.Fatalf("a read after Start: %q, %v", b, err)
		}
	})
	t.Run("by a panic", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), func(*ws.Conn, ws.Type, []byte) error { panic("at the disco") })
		p.send(text("x"))
		pe, ok := errors.AsType[*ws.PanicError](<-ends)
		if !ok || pe.Value != "at the disco" || !strings.Contains(string(pe.Stack), "start_test.go") {
			t.Fatal(pe)
		}
	})
	t.Run("by Goexit", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), func(*ws.Conn, ws.Type, []byte) error { runtime.Goexit(); return nil })
		p.send(text("x"))
		if err := <-ends; err == nil || !strings.Contains(err.Error(), "Goexit") {
			t.Fatal(err)
		}
	})
	t.Run("by its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(context.Background())
		p, c, ends := start(t, ctx, echoed1)
		p.send(text("x"))
		p.want(text("x"))
		cancel(mine)
		if err := <-ends; err != mine || c.Err() != nil {
			t.Fatal(err, c.Err())
		}
	})
	t.Run("by a context that has ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(mine)
		_, _, ends := start(t, ctx, echoed1)
		if err := <-ends; err != mine {
			t.Fatal(err)
		}
	})
	t.Run("by the peer's close", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), echoed1)
		bye(p)
		if ce, ok := errors.AsType[*ws.CloseError](<-ends); !ok || ce.Code != ws.StatusNormal {
			t.Fatal(ce)
		}
	})
	t.Run("by the peer's end without a close", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), echoed1)
		p.nc.(*net.TCPConn).CloseWrite()
		if ce, ok := errors.AsType[*ws.CloseError](<-ends); !ok || ce.Code != ws.StatusAbnormal {
			t.Fatal(ce)
		}
	})
	t.Run("by Close", func(t *testing.T) {
		t.Parallel()
		p, c, ends := start(t, context.Background(), echoed1)
		closed := make(chan error, 1)
		go func() { closed <- c.Close(t.Context(), ws.StatusNormal, "go") }()
		p.want(closing(1000, "go"))
		p.send(closing(1000, ""))
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if err := <-ends; err != ws.ErrClosed {
			t.Fatal(err)
		}
	})
	t.Run("by Close inside its function", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), func(c *ws.Conn, _ ws.Type, _ []byte) error {
			return c.Close(context.Background(), ws.StatusGoingAway, "")
		})
		p.send(text("x"))
		p.want(closing(1001, ""))
		p.send(closing(1001, ""))
		if err := <-ends; err != ws.ErrClosed {
			t.Fatal(err)
		}
	})
	t.Run("by CloseNow", func(t *testing.T) {
		t.Parallel()
		_, c, ends := start(t, context.Background(), echoed1)
		c.CloseNow()
		if err := <-ends; err != ws.ErrClosed {
			t.Fatal(err)
		}
	})
	t.Run("by its heartbeat", func(t *testing.T) {
		t.Parallel()
		p, _, ends := start(t, context.Background(), echoed1, ws.WithHeartbeat(50*time.Millisecond, 50*time.Millisecond))
		if f, err := p.next(); err != nil || f.op != ping("").op {
			t.Fatal("no ping", f, err)
		}
		if err := <-ends; !errors.Is(err, ws.ErrHeartbeat) {
			t.Fatal(err)
		}
	})
}

func TestHeartbeatOfAParkedConnection(t *testing.T) {
	t.Parallel()
	p, c, ends := start(t, context.Background(), echoed1, ws.WithHeartbeat(40*time.Millisecond, 2*time.Second))
	for range 3 {
		f, err := p.next()
		if err != nil || f.op != ping("").op {
			t.Fatal("no ping", f, err)
		}
		p.send(frame{op: pong("").op, p: f.p})
	}
	p.send(text("x"))
	f, err := p.next()
	if err == nil && f.op == ping("").op { // of a silence that began before
		f, err = p.next()
	}
	if err != nil || f.String() != text("x").String() {
		t.Fatal("no echo", f, err)
	}
	if c.RTT() == 0 {
		t.Error("no round trip was measured")
	}
	c.CloseNow()
	<-ends
}

// A frame that came along with the request, and one that comes a byte at a time.
func TestStartWithBytesAtHand(t *testing.T) {
	t.Parallel()
	nc, err := net.Dial("tcp", strings.TrimPrefix(startedEcho(t), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	p := upgraded(t, &trailed{nc, (&peer{masked: true}).wire(text("early"))})
	p.want(text("early"))
	p.chop(1, text("in bytes"))
	p.want(text("in bytes"))
	bye(p)
}

// trailed sends tail along with what is written first.
type trailed struct {
	net.Conn
	tail []byte
}

func (c *trailed) Write(p []byte) (int, error) {
	_, err := c.Conn.Write(append(bytes.Clone(p), c.tail...))
	c.tail = nil
	return len(p), err
}

// Messages are handled in order and one at a time, however the connection waits meanwhile.
func TestStartIsSerial(t *testing.T) {
	t.Parallel()
	var busy atomic.Int32
	next := byte(0)
	p, c, ends := start(t, context.Background(), func(c *ws.Conn, typ ws.Type, b []byte) error {
		if busy.Add(1) != 1 || b[0] != next {
			t.Errorf("got %d, want %d", b[0], next)
		}
		next++
		busy.Add(-1)
		return c.Write(context.Background(), typ, b)
	})
	for i := range 200 {
		p.send(bin(string([]byte{byte(i)})))
		if i%7 == 0 {
			for range min(i, 3) {
				runtime.Gosched()
			}
		}
		p.want(bin(string([]byte{byte(i)})))
	}
	c.CloseNow()
	<-ends
}

// A connection that cannot be parked is served by Serve.
func TestStartInMemory(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	ends := make(chan error, 1)
	server.Start(context.Background(), func(typ ws.Type, p []byte) error { return server.Write(context.Background(), typ, p) }, func(err error) { ends <- err })
	if err := client.Write(t.Context(), ws.Text, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := client.Read(t.Context(), nil); err != nil || string(b) != "x" {
		t.Fatal(string(b), err)
	}
	client.CloseNow()
	if err := <-ends; err == nil {
		t.Fatal("no reason")
	}
}

func TestMessageHandlerTellsOfPanics(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	s := httptest.NewServer(ws.MessageHandler(func(context.Context, *ws.Conn, ws.Type, []byte) error { panic("at the disco") }, ws.WithLogger(log.logger())))
	defer s.Close()
	p := dialPeer(t, s.URL)
	p.send(text("x"))
	f, err := p.next()
	if err != nil || f.String() != closing(1011, "").String() {
		t.Fatal(f, err)
	}
	p.send(closing(1011, ""))
	p.wantEnd()
	if !strings.Contains(log.String(), "at the disco") {
		t.Error(log.String())
	}
}
