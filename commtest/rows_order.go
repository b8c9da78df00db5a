package commtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// orderRows are about order, priorities, and clients that do not read.
var orderRows = []row{
	{name: "order/several senders to a group", run: groupOrderRow, wire: true},
	{name: "order/one message sent twice at once", run: twiceRow},
	{name: "order/priorities starve nobody", run: priorityRow, needs: backpressure},
	{name: "overflow/disconnect", run: disconnectRow, needs: backpressure, wire: true},
	{name: "overflow/drop newest", run: dropNewestRow, needs: backpressure},
	{name: "overflow/drop oldest", run: dropOldestRow, needs: backpressure},
	{name: "overflow/latest by key", run: latestRow, needs: backpressure},
	{name: "overflow/block", run: blockRow, needs: backpressure},
	{name: "overflow/logged messages are replayed", run: loggedOverflowRow, needs: backpressure},
	{name: "overflow/a replay waits behind its joined", run: replayBehindQueueRow, needs: backpressure},
	{name: "overflow/stalled client never delays others", run: stalledRow, needs: backpressure},
}

func backpressure(s Setup) string {
	if s.Backpressure {
		return ""
	}
	return "backpressure"
}

func groupOrderRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithQueue(10_000, 16<<20))
	const members, senders, each = 5, 4, 100
	var peers []*peer
	for range members {
		p := e.connect(inGroups("g"))
		p.joined("g")
		peers = append(peers, p)
	}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				msg := e.message("n", fmt.Sprintf("%d.%d", s, i))
				if d, err := m.Send(e.Context(), comm.ToGroup("g"), msg); err != nil || d.Queued != members {
					e.Errorf("send: %+v, %v", d, err)
				}
			}
		})
	}
	wg.Wait()
	var first []string
	for i, p := range peers {
		next := make(map[string]int)
		for offset := range uint64(senders * each) {
			f := p.expect(comm.OpMessage)
			s, n, _ := strings.Cut(text(f), ".")
			if strconv.Itoa(next[s]) != n || f.Log.Offset != offset+1 {
				e.Fatalf("peer %d got %s, want number %d of sender %s at offset %d", i, show(f), next[s], s, offset+1)
			}
			next[s]++
			switch content := text(f); {
			case i == 0:
				first = append(first, content)
			case first[offset] != content:
				e.Fatalf("peer %d got %q at %d, peer 0 got %q", i, content, offset+1, first[offset])
			}
		}
	}
}

func twiceRow(e *env) {
	m := e.start(comm.WithOpenAccess())
	p := e.connect(inGroups("g", "h"))
	p.joined("g")
	p.joined("h")
	msg := e.message("n", 7)
	var wg sync.WaitGroup
	for _, t := range []comm.Target{comm.ToGroup("g"), comm.ToGroup("h"), comm.ToAll()} {
		wg.Go(func() {
			if d, err := m.Send(e.Context(), t, msg); err != nil || d.Queued != 1 {
				e.Errorf("%+v, %v", d, err)
			}
		})
	}
	wg.Wait()
	to := make(map[string]bool)
	for range 3 {
		f := p.gets(7)
		to[f.Message.To()] = true
	}
	if len(to) != 3 || msg.To() != "" {
		e.Fatalf("the deliveries are to %v, the message to %q", to, msg.To())
	}
}

