package commquic_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	commquic "github.com/anasamu/comm/quic"
)

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
	s := serveH3(t, &commquic.Server{Handler: accepted, HeaderTimeout: 2 * time.Second})
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
	_ = str.SetReadDeadline(time.Now().Add(patience))
	_, err := str.Read(make([]byte, 1))
	se, ok := errors.AsType[*quic.StreamError](err)
	if !ok {
		t.Error(err)
		return 0
	}
	return se.ErrorCode
}
