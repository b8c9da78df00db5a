package main

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// room is the one group.
const room = "room"

// said is a message of the room.
type said struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// newServer makes the gateway. Clients may join the room, and nothing else but what has a handler.
func newServer(addr string) (*comm.Manager, error) {
	m, err := comm.New(
		comm.WithAddr(addr),
		comm.WithDevelopmentCertificate(),
		comm.WithProvider(commquic.New()),
		comm.WithMaxMessage(64<<20),
		comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
			if a.Action == comm.ActionJoin && a.Group == room {
				return nil
			}
			return comm.ErrForbidden
		}),
		comm.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil {
		return nil, err
	}
	comm.On(m, "say", func(ctx context.Context, _ *comm.Conn, s said) error { return tell(ctx, m, "said", s) })
	comm.On(m, "file", func(ctx context.Context, _ *comm.Conn, msg *comm.Message) error {
		_, err := m.Send(ctx, comm.ToGroup(room), msg, comm.WithLane("files"), comm.WithoutHistory())
		return err
	})
	return m, nil
}

func tell(ctx context.Context, m *comm.Manager, typ string, content any, opts ...comm.SendOption) error {
	msg, err := comm.NewMessage(typ, content)
	if err != nil {
		return err
	}
	_, err = m.Send(ctx, comm.ToGroup(room), msg, opts...)
	return err
}

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, addr string, w io.Writer) error {
	m, err := newServer(addr)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Start(ctx); err != nil {
		return err
	}
	_, hash := m.DevelopmentCertificate()
	printer{w}.say("serving on %s; connect with\n  go run ./examples/quic -client -addr %s -pin %s", addr, addr, hex.EncodeToString(hash))
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if err := tell(ctx, m, "time", now.Format(time.TimeOnly), comm.WithUnreliable(), comm.WithoutHistory()); err != nil {
				return err
			}
		case <-ctx.Done():
			return m.Drain(context.Background())
		}
	}
}
