package commtest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// modelClient is one comm.Client of a model, which dials over the carrier whose turn it is.
type modelClient struct {
	w      *world
	n      int
	client *comm.Client
	last   int // the carrier of its last connection, or -1
	acked  []string

	// guarded by w.mu
	away   bool                // it stays away until the logs have forgotten
	late   [modelGroups]bool   // it was away, and a gap is owed
	next   [modelGroups]uint64 // the offset it has not read yet
	events [modelGroups][]modelEvent
}

// modelEvent is a message or a gap, in the order in which the client handled them.
type modelEvent struct {
	content string
	gap     *comm.Gap
}

func newModelClient(w *world, n int) *modelClient {
	c := &modelClient{w: w, n: n, last: -1}
	var groups []string
	var from comm.Position
	for g := range modelGroups {
		c.next[g] = 1
		groups = append(groups, groupName(g))
		from.Set(comm.LogPosition{Log: "group:" + groupName(g), Epoch: "0"})
	}
	client, err := comm.NewClient([]comm.Dialer{c}, comm.WithGroups(groups...), comm.WithResume("", from),
		comm.WithBackoff(comm.Backoff{Base: time.Millisecond, Max: 5 * time.Millisecond}),
		comm.WithConnectTimeout(10*time.Second), comm.WithOnGap(c.onGap))
	if err != nil {
		w.Fatal(err)
	}
	for g := range modelGroups {
		client.On(groupName(g), func(_ context.Context, m *comm.Message) error { return c.onMessage(g, m) })
	}
	c.client = client
	return c
}

// reads reports whether the client has a place in every log: before that it asks for all that is
// kept, and nothing of what was forgotten is owed to it.
func (c *modelClient) reads() bool {
	for _, next := range c.next {
		if next == 1 {
			return false
		}
	}
	return true
}

// live runs the client, and sends upward, until ctx ends.
func (c *modelClient) live(ctx context.Context) {
	var up sync.WaitGroup
	up.Go(func() { c.speak(ctx) })
	if err := c.client.Run(ctx); err != nil {
		c.w.fail(fmt.Errorf("client %d: %w", c.n, err))
	}
	up.Wait()
}

// speak sends messages that want an acknowledgement, and notes those that got it.
func (c *modelClient) speak(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		id := strconv.Itoa(c.n) + "." + strconv.Itoa(i)
		msg, err := comm.NewMessage("up", id)
		if err != nil {
			c.w.fail(err)
			return
		}
		if err := c.client.SendAck(ctx, msg); err == nil {
			c.acked = append(c.acked, id)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *modelClient) onMessage(g int, m *comm.Message) error {
	content, err := comm.Decode[string](m)
	c.w.mu.Lock()
	offset := c.next[g]
	want, logged := c.w.log[g][offset]
	c.events[g] = append(c.events[g], modelEvent{content: content})
	c.next[g]++
	if c.w.sent[g]-offset < modelRing/2 { // it has caught up with what the logs keep
		c.late[g] = false
	}
	c.w.moved.Broadcast()
	c.w.mu.Unlock()
	if logged && want != content { // the rest is compared in the end; this would only stop the publishers
		c.w.fail(fmt.Errorf("client %d, group %d: got %q, where offset %d is %q", c.n, g, content, offset, want))
	}
	return err
}

// onGap checks that the gap is owed and minimal: what it names was forgotten, to the last message.
func (c *modelClient) onGap(gap comm.Gap) {
	g, err := strconv.Atoi(gap.Log[len("group:g"):])
	if err != nil || g >= modelGroups {
		c.w.fail(fmt.Errorf("client %d: gap %+v", c.n, gap))
		return
	}
	c.w.sending.Lock() // no send is under way
	defer c.w.sending.Unlock()
	c.w.mu.Lock()
	c.events[g] = append(c.events[g], modelEvent{gap: &gap})
	late, sent, next := c.late[g], c.w.sent[g], c.next[g]
	c.next[g] = gap.To + 1
	c.w.gaps++
	c.w.moved.Broadcast()
	c.w.mu.Unlock()
	switch {
	case gap.From != next || gap.To < gap.From:
		c.w.fail(fmt.Errorf("client %d: the gap %+v, where %d is next", c.n, gap, next))
	case !late:
		c.w.fail(fmt.Errorf("client %d: the gap %+v inside of retention", c.n, gap))
	case gap.To+modelRing > sent:
		c.w.fail(fmt.Errorf("client %d: the gap %+v is too long: of %d messages the log keeps %d", c.n, gap, sent, modelRing))
	}
}

// Name is that of the dialer as a whole.
func (c *modelClient) Name() string { return "model" }

// Dial waits while the client is to stay away, and goes over the carrier that followed the last one
// least often.
func (c *modelClient) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	carrier, wire := c.choose()
	wire.to = c.w.endpoints[carrier]
	e := wire.to
	e.DialContext, e.ListenPacket = wire.dial, wire.listen
	got, err := c.w.model.Carriers[carrier].Dialer(e).Dial(ctx, hello)
	if err != nil {
		wire.hang()
		return nil, err
	}
	return &wiredCarrier{got, wire}, nil
}

// wait blocks while the logs have not forgotten what this client has not read.
func (c *modelClient) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.w.mu.Lock()
		defer c.w.mu.Unlock()
		c.w.moved.Broadcast()
	})
	defer stop()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for c.away && !c.w.done && ctx.Err() == nil {
		forgotten := true
		for g := range modelGroups {
			forgotten = forgotten && c.w.sent[g] > c.next[g]+modelRing
		}
		if forgotten {
			break
		}
		c.w.moved.Wait()
	}
	if c.away && ctx.Err() == nil {
		for g := range modelGroups {
			c.late[g] = c.w.sent[g] >= c.next[g]+modelRing-modelPublishers
		}
		c.away = false
	}
	return ctx.Err()
}

func (c *modelClient) choose() (carrier int, w *wire) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	n := len(c.w.endpoints)
	carrier = c.w.rng.IntN(n)
	if c.last >= 0 {
		for i := range n {
			if j := (carrier + i) % n; c.w.pairs[c.last][j] < c.w.pairs[c.last][carrier] {
				carrier = j
			}
		}
		c.w.pairs[c.last][carrier]++
	}
	c.last = carrier
	return carrier, &wire{c: c, left: c.w.rng.IntN(modelBytes), reset: c.w.rng.IntN(2) == 0}
}
