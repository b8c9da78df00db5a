package commquic_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// resetWith is the code with which the peer resets what r reads.
func resetWith(t *testing.T, r interface {
	io.Reader
	SetReadDeadline(time.Time) error
},
) quic.StreamErrorCode {
	t.Helper()
	_ = r.SetReadDeadline(time.Now().Add(patience))
	_, err := r.Read(make([]byte, 1))
	se, ok := errors.AsType[*quic.StreamError](err)
	if !ok || !se.Remote {
		t.Fatalf("got %v, want a reset", err)
	}
	return se.ErrorCode
}

// stoppedWith is the code with which the peer stops what w writes.
func stoppedWith(t *testing.T, w interface{ Context() context.Context }) quic.StreamErrorCode {
	t.Helper()
	select {
	case <-w.Context().Done():
	case <-time.After(patience):
		t.Fatal("the stream stays")
	}
	se, ok := context.Cause(w.Context()).(*quic.StreamError)
	if !ok || !se.Remote {
		t.Fatalf("got %v, want STOP_SENDING", context.Cause(w.Context()))
	}
	return se.ErrorCode
}

// alive checks that a connection still answers.
func alive(t *testing.T, control io.Writer, next func() *comm.Frame) {
	t.Helper()
	if _, err := control.Write(encode(t, &comm.Frame{Op: comm.OpPing, ID: "alive"})); err != nil {
		t.Fatal(err)
	}
	if f := next(); f.Op != comm.OpPong || f.ID != "alive" {
		t.Fatalf("got %s, want the pong", canonical(t, f))
	}
}

// A second bidirectional stream is refused, again and again: it neither waits for ever nor uses up the limit.
func TestSecondStreamIsReset(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(commquic.WithMaxStreams(4)))
	conn, control, next := hello(t, addrOf(t, m))
	for range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := conn.OpenStreamSync(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write(encode(t, helloFrame()))
		if code := resetWith(t, s); code != 1002 {
			t.Errorf("reset with %d", code)
		}
	}
	alive(t, control, next)
	check()
}

// So it is on a WebTransport session.
func TestSecondStreamOfASessionIsReset(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	s, _, err := commquic.DialWebTransport(t.Context(), "https://"+addrOf(t, m)+"/wt", trusting()...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseWithError(0, "")
	for i := range 3 {
		str, err := s.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write(encode(t, helloFrame()))
		_ = str.SetReadDeadline(time.Now().Add(patience))
		_, err = str.Read(make([]byte, 1))
		if se, ok := errors.AsType[*commquic.StreamError](err); (i > 0) != ok || ok && se.Code != 1002 {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}

// Lanes that never say what they are are stopped, and cost their client alone.
func TestLanesWithoutABeginning(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New(), comm.WithHandshakeTimeout(3*time.Second))
	conn, control, next := hello(t, addrOf(t, m))
	var silent []*quic.SendStream
	for range 99 {
		s, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, s)
	}
	last, err := conn.OpenUniStream() // which opens those before it on the other side too
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Write([]byte{0x20}); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(silent, last) {
		if code := stoppedWith(t, s); code != 1002 {
			t.Errorf("stopped with %d", code)
		}
	}
	alive(t, control, next)
	check()
}

// A lane that has begun may be silent for as long as it likes.
func TestSilentLaneStays(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithHandshakeTimeout(2*time.Second))
	got := collecting(m, "up")
	conn, _, _ := hello(t, addrOf(t, m))
	s, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(commquic.LaneFrame("x", 0))
	later, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = later.Write([]byte{0x20})
	stoppedWith(t, later) // so the time that a lane may be without a beginning is over for s too
	if _, err := s.Write(encode(t, &comm.Frame{Message: message(t, "up", "late")})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return len(got.of("up")) == 1 })
}

// Announced lengths on many lanes cost little memory before the bytes come.
func TestAnnouncedLengthsOnLanes(t *testing.T) {
	m, check := guarded(t, commquic.New(), comm.WithMaxMessage(8<<20))
	conn, control, next := hello(t, addrOf(t, m))
	alive(t, control, next)
	before := heap()
	for range 100 {
		s, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(append(commquic.LaneFrame("", 0), append([]byte{0x01}, quicvarint.Append(nil, 7<<20)...)...)); err != nil {
			t.Fatal(err)
		}
	}
	alive(t, control, next)
	time.Sleep(50 * time.Millisecond) // for the lanes to be read
	if grown := int64(heap()) - int64(before); grown > 12<<20 {
		t.Errorf("100 announced frames hold %d bytes", grown)
	}
	check()
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// Resets in the middle of frames: of a lane it ends the lane, of the default lane the connection.
func TestResets(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	conn, control, next := hello(t, addrOf(t, m))
	lane, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = lane.Write(append(commquic.LaneFrame("x", 0), 0x01, 0x20, 0x02))
	alive(t, control, next)
	lane.CancelWrite(7)
	alive(t, control, next)
	_, _ = control.Write([]byte{0x01, 0x20, 0x02})
	control.CancelWrite(7)
	select {
	case <-conn.Context().Done():
	case <-time.After(patience):
		t.Error("the connection stays without its default lane")
	}
	check()
}

// A hello that comes twice is an error, and one of absurd size ends the connection.
func TestHelloTwice(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	_, control, next := hello(t, addrOf(t, m))
	_, _ = control.Write(encode(t, helloFrame()))
	if f := next(); f.Op != comm.OpError {
		t.Errorf("got %s, want an error", canonical(t, f))
	}
	alive(t, control, next)
	check()
}

// A length of 2^62-1, in eight bytes, is refused before anything is set aside for it.
func TestAbsurdLengths(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	for name, b := range map[string][]byte{
		"frame": {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"type":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			conn, control, _ := hello(t, addrOf(t, m))
			_, _ = control.Write(b)
			go func() { _, _ = io.Copy(io.Discard, control); _ = control.Close() }()
			refusedWith(t, conn, 1009, "allowed is")
		})
	}
	check()
}

