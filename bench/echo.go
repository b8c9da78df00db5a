package main

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"time"
)

// echoSlots is how many different messages a connection sends in turn. More
// than are ever in flight, so that a slot tells a lost or swapped message.
const echoSlots = 64

// echoScript is the messages of one run, ready to be sent.
type echoScript struct {
	payloads [echoSlots][]byte
	wire     []byte               // the frames of all slots, twice, so that any run of slots is one piece
	offset   [2*echoSlots + 1]int // of each frame in wire
	op       byte
	seen     [echoSlots][]byte // the deflated answer to each slot that was inflated and found right
}

func newEchoScript(s *spec) *echoScript {
	e := &echoScript{op: opBinary}
	if s.Text {
		e.op = opText
	}
	random := rand.New(rand.NewSource(1))
	for i := range e.payloads {
		e.payloads[i] = echoPayload(random, s, i)
	}
	for i := range 2 * echoSlots {
		p := e.payloads[i%echoSlots]
		if s.Deflate {
			p = deflated(p)
		}
		e.wire = appendClientFrame(e.wire, e.op, s.Deflate, p)
		e.offset[i+1] = len(e.wire)
	}
	return e
}

// echoPayload is random bytes; as text, and to be compressed, it is words, of
// which some have letters outside of ASCII.
func echoPayload(random *rand.Rand, s *spec, slot int) []byte {
	p := fmt.Appendf(nil, "%08d", slot)
	if !s.Text && !s.Deflate {
		p = append(p, make([]byte, s.Size-len(p))...)
		random.Read(p[8:])
		return p
	}
	words := []string{"gateway ", "message ", "naïve ", "server ", "世界 ", "client ", "group "}
	for {
		w := words[random.Intn(len(words))]
		if len(p)+len(w) > s.Size {
			return append(p, bytes.Repeat([]byte("."), s.Size-len(p))...)
		}
		p = append(p, w...)
	}
}

// deflated is one message under RFC 7692 7.2.1, without context takeover.
func deflated(p []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 1) // 1 is a level
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// check verifies the answer that must be the one to a slot.
func (e *echoScript) check(slot int, f serverFrame) error {
	p := f.payload
	switch {
	case f.op != e.op:
		return fmt.Errorf("an answer of opcode %d", f.op)
	case !f.deflated:
	case e.seen[slot] != nil && bytes.Equal(p, e.seen[slot]):
		return nil
	default:
		r := flate.NewReader(io.MultiReader(bytes.NewReader(p), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff})))
		plain, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("inflate: %w", err)
		}
		e.seen[slot] = bytes.Clone(p)
		p = plain
	}
	if !bytes.Equal(p, e.payloads[slot]) {
		return fmt.Errorf("the answer to message %d is another: %.40q", slot, p)
	}
	return nil
}

// driveEcho keeps s.Flight messages in flight on every connection.
func driveEcho(s *spec) (metrics, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	if err := connect(s, l, dialWebSocket); err != nil {
		return nil, err
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	e := &echoRun{loop: l, script: newEchoScript(s), flight: s.Flight}
	if err := e.begin(); err != nil {
		return nil, err
	}
	if err := e.until(time.Now().Add(s.Warm)); err != nil {
		return nil, err
	}
	m, err := begin(c)
	if err != nil {
		return nil, err
	}
	e.answered, m.began = 0, time.Now()
	if err := e.until(m.began.Add(s.Measure)); err != nil {
		return nil, err
	}
	m.stop()
	if err := m.end(); err != nil {
		return nil, err
	}
	return m.report(e.answered), e.finish()
}

// echoRun is one run of driveEcho.
type echoRun struct {
	loop     *loop
	script   *echoScript
	flight   int
	answered int // in the measured part
	owed     int // in flight on all connections
	ending   bool
	current  *wire
	fresh    int // answers on current that are not yet followed by a message
}

// begin sends the first messages. Each connection begins at another slot, so
// that an answer on the wrong connection is found.
func (e *echoRun) begin() error {
	for i, w := range e.loop.all {
		w.next = uint64(i * 7)
		if err := e.send(w, w.next, e.flight); err != nil {
			return err
		}
	}
	return nil
}

func (e *echoRun) send(w *wire, from uint64, n int) error {
	slot := int(from % echoSlots)
	e.owed += n
	return w.write(e.script.wire[e.script.offset[slot]:e.script.offset[slot+n]])
}

// until echoes until a moment. What one read brought is answered by one write.
func (e *echoRun) until(end time.Time) error {
	for time.Now().Before(end) {
		if err := e.loop.turn(100, e.answer); err != nil {
			return err
		}
		if err := e.follow(); err != nil {
			return err
		}
	}
	return nil
}

func (e *echoRun) answer(w *wire, f serverFrame) error {
	if w != e.current {
		if err := e.follow(); err != nil {
			return err
		}
		e.current = w
	}
	if err := e.script.check(int(w.next%echoSlots), f); err != nil {
		return err
	}
	w.next++
	e.answered++
	e.owed--
	e.fresh++
	return nil
}

// follow sends as many new messages as were answered.
func (e *echoRun) follow() error {
	w, n := e.current, e.fresh
	e.current, e.fresh = nil, 0
	if w == nil || e.ending {
		return nil
	}
	return e.send(w, w.next+uint64(e.flight-n), n)
}

// finish waits for what is in flight: nothing may be lost.
func (e *echoRun) finish() error {
	e.ending = true
	for end := time.Now().Add(patience); e.owed > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("%d messages were never answered", e.owed)
		}
		if err := e.loop.turn(100, e.answer); err != nil {
			return err
		}
	}
	if e.owed < 0 {
		return errors.New("more answers than messages")
	}
	return nil
}
