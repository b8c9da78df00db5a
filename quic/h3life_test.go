package commquic_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	commquic "github.com/anasamu/comm/quic"
)

// The time without anything under way is counted from the last of it.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ended := make(chan time.Duration, 2)
		idle := commquic.NewIdle(time.Minute, func() { ended <- time.Since(began) })
		idle.Start()
		for range 3 { // of which two are under way at once
			time.Sleep(50 * time.Second)
			idle.Enter()
			idle.Enter()
			time.Sleep(5 * time.Minute)
			idle.Leave()
			time.Sleep(5 * time.Minute)
			idle.Leave()
		}
		if got, want := <-ended, 3*(10*time.Minute+50*time.Second)+time.Minute; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		idle.Stop()
		idle.Enter() // what comes late changes nothing
		idle.Leave()
		for _, after := range []time.Duration{0, -1} {
			never := commquic.NewIdle(after, func() { t.Errorf("ended with %v", after) })
			never.Start()
			never.Enter()
			never.Leave()
		}
		stopped := commquic.NewIdle(time.Minute, func() { t.Error("ended after it was stopped") })
		stopped.Start()
		stopped.Stop()
		time.Sleep(time.Hour)
	})
}

// A connection without requests is closed in good order; one with a request under way stays.
func TestHTTP3IdleTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serveH3(t, &commquic.Server{IdleTimeout: 2 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-release
	})})
	busy, h := s.raw(t)
	resp, err := h.RoundTrip(mustRequest(t, s.url("/")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	silent, _ := s.raw(t)
	if code, text := closedWith(t, silent); code != quic.ApplicationErrorCode(http3.ErrCodeNoError) || text != "idle timeout" {
		t.Errorf("closed with %v %q", code, text)
	}
	if busy.Context().Err() != nil { // older than the one that was closed
		t.Errorf("closed with a request under way: %v", context.Cause(busy.Context()))
	}
	close(release)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	if code, _ := closedWith(t, busy); code != quic.ApplicationErrorCode(http3.ErrCodeNoError) {
		t.Errorf("closed with %v", code)
	}
}

// A client that lets the server open no stream is sent away at once.
func TestHTTP3WithoutControlStream(t *testing.T) {
	t.Parallel()
	s := serveH3(t, &commquic.Server{Handler: http.NotFoundHandler()})
	conf := s.client.Clone()
	conf.NextProtos = []string{http3.NextProtoH3}
	c, err := quic.DialAddr(within(t), s.addr, conf, &quic.Config{EnableDatagrams: true, MaxIncomingUniStreams: -1})
	if err == nil {
		<-c.Context().Done()
		err = context.Cause(c.Context())
	}
	ae, known := errors.AsType[*quic.ApplicationError](err)
	te, early := errors.AsType[*quic.TransportError](err) // which hides the code until the handshake is over (RFC 9000 10.2.3)
	switch {
	case known && ae.Remote && ae.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeGeneralProtocolError):
	case early && te.Remote && te.ErrorCode == quic.ApplicationErrorErrorCode:
	default:
		t.Errorf("closed with %v", err)
	}
}
