package comm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// publication is one send under way. It is pooled: it holds what the steps hand to each other.
type publication struct {
	manager  *Manager
	seq      uint64
	now      time.Time
	only     *filter
	options  sendOptions
	delivery Delivery
	wake     []*Conn            // writers to start once no lock is held
	direct   []*Conn            // what the sender writes e to, once no lock is held
	attempts []Attempt          // to write to those
	e        *envelope          // for those
	topic    *topic             // of those
	kill     []*Conn            // connections whose queue was full under Disconnect
	seen     map[*Conn]struct{} // plural targets: who has it already; nil otherwise
	letters  *letter            // to be used by the sends to come
}

var publications = sync.Pool{New: func() any { return new(publication) }}

// publication returns one to be filled. Its user frees it.
func (m *Manager) publication() *publication {
	p := publications.Get().(*publication)
	p.manager = m
	return p
}

// Send sends m to everyone t names and returns at once: what happened to each is in the Delivery.
//
// Errors: a *MessageError for a message that NewMessage has not made, ErrTarget for a zero target or an empty name,
// ErrNotFound for a connection that does not exist (a group or user with nobody there is no error), ErrOrdered for
// options that would break the order of a log, ErrBlocked, ErrClosed after Close, with WithBlock the context's error,
// and the Backplane's, beside the Delivery of this node.
func (m *Manager) Send(ctx context.Context, t Target, msg *Message, opts ...SendOption) (Delivery, error) {
	p := m.publication()
	defer p.free()
	o := &p.options
	if err := o.apply(opts); err != nil {
		return Delivery{}, err
	}
	if err := m.checkSend(t, msg, o); err != nil {
		return Delivery{}, err
	}
	msg = stampTrace(ctx, msg)
	if len(t.more) > 0 || m.backplane != nil { // else the letter addresses it
		msg = addressed(msg, t)
	}
	d, err := m.publish(ctx, p, t, msg)
	if m.backplane == nil || !m.crossesNodes(t, d, err) {
		return d, err
	}
	d.Remote = true
	return d, m.backplane.publish(ctx, t, msg, o)
}

// crossesNodes reports whether other nodes may have someone whom t names: for connections, if they
// are not all here.
func (m *Manager) crossesNodes(t Target, d Delivery, err error) bool {
	if t.where != nil {
		return false
	}
	if t.kind == targetConn {
		return (err == nil || errors.Is(err, ErrNotFound)) && d.Matched <= len(t.more)
	}
	return err == nil
}

// Broadcast is Send to everyone.
func (m *Manager) Broadcast(ctx context.Context, msg *Message, opts ...SendOption) (Delivery, error) {
	return m.Send(ctx, ToAll(), msg, opts...)
}

func (m *Manager) checkSend(t Target, msg *Message, o *sendOptions) error {
	if err := checkMade(msg); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	if err := t.check(); err != nil {
		return err
	}
	if o.block && !t.oneConn() {
		return ErrBlocked
	}
	if !m.logged(t, o) {
		return nil
	}
	for key := range t.keys {
		if o.priorityset && o.priority != m.cfg.logPriority(key) {
			return fmt.Errorf("%w: the priority of %s is fixed", ErrOrdered, key)
		}
	}
	if o.lane != "" || o.unreliable {
		return fmt.Errorf("%w: neither a lane nor unreliable", ErrOrdered)
	}
	return nil
}

// logged reports whether a send stands in logs.
func (m *Manager) logged(t Target, o *sendOptions) bool {
	return m.cfg.logs(t.kind) && t.where == nil && !o.unlogged
}

// keys yields the topic key of every name.
func (t Target) keys(yield func(string) bool) {
	switch {
	case t.kind == targetAll:
		yield("all")
		return
	case !yield(t.first):
		return
	}
	for _, n := range t.more {
		if !yield(kindPrefix[t.kind] + n) {
			return
		}
	}
}

// addressed returns msg with its to set to the target, unless it says something already.
func addressed(msg *Message, t Target) *Message {
	if msg.to != "" {
		return msg
	}
	c := *msg
	c.to = t.String()
	return &c
}

// publish resolves the target and hands the message to every connection, in the steps of
// ARCHITECTURE.md: resolve without a lock, publish under each topic's lock, then wake.
func (m *Manager) publish(ctx context.Context, p *publication, t Target, msg *Message) (Delivery, error) {
	p.only = t.only
	p.delivery = Delivery{ID: msg.id}
	if len(t.more) > 0 {
		p.seen = make(map[*Conn]struct{})
	}
	if p.options.ack {
		p.delivery.Pending = newPending(msg.id)
	}
	defer m.settle(p) // though the user's Where or Store panics
	err := m.deliver(ctx, p, t, msg)
	return p.delivery, err
}