// block fills a peer that does not read with messages of type "fill" until its outbound queue holds
// something that the carrier does not take.
func (e *env) block(p *peer) (filled int) {
	e.Helper()
	c, fill := p.conn(), strings.Repeat("x", 16<<10)
	for still := 0; still < 20; filled++ {
		if filled > 20_000 {
			e.Fatal("the client takes everything without reading")
		}
		if c.Stats().QueueMessages > 0 {
			before := c.Stats().QueueMessages
			time.Sleep(time.Millisecond)
			if c.Stats().QueueMessages == before {
				still++
			} else {
				still = 0
			}
			filled--
			continue
		}
		if _, err := e.m.Send(e.Context(), comm.ToConn(c.ID()), e.message("fill", fill)); err != nil {
			e.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return filled
}

// notFill returns the next message that is no filling.
func (p *peer) notFill() *comm.Frame {
	p.e.Helper()
	for {
		if f := p.next(); f == nil || f.Message == nil || f.Message.Type() != "fill" {
			return f
		}
	}
}

func priorityRow(e *env) {
	m := e.start(comm.WithQueue(10_000, 64<<20), comm.WithWriteTimeout(time.Hour))
	p := e.idle()
	e.block(p)
	const each = 40
	lanes := map[string]comm.Priority{"low": comm.PriorityLow, "normal": comm.PriorityNormal, "high": comm.PriorityHigh}
	for _, name := range []string{"low", "normal", "high"} {
		for i := range each {
			msg := e.message(name, i)
			if _, err := m.Send(e.Context(), comm.ToConn(p.welcome.Conn), msg, comm.WithPriority(lanes[name])); err != nil {
				e.Fatal(err)
			}
		}
	}
	p.resume()
	next, last, sum := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range 3 * each {
		f := p.notFill()
		if f == nil || f.Op != comm.OpMessage {
			e.Fatalf("got %s, %v", show(f), p.end(f))
		}
		typ := f.Message.Type()
		if text(f) != strconv.Itoa(next[typ]) {
			e.Fatalf("got %s, want number %d of its lane", show(f), next[typ])
		}
		if typ == "low" && next[typ] == 0 && next["high"] == each {
			e.Error("low was starved until high had left")
		}
		next[typ]++
		last[typ] = i
		sum[typ] += i
	}
	if sum["high"] >= sum["normal"] || sum["normal"] >= sum["low"] || last["high"] >= last["low"] {
		e.Fatalf("places: last %v, sum %v: want high before normal before low", last, sum)
	}
}

// slow is a group "g" with a client that does not read and a witness that does.
func (e *env) slow(group bool, opts ...comm.Option) (stalled, witness *peer) {
	e.Helper()
	e.start(append([]comm.Option{comm.WithOpenAccess(), comm.WithLogs(group, false, false), comm.WithWriteTimeout(time.Hour)}, opts...)...)
	stalled, witness = e.idle(inGroups("g")), e.connect(inGroups("g"))
	witness.joined("g")
	return stalled, witness
}

// flood sends numbered messages of 8 KiB to g, waiting for the witness to read each, until enough.
func (e *env) flood(witness *peer, opts func(i int) []comm.SendOption, enough func(d comm.Delivery) bool) (sent int) {
	e.Helper()
	padding := strings.Repeat("x", 8<<10)
	for i := range 20_000 {
		var o []comm.SendOption
		if opts != nil {
			o = opts(i)
		}
		d, err := e.m.Send(e.Context(), comm.ToGroup("g"), e.message("n", fmt.Sprintf("%d %s", i, padding)), o...)
		if err != nil || d.Matched != d.Queued+d.Dropped+d.Closed {
			e.Fatalf("send: %+v, %v", d, err)
		}
		if f := witness.expect(comm.OpMessage); number(f) != i {
			e.Fatalf("the witness got number %d, want %d", number(f), i)
		}
		if enough(d) {
			return i + 1
		}
	}
	e.Fatal("the queue of a client that does not read never fills")
	return 0
}

// number is the number at the start of a flood's message, or -1.
func number(f *comm.Frame) int {
	if f == nil || f.Message == nil {
		return -1
	}
	s, _, _ := strings.Cut(text(f), " ")
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func disconnectRow(e *env) {
	stalled, witness := e.slow(true, comm.WithQueue(8, 1<<20))
	c := stalled.conn()
	sent := e.flood(witness, nil, func(d comm.Delivery) bool { return d.Closed > 0 })
	<-c.Done()
	if comm.ReasonOf(c.Err()) != comm.ReasonSlow || !errors.Is(c.Err(), comm.ErrSlowConsumer) {
		e.Fatalf("closed with %v, want slow_consumer", c.Err())
	}
	e.send(comm.ToGroup("g"), "after", 1)
	witness.gets("after")
	s, err := e.m.Stats("")
	if err != nil || s.Drops["overflow"] != 1 || s.Closed["slow_consumer"] != 1 || s.MessagesOut < int64(sent) {
		e.Fatalf("stats %+v, %v", s, err)
	}
	witness.nothing()
}

// received lets a stalled peer read on and returns the numbers of a flood it gets before "after".
func (p *peer) received() (numbers []int) {
	p.e.Helper()
	p.resume()
	p.joined("g")
	for {
		f := p.next()
		if f == nil || f.Op != comm.OpMessage {
			p.e.Fatalf("got %s, %v", show(f), p.end(f))
		}
		if number(f) < 0 {
			return numbers
		}
		numbers = append(numbers, number(f))
	}
}

func increasing(e *env, numbers []int) {
	e.Helper()
	for i := 1; i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			e.Fatalf("out of order: %v", numbers)
		}
	}
}

func dropNewestRow(e *env) {
	stalled, witness := e.slow(false, comm.WithQueue(8, 1<<20), comm.WithOverflow(comm.DropNewest))
	sent := e.flood(witness, nil, func(d comm.Delivery) bool { return d.Dropped > 0 })
	c := stalled.conn()
	if drops := c.Stats().Drops; drops != 1 {
		e.Fatalf("%d drops, want 1", drops)
	}
	e.finish(stalled, witness)
	if got := stalled.received(); len(got) != sent-1 || got[len(got)-1] != sent-2 {
		e.Fatalf("got %d messages, want all of %d but the last", len(got), sent)
	}
}

// finish sends "after" to the slow client, as soon as its queue has room again.
func (e *env) finish(stalled, witness *peer) {
	e.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := e.m.Send(e.bounded(), comm.ToConn(stalled.welcome.Conn), e.message("n", "after"), comm.WithBlock())
		done <- err
	}()
	stalled.resume()
	if err := <-done; err != nil {
		e.Fatal(err)
	}
	witness.nothing()
}

