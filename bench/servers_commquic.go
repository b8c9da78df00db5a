package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	commquic "github.com/anasamu/comm/quic"
)

// commQUIC is QUIC and HTTP/3 on the manager's address.
type commQUIC struct{}

func (commQUIC) start(s *spec, e entry, opts ...comm.Option) (*commHub, error) {
	conf, err := s.tlsConfig("h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	m, err := comm.New(append(opts, comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithTLS(conf),
		comm.WithAddr("127.0.0.1:0"),
		comm.WithMaxConnectionsPerAddr(plenty), comm.WithMaxConnectionsPerUser(plenty), comm.WithHandshakeRate(plenty, plenty),
		comm.WithMessageRate(plenty, plenty), comm.WithProvider(commquic.New(commquic.WithRetryRate(plenty))))...)
	if err != nil {
		return nil, err
	}
	h := &commHub{m: m, targets: []comm.Target{comm.ToAll()}, counted: 1}
	_, err = h.start(e)
	return h, err
}

// QUIC serves comm/1.
func (c commQUIC) QUIC(s *spec) (hub, error) {
	opts := []comm.Option{comm.WithProvider(commhttp.New())}
	if s.Variant == variantBeside {
		opts = append(opts, comm.WithQueue(10_000, 2*besideSize))
	}
	h, err := c.start(s, entry{Proto: alpnComm}, opts...)
	if err != nil {
		return nil, err
	}
	comm.On(h.m, "echo", func(ctx context.Context, c *comm.Conn, m *comm.Message) error {
		_, err := c.Send(ctx, m)
		return err
	})
	q := &commQUICHub{commHub: h, spec: s, payloads: quicPayloads(s)}
	for _, p := range q.payloads {
		m, err := comm.NewMessage("event", p)
		if err != nil {
			return nil, err
		}
		q.made = append(q.made, m)
	}
	return q, nil
}

// H3 serves a route.
func (c commQUIC) H3(s *spec) (hub, error) {
	return c.start(s, entry{}, comm.WithProvider(commhttp.New(commhttp.Handle("GET /hello", h3Handler(s)))))
}

// commQUICHub sends what the rows of QUIC want.
type commQUICHub struct {
	*commHub
	spec     *spec
	payloads [][]byte
	made     []*comm.Message
	sent     int
	small    uint64
}

// Flood sends to everyone: to the one connection, waiting for room, or to the group.
func (h *commQUICHub) Flood(n int) error {
	to, opts := comm.ToGroup(groupName(0)), []comm.SendOption(nil)
	if h.spec.Conns == 1 {
		c, err := h.only()
		if err != nil {
			return err
		}
		to, opts = comm.ToConn(c.ID()), []comm.SendOption{comm.WithBlock()}
	}
	for range n {
		m, err := h.message()
		if err != nil {
			return err
		}
		d, err := h.m.Send(context.Background(), to, m, opts...)
		if d.Matched > h.spec.Conns { // the one that takes nothing may lose what it likes
			d.Queued = d.Matched - max(0, d.Matched-d.Queued-1)
		}
		if err := delivered(d, err); err != nil {
			return err
		}
	}
	return nil
}

func (h *commQUICHub) message() (*comm.Message, error) {
	i := h.sent % len(h.made)
	h.sent++
	if h.spec.Variant == variantFresh {
		return comm.NewMessage("event", h.payloads[i])
	}
	return h.made[i], nil
}

func (h *commQUICHub) only() (*comm.Conn, error) {
	for c := range h.m.Connections(comm.ToAll()) {
		return c, nil
	}
	return nil, errors.New("nobody is connected")
}

// Beside sends the large message on a lane, and small ones on a schedule.
func (h *commQUICHub) Beside(n int) error {
	c, err := h.only()
	if err != nil {
		return err
	}
	if err := delivered(c.Send(context.Background(), h.made[0], comm.WithLane("files"))); err != nil {
		return err
	}
	return onSchedule(n, func(at time.Time) error {
		m, err := comm.NewMessage("small", appendPayload(nil, h.small, at, besideSmall))
		if err != nil {
			return err
		}
		h.small++
		return delivered(c.Send(context.Background(), m))
	})
}

// onSchedule calls send n times, with when each is meant to leave.
func onSchedule(n int, send func(at time.Time) error) error {
	start := time.Now()
	for i := range n {
		at := start.Add(time.Duration(i) * besidePeriod)
		time.Sleep(time.Until(at))
		if err := send(at); err != nil {
			return err
		}
	}
	return nil
}
