package commtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

var replayRows = []row{
	{name: "replay/longer than the queue", run: longReplayRow, wire: true},
	{name: "replay/several groups at once", run: severalLogsRow},
	{name: "replay/one send to several groups", run: pluralReplayRow},
	{name: "replay/users and everyone", run: allLogsRow},
	{name: "replay/all that is kept", run: beginningRow},
	{name: "replay/filters are honoured", run: filteredReplayRow},
	{name: "replay/no seam under load", run: seamRow},
	{name: "replay/acks count", run: replayAckRow, needs: backpressure},
}

func longReplayRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithQueue(8, 64<<10), comm.WithHistory(&comm.MemoryStore{Bytes: 64 << 20}))
	p, witness := e.connect(inGroups("g")), e.connect(inGroups("g"))
	p.joined("g")
	witness.joined("g")
	hellos := p.back()
	padding := strings.Repeat("x", 1000)
	const n = 900
	for i := range n {
		e.send(comm.ToGroup("g"), fmt.Sprintf("%d %s", i, padding), 1)
		if f := witness.expect(comm.OpMessage); number(f) != i {
			e.Fatalf("witness: %s", show(f))
		}
	}
	q := e.connect(append(hellos, inGroups("g"))...)
	q.joined("g")
	for i := range n {
		if f := q.expect(comm.OpMessage); number(f) != i || f.Log.Offset != uint64(i+1) {
			e.Fatalf("got number %d at %v, want %d", number(f), f.Log, i)
		}
	}
	if s := q.conn().Stats(); s.Drops != 0 {
		e.Fatalf("stats %+v", s)
	}
	q.nothing()
}

func severalLogsRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("a", "b", "c"))
	for _, g := range []string{"a", "b", "c"} {
		p.joined(g)
	}
	p.gets(e.numbers(comm.ToGroup("a"), 1, 2, 1)...)
	p.gets(e.numbers(comm.ToGroup("c"), 3, 3, 1)...)
	hellos := p.back()
	missed := map[string][]any{
		"a": e.numbers(comm.ToGroup("a"), 10, 12, 0),
		"b": e.numbers(comm.ToGroup("b"), 20, 21, 0),
		"c": e.numbers(comm.ToGroup("c"), 30, 33, 0),
	}
	q := e.connect(append(hellos, inGroups("a", "b", "c"))...)
	for joined := 0; len(missed["a"])+len(missed["b"])+len(missed["c"]) > 0 || joined < 3; {
		f := q.next()
		switch {
		case f != nil && f.Op == comm.OpJoined:
			joined++
		case f != nil && f.Op == comm.OpMessage:
			g := strings.TrimPrefix(f.Log.Log, "group:")
			if len(missed[g]) == 0 || text(f) != fmt.Sprint(missed[g][0]) {
				e.Fatalf("got %s, want %v of %s", show(f), missed[g], g)
			}
			missed[g] = missed[g][1:]
		default:
			e.Fatalf("got %s, %v", show(f), q.end(f))
		}
	}
	q.nothing()
}

func pluralReplayRow(e *env) {
	e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("a", "b"))
	p.joined("a")
	p.joined("b")
	both := comm.ToGroups("a", "b")
	p.gets(e.numbers(both, 1, 3, 1)...)
	hellos := p.back()
	e.numbers(both, 4, 6, 0)
	e.numbers(comm.ToGroup("b"), 7, 7, 0)
	q := e.connect(append(hellos, inGroups("a", "b"))...)
	seen := make(map[string]int)
	for joined := 0; joined < 2 || len(seen) < 4; {
		f := q.next()
		switch {
		case f != nil && f.Op == comm.OpJoined:
			joined++
		case f != nil && f.Op == comm.OpMessage:
			seen[text(f)]++
		default:
			e.Fatalf("got %s, %v", show(f), q.end(f))
		}
	}
	q.nothing()
	for i := 4; i <= 7; i++ {
		if seen[fmt.Sprint(i)] != 1 {
			e.Fatalf("seen %v, want 4 to 7 once each", seen)
		}
	}
	r := e.connect(inGroups("b"), at(position("group:b@0:0"))) // never in a
	r.joined("b")
	r.gets(1, 2, 3, 4, 5, 6, 7)
	r.nothing()
}

