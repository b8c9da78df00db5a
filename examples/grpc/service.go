package main

import (
	"context"
	"log"
	"time"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// ticks is the group of those who listen.
const ticks = "ticks"

// tick is the content of a message.
type tick struct {
	N  int       `json:"n"`
	At time.Time `json:"at"`
}

// newService makes the gateway. Everybody may listen, and do nothing else.
func newService(opts ...comm.Option) (*comm.Manager, error) {
	return comm.New(append([]comm.Option{comm.WithProvider(commgrpc.New()), comm.WithAuthorizer(onlyListen)}, opts...)...)
}

func onlyListen(_ context.Context, _ *comm.Conn, a comm.Access) error {
	if a.Action == comm.ActionJoin && a.Group == ticks {
		return nil
	}
	return comm.ErrForbidden
}

// sendTicks sends one tick each interval until ctx ends. The gateway keeps the last of them for those who come back.
func sendTicks(ctx context.Context, gw *comm.Manager, interval time.Duration) {
	every := time.NewTicker(interval)
	defer every.Stop()
	for n := 1; ; n++ {
		select {
		case at := <-every.C:
			if err := sendTick(ctx, gw, tick{n, at.UTC()}); err != nil {
				log.Print(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func sendTick(ctx context.Context, gw *comm.Manager, t tick) error {
	m, err := comm.NewMessage("tick", t)
	if err != nil {
		return err
	}
	_, err = gw.Send(ctx, comm.ToGroup(ticks), m)
	return err
}
