package comm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/anasamu/comm/internal/queue"
)

// inbox is what a client sent and no handler has taken yet. Its goroutines exist only while it is
// not empty, so that the carrier's reader never runs user code: a handler may Call its own
// connection, and a slow handler does not fail the heartbeat.
type inbox struct {
	mu      sync.Mutex
	q       queue.Ring[*Frame]
	bytes   int
	space   chan struct{} // closed when there is room again; nil if the reader is not waiting
	running int32         // handler goroutines
	closed  bool
	refused bool   // the server drains: what comes now is refused
	run     func() // calls take until nil, on a goroutine of its own; stored, so that starting it allocates nothing
	owner   inboxOwner
}

// inboxOwner is the connection, or the client, whose inbox it is.
type inboxOwner interface {
	// inboxBounds never change.
	inboxBounds() *inboxBounds
	// asks reports whether somebody waits for an answer, for which a handler may hold up the rest.
	asks() bool
	// goHandle calls run, of the inbox, on a goroutine.
	goHandle(run func())
}

// inboxBounds are how much may wait for the handlers before the reader stops. While a request waits
// for its answer there is more room: a handler may have made it, and the answer is behind what waits.
type inboxBounds struct{ messages, bytes, requestMessages, requestBytes int }

var connInbox = inboxBounds{16, 256 << 10, 1024, 1 << 20}

func (c *Conn) inboxBounds() *inboxBounds { return &connInbox }
func (c *Conn) asks() bool                { return c.calls.any() }
func (c *Conn) goHandle(run func())       { c.manager.warm.Go(run) }

// room reports whether f may be queued. One frame always may.
func (b *inbox) room(size int) bool {
	most, n := b.owner.inboxBounds(), b.q.Len()
	if n == 0 || n < most.messages && b.bytes+size <= most.bytes {
		return true
	}
	return n < most.requestMessages && b.bytes+size <= most.requestBytes && b.owner.asks()
}

// put queues f for the handlers, or returns a channel to wait on while there is no room.
func (b *inbox) put(f *Frame, size, concurrency int) (wait <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, ErrClosed
	case b.refused:
		return nil, errDraining
	}
	if !b.room(size) {
		if b.space == nil {
			b.space = make(chan struct{})
		}
		return b.space, nil
	}
	b.q.Push(f)
	b.bytes += size
	if int(b.running) < concurrency {
		b.running++
		b.owner.goHandle(b.run)
	}
	return nil, nil
}

// errDraining answers what a client sends after the drain has begun.
var errDraining = &PeerError{CodeClosing, "the server is going away"}

// refuse takes no more frames. What is there already is handled.
func (b *inbox) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = true
	b.wake()
}

// widen lets a reader that waits look again, because a request has begun to wait for its answer.
func (b *inbox) widen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
}

// take returns the next frame, or nil when the goroutine must end, and whether nothing is behind it.
func (b *inbox) take() (f *Frame, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.q.Pop()
	if !ok || b.closed {
		b.running--
		return nil, true
	}
	b.bytes -= frameSize(f)
	b.wake()
	return f, b.q.Len() == 0
}

// idle reports whether nothing waits and no handler runs.
func (b *inbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.q.Len() == 0 && b.running == 0
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.q.Clear()
	b.bytes = 0
	b.wake()
}

func frameSize(f *Frame) int {
	if f.Message != nil {
		return f.Message.Size()
	}
	return messageOverhead
}

// receive takes one frame from the carrier's reader. What needs no user code is done here. One that is more of what an
// earlier frame began does not count against the rate.
func (c *Conn) receive(f *Frame, more bool) error {
	now := time.Now()
	c.stats.lastActivity.Store(now.UnixNano())
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	c.tapIn(f)
	if !more && !c.allowed(now) {
		if !c.overrun() {
			c.countFailed()
			c.tellFailed(f, errRate)
		}
		return nil
	}
	switch f.Op {
	case OpPing:
		c.control(&Frame{Op: OpPong, ID: f.ID})
	case OpPong:
	case OpAck:
		c.calls.resolve(ackKey(f.ID), nil, nil)
	case OpReply:
		c.calls.resolve(f.ID, f.Message, nil)
	case OpError:
		err := &PeerError{Code: f.Code, Message: f.Text}
		if !c.calls.resolve(f.ID, nil, err) {
			c.calls.resolve(ackKey(f.ID), nil, err)
		}
	case OpAuth:
		c.refresh(f)
	case OpHello:
		c.refuse(f, &PeerError{CodeUnexpectedHello, "the connection is already welcome"})
	case OpMessage, OpCall, OpJoin, OpLeave, OpList, OpPresence, OpClose:
		return c.enqueue(f)
	default:
		c.refuse(f, &PeerError{CodeUnknownOp, f.Op.String() + " is not for clients to send"})
	}
	return nil
}

