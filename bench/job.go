package main

import (
	"fmt"
	"time"
)

var jobRows = []row{
	jobRow("mainjob", "JSON in over WebSocket, auth, middleware, handler, group send, out to 8 WebSocket clients and 2 event streams a group", target{ratio: 2},
		jobColumns, spec{Scenario: "job", Groups: 100, Flight: 8}),
	jobRow("mainjob100", "the same in groups of 100, of which 2 are event streams, with 64 messages of each speaker under way", target{ratio: 2},
		jobColumns, spec{Scenario: "job", Groups: 10, Flight: 64}),
	jobRow("mainjobp99", "the first in open loop, 20,000 messages a second for all", target{ratio: 0.5},
		[]column{p99Column, p50Column, p999Column, paceColumn, deliveryCPU, busyColumn, othersColumn}, spec{Scenario: "pacedjob", Groups: 100, Rate: 20_000}),
}

var jobColumns = []column{delivColumn, deliveryCPU, deliveryAllocs, clientColumn, busyColumn, othersColumn}

func jobRow(name, title string, t target, columns []column, s spec) row {
	s.Conns, s.Size, s.Warm = 1000, 128, 300*time.Millisecond
	return row{name: name, title: title, wants: wantsJob, target: t, columns: columns, spec: s}
}

// say is a payload as the handlers of all subjects decode and encode it.
type say struct {
	Seq int64  `json:"seq"`
	At  int64  `json:"at"`
	Pad string `json:"pad"`
}

// streamsOf is how many of the members of a group are event streams, for a
// subject that has them.
const streamsOf = 2

// dialMember connects a member of a group: the first of each group speaks.
func dialMember(s *spec, index, group int) (*wire, error) {
	members := s.Conns / s.Groups
	if s.Entry.SSE != "" && index/s.Groups >= members-streamsOf {
		return dialStream(s, index, group)
	}
	return dialWebSocket(s, index, group)
}

// jobRun is the speakers and everyone who hears them.
type jobRun struct {
	*receiver
	loop     *loop
	spec     *spec
	speakers []*wire
	said     []uint64 // by group
	sent     int
	current  *wire // of the speakers, who has heard itself
	unsaid   int   // what it must say for that
	payload  []byte
	frames   []byte
}

func newJobRun(s *spec) (*jobRun, *control, error) {
	l, err := newLoop()
	if err != nil {
		return nil, nil, err
	}
	if err := connect(s, l, dialMember); err != nil {
		return nil, nil, err
	}
	j := &jobRun{receiver: newReceiver(s, l), loop: l, spec: s, speakers: l.all[:s.Groups], said: make([]uint64, s.Groups)}
	if err := j.hello(); err != nil {
		return nil, nil, err
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, nil, err
	}
	return j, c, c.join(s.Conns)
}

// speak has a group's speaker say its next n messages, by one write.
func (j *jobRun) speak(group, n int, at time.Time) error {
	w := j.speakers[group]
	j.frames = j.frames[:0]
	for range n {
		j.payload = appendPayload(j.payload[:0], j.said[group], at, j.size)
		j.frames = appendSay(j.frames, j.spec, w, j.payload)
		j.said[group]++
	}
	j.sent += n
	return w.write(j.frames)
}

// echo has a speaker who hears itself say more.
func (j *jobRun) echo(w *wire, f serverFrame) error {
	if w != j.current {
		if err := j.follow(); err != nil {
			return err
		}
		j.current = w
	}
	before := w.next
	err := j.take(w, f)
	j.unsaid += int(w.next - before)
	return err
}

// follow has the current speaker say as many messages as it has heard.
func (j *jobRun) follow() error {
	w, n := j.current, j.unsaid
	j.current, j.unsaid = nil, 0
	if w == nil || n == 0 || w.index >= len(j.speakers) {
		return nil
	}
	return j.speak(w.group, n, time.Now())
}

// talkUntil talks until a moment. What one read brought is answered by one write.
func (j *jobRun) talkUntil(end time.Time) error {
	for time.Now().Before(end) {
		if err := j.loop.turn(100, j.echo); err != nil {
			return err
		}
		if err := j.follow(); err != nil {
			return err
		}
	}
	return nil
}

// silence waits until all that was said has reached everyone.
func (j *jobRun) silence() error {
	j.got = 0
	for _, w := range j.loop.all {
		j.got += int(w.next)
	}
	if err := j.until(j.sent * (j.spec.Conns / j.spec.Groups)); err != nil {
		return err
	}
	return j.quiet()
}

// driveJob keeps s.Flight messages of every speaker under way.
func driveJob(s *spec) (metrics, error) {
	j, c, err := newJobRun(s)
	if err != nil {
		return nil, err
	}
	for g := range j.speakers {
		if err := j.speak(g, s.Flight, time.Now()); err != nil {
			return nil, err
		}
	}
	if err := j.talkUntil(time.Now().Add(s.Warm)); err != nil {
		return nil, err
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	j.got = 0
	if err := j.talkUntil(time.Now().Add(s.Measure)); err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	return m.report(j.got), j.silence()
}

// drivePacedJob has the speakers speak in turn on a schedule.
func drivePacedJob(s *spec) (metrics, error) {
	j, c, err := newJobRun(s)
	if err != nil {
		return nil, err
	}
	members := s.Conns / s.Groups
	if err := j.schedule(int(s.Rate*s.Warm.Seconds()), members); err != nil {
		return nil, fmt.Errorf("before measuring: %w", err)
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	j.timed, j.samples = true, nil
	if err := j.schedule(int(s.Rate*s.Measure.Seconds()), members); err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(len(j.samples))
	out["pace"] = s.Rate * float64(members)
	j.latency(out)
	return out, j.quiet()
}

// schedule says n messages in open loop and waits for all of them.
func (j *jobRun) schedule(n, members int) error {
	want := j.got + n*members
	start := time.Now()
	for i := 0; i < n; {
		at := start.Add(time.Duration(float64(i) / j.spec.Rate * float64(time.Second)))
		if d := time.Until(at); d > 0 {
			if err := j.loop.turnFor(d, j.take); err != nil {
				return err
			}
			continue
		}
		if err := j.speak(i%len(j.speakers), 1, at); err != nil {
			return err
		}
		i++
	}
	return j.until(want)
}
