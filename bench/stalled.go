package main

import (
	"fmt"
	"time"
)

// A staller is a hubber that also serves the other carriers, and that can tell
// when a client no longer takes anything.
type staller interface {
	Stall(s *spec) (hub, error)
}

// filler is a hub that publishes to a group until its client stalls.
type filler interface {
	Fill(group int) error
}

// The stalling client is in both groups: everyone's, and one of its own in
// which it is given more than its socket holds.
const (
	groupEveryone = 0
	groupStalled  = 1
)

const variantStalled = "stalled"

var (
	ratioColumn    = column{"slowdown", "p99 with / without", "%.2f", true}
	withColumn     = column{"with", "p99 with, us", "%.0f", true}
	withoutColumn  = column{"without", "p99 without, us", "%.0f", true}
	stalledColumns = []column{ratioColumn, withColumn, withoutColumn, paceColumn, busyColumn, othersColumn}
)

var stalledRows = []row{
	stalledRow("ws", "one stalled client among 1,000 WebSockets", 1000, 20),
	stalledRow("sse", "one stalled client among 1,000 event streams", 1000, 20),
	stalledRow("tls", "one stalled client among 1,000 WebSockets over TLS", 1000, 20),
	stalledRow("poll", "one client that stops polling among 200 of long polling", 200, 20),
	stalledRow("h2", "one stalled stream among 200 event streams on one HTTP/2 connection", 200, 50),
}

func stalledRow(carrier, title string, conns int, rate float64) row {
	return row{
		name: "stalled" + carrier, title: title, wants: wantsStaller, columns: stalledColumns, target: target{absolute: 1.05},
		spec: spec{
			Scenario: "stalled", Carrier: carrier, Variant: variantStalled, TLS: carrier == "tls",
			Conns: conns, Groups: 1, Messages: 20, Size: 128, Rate: rate,
		},
	}
}

// stallSlices is how often the time without the stall is taken; the last is
// kept, when everything is warm.
const stallSlices = 2

// driveStalled takes p99 of the others while one client reads, and while the
// same client does not and its connection is full.
func driveStalled(s *spec) (metrics, error) {
	src, victim, err := stallSource(s)
	if err != nil {
		return nil, err
	}
	r, c, err := joined(s, src)
	if err != nil {
		return nil, err
	}
	var without, with metrics
	for range stallSlices {
		if without, err = r.pace(c, s, s.Conns); err != nil {
			return nil, fmt.Errorf("without a stall: %w", err)
		}
	}
	if err := victim(); err != nil {
		return nil, err
	}
	if _, err := c.ask(request{Op: "fill"}); err != nil {
		return nil, err
	}
	if with, err = r.pace(c, s, s.Conns-1); err != nil {
		return nil, fmt.Errorf("with a stall: %w", err)
	}
	with["with"], with["without"], with["slowdown"] = with["p99"], without["p99"], with["p99"]/without["p99"]
	return with, nil
}

// joined is a receiver of clients that are all in their groups.
func joined(s *spec, src source) (*receiver, *control, error) {
	c, err := dialControl(s)
	if err != nil {
		return nil, nil, err
	}
	r := newReceiver(s, src)
	if err := r.hello(); err != nil {
		return nil, nil, err
	}
	return r, c, c.join(s.Conns)
}

// stallSource connects everyone. victim makes the last one stall.
func stallSource(s *spec) (src source, victim func() error, err error) {
	switch s.Carrier {
	case "poll":
		return pollSource(s)
	case "h2":
		return h2Source(s)
	}
	l, err := newLoop()
	if err != nil {
		return nil, nil, err
	}
	dial := dialWebSocket
	if s.Carrier == "sse" {
		dial = dialStream
	}
	for i := range s.Conns {
		w, err := dial(s, i, stalledGroup(s, i))
		if err == nil {
			err = l.add(w)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return l, func() error { return l.mute(l.all[s.Conns-1]) }, nil
}

func stalledGroup(s *spec, index int) int {
	if index == s.Conns-1 {
		return groupStalled
	}
	return groupEveryone
}

// source is where a receiver's messages come from: the loop, or a client of
// net/http for what the raw one does not speak.
type source interface {
	turn(ms int, deliver func(*wire, serverFrame) error) error
	// read is when what is being delivered was read.
	read() int64
}

// feed is a source that goroutines fill.
type feed struct {
	events chan fed
	at     int64
}

// fed is what one goroutine has read, or why it ended.
type fed struct {
	wire *wire
	b    []byte
	at   int64
	err  error
}

func newFeed() *feed                          { return &feed{events: make(chan fed, 1024)} }
func (f *feed) read() int64                   { return f.at }
func (f *feed) send(e fed)                    { e.at = time.Now().UnixNano(); f.events <- e }
func newFed(w *wire, b []byte, err error) fed { return fed{wire: w, b: b, err: err} }

func (f *feed) turn(ms int, deliver func(*wire, serverFrame) error) error {
	select {
	case e := <-f.events:
		if e.err != nil {
			return fmt.Errorf("client %d: %w", e.wire.index, e.err)
		}
		f.at = e.at
		return deliver(e.wire, serverFrame{op: opText, fin: true, payload: e.b})
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return nil
	}
}
