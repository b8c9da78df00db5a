package main

import (
	"fmt"
	"time"
)

var idleRows = []row{
	idleRow("idle", "memory of an idle connection, 5,000 of them, after each has echoed one message", wantsEcho, target{absolute: 4500}, plain),
	idleRow("idlehub", "the same, authenticated, registered, in two groups, after one message through decode, handler and send", wantsJob, target{absolute: 6000},
		func(s *spec) { s.Variant, s.Groups = variantReply, 50 }),
	idleRow("idletls", "memory of an idle connection over TLS 1.3, after each has echoed one message", wantsEcho, target{ratio: 1}, overTLS),
}

// variantReply has a job's handler answer the sender alone, who is in a second
// group besides its own.
const variantReply = "reply"

func idleRow(name, title string, w wants, t target, change func(*spec)) row {
	r := row{
		name: name, title: title, wants: w, target: t, columns: []column{rssColumn, anonColumn},
		spec: spec{Scenario: "idle", Conns: 5000, Size: 128, Flight: 1},
	}
	change(&r.spec)
	return r
}

// idleWave is how many connections send their message at once.
const idleWave = 50

// driveIdle opens the connections, has each send one message, and asks what
// the server process holds when it is quiet. Nobody forces a collection.
func driveIdle(s *spec) (metrics, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	before, err := c.ask(request{Op: "begin"})
	if err != nil {
		return nil, err
	}
	if err := connect(s, l, dialWebSocket); err != nil {
		return nil, err
	}
	if err := exchange(s, l); err != nil {
		return nil, err
	}
	time.Sleep(s.Settle) // what still runs ends
	after, err := c.ask(request{Op: "end"})
	n := float64(s.Conns)
	return metrics{"rss": float64(after.RSS-before.RSS) / n, "anon": float64(after.Anon-before.Anon) / n}, err
}

// exchange has every connection send one message and waits for its answer.
func exchange(s *spec, l *loop) error {
	e := &idleRun{payload: newEchoScript(s).payloads[0], spec: s}
	if s.Entry.Say != "" { // a hub
		e.payload = appendPayload(nil, 0, time.Unix(0, epoch), s.Size)
	}
	for i, w := range l.all {
		if err := w.write(e.frame(w)); err != nil {
			return err
		}
		for end := time.Now().Add(patience); (i+1)%idleWave == 0 && e.answered <= i || i == len(l.all)-1 && e.answered < len(l.all); {
			if time.Now().After(end) {
				return fmt.Errorf("%d of %d messages were answered", e.answered, i+1)
			}
			if err := l.turn(100, e.answer); err != nil {
				return err
			}
		}
	}
	return nil
}

type idleRun struct {
	spec     *spec
	payload  []byte
	answered int
}

func (e *idleRun) frame(w *wire) []byte {
	if e.spec.Entry.Say == "" {
		return appendClientFrame(nil, opBinary, false, e.payload)
	}
	return appendSay(nil, e.spec, w, e.payload)
}

func (e *idleRun) answer(w *wire, f serverFrame) error {
	if e.spec.Entry.Say != "" {
		n, err := countPayloads(f.payload, e.payload)
		w.done += n
		e.answered += n
		return err
	}
	w.done++
	e.answered++
	if w.done > 1 || string(f.payload) != string(e.payload) {
		return fmt.Errorf("a wrong answer: %.40q", f.payload)
	}
	return nil
}
