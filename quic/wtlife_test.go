package commquic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	commquic "github.com/anasamu/comm/quic"
)

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

// A session that is about to end takes no further stream, which nobody would end then.
func TestStreamOfASessionAboutToEnd(t *testing.T) {
	t.Parallel()
	s := commquic.NewTellingSession(new(countedControl))
	release := s.HoldConn()
	ended := make(chan struct{})
	go func() { defer close(ended); s.EndLocally() }()
	eventually(t, "the beginning of the end", s.Ended)
	if err := s.Add(); !errors.Is(err, net.ErrClosed) || s.Context().Err() != nil {
		t.Errorf("%v, and the context says %v", err, s.Context().Err())
	}
	release()
	<-ended
	if n := commquic.OpenStreams(s.WebTransportSession); n != 0 {
		t.Errorf("%d streams", n)
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