func (m *Manager) deliver(ctx context.Context, p *publication, t Target, msg *Message) error {
	switch {
	case t.oneConn():
		return m.deliverConn(ctx, p, t, msg)
	case t.where != nil:
		m.deliverWhere(p, t, p.envelope(t, msg))
		return nil
	case t.kind == targetConn:
		m.deliverConns(p, t, p.envelope(t, msg))
		return nil
	}
	logged := m.logged(t, &p.options)
	var earlier []LogPosition
	for key := range t.keys {
		e := p.envelope(t, msg)
		e.earlier = earlier
		if logged {
			e.priority = m.cfg.logPriority(key)
		} else if m.dir.find(key) == nil {
			continue
		}
		m.publishTo(p, t.kind, key, e)
		if logged && e.frame.Log.Log != "" {
			p.delivery.Position = e.frame.Log
			if len(t.more) > 0 {
				earlier = append(earlier[:len(earlier):len(earlier)], e.frame.Log)
			}
		}
	}
	if len(t.more) > 0 {
		p.delivery.Position = LogPosition{}
	}
	return nil
}

// publishTo publishes to the living topic of that key.
func (m *Manager) publishTo(p *publication, kind targetKind, key string, e *envelope) {
	if p.now.IsZero() {
		p.now = time.Now()
	}
	for !m.topic(kind, key).publish(p, e) {
	}
}

// deliverConn sends to one connection by its id.
func (m *Manager) deliverConn(ctx context.Context, p *publication, t Target, msg *Message) error {
	c := m.conns.find(t.name())
	if c == nil {
		return fmt.Errorf("%w: connection %q", ErrNotFound, shorten(t.name()))
	}
	if !p.wants(c) || t.where != nil && !t.where(c) {
		return nil
	}
	p.delivery.Matched++
	e := p.letterTo(c, t, msg)
	if p.options.block {
		return m.pushBlocking(ctx, p, c, e)
	}
	p.push(c, queued{e: e})
	return nil
}

// deliverConns sends to several connections by their ids.
func (m *Manager) deliverConns(p *publication, t Target, e *envelope) {
	for id := range t.names {
		if c := m.conns.find(id); c != nil && p.wants(c) {
			p.delivery.Matched++
			p.push(c, queued{e: e})
		}
	}
}

// deliverWhere resolves the target to connections, asks Where about each with no lock held, and
// queues the message outside of every log.
func (m *Manager) deliverWhere(p *publication, t Target, e *envelope) {
	for c := range m.Connections(t) {
		p.delivery.Matched++
		p.push(c, queued{e: e})
	}
}

// pushBlocking waits for room in the connection's queue.
func (m *Manager) pushBlocking(ctx context.Context, p *publication, c *Conn, e *envelope) error {
	p.expect(c)
	for room := (<-chan struct{})(nil); ; room = c.out.waitRoom() {
		r, wake, _ := c.push(queued{e: e, patient: true})
		if wake {
			c.startWriter()
		}
		switch r {
		case pushQueued:
			p.delivery.Queued++
			return nil
		case pushClosed:
			p.delivery.Closed++
			p.lost(c)
			return nil
		}
		if room == nil { // to be asked for before another look
			continue
		}
		select {
		case <-room:
		case <-c.ctx.Done():
		case <-ctx.Done():
			p.delivery.Dropped++
			p.lost(c)
			return context.Cause(ctx)
		}
	}
}

// wants reports whether the publication is for c, and has not reached it through another name.
func (p *publication) wants(c *Conn) bool {
	if !p.only.match(c) {
		return false
	}
	if p.seen == nil {
		return true
	}
	if _, dup := p.seen[c]; dup {
		return false
	}
	p.seen[c] = struct{}{}
	return true
}

// expect waits for c's acknowledgement, where the send wants them.
func (p *publication) expect(c *Conn) {
	if p.delivery.Pending != nil {
		p.delivery.Pending.expect(c)
	}
}

// lost takes the expectation back.
func (p *publication) lost(c *Conn) {
	if p.delivery.Pending != nil {
		p.delivery.Pending.lost(c)
	}
}

// push queues a message for c and counts what became of it. It may run under topic.mu.
func (p *publication) push(c *Conn, m queued) pushResult {
	p.expect(c)
	r, wake, lost := c.push(m)
	c.overflowed(lost)
	if wake {
		p.wake = append(p.wake, c)
	}
	switch r {
	case pushQueued, pushFollows:
		p.delivery.Queued++
		return r
	case pushClosed:
		p.delivery.Closed++
	case pushDropped:
		c.countDrops(dropOverflow, 1)
		p.delivery.Dropped++
	case pushFull:
		p.delivery.Closed++
		p.kill = append(p.kill, c)
	}
	p.lost(c)
	return r
}

// settle starts the writers and closes the connections that were too slow, with no lock held.
func (m *Manager) settle(p *publication) {
	if len(p.wake) == 1 && p.wake[0].out.prompt.CompareAndSwap(true, false) {
		p.wake[0].writeNow()
	} else {
		m.writers.submit(p.wake)
	}
	p.writeDirect()
	for _, c := range p.kill {
		c.countDrops(dropOverflow, 1)
		c.kill(CloseReason{Kind: ReasonSlow, Text: "the outbound queue is full", Err: ErrSlowConsumer})
	}
	if p.options.ack {
		p.delivery.Pending.begin()
	}
	m.stats.sends.Add(1)
}

func (p *publication) free() {
	clear(p.wake)
	clear(p.direct)
	clear(p.attempts)
	clear(p.kill)
	*p = publication{wake: p.wake[:0], direct: p.direct[:0], attempts: p.attempts[:0], kill: p.kill[:0], letters: p.letters}
	publications.Put(p)
}
