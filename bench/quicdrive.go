package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// connectQUIC opens the spec's connections and, where the server is comm, the one more that takes nothing.
func connectQUIC(s *spec) ([]*quicMember, *control, error) {
	var all []*quicMember
	for i := range s.Conns {
		m, err := dialQUIC(s, &quic.Config{})
		if err != nil {
			return nil, nil, fmt.Errorf("connection %d: %w", i, err)
		}
		all = append(all, m)
	}
	members := s.Conns
	if s.Stalled && s.Entry.Proto == alpnComm {
		if _, err := dialQUIC(s, &quic.Config{InitialStreamReceiveWindow: 4 << 10, MaxStreamReceiveWindow: 4 << 10}); err != nil {
			return nil, nil, fmt.Errorf("the stalled connection: %w", err)
		}
		members++
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, nil, err
	}
	return all, c, c.join(members)
}

// driveQUICFlood has the server send bursts to everyone.
func driveQUICFlood(s *spec) (metrics, error) {
	all, c, err := connectQUIC(s)
	if err != nil {
		return nil, err
	}
	payloads := quicPayloads(s)
	if err := quicRound(s, c, all, payloads, max(1, s.Messages/10)); err != nil {
		return nil, fmt.Errorf("before measuring: %w", err)
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	for range s.Rounds {
		if err := quicRound(s, c, all, payloads, s.Messages); err != nil {
			return nil, err
		}
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(s.Rounds * s.Messages * len(all))
	out["mbs"] = out["rate"] * float64(s.Size) / 1e6
	return out, together(all, (*quicMember).quiet)
}

// quicRound has n messages sent to everyone and receives them.
func quicRound(s *spec, c *control, all []*quicMember, payloads [][]byte, n int) error {
	if err := c.send(request{Op: "flood", Messages: n}); err != nil {
		return err
	}
	err := together(all, func(m *quicMember) error {
		_ = m.out.SetReadDeadline(time.Now().Add(patience + s.Measure))
		return m.take(n, payloads)
	})
	_, failed := c.receive()
	return errors.Join(err, failed)
}

// together does f for all at once.
func together(all []*quicMember, f func(*quicMember) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() { errs[i] = f(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// driveQUICEcho sends one message at a time and waits for it to come back.
func driveQUICEcho(s *spec) (metrics, error) {
	all, c, err := connectQUIC(s)
	if err != nil {
		return nil, err
	}
	e := quicEcho{member: all[0], payloads: quicPayloads(s)}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	if err := e.until(time.Now().Add(s.Warm)); err != nil {
		return nil, err
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	e.took = e.took[:0]
	if err := e.until(time.Now().Add(s.Measure)); err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(len(e.took))
	percentiles(e.took, out)
	return out, e.member.quiet()
}

// quicEcho is one run of driveQUICEcho.
type quicEcho struct {
	member   *quicMember
	payloads [][]byte
	frames   [][]byte
	took     []time.Duration
}

func (e *quicEcho) prepare() error {
	for _, p := range e.payloads {
		b, err := e.member.frame(p)
		if err != nil {
			return err
		}
		e.frames = append(e.frames, b)
	}
	return nil
}

func (e *quicEcho) until(end time.Time) error {
	for start := time.Now(); start.Before(end); start = time.Now() {
		if _, err := e.member.out.Write(e.frames[e.member.taken%len(e.frames)]); err != nil {
			return err
		}
		if err := e.member.take(1, e.payloads); err != nil {
			return err
		}
		e.took = append(e.took, time.Since(start))
	}
	return nil
}

// percentiles adds the percentiles, in microseconds.
func percentiles(took []time.Duration, m metrics) {
	slices.Sort(took)
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		if len(took) > 0 {
			m[name] = float64(took[min(len(took)-1, int(share*float64(len(took))))].Nanoseconds()) / 1000
		}
	}
}

// driveQUICLane takes how late small messages are that were due before the large one had come.
func driveQUICLane(s *spec) (metrics, error) {
	all, c, err := connectQUIC(s)
	if err != nil {
		return nil, err
	}
	b := &besides{member: all[0], large: quicPayloads(s)[0], pad: padding(besideSmall - payloadFixed), events: make(chan besideEvent, 1024)}
	b.start()
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	var underWay time.Duration
	for range s.Rounds {
		late, large, err := b.round(c, s.Messages)
		if err != nil {
			return nil, err
		}
		took, underWay = append(took, late...), underWay+large
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	out := m.report(len(took))
	percentiles(took, out)
	out["mbs"] = float64(s.Rounds*s.Size) / 1e6 / underWay.Seconds()
	return out, nil
}

// besides reads small messages and large ones, on however many streams they come.
type besides struct {
	member *quicMember
	large  []byte
	pad    string
	events chan besideEvent
	next   uint64 // the small message that must come
}

// besideEvent is a message that has come, or the error that ends a stream.
type besideEvent struct {
	large bool
	seq   uint64
	due   time.Time
	read  time.Time
	err   error
}

func (b *besides) start() {
	go b.stream(b.member.in)
	if !b.member.comm {
		return
	}
	go func() {
		for {
			s, err := b.member.conn.AcceptUniStream(b.member.conn.Context())
			if err != nil {
				return
			}
			go b.stream(newQUICFrames(true, s, besideSize))
		}
	}()
}

func (b *besides) stream(frames quicFrames) {
	for {
		p, err := frames.message()
		if err == nil {
			b.events <- b.event(p)
			continue
		}
		if err != io.EOF {
			b.events <- besideEvent{err: err}
		}
		return
	}
}

func (b *besides) event(p []byte) besideEvent {
	e := besideEvent{read: time.Now(), large: len(p) >= len(b.large)}
	if e.large {
		e.err = b.member.check(p, b.large)
		return e
	}
	seq, at, ok := parsePayload(p[max(0, len(p)-besideSmall):], besideSmall, b.pad)
	if !ok {
		e.err = fmt.Errorf("a damaged message: %.100q", p)
	}
	e.seq, e.due = seq, time.Unix(0, at)
	return e
}

// round has one large message and n small ones sent, and returns how late those were that were due while it was
// under way, and for how long it was.
func (b *besides) round(c *control, n int) (late []time.Duration, underWay time.Duration, err error) {
	began := time.Now()
	if err := c.send(request{Op: "beside", Messages: n}); err != nil {
		return nil, 0, err
	}
	var small []besideEvent
	var came time.Time
	timeout := time.After(2 * patience)
	for came.IsZero() || len(small) < n {
		select {
		case e := <-b.events:
			switch {
			case e.err != nil:
				return nil, 0, e.err
			case e.large && !came.IsZero():
				return nil, 0, errors.New("the large message came twice")
			case e.large:
				came = e.read
				continue
			case e.seq != b.next:
				return nil, 0, fmt.Errorf("message %d came where %d must", e.seq, b.next)
			}
			b.next++
			small = append(small, e)
		case <-timeout:
			return nil, 0, fmt.Errorf("%d of %d small messages, large: %v", len(small), n, !came.IsZero())
		}
	}
	for _, e := range small {
		if e.due.Before(came) {
			late = append(late, e.read.Sub(e.due))
		}
	}
	_, err = c.receive()
	return late, came.Sub(began), err
}
