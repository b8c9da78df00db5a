package comm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxWaiting is how many calls and acks may be pending on one connection.
const maxWaiting = 1024

// waiters is what waits for an answer of one client. The zero value is ready.
type waiters struct {
	mu     sync.Mutex
	byKey  map[string]waiter
	closed bool
}

// waiter is told an answer once.
type waiter struct {
	tell   func(*Message, error)
	log    string // in which the message stands, or ""
	offset uint64
}

// ackKey keeps acks apart from replies of the same id.
func ackKey(id string) string { return "\x00" + id }

func (w *waiters) add(key string, f func(*Message, error)) error { return w.put(key, waiter{tell: f}) }

func (w *waiters) put(key string, of waiter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrDisconnected
	}
	if len(w.byKey) >= maxWaiting {
		return &LimitError{Limit: "pending calls and acks per connection", Max: maxWaiting}
	}
	if _, dup := w.byKey[key]; dup {
		return fmt.Errorf("comm: a call with id %q is already waiting", shorten(key))
	}
	if w.byKey == nil {
		w.byKey = make(map[string]waiter)
	}
	w.byKey[key] = of
	return nil
}

// any reports whether somebody waits.
func (w *waiters) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byKey) > 0
}

func (w *waiters) remove(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byKey, key)
}

// resolve reports whether somebody waited.
func (w *waiters) resolve(key string, m *Message, err error) bool {
	w.mu.Lock()
	of, found := w.byKey[key]
	delete(w.byKey, key)
	w.mu.Unlock()
	if found {
		of.tell(m, err)
	}
	return found
}

// failLog tells those whose messages stand in a log from offset from on, and before to.
func (w *waiters) failLog(log string, from, to uint64, err error) {
	var lost []waiter
	w.mu.Lock()
	for key, of := range w.byKey {
		if of.log == log && of.offset >= from && of.offset < to {
			lost = append(lost, of)
			delete(w.byKey, key)
		}
	}
	w.mu.Unlock()
	for _, of := range lost {
		of.tell(nil, err)
	}
}

func (w *waiters) fail(err error) {
	w.mu.Lock()
	all := w.byKey
	w.byKey, w.closed = nil, true
	w.mu.Unlock()
	for _, of := range all {
		of.tell(nil, err)
	}
}

// overflowed counts n messages that the overflow policy has taken out of the queue, and tells whoever waits for an
// answer to one of them.
func (c *Conn) overflowed(n int) {
	if n == 0 {
		return
	}
	c.countDrops(dropOverflow, n)
	c.out.mu.Lock()
	dropped := c.out.q.TakeDropped()
	c.out.mu.Unlock()
	for _, e := range dropped {
		key := e.frame.ID
		if e.frame.Op == OpMessage {
			key = ackKey(key)
		}
		c.calls.resolve(key, nil, ErrDropped)
	}
}

// Call sends m to one connection and waits for its reply. Without a deadline on ctx it waits for
// the configured timeout (WithTimeout, 30 s by default), and then the error wraps context.DeadlineExceeded. It may be
// called from a handler, for the handler's own connection too; the deadline of WithHandlerTimeout then ends it as
// well, and does not stand in for the timeout.
//
// Errors: a *MessageError for a message that NewMessage has not made, ErrNotFound, *PeerError when the client answers
// with an error, ErrDisconnected when it goes away first, ErrSlowConsumer when its queue is full, ErrDropped when that
// drops the call later, a *LimitError with 1,024 calls and acks pending on the connection, and the context's error.
func (m *Manager) Call(ctx context.Context, connID string, msg *Message) (*Message, error) {
	if err := checkMade(msg); err != nil {
		return nil, err
	}
	c := m.conns.find(connID)
	if c == nil {
		return nil, fmt.Errorf("%w: connection %q", ErrNotFound, shorten(connID))
	}
	return m.call(ctx, c, msg)
}

// CallAs is Call with content that is marshalled from a Req and a reply that is decoded as a Resp. Errors: those of
// NewMessage, Call and Decode.
func CallAs[Resp, Req any](ctx context.Context, m *Manager, connID, typ string, req Req) (Resp, error) {
	var zero Resp
	msg, err := NewMessage(typ, req)
	if err != nil {
		return zero, err
	}
	reply, err := m.Call(ctx, connID, msg)
	if err != nil {
		return zero, err
	}
	return Decode[Resp](reply)
}

