package commquic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
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
		deadline := time.Now().Add(patience)
		for commquic.OpenStreams(s) > 0 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if n := commquic.OpenStreams(s); n != 0 {
			t.Errorf("%d streams are still held", n)
		}
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
