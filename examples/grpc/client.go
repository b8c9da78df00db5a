package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// listen shows every tick until ctx ends. The client reconnects by itself, and goes on where it was.
func listen(ctx context.Context, d comm.Dialer, show func(tick)) error {
	client, err := comm.NewClient([]comm.Dialer{d}, comm.WithGroups(ticks),
		comm.WithOnState(func(s comm.StateChange) {
			if s.State == comm.ClientWaiting {
				log.Printf("away for %v: %v", s.Wait, s.Err)
			}
		}),
		comm.WithOnGap(func(g comm.Gap) { log.Printf("ticks %d to %d are lost", g.From, g.To) }))
	if err != nil {
		return err
	}
	client.On("tick", func(_ context.Context, m *comm.Message) error {
		t, err := comm.Decode[tick](m)
		if err == nil {
			show(t)
		}
		return err
	})
	return client.Run(ctx)
}

// subscribe shows every tick until ctx or the stream ends, with the generated code alone. To go on after a cut, it would have
// to keep the position: of each frame's log the last offset, for the next request.
func subscribe(ctx context.Context, hub commv1.HubServiceClient, show func(tick)) error {
	stream, err := hub.Subscribe(ctx, &commv1.SubscribeRequest{Groups: []string{ticks}})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		for _, f := range r.GetFrames() {
			if err := take(f, show); err != nil {
				return err
			}
		}
	}
}

// take is one frame of a stream. Those it does not know are for others.
func take(f *commv1.Frame, show func(tick)) error {
	switch f.GetOp() {
	case commv1.Op_OP_MESSAGE:
		var t tick
		if err := json.Unmarshal(f.GetMessage().GetContent(), &t); err != nil {
			return err
		}
		show(t)
	case commv1.Op_OP_ERROR:
		return fmt.Errorf("%s %s: %s", f.GetGroup(), f.GetCode(), f.GetText())
	case commv1.Op_OP_CLOSING:
		log.Printf("the service closes: %s %s", f.GetCode(), f.GetText())
	}
	return nil
}