// noAnswer is the error of whoever waited for an answer as long as that option says.
func noAnswer(option string, d time.Duration) error {
	return fmt.Errorf("comm: no answer within %v (%s): %w", d, option, context.DeadlineExceeded)
}

type callResult struct {
	m   *Message
	err error
}

func (m *Manager) call(ctx context.Context, c *Conn, msg *Message) (*Message, error) {
	if msg == nil {
		return nil, &MessageError{"message", "nil", "a message made by NewMessage"}
	}
	if !hasDeadline(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, m.cfg.Timeout, noAnswer("WithTimeout", m.cfg.Timeout))
		defer cancel()
	}
	msg = stampTrace(ctx, msg)
	result := make(chan callResult, 1)
	if err := c.calls.add(msg.id, func(m *Message, err error) { result <- callResult{m, err} }); err != nil {
		return nil, err
	}
	c.in.widen()
	defer c.calls.remove(msg.id)
	if err := c.sendCall(msg); err != nil {
		return nil, err
	}
	select {
	case r := <-result:
		return r.m, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *Conn) sendCall(msg *Message) error {
	e := &envelope{frame: Frame{Op: OpCall, ID: msg.id, Message: msg}, size: msg.Size()}
	r, wake, lost := c.push(queued{e: e})
	c.overflowed(lost)
	if wake {
		c.startWriter()
	}
	switch r {
	case pushQueued:
		return nil
	case pushClosed:
		return ErrDisconnected
	}
	return ErrSlowConsumer
}

// Pending is the acknowledgements that a send with WithAck still waits for. Its methods are safe
// for concurrent use. Until they have come, or Wait was given up, they count against the 1,024 calls and acks that one
// connection may have pending: who asks for acknowledgements is to wait for them.
type Pending struct {
	id string

	mu      sync.Mutex
	started bool
	left    int
	acked   int
	errs    []error
	at      LogPosition // of the message that is being published
	done    chan struct{}
	waits   map[*Conn]bool
}

func newPending(id string) *Pending {
	return &Pending{id: id, done: make(chan struct{}), waits: make(map[*Conn]bool)}
}

// expect counts one receiver, before the message is queued for it, so that no ack can come too early.
func (p *Pending) expect(c *Conn) {
	p.mu.Lock()
	p.left++
	p.waits[c] = true
	at := p.at
	p.mu.Unlock()
	tell := func(_ *Message, err error) { p.resolve(c, err) }
	if err := c.calls.put(ackKey(p.id), waiter{tell, at.Log, at.Offset}); err != nil {
		p.resolve(c, err)
	}
	c.in.widen()
}

// standsAt notes where the message stands for those that are expected from now on; nowhere is the zero position.
func (p *Pending) standsAt(at LogPosition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = at
}

// lost takes back an expectation for a message that was not queued: the connection has ended, or will for that, or the
// message was dropped.
func (p *Pending) lost(c *Conn) {
	c.calls.remove(ackKey(p.id))
	err := ErrDropped
	if c.manager.cfg.Overflow == Disconnect || c.out.ends() {
		err = ErrDisconnected
	}
	p.resolve(c, err)
}

// ends reports whether nothing more is accepted.
func (o *outbox) ends() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing
}

func (p *Pending) resolve(c *Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waits[c] {
		return
	}
	delete(p.waits, c)
	p.left--
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("conn %s: %w", c.id, err))
	} else {
		p.acked++
	}
	p.finish()
}

// begin ends the counting of receivers.
func (p *Pending) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started = true
	p.finish()
}

func (p *Pending) finish() {
	if p.started && p.left == 0 {
		select {
		case <-p.done:
		default:
			close(p.done)
		}
	}
}

// Wait returns when every receiver has acknowledged, failed or gone, or lost the message, or when ctx ends. acked is how
// many acknowledged; the errors of the others are joined: *PeerError where the client's handler
// failed, ErrDisconnected where the client went away, ErrDropped where the message was dropped before it was written.
//
// Nothing but ctx bounds the wait for a client that is there and does not answer, so give it a deadline: a client that
// speaks no protocol, such as an EventSource, never does, a handler may never return, and a datagram (WithUnreliable)
// may be lost on the way.
//
// A client that went away is not sent the message again, except by its own resume.
func (p *Pending) Wait(ctx context.Context) (acked int, err error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
	return p.acked, errors.Join(append([]error{err}, p.errs...)...)
}

// forget stops waiting for those who have not answered.
func (p *Pending) forget() {
	for c := range p.waits {
		c.calls.remove(ackKey(p.id))
		delete(p.waits, c)
	}
}
