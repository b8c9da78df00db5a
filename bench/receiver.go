package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// receiver checks what a hub sends: every connection must get every message of
// its group once, in order and byte by byte. Where a time is wanted, it is
// that from when a message was meant to leave to when it was read.
type receiver struct {
	from    source
	size    int
	pad     string
	got     int
	timed   bool
	samples []uint32 // in sampleUnit
	known   [1024]payload
}

// payload is a message that was parsed for one connection: for the others, it must be the same bytes.
type payload struct {
	group int
	seq   uint64
	at    int64
	bytes []byte
}

const sampleUnit = 100 // ns

func newReceiver(s *spec, l source) *receiver {
	return &receiver{from: l, size: s.Size, pad: padding(s.Size - payloadFixed)}
}

var payloadMark = []byte(payloadStart)

// take reads the payloads in one frame or event: some servers put several in
// one, and all put them into something of their own.
func (r *receiver) take(w *wire, f serverFrame) error {
	b := f.payload
	for {
		i := bytes.Index(b, payloadMark)
		if i < 0 {
			return nil
		}
		at, err := r.check(w, b[i:])
		if err != nil {
			return err
		}
		w.next++
		r.got++
		if r.timed {
			r.samples = append(r.samples, uint32(max(0, r.from.read()-at)/sampleUnit))
		}
		b = b[i+r.size:]
	}
}

// check verifies that b begins with the message that w must get next, and returns when that was to leave.
func (r *receiver) check(w *wire, b []byte) (at int64, err error) {
	k := &r.known[w.next%uint64(len(r.known))]
	if k.seq == w.next && k.group == w.group && k.bytes != nil && bytes.HasPrefix(b, k.bytes) {
		return k.at, nil
	}
	seq, at, ok := parsePayload(b, r.size, r.pad)
	switch {
	case !ok:
		return 0, fmt.Errorf("a damaged message: %.200q", b)
	case seq != w.next:
		return 0, fmt.Errorf("message %d came where %d must", seq, w.next)
	}
	*k = payload{group: w.group, seq: seq, at: at, bytes: append(k.bytes[:0], b[:r.size]...)}
	return at, nil
}

// patience is how long nothing may come before what is missing is lost.
const patience = 30 * time.Second

// until receives until n messages have come in all.
func (r *receiver) until(n int) error {
	last, since := r.got, time.Now()
	for r.got < n {
		if err := r.from.turn(100, r.take); err != nil {
			return err
		}
		if r.got > last {
			last, since = r.got, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("%d of %d messages did not come", n-r.got, n)
		}
	}
	if r.got > n {
		return fmt.Errorf("%d messages came, %d were sent", r.got, n)
	}
	return nil
}

// quiet verifies that nothing comes any more.
func (r *receiver) quiet() error {
	n := r.got
	for range 3 {
		if err := r.from.turn(10, r.take); err != nil {
			return err
		}
	}
	if r.got != n {
		return fmt.Errorf("%d messages came twice", r.got-n)
	}
	return nil
}

// latency adds the percentiles, in microseconds.
func (r *receiver) latency(m metrics) {
	slices.Sort(r.samples)
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "p999": 0.999} {
		m[name] = float64(percentile(r.samples, share)) * sampleUnit / 1000
	}
}

func percentile(sorted []uint32, share float64) uint32 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// countPayloads counts the payloads that are exactly want.
func countPayloads(b, want []byte) (n int, err error) {
	for {
		i := bytes.Index(b, payloadMark)
		if i < 0 {
			return n, nil
		}
		if !bytes.HasPrefix(b[i:], want) {
			return n, fmt.Errorf("a damaged message: %.200q", b[i:])
		}
		n++
		b = b[i+len(want):]
	}
}

// appendSay appends the frame in which a client says a payload to its group.
func appendSay(dst []byte, s *spec, w *wire, payload []byte) []byte {
	if w.say == nil {
		w.say = strings.Split(withGroup(s.Entry.Say, w.group), "%s")
	}
	text := append(append(append(make([]byte, 0, 512), w.say[0]...), payload...), w.say[1]...)
	return appendClientFrame(dst, opText, false, text)
}
