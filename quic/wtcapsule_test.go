package commquic_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	commquic "github.com/anasamu/comm/quic"
)

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
		"no UTF-8":              capsule(0x2843, 6, []byte("\x00\x00\x00\x01\xc3\x28")),
		"no code":               capsule(0x2843, 3, []byte("abc")),
	} {
		str, session := open()
		_, _ = str.Write(b)
		<-session.Context().Done()
		_ = str.SetReadDeadline(time.Now().Add(patience))
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
