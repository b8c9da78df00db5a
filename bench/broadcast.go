package main

import "fmt"

var (
	deliveryCPU    = column{"cpu", "server CPU, us/delivery", "%.3f", true}
	deliveryAllocs = column{"allocs", "allocs/delivery", "%.3f", true}
	hubColumns     = []column{delivColumn, deliveryCPU, deliveryAllocs, clientColumn, busyColumn, othersColumn}
)

var broadcastRows = []row{
	broadcastRow("bcast1000", "broadcast, 1,000 messages to 1,000 connections", 2, spec{Conns: 1000, Groups: 1, Messages: 1000, Rounds: 2}),
	withCeiling(broadcastRow("bcast10k", "broadcast, one message to 10,000 connections, and the next when all have it", 3, spec{Conns: 10000, Groups: 1, Messages: 1, Rounds: 40})),
	broadcastRow("bcastgroups", "broadcast, 1,000 groups of 10, one message to each in turn", 5, spec{Conns: 10000, Groups: 1000, Messages: 20, Rounds: 2}),
}

func broadcastRow(name, title string, ratio float64, s spec) row {
	s.Scenario, s.Size = "broadcast", 128
	return row{name: name, title: title, wants: wantsHub, target: target{ratio: ratio}, columns: hubColumns, spec: s, not: []string{"direct"}}
}

// withCeiling measures beside the hubs what the machine does for no hub at all. It is no rival.
func withCeiling(r row) row {
	r.not, r.target.among = nil, []string{"gws", "centrifuge", "melody"}
	return r
}

// audience connects all clients of a spec to its groups and makes them hear
// one round, so that every buffer is there that will be needed.
func audience(s *spec) (*receiver, *control, error) {
	l, err := newLoop()
	if err != nil {
		return nil, nil, err
	}
	if err := connectAudience(s, l); err != nil {
		return nil, nil, err
	}
	r, c, err := joined(s, l)
	if err != nil {
		return nil, nil, err
	}
	return r, c, r.round(c, max(1, s.Messages/10), s)
}

func connectAudience(s *spec, l *loop) error {
	switch {
	case s.Entry.GRPC != "":
		return connectGRPC(s, l)
	case s.Entry.WS != "":
		return connect(s, l, dialWebSocket)
	}
	return connect(s, l, dialStream)
}

// hello takes what the servers say first, so that it is out of the way.
func (r *receiver) hello() error {
	for range 3 {
		if err := r.from.turn(5, r.take); err != nil {
			return err
		}
	}
	return nil
}

// round has n messages sent to each group and receives them.
func (r *receiver) round(c *control, n int, s *spec) error {
	if err := c.send(request{Op: "burst", Messages: n}); err != nil {
		return err
	}
	if err := r.until(r.got + n*s.Conns); err != nil {
		return err
	}
	_, err := c.receive()
	return err
}

// driveBroadcast has the server publish bursts and waits for each to arrive.
func driveBroadcast(s *spec) (metrics, error) {
	r, c, err := audience(s)
	if err != nil {
		return nil, fmt.Errorf("before measuring: %w", err)
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	r.got = 0
	for range s.Rounds {
		if err := r.round(c, s.Messages, s); err != nil {
			return nil, err
		}
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	return m.report(r.got), r.quiet()
}
