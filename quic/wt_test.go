package commquic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	commquic "github.com/anasamu/comm/quic"
)

// sessions is a handler that hands its sessions to the test.
type sessions chan *commquic.WebTransportSession

func (c sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, err := commquic.UpgradeWebTransport(w, r)
	if err == nil {
		c <- s
	}
}

// pair is both ends of a session.
func pair(t *testing.T, s *commquic.Server) (server, client *commquic.WebTransportSession) {
	t.Helper()
	accepted := make(sessions, 1)
	s.Handler = accepted
	at := serveH3(t, s)
	client, resp, err := commquic.DialWebTransport(within(t), at.url("/wt"), commquic.WithTLS(at.client))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	server = <-accepted
	t.Cleanup(func() { _ = client.CloseWithError(0, ""); <-client.Context().Done() })
	return server, client
}

// Streams both ways and one way, and datagrams, from either end.
func TestWebTransportEcho(t *testing.T) {
	t.Parallel()
	server, client := pair(t, &commquic.Server{})
	for name, ends := range map[string][2]*commquic.WebTransportSession{"client opens": {client, server}, "server opens": {server, client}} {
		t.Run(name, func(t *testing.T) {
			opener, acceptor := ends[0], ends[1]
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			go func() {
				if str, err := acceptor.AcceptStream(within(t)); err == nil {
					_, _ = io.Copy(str, str)
					_ = str.Close()
				}
			}()
			str, err := opener.OpenStreamSync(within(t))
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = str.Write(big); _ = str.Close() }()
			if got, err := io.ReadAll(str); err != nil || !bytes.Equal(got, big) {
				t.Error(len(got), err)
			}
			uni, err := opener.OpenUniStreamSync(within(t))
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = uni.Write(big); _ = uni.Close() }()
			in, err := acceptor.AcceptUniStream(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, big) {
				t.Error(len(got), err)
			}
			if err := opener.SendDatagram([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			if b, err := acceptor.ReceiveDatagram(within(t)); err != nil || string(b) != "ping" {
				t.Error(string(b), err)
			}
		})
	}
	for _, s := range []*commquic.WebTransportSession{server, client} {
		deadline := time.Now().Add(10 * time.Second)
		for commquic.OpenStreams(s) > 0 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if n := commquic.OpenStreams(s); n != 0 {
			t.Errorf("%d streams are still held", n)
		}
	}
}

