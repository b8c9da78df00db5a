package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// publisher makes the messages that a hub sends: JSON objects of a fixed
// length that carry their number in their group and their intended time.
type publisher struct {
	hub  hub
	spec *spec
	next []uint64 // by group
}

// The shape of a payload; every client looks for it, whatever is around it.
const (
	payloadStart  = `{"seq":1`
	payloadDigits = 9
	payloadAt     = `,"at":1`
	atDigits      = 18
	payloadPad    = `,"pad":"`
	payloadEnd    = `"}`
	payloadFixed  = len(payloadStart) + payloadDigits + len(payloadAt) + atDigits + len(payloadPad) + len(payloadEnd)
)

// epoch makes times in a payload positive and of a fixed length.
const epoch = int64(1_000_000_000_000_000_000)

// appendPayload appends the payload of size bytes with the number seq, meant
// to be sent at the given time.
func appendPayload(dst []byte, seq uint64, at time.Time, size int) []byte {
	dst = append(dst, payloadStart...)
	dst = appendDigits(dst, seq, payloadDigits)
	dst = append(dst, payloadAt...)
	dst = appendDigits(dst, uint64(at.UnixNano()-epoch), atDigits)
	dst = append(dst, payloadPad...)
	dst = append(dst, padding(size-payloadFixed)...)
	return append(dst, payloadEnd...)
}

func appendDigits(dst []byte, v uint64, n int) []byte {
	from := len(dst)
	for range n {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= from; i-- {
		dst[i] += byte(v % 10)
		v /= 10
	}
	return dst
}

// padding is n bytes of text, the same every time.
func padding(n int) string {
	const text = "the quick brown fox jumps over the lazy dog 0123456789 "
	return strings.Repeat(text, max(0, n)/len(text)+1)[:max(0, n)]
}

func (p *publisher) send(group int, at time.Time) error {
	seq := p.next[group]
	p.next[group]++
	return p.hub.Publish(group, appendPayload(make([]byte, 0, p.spec.Size), seq, at, p.spec.Size))
}

// burst publishes n messages to every group as fast as it goes, group after group.
func (p *publisher) burst(n int) error {
	for range n {
		for g := range p.next {
			if err := p.send(g, time.Now()); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
	}
	return nil
}

// paced publishes n messages at the given rate a second, over the groups in
// turn. A message that is late keeps the time at which it was meant to leave.
func (p *publisher) paced(n int, rate float64) error {
	start := time.Now()
	for i := range n {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		waitUntil(at)
		if err := p.send(i%len(p.next), at); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// waitUntil sleeps, and yields for the last part, since sleeping is coarse.
func waitUntil(at time.Time) {
	const coarse = 200 * time.Microsecond
	if d := time.Until(at); d > coarse {
		time.Sleep(d - coarse/2)
	}
	for time.Now().Before(at) {
		runtime.Gosched()
	}
}

// parsePayload reads the payload that begins at b[0] and reports whether it is
// whole and as it was sent.
func parsePayload(b []byte, size int, pad string) (seq uint64, at int64, ok bool) {
	if len(b) < size {
		return 0, 0, false
	}
	b = b[:size]
	i := len(payloadStart)
	seq, ok = digits(b[i : i+payloadDigits])
	i += payloadDigits
	if !ok || string(b[i:i+len(payloadAt)]) != payloadAt {
		return 0, 0, false
	}
	i += len(payloadAt)
	ns, ok := digits(b[i : i+atDigits])
	i += atDigits
	if !ok || string(b[i:i+len(payloadPad)]) != payloadPad {
		return 0, 0, false
	}
	i += len(payloadPad)
	if string(b[i:size-len(payloadEnd)]) != pad || string(b[size-len(payloadEnd):]) != payloadEnd {
		return 0, 0, false
	}
	return seq, int64(ns) + epoch, true
}

func digits(b []byte) (v uint64, ok bool) {
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + uint64(d-'0')
	}
	return v, true
}

// message is a payload as a JSON text, for what wants a string.
func message(seq uint64, at time.Time, size int) string {
	return string(appendPayload(nil, seq, at, size))
}

// withGroup fills a group into a pattern of an entry.
func withGroup(pattern string, group int) string {
	return strings.ReplaceAll(pattern, "%d", strconv.Itoa(group))
}
