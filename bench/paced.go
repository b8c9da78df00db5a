package main

import "time"

var (
	lastColumn   = column{"last", "until all have it, us", "%.0f", true}
	pacedColumns = []column{p99Column, p50Column, p999Column, paceColumn, deliveryCPU, clientColumn, busyColumn, othersColumn}
)

var pacedRows = []row{
	pacedRow("paced20", "1,000 connections, open loop at 20 % of what saturates the best rival", 0.2),
	pacedRow("paced50", "1,000 connections, open loop at 50 % of what saturates the best rival", 0.5),
	pacedRow("paced80", "1,000 connections, open loop at 80 % of what saturates the best rival", 0.8),
	{
		name: "single", title: "one message to 1,000 connections, publish to read, 50 a second", wants: wantsHub,
		target: target{ratio: 1.1, among: []string{"direct"}}, columns: []column{p50Column, p99Column, lastColumn, deliveryCPU},
		spec: spec{Scenario: "paced", Conns: 1000, Groups: 1, Messages: 10, Rounds: 1, Size: 128, Rate: 50},
	},
}

func pacedRow(name, title string, share float64) row {
	return row{
		name: name, title: title, wants: wantsHub, target: target{ratio: 1}, columns: pacedColumns, not: []string{"direct"},
		spec: spec{Scenario: "paced", Conns: 1000, Groups: 1, Messages: 1000, Rounds: 1, Size: 128, Share: share},
	}
}

// drivePaced has the server publish on a schedule that nothing holds up, and
// takes the time from when each message was meant to leave.
func drivePaced(s *spec) (metrics, error) {
	s.Messages = min(s.Messages, 100) // of the round that warms up
	r, c, err := audience(s)
	if err != nil {
		return nil, err
	}
	return r.pace(c, s, s.Conns/max(1, s.Groups))
}

// pace measures one stretch of s.Measure at s.Rate, each message to so many.
func (r *receiver) pace(c *control, s *spec, members int) (metrics, error) {
	n := max(1, int(s.Rate*s.Measure.Seconds()))
	r.samples, r.timed = make([]uint32, 0, n*members), true
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	r.got = 0
	if err := c.send(request{Op: "paced", Messages: n, Rate: s.Rate}); err != nil {
		return nil, err
	}
	if err := r.until(n * members); err != nil {
		return nil, err
	}
	m.stop()
	if _, err := c.receive(); err != nil {
		return nil, err
	}
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(r.got)
	out["pace"] = s.Rate * float64(members)
	out["last"] = r.last(members)
	r.latency(out)
	return out, r.quiet()
}

// last is the mean time until all receivers of a message had it. It holds
// where one message has arrived before the next is sent.
func (r *receiver) last(members int) float64 {
	var sum time.Duration
	n := 0
	for i := 0; i+members <= len(r.samples); i += members {
		var slowest uint32
		for _, v := range r.samples[i : i+members] {
			slowest = max(slowest, v)
		}
		sum += time.Duration(slowest) * sampleUnit
		n++
	}
	return float64(sum.Microseconds()) / float64(max(1, n))
}
