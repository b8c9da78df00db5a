package commtest

import (
	"fmt"
	"time"

	"github.com/anasamu/comm"
)

var gapRows = []row{
	{name: "gap/exact", run: gapRow},
	{name: "gap/everything expired", run: expiredGapRow, timed: true},
	{name: "gap/ring overtakes a slow client", run: overtakenRow, needs: backpressure},
	{name: "gap/another epoch", run: epochRow},
	{name: "gap/none after a quiet group", run: quietRow, timed: true},
}

// gapped expects the gap from..to of a log.
func (p *peer) gapped(log string, from, to uint64) *comm.Frame {
	p.e.Helper()
	f := p.expect(comm.OpGap)
	if f.Log.Log != log || f.GapFrom != from || f.Log.Offset != to {
		p.e.Fatalf("got %s, want the gap %d to %d of %s", show(f), from, to, log)
	}
	return f
}

func gapRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithHistory(&comm.MemoryStore{Messages: 10}))
	p, witness := e.connect(inGroups("g")), e.connect(inGroups("g"))
	p.joined("g")
	witness.joined("g")
	e.numbers(comm.ToGroup("g"), 1, 5, 2)
	p.gets(1, 2, 3, 4, 5)
	hellos := append(p.back(), inGroups("g"))
	e.numbers(comm.ToGroup("g"), 6, 30, 1)
	q := e.connect(hellos...)
	if at := q.joined("g"); at.Offset != 5 {
		e.Fatalf("goes on behind %v, want 5", at)
	}
	q.gapped("group:g", 6, 20)
	for i := 21; i <= 30; i++ {
		q.gets(i)
	}
	q.nothing()
	q.back()
	// Exactly at the edge of what is kept: no gap.
	edge := e.connect(inGroups("g"), at(position(fmt.Sprintf("group:g@%s:20", epoch(q.pos, "group:g")))))
	edge.joined("g")
	for i := 21; i <= 30; i++ {
		edge.gets(i)
	}
	for i := 1; i <= 30; i++ {
		witness.gets(i)
	}
	witness.nothing()
}

func epoch(p comm.Position, log string) string {
	at, _ := p.Get(log)
	return at.Epoch
}

func expiredGapRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithHistory(&comm.MemoryStore{Age: time.Minute}), comm.WithResumeWindow(time.Hour))
	p := e.connect(inGroups("g"))
	p.joined("g")
	p.gets(e.numbers(comm.ToGroup("g"), 1, 2, 1)...)
	hellos := append(p.back(), inGroups("g"))
	e.numbers(comm.ToGroup("g"), 3, 5, 0)
	time.Sleep(5 * time.Minute)
	q := e.connect(hellos...)
	q.joined("g")
	q.gapped("group:g", 3, 5)
	q.gets(e.numbers(comm.ToGroup("g"), 6, 6, 1)...)
	q.nothing()
}

func overtakenRow(e *env) {
	stalled, witness := e.slow(true, comm.WithQueue(8, 1<<20), comm.WithOverflow(comm.DropOldest),
		comm.WithHistory(&comm.MemoryStore{Messages: 20}))
	c, still, out := stalled.conn(), 0, int64(-1)
	sent := e.flood(witness, nil, func(comm.Delivery) bool {
		if now := c.Stats().MessagesOut; now != out {
			still, out = 0, now
		}
		if still++; still == 100 {
			// A writer that has not had its turn yet begins with what is kept by then. On a busy machine its
			// thread may stand still for long.
			time.Sleep(500 * time.Millisecond)
		}
		return still > 200
	})
	stalled.resume()
	stalled.joined("g")
	next, gaps := uint64(1), uint64(0)
	for next <= uint64(sent) {
		f := stalled.next()
		switch {
		case f != nil && f.Op == comm.OpMessage && f.Log.Offset == next && number(f) == int(next-1):
			next++
		case f != nil && f.Op == comm.OpGap && f.GapFrom == next && f.Log.Offset >= next:
			next, gaps = f.Log.Offset+1, f.Log.Offset
		default:
			e.Fatalf("got %s (end: %v), want offset %d", show(f), stalled.end(f), next)
		}
	}
	if gaps != uint64(sent-20) {
		e.Fatalf("the last gap ends at %d, want %d: the last 20 are kept", gaps, sent-20)
	}
	stalled.nothing()
}

func epochRow(e *env) {
	e.start(comm.WithOpenAccess())
	e.numbers(comm.ToGroup("g"), 1, 3, 0)
	p := e.connect(inGroups("g"), at(position("group:g@elsewhere.1:41")))
	if at := p.joined("g"); at.Offset != 0 || at.Epoch == "elsewhere.1" {
		e.Fatalf("goes on behind %v, want the new log's beginning", at)
	}
	if f := p.gapped("group:g", 42, 0); f.Log.Epoch != "elsewhere.1" {
		e.Fatalf("got %s, want the gap in the old epoch", show(f))
	}
	p.gets(1, 2, 3)
	p.nothing()
	// With nothing in the new log, the position is in the new epoch all the same: the gap is told once.
	q := e.connect(inGroups("empty"), at(position("group:empty@elsewhere.1:7")))
	q.joined("empty")
	q.gapped("group:empty", 8, 0)
	q.nothing()
	r := e.connect(append(q.back(), inGroups("empty"))...)
	r.joined("empty")
	r.nothing()
}

func quietRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	hellos := append(p.back(), inGroups("g"))
	time.Sleep(3 * time.Minute)
	e.numbers(comm.ToGroup("g"), 1, 1, 0)
	q := e.connect(hellos...)
	q.joined("g")
	q.gets(1)
	q.nothing()
}