var errRate = &PeerError{CodeRateLimited, "too many frames on this connection"}

// overrun closes a client that goes on regardless over the rate: when refusals outnumber the frames that were taken
// by the whole burst.
func (c *Conn) overrun() bool {
	over := int(c.excess) > c.manager.cfg.MessageBurst
	if over {
		c.shut(CloseReason{Kind: ReasonRateLimited, Text: "frames went on over the rate", After: rateLimitedAfter})
	}
	return over
}

// rateLimitedAfter is how long a client stays away that was closed for its rate.
const rateLimitedAfter = 5 * time.Second

// enqueue waits until the handlers take f.
func (c *Conn) enqueue(f *Frame) error {
	if f.Message != nil {
		c.stats.messagesIn.Add(1)
		c.provider.stats.messagesIn.Add(1)
	}
	for {
		wait, err := c.in.put(f, frameSize(f), c.manager.cfg.HandlerConcurrency)
		switch {
		case err == errDraining:
			c.refuse(f, err)
			return nil
		case wait == nil:
			return err
		}
		select {
		case <-wait:
		case <-c.ctx.Done():
			return ErrClosed
		}
	}
}

// handle is the handler goroutine: it works through the inbox and ends when it is empty.
func (c *Conn) handle() {
	for f, last := c.in.take(); f != nil; f, last = c.in.take() {
		c.out.prompt.Store(last && c.out.tries)
		err := c.dispatch(f)
		c.out.prompt.Store(false)
		if err != nil {
			c.refuse(f, err)
		}
	}
}

// refuse counts a message that failed, and tells the client of a frame that did.
func (c *Conn) refuse(f *Frame, err error) {
	if f.Message != nil {
		c.countFailed()
	}
	c.tellFailed(f, err)
}

func (c *Conn) tellFailed(f *Frame, err error) {
	code, text := codeOf(err)
	e := errorFrame(f.ID, code, text)
	e.Group = f.Group
	c.control(e)
}

// dispatch runs one frame that may reach user code.
func (c *Conn) dispatch(f *Frame) (err error) {
	defer c.recoverHandler(f, &err)
	switch f.Op {
	case OpMessage, OpCall:
		return c.dispatchMessage(f)
	case OpJoin:
		return c.clientJoin(f.ID, f.Group, f.Position)
	case OpLeave:
		return c.leave(f.Group, f.ID)
	case OpPresence:
		return c.clientPresence(f)
	case OpList:
		return c.clientList(f)
	default:
		return c.clientClose(f)
	}
}