// The end of a session reaches the other end with code and reason, and everything that waits.
func TestWebTransportClose(t *testing.T) {
	t.Parallel()
	for name, turned := range map[string]bool{"server": false, "client": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closer, other := pair(t, &commquic.Server{})
			if turned {
				closer, other = other, closer
			}
			str, err := other.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			waits := make(chan error, 4)
			go func() { _, err := other.AcceptStream(context.Background()); waits <- err }()
			go func() { _, err := other.AcceptUniStream(context.Background()); waits <- err }()
			go func() { _, err := other.ReceiveDatagram(context.Background()); waits <- err }()
			go func() { _, err := str.Read(make([]byte, 1)); waits <- err }()
			reason := strings.Repeat("é", 600)
			if err := closer.CloseWithError(77, reason); err != nil {
				t.Error(err)
			}
			<-other.Context().Done()
			want := &commquic.SessionError{Remote: true, Code: 77, Message: strings.Repeat("é", 512)}
			for range 4 {
				if se, ok := errors.AsType[*commquic.SessionError](<-waits); !ok || *se != *want {
					t.Errorf("%v", se)
				}
			}
			if err := other.SendDatagram(nil); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if _, err := other.OpenStream(); err == nil {
				t.Error("a stream of a closed session")
			}
			if err := closer.CloseWithError(1, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// Codes of resets pass both ways.
func TestWebTransportResets(t *testing.T) {
	t.Parallel()
	server, client := pair(t, &commquic.Server{})
	for _, code := range []uint32{0, 1, 29, 30, 31, 1<<32 - 1} {
		str, err := client.OpenStreamSync(within(t))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = str.Write([]byte("x"))
		in, err := server.AcceptStream(within(t))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = in.Read(make([]byte, 1))
		str.CancelWrite(code)
		want := commquic.StreamError{Remote: true, Code: code}
		if _, err := in.Read(make([]byte, 1)); !isStreamError(err, want) {
			t.Errorf("%d: %v", code, err)
		}
		str.CancelRead(code)
		for err == nil {
			_, err = in.Write([]byte("x"))
		}
		if !isStreamError(err, want) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func isStreamError(err error, want commquic.StreamError) bool {
	se, ok := errors.AsType[*commquic.StreamError](err)
	return ok && *se == want
}

// The announcement of an end leaves the session alive; Shutdown makes it and waits.
func TestWebTransportDrain(t *testing.T) {
	t.Parallel()
	s := &commquic.Server{}
	server, client := pair(t, s)
	if err := client.Drain(within(t)); err != nil {
		t.Fatal(err)
	}
	<-server.Draining()
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(within(t)) }()
	<-client.Draining()
	if str, err := client.OpenUniStreamSync(within(t)); err != nil {
		t.Error(err)
	} else if _, err := str.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	if _, err := server.AcceptUniStream(within(t)); err != nil {
		t.Error(err)
	}
	_ = client.CloseWithError(0, "")
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// A loss of the connection ends its sessions.
func TestWebTransportLost(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 1)
	s := serveH3(t, &commquic.Server{Handler: accepted})
	c, h := s.raw(t)
	connect(t, h, s.url("/"), nil)
	server := <-accepted
	_ = c.CloseWithError(0x1234, "gone")
	<-server.Context().Done()
	if err := context.Cause(server.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// connect asks for a session by hand.
func connect(t *testing.T, h *http3.RawClientConn, url string, header http.Header) (*http3.RequestStream, *http.Response) {
	t.Helper()
	str, err := h.OpenRequestStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return str, ask(t, str, url, header)
}

func ask(t *testing.T, str *http3.RequestStream, url string, header http.Header) *http.Response {
	t.Helper()
	r := mustRequest(t, url)
	r.Method, r.Proto = http.MethodConnect, "webtransport"
	if header.Get(":protocol") != "" {
		r.Proto = header.Get(":protocol")
		header = nil
	}
	if header != nil {
		r.Header = header
	}
	if err := str.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	resp, err := str.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// Both names of the protocol are taken, and all that is no good request is refused by its status.
func TestWebTransportRefusals(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 8)
	s := serveH3(t, &commquic.Server{Handler: accepted, MaxSessions: 2, HeaderTimeout: 5 * time.Second})
	_, h := s.raw(t)
	_, port, _ := net.SplitHostPort(s.addr)
	for _, c := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden},
		{http.Header{"Origin": {"http://" + s.addr}}, http.StatusForbidden},
		{http.Header{"Origin": {"https://127.0.0.1"}}, http.StatusForbidden},
		{http.Header{":protocol": {"webtransport-h4"}}, http.StatusMethodNotAllowed},
		{http.Header{"Origin": {"https://127.0.0.1:" + port}}, http.StatusOK},
		{http.Header{":protocol": {"webtransport-h3"}}, http.StatusOK},
		{nil, http.StatusTooManyRequests},
	} {
		if _, resp := connect(t, h, s.url("/"), c.header); resp.StatusCode != c.status {
			t.Errorf("%v: %s, want %d", c.header, resp.Status, c.status)
		}
	}
	_, plain := s.rawWith(t, nil)
	if _, resp := connect(t, plain, s.url("/"), nil); resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.Status)
	}
	if _, got := get(t, s.transport(t), http.MethodGet, s.url("/"), ""); !strings.Contains(got, "CONNECT") {
		t.Error(got)
	}
	_, resp, err := commquic.DialWebTransport(within(t), s.url("/"), commquic.WithTLS(s.client), commquic.WithHeader(http.Header{"Origin": {"null"}}))
	ue, ok := errors.AsType[*commquic.UpgradeError](err)
	if !ok || ue.Status != http.StatusForbidden {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"null"`) {
		t.Errorf("%s", b)
	}
}

// A place is free again once its session has ended.
func TestWebTransportSessionsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 1)
	s := serveH3(t, &commquic.Server{Handler: accepted, MaxSessions: 1})
	_, h := s.raw(t)
	for i := range 100 {
		str, resp := connect(t, h, s.url("/"), nil)
		if resp.StatusCode != http.StatusOK {
			t.Fatal(i, resp.Status)
		}
		session := <-accepted
		if i%2 == 0 {
			_ = session.CloseWithError(0, "")
		} else {
			_ = str.Close()
		}
		<-session.Context().Done()
		str.CancelRead(0)
		_ = str.Close()
	}
}

// streamOf opens a stream of a session by hand.
func streamOf(t *testing.T, c *quic.Conn, session uint64, text string) *quic.Stream {
	t.Helper()
	str, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = str.Write(append(quicvarint.Append([]byte{0x40, 0x41}, session), text...))
	return str
}

func uniOf(t *testing.T, c *quic.Conn, session uint64, text string) *quic.SendStream {
	t.Helper()
	str, err := c.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = str.Write(append(quicvarint.Append([]byte{0x40, 0x54}, session), text...))
	return str
}

// Streams that overtake their session wait for it.
func TestWebTransportEarlyStreams(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 1)
	s := serveH3(t, &commquic.Server{Handler: accepted})
	c, h := s.raw(t)
	str, err := h.OpenRequestStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	id := uint64(str.StreamID())
	_ = streamOf(t, c, id, "two ways").Close()
	_ = uniOf(t, c, id, "one way").Close()
	get(t, h, http.MethodGet, s.url("/"), "") // what was sent before has come
	if resp := ask(t, str, s.url("/"), nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	session := <-accepted
	both, err := session.AcceptStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	one, err := session.AcceptUniStream(within(t))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(both)
	o, _ := io.ReadAll(one)
	if string(b) != "two ways" || string(o) != "one way" {
		t.Errorf("%q %q", b, o)
	}
}

// Streams of no session are refused by the codes that the draft has for it, after a while, or at once
// where too many wait or the session has ended.
func TestWebTransportStreamsOfNoSession(t *testing.T) {
	t.Parallel()
	const rejected, gone = quic.StreamErrorCode(0x3994bd84), quic.StreamErrorCode(0x170d7b68)
	accepted := make(sessions, 1)
	s := serveH3(t, &commquic.Server{Handler: accepted, HeaderTimeout: 300 * time.Millisecond})
	c, h := s.raw(t)
	str, resp := connect(t, h, s.url("/"), nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	session := <-accepted
	_ = session.CloseWithError(0, "")
	if code := resetCode(t, streamOf(t, c, uint64(str.StreamID()), "late")); code != gone {
		t.Errorf("%#x", uint64(code))
	}
	var waiting []*quic.Stream
	for range 40 {
		waiting = append(waiting, streamOf(t, c, 4000, "early"))
	}
	for _, w := range waiting {
		if code := resetCode(t, w); code != rejected {
			t.Errorf("%#x", uint64(code))
		}
	}
	uniOf(t, c, 4001, "no client's stream")
	<-c.Context().Done()
	ae, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.Context()))
	if !ok || ae.ErrorCode != quic.ApplicationErrorCode(http3.ErrCodeIDError) {
		t.Error(context.Cause(c.Context()))
	}
}

func resetCode(t *testing.T, str *quic.Stream) quic.StreamErrorCode {
	t.Helper()
	_ = str.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := str.Read(make([]byte, 1))
	se, ok := errors.AsType[*quic.StreamError](err)
	if !ok {
		t.Error(err)
		return 0
	}
	return se.ErrorCode
}

// Capsules that nobody knows are dropped as they come, however long they say they are; a close reason
// that is too long is a malformed message.
func TestWebTransportCapsules(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 1)
	s := serveH3(t, &commquic.Server{Handler: accepted})
	_, h := s.raw(t)
	open := func() (*http3.RequestStream, *commquic.WebTransportSession) {
		str, resp := connect(t, h, s.url("/"), nil)
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		return str, <-accepted
	}
	capsule := func(kind, length uint64, body []byte) []byte {
		return append(quicvarint.Append(quicvarint.Append(nil, kind), length), body...)
	}
	str, session := open()
	_, _ = str.Write(capsule(0x1234567, 4<<20, make([]byte, 4<<20)))
	_, _ = str.Write(capsule(0x2843, 7, []byte("\x00\x00\x00\x09bye")))
	<-session.Context().Done()
	if se, ok := errors.AsType[*commquic.SessionError](context.Cause(session.Context())); !ok || se.Code != 9 || se.Message != "bye" {
		t.Error(context.Cause(session.Context()))
	}
	for name, b := range map[string][]byte{
		"reason of 1,025 bytes": capsule(0x2843, 4+1025, make([]byte, 4+1025)),
		"absurd length":         capsule(0x2843, 1<<61, nil),
		"no code":               capsule(0x2843, 3, []byte("abc")),
	} {
		str, session := open()
		_, _ = str.Write(b)
		<-session.Context().Done()
		_ = str.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := str.Read(make([]byte, 1))
		if he, ok := errors.AsType[*http3.Error](err); !ok || he.ErrorCode != http3.ErrCodeMessageError {
			t.Errorf("%s: %v", name, err)
		}
	}
	str, session = open()
	_ = str.Close()
	<-session.Context().Done()
	if se, ok := errors.AsType[*commquic.SessionError](context.Cause(session.Context())); !ok || !se.Remote || se.Code != 0 {
		t.Error(context.Cause(session.Context()))
	}
}

// Waiting ends with its context, and the session goes on.
func TestWebTransportContexts(t *testing.T) {
	t.Parallel()
	server, client := pair(t, &commquic.Server{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	_, err1 := client.AcceptStream(ctx)
	_, err2 := client.AcceptUniStream(ctx)
	_, err3 := client.ReceiveDatagram(ctx)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, why) {
			t.Error(err)
		}
	}
	_ = client.SendDatagram([]byte("alive"))
	if b, err := server.ReceiveDatagram(within(t)); string(b) != "alive" {
		t.Error(err)
	}
	var big *quic.DatagramTooLargeError
	if err := client.SendDatagram(make([]byte, 1<<16)); !errors.As(err, &big) {
		t.Error(err)
	}
	_, _, err := commquic.DialWebTransport(ctx, "https://127.0.0.1:1/")
	if !errors.Is(err, why) {
		t.Error(err)
	}
	for _, url := range []string{"http://127.0.0.1/", "https:///x", "https://127.0.0.1/#x", "::"} {
		if _, _, err := commquic.DialWebTransport(t.Context(), url); err == nil {
			t.Error(url)
		}
	}
}

// Many sessions of one connection do not meet.
func TestWebTransportManySessions(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 8)
	s := serveH3(t, &commquic.Server{Handler: accepted})
	c, h := s.raw(t)
	for i := range 8 {
		str, resp := connect(t, h, s.url("/"), nil)
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		session := <-accepted
		_ = uniOf(t, c, uint64(str.StreamID()), fmt.Sprint(i)).Close()
		in, err := session.AcceptUniStream(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(in); string(b) != fmt.Sprint(i) {
			t.Errorf("%s %v", b, err)
		}
	}
}
