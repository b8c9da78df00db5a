package commquic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	commquic "github.com/anasamu/comm/quic"
)

const flowControlError = quic.StreamErrorCode(0x045d4487)

// narrow is a server whose sessions have room for little.
func narrow() *commquic.Server {
	return &commquic.Server{SessionStreams: 4, SessionWindow: 64 << 10}
}

// Data flows in both directions, many times the window, and as many streams one after the other as there should be.
func TestFlowGoesOn(t *testing.T) {
	t.Parallel()
	server, client := pair(t, narrow())
	if !commquic.HasFlow(server) || !commquic.HasFlow(client) {
		t.Fatal("both ends announce flow control, and have none")
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	for name, ends := range map[string][2]*commquic.WebTransportSession{"client opens": {client, server}, "server opens": {server, client}} {
		opener, acceptor := ends[0], ends[1]
		echoed := make(chan error, 1)
		go func() {
			str, err := acceptor.AcceptStream(within(t))
			if err == nil {
				_, err = io.Copy(str, str)
				err = errors.Join(err, str.Close())
			}
			echoed <- err
		}()
		str, err := opener.OpenStreamSync(within(t))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = str.Write(big); _ = str.Close() }()
		if got, err := io.ReadAll(str); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := <-echoed; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range 50 {
			uni, err := opener.OpenUniStreamSync(within(t))
			if err != nil {
				t.Fatal(n, err)
			}
			go func() { _, _ = uni.Write(big[:8<<10]); _ = uni.Close() }()
			in, err := acceptor.AcceptUniStream(within(t))
			if err != nil {
				t.Fatal(n, err)
			}
			if b, err := io.ReadAll(in); err != nil || len(b) != 8<<10 {
				t.Fatal(n, len(b), err)
			}
		}
	}
}

// What was sent on streams that are reset or stopped is not lost to the session.
func TestFlowSurvivesResets(t *testing.T) {
	t.Parallel()
	server, client := pair(t, narrow())
	some := make([]byte, 20<<10)
	for n := range 40 { // together more than ten windows
		uni, err := client.OpenUniStreamSync(within(t))
		if err != nil {
			t.Fatal(n, err)
		}
		switch _ = uni.SetWriteDeadline(time.Now().Add(patience)); n % 3 {
		case 0:
			if _, err := uni.Write(some); err != nil {
				t.Fatal(n, err)
			}
		default:
			if err := uni.TryWriteAll(some[:1000]); err != nil && !errors.Is(err, quic.ErrWouldBlock) {
				t.Fatal(n, err)
			}
			if _, err := uni.Write(some); err != nil {
				t.Fatal(n, err)
			}
		}
		in, err := server.AcceptUniStream(within(t))
		if err != nil {
			t.Fatal(n, err)
		}
		switch n % 2 {
		case 0:
			uni.CancelWrite(7)
			for err == nil {
				_, err = in.Read(some[:100])
			}
		case 1:
			in.CancelRead(7)
			<-uni.Context().Done()
		}
	}
	str, err := client.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = str.Write(make([]byte, 256<<10)); _ = str.Close() }()
	in, err := server.AcceptStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, in); n != 256<<10 || err != nil {
		t.Error(n, err)
	}
}

// Without credit a write waits for its deadline, the end of its stream or that of the session, and none is opened.
func TestFlowWaits(t *testing.T) {
	t.Parallel()
	server, client := pair(t, narrow())
	str, err := client.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	sent, cut := make(chan int, 1), make(chan error, 1)
	go func() {
		n, err := str.Write(make([]byte, 1<<20))
		sent <- n
		cut <- err
	}()
	eventually(t, "the credit to be used up", func() bool { return commquic.CreditLeft(client) == 0 })
	_ = str.SetWriteDeadline(time.Unix(1, 0))
	if n, err := <-sent, <-cut; n != 64<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := str.TryWriteAll([]byte("x")); !errors.Is(err, quic.ErrWouldBlock) {
		t.Error(err)
	}
	wrote := make(chan error, 2)
	write := func(s *commquic.WebTransportSendStream) { _, err := s.Write([]byte("x")); wrote <- err }
	_ = str.SetWriteDeadline(time.Time{})
	go write(str)
	_ = str.SetWriteDeadline(time.Unix(1, 0)) // now or before it waits: it ends
	if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	_ = str.SetWriteDeadline(time.Time{})
	go write(str)
	str.CancelWrite(3)
	if err := <-wrote; !isStreamError(err, commquic.StreamError{Code: 3}) {
		t.Error(err)
	}
	// The server has not read, so that the window is used up still, but not the places.
	other, err := client.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	go write(other)
	for range 2 {
		if _, err := client.OpenUniStream(); err != nil {
			t.Fatal(err)
		}
	}
	var limit *quic.StreamLimitReachedError
	if _, err := client.OpenUniStream(); !errors.As(err, &limit) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err := client.OpenUniStreamSync(ctx); !errors.Is(err, why) {
		t.Error(err)
	}
	opened := make(chan error, 1)
	go func() { _, err := client.OpenUniStreamSync(context.Background()); opened <- err }()
	_ = server.CloseWithError(5, "")
	for _, c := range []chan error{wrote, opened} {
		if se, ok := errors.AsType[*commquic.SessionError](<-c); !ok || se.Code != 5 {
			t.Error(se)
		}
	}
}

