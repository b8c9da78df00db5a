package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// commHubs is the manager with its providers.
type commHubs struct {
	noLogs  bool // without history
	chunked bool // event streams stay with net/http
}

// plenty is a limit on clients that the rows do not reach: all of them come
// from one address.
const plenty = 1 << 20

func (c commHubs) manager(s *spec, opts ...comm.Option) (*commHub, error) {
	opts = append(opts,
		comm.WithAddr("127.0.0.1:0"),
		comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithMaxConnectionsPerAddr(plenty),
		comm.WithMaxConnectionsPerUser(plenty),
		comm.WithHandshakeRate(plenty, plenty),
		comm.WithMessageRate(plenty, plenty),
		comm.WithOnConnect(enterGroups(s.Variant)),
		comm.WithProvider(commhttp.New(), ws.New(), c.streams()))
	if c.noLogs {
		opts = append(opts, comm.WithLogs(false, false, false))
	}
	if s.TLS {
		conf, err := s.tlsConfig("h2", "http/1.1")
		if err != nil {
			return nil, err
		}
		opts = append(opts, comm.WithTLS(conf))
	}
	m, err := comm.New(opts...)
	if err != nil {
		return nil, err
	}
	h := &commHub{m: m}
	for g := range max(1, s.Groups) {
		h.targets = append(h.targets, comm.ToGroup(groupName(g)))
	}
	h.counted = len(h.targets)
	return h, nil
}

func (c commHubs) streams() *sse.Provider {
	if c.chunked {
		return sse.New()
	}
	return sse.New(sse.WithHijack())
}

// enterGroups puts a client into the group that its request names, and for
// some rows into a second one.
func enterGroups(variant string) func(context.Context, *comm.Handshake, *comm.Admission) error {
	return func(_ context.Context, hs *comm.Handshake, a *comm.Admission) error {
		a.Groups = []string{groupName(groupOf(hs.Request))}
		switch {
		case variant == variantReply:
			a.Groups = append(a.Groups, "lobby")
		case variant == variantStalled && groupOf(hs.Request) == groupStalled:
			a.Groups = append(a.Groups, groupName(groupEveryone))
		}
		return nil
	}
}

// commHub is a running manager.
type commHub struct {
	m       *comm.Manager
	targets []comm.Target
	counted int // of targets: those whose members are no others'
	entry   entry
}

func (h *commHub) start(e entry) (hub, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.m.Start(ctx); err != nil {
		return nil, err
	}
	addrs, err := h.m.Addrs("")
	if err != nil || len(addrs) == 0 {
		return nil, errors.Join(err, errors.New("no address"))
	}
	h.entry = e
	h.entry.Addr = addrs[0]
	return h, nil
}

func (h *commHub) Entry() entry { return h.entry }

func (h *commHub) Members() (n int) {
	for _, t := range h.targets[:h.counted] {
		n += h.m.ConnectionCount(t)
	}
	return n
}

func (h *commHub) Publish(group int, payload []byte) error {
	msg, err := comm.NewMessage("event", json.RawMessage(payload))
	if err != nil {
		return err
	}
	return delivered(h.m.Send(context.Background(), h.targets[group], msg))
}

// delivered fails where a message did not go to everyone.
func delivered(d comm.Delivery, err error) error {
	if err == nil && d.Queued != d.Matched {
		err = fmt.Errorf("%d of %d deliveries were dropped", d.Matched-d.Queued, d.Matched)
	}
	return err
}

// Hub has simple clients: they say no hello.
func (c commHubs) Hub(s *spec) (hub, error) {
	h, err := c.manager(s)
	if err != nil {
		return nil, err
	}
	return h.start(entry{WS: "/ws?group=%d"})
}

// Streams is the same over Server-Sent Events.
func (c commHubs) Streams(s *spec) (hub, error) {
	h, err := c.manager(s)
	if err != nil {
		return nil, err
	}
	return h.start(entry{SSE: "/events?group=%d"})
}