// recoverHandler turns a panic of user code into an error that fails this frame only.
func (c *Conn) recoverHandler(f *Frame, err *error) {
	if p := recover(); p != nil {
		c.manager.log.Error("handler panicked", "provider", c.provider.name, "conn", c.id, "user", c.user,
			"op", f.Op.String(), "type", f.typ(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = errPanic
	}
}

var errPanic = errors.New("comm: the handler panicked")

func (f *Frame) typ() string {
	if f.Message != nil {
		return f.Message.typ
	}
	return ""
}

// dispatchMessage stamps what a client must not choose and runs the message through the middleware
// to its handler or, with to, to others.
func (c *Conn) dispatchMessage(f *Frame) error {
	m := *f.Message
	m.from, m.timestamp = c.Address(), time.Now().UTC()
	if m.id == "" {
		m.id = newID()
	}
	ctx := traceContext(c.ctx, &m)
	if f.Delivery != nil {
		ctx = context.WithValue(ctx, deliveryKey{}, f.Delivery)
	}
	reply, told, err := c.runHandler(ctx, f, &m)
	switch {
	case told:
		return nil
	case err != nil:
		c.logFailure(&m, err)
		return err
	}
	switch {
	case f.Op == OpCall:
		r := replyFrame(f.ID, nil)
		r.Message = stampTrace(ctx, reply)
		c.answerNow(r)
	case f.Ack && f.ID != "":
		c.answerNow(&Frame{Op: OpAck, ID: f.ID})
	}
	return nil
}

// runHandler runs the message's handler and counts the run, one that panics too. told reports that its time was over,
// and that the client has had its answer.
func (c *Conn) runHandler(ctx context.Context, f *Frame, m *Message) (reply *Message, told bool, err error) {
	start := time.Now()
	ctx, limit := c.limitHandler(ctx, f)
	defer func() {
		if told = limit.end(); told {
			err = ErrHandlerTimeout
		}
		c.manager.stats.handled(c.manager.handlers.label(m), time.Since(start), err)
		c.manager.observe(Event{Kind: EventMessage, Provider: c.provider.name, Conn: c.id, User: c.user, Type: m.typ, Err: err})
	}()
	defer c.recoverHandler(f, &err)
	reply, err = c.manager.handlers.run(ctx, c, m, f.Op == OpCall)
	return reply, false, err
}

// logFailure logs what the client is told nothing about, and that time was too short.
func (c *Conn) logFailure(m *Message, err error) {
	if undecidable(c.ctx, err) && !errors.Is(err, errPanic) {
		c.manager.log.Warn("handler failed", "provider", c.provider.name, "conn", c.id, "user", c.user,
			"type", m.typ, "id", m.id, "error", err)
	}
}

func (c *Conn) clientJoin(id, group string, pos Position) error {
	if err := c.mayJoin(group); err != nil {
		return err
	}
	return c.join(joinRequest{group: group, id: id, position: pos, byClient: true})
}

func (c *Conn) clientPresence(f *Frame) error {
	if err := checkGroup(f.Group); err != nil {
		return err
	}
	if err := c.Authorize(Access{Action: ActionPresence, Target: ToGroup(f.Group), Group: f.Group}); err != nil {
		return err
	}
	return c.answer(f.ID, c.manager.Presence(f.Group))
}

// maxListed bounds the answer to a list.
const maxListed = 1000

func (c *Conn) clientList(f *Frame) error {
	t, err := clientTarget(f.Target)
	if err != nil {
		return err
	}
	if err := c.Authorize(Access{Action: ActionList, Target: t}); err != nil {
		return err
	}
	infos := []ConnInfo{}
	for other := range c.manager.Connections(t) {
		if infos = append(infos, other.Info()); len(infos) == maxListed {
			break
		}
	}
	return c.answer(f.ID, infos)
}

func (c *Conn) clientClose(f *Frame) error {
	t, err := clientTarget(f.Target)
	if err != nil {
		return err
	}
	if err := c.Authorize(Access{Action: ActionClose, Target: t}); err != nil {
		return err
	}
	if t.kind != targetConn {
		return wrongTarget("close takes conn:ID")
	}
	other := c.manager.conns.find(t.name())
	if other == nil {
		return ErrNotFound
	}
	other.shut(CloseReason{Kind: ReasonKicked, Text: "closed by " + c.Address()})
	if f.ID != "" {
		c.control(&Frame{Op: OpAck, ID: f.ID})
	}
	return nil
}

func (c *Conn) answer(id string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.control(replyFrame(id, b))
	return nil
}

// Info returns what lists show of the connection.
func (c *Conn) Info() ConnInfo {
	return ConnInfo{
		ID: c.id, Provider: c.provider.name, User: c.user, Groups: c.Groups(),
		Labels: c.Labels(), Metadata: c.Metadata(), Since: c.Since(),
	}
}

// refresh asks the authenticator about a fresh token, on a goroutine of its own: one at a time.
func (c *Conn) refresh(f *Frame) {
	if !c.refreshes.CompareAndSwap(false, true) {
		c.refuse(f, &PeerError{CodeRateLimited, "a token is already being checked"})
		return
	}
	c.manager.spawn(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.manager.settings.HandshakeTimeout)
		defer cancel()
		expires, err := c.renew(ctx, f)
		c.refreshes.Store(false) // before the answer, which the client may answer with the next token
		if err != nil {
			c.refuse(f, err)
			return
		}
		c.control(&Frame{Op: OpAuthed, ID: f.ID, Expires: expires})
	})
}