// byHand is a session of which the test is the client, with limits of its own.
type byHand struct {
	*testing.T
	conn    *quic.Conn
	control *http3.RequestStream
	server  *commquic.WebTransportSession
	id      uint64
}

func openByHand(t *testing.T, s *commquic.Server, settings map[uint64]uint64) *byHand {
	t.Helper()
	accepted := make(sessions, 1)
	s.Handler = accepted
	at := serveH3(t, s)
	c, h := at.rawWith(t, settings)
	str, resp := connect(t, h, at.url("/"), nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	return &byHand{t, c, str, <-accepted, uint64(str.StreamID())}
}

// says sends a capsule.
func (b *byHand) says(kind uint64, body ...byte) {
	b.Helper()
	capsule := quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(body)))
	if _, err := b.control.Write(append(capsule, body...)); err != nil {
		b.Fatal(err)
	}
}

// hears reads the next capsule.
func (b *byHand) hears(p *http3.CapsuleParser, want uint64) uint64 {
	b.Helper()
	_ = b.control.SetReadDeadline(time.Now().Add(patience))
	kind, body, err := p.Next()
	if err != nil || uint64(kind) != want {
		b.Fatalf("capsule %#x, %v, want %#x", uint64(kind), err, want)
	}
	n, err := quicvarint.Read(body)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

var limited = map[uint64]uint64{0x14e9cd29: 1, 0x2b61: 10, 0x2b64: 1, 0x2b65: 1}

// The server keeps to its client's limits, says when it feels them, and goes on when they are raised.
func TestFlowKeepsToLimits(t *testing.T) {
	t.Parallel()
	b := openByHand(t, narrow(), limited)
	capsules := http3.NewCapsuleParser(b.control)
	str, err := b.server.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { _, err := str.Write([]byte("0123456789abcdef")); wrote <- errors.Join(err, str.Close()) }()
	if n := b.hears(capsules, dataBlocked); n != 10 {
		t.Errorf("blocked at %d bytes", n)
	}
	if _, err := b.server.OpenUniStream(); err == nil {
		t.Error("a second stream is opened")
	}
	if n := b.hears(capsules, uniBlocked); n != 1 {
		t.Errorf("blocked at %d streams", n)
	}
	select {
	case err := <-wrote:
		t.Errorf("16 bytes where 10 are allowed: %v", err)
	default:
	}
	b.says(maxData, 16)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	b.says(maxUni, 2)
	if _, err := b.server.OpenUniStreamSync(within(t)); err != nil {
		t.Error(err)
	}
}

// A client that does not keep to the limits, or gives some that are none, loses its session and nothing else.
func TestFlowViolations(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(b *byHand){
		"too many streams": func(b *byHand) {
			for range 5 {
				uniOf(b.T, b.conn, b.id, "x")
			}
		},
		"too many streams both ways": func(b *byHand) {
			for range 5 {
				streamOf(b.T, b.conn, b.id, "x")
			}
		},
		"too many bytes": func(b *byHand) {
			str := uniOf(b.T, b.conn, b.id, "")
			_, _ = str.Write(make([]byte, 64<<10+1))
			_ = str.Close()
		},
		"a lower limit":     func(b *byHand) { b.says(maxData, 9) },
		"the same limit":    func(b *byHand) { b.says(maxUni, 1) },
		"a capsule of none": func(b *byHand) { b.says(maxStreamData, 63) },
		"no number":         func(b *byHand) { b.says(maxBidi) },
		"two numbers":       func(b *byHand) { b.says(maxBidi, 2, 3) },
		"a long number":     func(b *byHand) { b.says(bidiBlocked, make([]byte, 9)...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openByHand(t, narrow(), limited)
			do(b)
			<-b.server.Context().Done()
			if err := context.Cause(b.server.Context()); !errors.Is(err, commquic.ErrFlowControl) {
				t.Errorf("ended with %v", err)
			}
			_ = b.control.SetReadDeadline(time.Now().Add(patience))
			_, err := io.Copy(io.Discard, b.control)
			if he, ok := errors.AsType[*http3.Error](err); !ok || quic.StreamErrorCode(he.ErrorCode) != flowControlError {
				t.Errorf("the client is told %v", err)
			}
			if b.conn.Context().Err() != nil {
				t.Error("the connection has ended")
			}
		})
	}
}

// Where one end does not announce it, as browsers of earlier drafts do not, there is none, and its capsules mean nothing.
func TestFlowNeedsBoth(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server   *commquic.Server
		settings map[uint64]uint64
	}{
		"draft 02":   {narrow(), map[uint64]uint64{0x2b603742: 1}},
		"draft 15":   {narrow(), map[uint64]uint64{0x2c7cf000: 1, 0x2b61: 0, 0x2b64: 0}},
		"turned off": {&commquic.Server{SessionStreams: -1}, limited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openByHand(t, test.server, test.settings)
			if commquic.HasFlow(b.server) {
				t.Fatal("there is flow control")
			}
			b.says(maxStreamData, 1)
			b.says(maxData, 0)
			for range 10 {
				str := uniOf(t, b.conn, b.id, "x")
				_, _ = str.Write(make([]byte, 16<<10))
				_ = str.Close()
				in, err := b.server.AcceptUniStream(within(t))
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, in); n != 16<<10+1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if err := context.Cause(b.server.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