func dropOldestRow(e *env) {
	stalled, witness := e.slow(false, comm.WithQueue(8, 1<<20), comm.WithOverflow(comm.DropOldest))
	c := stalled.conn()
	sent := e.flood(witness, nil, func(comm.Delivery) bool { return c.Stats().Drops >= 5 })
	drops := int(c.Stats().Drops)
	e.finish(stalled, witness)
	got := stalled.received()
	increasing(e, got)
	if len(got) != sent-drops || got[len(got)-1] != sent-1 {
		e.Fatalf("got %d messages up to %d, want %d less %d up to %d", len(got), got[len(got)-1], sent, drops, sent-1)
	}
}

func latestRow(e *env) {
	stalled, witness := e.slow(false, comm.WithQueue(8, 1<<20), comm.WithOverflow(comm.LatestByKey))
	c := stalled.conn()
	key := func(i int) []comm.SendOption { return []comm.SendOption{comm.WithKey(strconv.Itoa(i % 3))} }
	sent := e.flood(witness, key, func(comm.Delivery) bool { return c.Stats().Drops >= 9 })
	e.finish(stalled, witness)
	newest := map[int]int{}
	for _, n := range stalled.received() {
		if n <= newest[n%3] && n > 2 {
			e.Fatalf("%d came after %d", n, newest[n%3])
		}
		newest[n%3] = n
	}
	for i := sent - 3; i < sent; i++ {
		if newest[i%3] != i {
			e.Fatalf("of key %d the newest was %d, want %d", i%3, newest[i%3], i)
		}
	}
}

