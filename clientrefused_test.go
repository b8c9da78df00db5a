package comm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// blockedDialer is a dialer whose way something closes for good that is no gateway.
type blockedDialer struct{ dials int }

func (*blockedDialer) Name() string { return "blocked" }

func (r *blockedDialer) Dial(context.Context, *comm.Frame) (comm.Carrier, error) {
	r.dials++
	return nil, comm.CloseReason{Kind: comm.ReasonUnauthorized, Text: "blocked on the way"}
}

// A refusal for good ends the client only when every dialer has met one.
func TestClientTriesEveryDialerBeforeItGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t, comm.WithProvider(ws.New()))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		blocked := &blockedDialer{}
		states := make(chan comm.StateChange, 100)
		c, err := comm.NewClient([]comm.Dialer{blocked, ws.Dialer("ws://gateway/ws", ws.WithNetDial(m.DialContext))},
			comm.WithOnState(func(s comm.StateChange) { states <- s }))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		for s := range states {
			if s.State == comm.ClientConnected {
				same(t, "the carrier", s.Carrier, "websocket")
				break
			}
			if s.State == comm.ClientClosed {
				t.Fatalf("closed: %v", s.Err)
			}
		}
		same(t, "dials of the blocked one", blocked.dials, 1)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		nowhere, err := comm.NewClient([]comm.Dialer{&blockedDialer{}, &blockedDialer{}})
		if err != nil {
			t.Fatal(err)
		}
		var reason comm.CloseReason
		if err := nowhere.Run(t.Context()); !errors.As(err, &reason) || reason.Kind != comm.ReasonUnauthorized {
			t.Errorf("Run where every way is closed: %v", err)
		}
	})
}