func allLogsRow(e *env) {
	e.start(comm.WithAuthenticator(users), comm.WithLogs(true, true, true))
	p := e.connect(asToken("ann"))
	logs := []string{p.expect(comm.OpJoined).Log.Log, p.expect(comm.OpJoined).Log.Log}
	if logs[0] != "all" || logs[1] != "user:ann" {
		e.Fatalf("joined %q", logs)
	}
	e.send(comm.ToUser("ann"), 1, 1)
	e.send(comm.ToAll(), 2, 1)
	p.gets(1, 2)
	hellos := p.back()
	e.send(comm.ToUser("ann"), 3, 0)
	e.send(comm.ToAll(), 4, 0)
	e.send(comm.ToUser("bob"), 5, 0)
	q := e.connect(append(hellos, asToken("ann"))...)
	got := make(map[string]bool)
	for range 4 {
		f := q.next()
		if f == nil {
			e.Fatal(q.err)
		}
		if f.Op == comm.OpMessage {
			got[text(f)] = true
		}
	}
	if len(got) != 2 || !got["3"] || !got["4"] {
		e.Fatalf("got %v, want 3 and 4", got)
	}
	q.nothing()
}

func beginningRow(e *env) {
	e.start(comm.WithOpenAccess(), comm.WithHistory(&comm.MemoryStore{Messages: 5}))
	e.numbers(comm.ToGroup("g"), 1, 8, 0)
	p := e.connect()
	p.send(&comm.Frame{Op: comm.OpJoin, Group: "g", Position: position("group:g@0:0")})
	if at := p.joined("g"); at.Offset != 3 {
		e.Fatalf("goes on behind %v, want 3", at)
	}
	p.gets(4, 5, 6, 7, 8)
	p.gets(e.numbers(comm.ToGroup("g"), 9, 9, 1)...)
	p.nothing()
}

func filteredReplayRow(e *env) {
	e.start(comm.WithAuthenticator(users), comm.WithOpenAccess())
	p := e.connect(asToken("ann/red"), inGroups("g"))
	p.joined("g")
	session := p.conn().SessionID()
	hellos := append(p.back(), asToken("ann/red"), inGroups("g"))
	g := comm.ToGroup("g")
	e.send(g, 1, 0)
	e.send(g.ExceptUser("ann"), 2, 0)
	e.send(g.ExceptSession(session), 3, 0)
	e.send(g.InProvider("elsewhere"), 4, 0)
	e.send(g.InProvider(e.setup.Provider.Name()), 5, 0)
	e.send(g.Label("team", "blue"), 6, 0)
	e.send(g.Label("team", "red"), 7, 0)
	e.send(g.Where(func(*comm.Conn) bool { return true }), 8, 0)
	e.send(g, 9, 0, comm.WithoutHistory())
	last := e.send(g.Except("somebody"), 10, 0)
	if last.Position.Offset != 8 {
		e.Fatalf("the last stands at %v, want offset 8: Where and WithoutHistory are in no log", last.Position)
	}
	q := e.connect(hellos...)
	q.joined("g")
	q.gets(1, 5, 7, 10)
	q.nothing()
}

func seamRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithQueue(100_000, 256<<20), comm.WithHistory(&comm.MemoryStore{Messages: 100_000, Bytes: 256 << 20}))
	const n, joiners = 2000, 8
	ctx, stop := context.WithCancel(e.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if _, err := m.Send(ctx, comm.ToGroup("g"), e.message("n", i)); err != nil {
				e.Error(err)
				return
			}
			if i%16 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for range joiners {
		p := e.connect()
		p.send(&comm.Frame{Op: comm.OpJoin, Group: "g", Position: position("group:g@0:0")})
		wg.Go(func() {
			if at := p.joined("g"); at.Offset != 0 {
				e.Errorf("goes on behind %v, want the beginning", at)
			}
			for i := range n {
				if f := p.next(); f == nil || f.Op != comm.OpMessage || number(f) != i {
					e.Errorf("got %s, want %d", show(f), i)
					return
				}
			}
		})
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
}

func replayAckRow(e *env) {
	stalled, witness := e.slow(true, comm.WithQueue(8, 1<<20), comm.WithOverflow(comm.DropOldest),
		comm.WithHistory(&comm.MemoryStore{Messages: 30_000, Bytes: 1 << 30, TotalBytes: 1 << 30}))
	c, still, out := stalled.conn(), 0, int64(-1)
	e.flood(witness, nil, func(comm.Delivery) bool {
		if now := c.Stats().MessagesOut; now != out {
			still, out = 0, now
		}
		still++
		return still > 60
	})
	d, err := e.m.Send(e.Context(), comm.ToGroup("g"), e.message("n", "ack me"), comm.WithAck())
	if err != nil || d.Queued != 2 {
		e.Fatalf("%+v, %v", d, err)
	}
	stalled.resume()
	for _, p := range []*peer{witness, stalled} {
		for {
			if f := p.next(); f == nil || f.Ack {
				break
			}
		}
		p.send(&comm.Frame{Op: comm.OpAck, ID: d.ID})
	}
	if acked, err := d.Pending.Wait(e.bounded()); acked != 2 || err != nil {
		e.Fatalf("%d acked, %v: want both", acked, err)
	}
}