func blockRow(e *env) {
	m := e.start(comm.WithQueue(4, 1<<20), comm.WithWriteTimeout(time.Hour), comm.WithOverflow(comm.DropOldest))
	p := e.idle()
	e.block(p)
	const n = 50
	done := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := m.Send(e.bounded(), comm.ToConn(p.welcome.Conn), e.message("n", i), comm.WithBlock()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		e.Fatalf("did not block: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.resume()
	for i := range n {
		if f := p.notFill(); f == nil || number(f) != i {
			e.Fatalf("got %s (end: %v), want %d", show(f), p.end(f), i)
		}
	}
	if err := <-done; err != nil {
		e.Fatal(err)
	}
	if drops := p.conn().Stats().Drops; drops != 0 {
		e.Fatalf("%d drops of a blocking sender", drops)
	}
}

func loggedOverflowRow(e *env) {
	// The queue holds more than one batch, so that a replay must wait for the second.
	stalled, witness := e.slow(true, comm.WithQueue(32, 1<<20), comm.WithOverflow(comm.DropOldest),
		comm.WithHistory(&comm.MemoryStore{Messages: 30_000, Bytes: 1 << 30, TotalBytes: 1 << 30}))
	c := stalled.conn()
	still, out := 0, int64(-1)
	sent := e.flood(witness, nil, func(d comm.Delivery) bool {
		if d.Queued != 2 {
			e.Fatalf("%+v: a logged message was not queued", d)
		}
		if now := c.Stats().MessagesOut; now != out {
			still, out = 0, now
		}
		still++
		return still > 60
	})
	stalled.resume()
	stalled.joined("g")
	for i := range sent {
		f := stalled.expect(comm.OpMessage)
		if number(f) != i || f.Log.Offset != uint64(i+1) {
			e.Fatalf("got number %d at %v, want %d", number(f), f.Log, i)
		}
	}
	if drops := c.Stats().Drops; drops != 0 {
		e.Fatalf("%d drops of logged messages", drops)
	}
	stalled.nothing()
}

// replayBehindQueueRow: a client that does not read joins with a position while more waits for it than
// one batch takes; the replay comes behind joined, which is behind all that.
func replayBehindQueueRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithQueue(100_000, 1<<30))
	keeper, p := e.connect(inGroups("g")), e.idle()
	keeper.joined("g")
	e.numbers(comm.ToGroup("g"), 1, 5, 1)
	padding := strings.Repeat("x", 16<<10)
	const waiting = 600
	for i := range waiting {
		e.send(comm.ToConn(p.welcome.Conn), fmt.Sprintf("%d %s", i, padding), 1)
	}
	p.send(&comm.Frame{Op: comm.OpJoin, Group: "g", Position: position("group:g@0:0")})
	e.eventually("the join", func() bool { return m.ConnectionCount(comm.ToGroup("g")) == 2 })
	p.resume()
	for i := range waiting {
		if f := p.expect(comm.OpMessage); number(f) != i {
			e.Fatalf("got %s, want number %d", show(f), i)
		}
	}
	p.joined("g")
	p.gets(1, 2, 3, 4, 5)
	p.nothing()
}

// stalledRow: the write timeout is one that a busy machine keeps for the witness.
func stalledRow(e *env) {
	m := e.start(comm.WithOpenAccess(), comm.WithWriteTimeout(2*time.Second), comm.WithQueue(100_000, 1<<30),
		comm.WithLogs(false, false, false))
	stalled, witness := e.idle(inGroups("g")), e.connect(inGroups("g"))
	witness.joined("g")
	c := stalled.conn()
	padding := strings.Repeat("x", 32<<10)
	start := time.Now()
	for i := 0; c.Err() == nil; i++ {
		if time.Since(start) > patience {
			e.Fatal("a client that does not read is kept for ever")
		}
		if _, err := m.Send(e.Context(), comm.ToGroup("g"), e.message("n", fmt.Sprintf("%d %s", i, padding))); err != nil {
			e.Fatal(err)
		}
		if f := witness.expect(comm.OpMessage); number(f) != i {
			e.Fatalf("the witness got number %d, want %d", number(f), i)
		}
		time.Sleep(time.Millisecond)
	}
	<-c.Done()
	if comm.ReasonOf(c.Err()) != comm.ReasonSlow {
		e.Fatalf("closed with %v, want slow_consumer", c.Err())
	}
	witness.nothing()
}