// Datagrams in a flood cost their client alone.
func TestDatagramFlood(t *testing.T) {
	t.Parallel()
	m, check := guarded(t, commquic.New())
	conn, control, _ := hello(t, addrOf(t, m))
	go func() { _, _ = io.Copy(io.Discard, control) }()
	good, bad := encode(t, &comm.Frame{Message: message(t, "nobody", strings.Repeat("x", 900))}), []byte{0x01, 0xff}
	for range 5_000 {
		if conn.SendDatagram(good) != nil || conn.SendDatagram(bad) != nil {
			break // closed for its rate, which is right too
		}
	}
	check()
}

// Streams of HTTP/3 that are opened and never say their type are stopped.
func TestHTTP3StreamsWithoutAType(t *testing.T) {
	t.Parallel()
	s := serveH3(t, &commquic.Server{HeaderTimeout: 2 * time.Second, Handler: http.NotFoundHandler()})
	c, h := s.raw(t)
	get := func() {
		resp, err := h.RoundTrip(mustRequest(t, s.url("/")))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	get() // behind which the client's own streams are open
	var all []*quic.SendStream
	for {
		str, err := c.OpenUniStream()
		if err != nil {
			break
		}
		all = append(all, str)
	}
	if len(all) < 50 {
		t.Fatalf("%d streams", len(all))
	}
	_, _ = all[len(all)-1].Write([]byte{0x40}) // half a type, which opens those before it too
	for _, str := range all {
		stoppedWith(t, str)
	}
	get()
}

// A client that ends its stream when it has been refused waits for nothing more.
func TestRefusalIsQuick(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithAuthenticator(func(context.Context, *comm.Handshake) (comm.Identity, error) {
		return comm.Identity{}, comm.ErrUnauthenticated
	}))
	// Who waits for the farewell's time to be over needs twice as long each time; the quickest of some is not the
	// machine's doing.
	quickest := time.Duration(math.MaxInt64)
	for tries := 20; tries > 0 && quickest > time.Second; tries-- {
		c, err := commquic.Dialer(addrOf(t, m), trusting()...).Dial(t.Context(), helloFrame())
		if err != nil {
			t.Fatal(err)
		}
		if f, err := c.Receive(t.Context()); err != nil || f.Op != comm.OpError {
			t.Fatalf("got %v, %v", f, err)
		}
		start := time.Now()
		_ = c.Close(t.Context())
		quickest = min(quickest, time.Since(start))
	}
	if quickest > time.Second {
		t.Errorf("the server closed after %v at the earliest", quickest)
	}
}

// Sessions of WebTransport that come and go on one connection leave nothing behind.
func TestSessionChurn(t *testing.T) {
	m, check := guarded(t, commquic.New(), comm.WithHandshakeRate(100_000, 100_000))
	s := &site{addr: addrOf(t, m), client: certificate().Client()}
	c, h := s.raw(t)
	<-h.ReceivedSettings()
	open := func() {
		str, err := h.OpenRequestStream(within(t))
		if err != nil {
			t.Fatal(err)
		}
		r := mustRequest(t, "https://"+s.addr+"/wt")
		r.Method, r.Proto = http.MethodConnect, "webtransport"
		if err := str.SendRequestHeader(r); err != nil {
			t.Fatal(err)
		}
		if resp, err := str.ReadResponse(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		u, err := c.OpenUniStreamSync(within(t))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = u.Write(quicvarint.Append([]byte{0x40, 0x54}, uint64(str.StreamID())))
		_ = str.Close()
		str.CancelRead(0)
		u.CancelWrite(0)
	}
	open()
	time.Sleep(50 * time.Millisecond)
	before := runtime.NumGoroutine()
	for range 300 {
		open()
	}
	eventually(t, "the goroutines of 300 sessions to end", func() bool { return runtime.NumGoroutine() <= before+5+kept() })
	check()
}
