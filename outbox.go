package comm

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/queue"
)

// outbox is what waits for one client. There is no standing writer: a goroutine runs only while
// there is something to write.
type outbox struct {
	mu      sync.Mutex
	writing bool        // the writer runs, or will
	more    bool        // with writing: there may be something that it has not taken
	closing bool        // nothing more is accepted
	dead    bool        // the transport is closed or being closed
	shared  bool        // it is written by one of the manager's writers
	tries   bool        // the transport is a TryWriter
	direct  bool        // it is a DirectWriter
	forgets bool        // it is a Forgetter
	metered bool        // it is Metered
	prompt  atomic.Bool // with tries: what a handler sends now is the answer to all that the client has sent
	writer  *writer     // which of the manager's is in the transport's Write; its own
	last    *ending     // with closing: say this and end when empty

	q       queue.Queue[*envelope]
	follows []follow      // topics whose feeds the writer takes from
	replays []*member     // being replayed
	room    chan struct{} // closed when a batch has left, for senders that block; nil if nobody waits
	run     func()        // Conn.write, stored: a go statement with a method allocates
}

// ending is how a connection ends in good order.
type ending struct {
	reason   CloseReason
	deadline time.Time // when the queue must have left
	lost     int       // messages of the queue that have not
}

const (
	batchMessages = 256
	batchBytes    = 64 << 10
	// maxControl is how many control frames may wait for a client that does not read; past it,
	// the client is slow.
	maxControl = 1024
)

// pushResult is what became of one message for one connection.
type pushResult uint8

const (
	pushQueued pushResult = iota
	pushDropped
	pushFull    // the policy is the caller's
	pushClosed  // the connection is ending
	pushFollows // not queued: the writer takes it from the topic's feed, where the caller must put it
)

// queued is a message on its way into a queue.
type queued struct {
	e       *envelope
	seq     uint64  // 0 for a message to this connection alone, which is given one
	of      *member // of the topic that it was published to, or nil
	logged  bool    // it stands in the topic's log
	feeds   bool    // it may be taken from the topic's feed
	patient bool    // it neither drops others nor is dropped: it comes back as pushFull
}

// push queues a message. wake reports that the caller must start the writer, after it has released its
// locks. lost counts messages that were dropped to make room.
func (c *Conn) push(m queued) (r pushResult, wake bool, lost int) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing:
		return pushClosed, false, 0
	case m.feeds && o.mayFollow(m.of):
		return pushFollows, false, 0
	case len(o.follows) > 0 && o.crowded(&c.manager.cfg, m.e.size):
		return pushFull, false, 0
	case m.seq == 0:
		m.seq = c.manager.order.Add(1)
	}
	lane := m.e.priority.queueLane()
	res, lost := o.q.Push(lane, m.e, m.seq, m.patient || m.logged)
	switch res {
	case queue.Full:
		if m.logged && c.manager.cfg.Overflow != Disconnect {
			m.of.replayFrom(m.e.frame.Log.Offset, o.q.Barrier(lane))
			o.replays = append(o.replays, m.of)
			return pushQueued, o.wake(), 0
		}
		return pushFull, false, 0
	case queue.Dropped:
		return pushDropped, false, lost
	}
	return pushQueued, o.wake(), lost
}

// wake marks the writer as running and reports whether it must be started.
func (o *outbox) wake() bool {
	if o.more = true; o.writing {
		return false
	}
	o.writing = true
	return true
}

// control queues a control frame, which is never dropped and leaves before messages.
func (c *Conn) control(f *Frame) {
	if c.pushControl(f) {
		c.startWriter()
	}
}

// answerNow is control on the handler's goroutine, with no lock held.
func (c *Conn) answerNow(f *Frame) {
	switch {
	case !c.pushControl(f):
	case c.out.prompt.CompareAndSwap(true, false):
		c.writeNow()
	default:
		c.startWriter()
	}
}

// pushControl reports whether the caller must start the writer.
func (c *Conn) pushControl(f *Frame) (wake bool) {
	o := &c.out
	o.mu.Lock()
	if o.closing {
		o.mu.Unlock()
		return false
	}
	if o.q.Control() >= maxControl {
		o.mu.Unlock()
		c.kill(CloseReason{Kind: ReasonSlow, Text: "control frames are not read", Err: ErrSlowConsumer})
		return false
	}
	defer o.mu.Unlock()
	o.q.PushControl(newControl(f))
	return o.wake()
}

// pushOrdered queues a control frame in its place between the messages of a lane. It is called
// under topic.mu and so starts the writer itself, which only makes a goroutine runnable.
func (c *Conn) pushOrdered(e *envelope, p Priority) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing:
		return
	case o.q.Len() >= c.manager.cfg.QueueMessages+maxControl: // joins again and again, and reads nothing
		go c.kill(CloseReason{Kind: ReasonSlow, Text: "control frames are not read", Err: ErrSlowConsumer})
		return
	}
	o.q.PushOrdered(p.queueLane(), e, c.manager.order.Add(1))
	if o.wake() {
		c.startWriter()
	}
}

// startReplay makes the writer pull m's log. It is called under topic.mu.
func (c *Conn) startReplay(m *member) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	m.barrier = o.q.Barrier(m.topic.priority.queueLane())
	o.replays = append(o.replays, m)
	if !o.closing && o.wake() {
		c.startWriter()
	}
}

// waitRoom returns a channel that is closed when the next batch has left.
func (o *outbox) waitRoom() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// finish refuses further messages and lets the writer end the connection once it is empty. Only the
// first call has an effect.
func (o *outbox) finish(c *Conn, r CloseReason, deadline time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return
	}
	o.closing, o.last = true, &ending{reason: r, deadline: deadline}
	if o.wake() {
		c.startWriter()
	}
}

// kill drops what is queued and reports whether this call must end the connection.
func (o *outbox) kill(r CloseReason) (lost int, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return 0, false
	}
	o.closing, o.dead, o.last = true, true, nil
	o.replays = nil
	o.release()
	return o.q.Clear(), true
}

// release lets blocked senders look again.
func (o *outbox) release() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// batches are the writers' scratch; only pointers to shared envelopes pass through them.
var batches = sync.Pool{New: func() any {
	return &scratch{envelopes: make([]*envelope, 0, batchMessages), out: make([]Outbound, 0, batchMessages)}
}}

type scratch struct {
	envelopes []*envelope
	out       []Outbound
	sources   []source
	taken     [takenAtOnce]*Conn // a writer's
	used      int                // the longest batch so far: most are short, and clearing all would cost more than they do
}

func (s *scratch) free() {
	clear(s.envelopes[:min(s.used, cap(s.envelopes))])
	clear(s.out[:min(s.used, cap(s.out))])
	clear(s.sources[:cap(s.sources)])
	clear(s.taken[:])
	s.used = 0
	batches.Put(s)
}

// write is the writer: it drains the outbox in batches, one transport write each, and ends when
// nothing is left.
func (c *Conn) write() {
	s := batches.Get().(*scratch)
	defer s.free()
	for c.writeBatch(s, nil) {
	}
}

// writeBatch writes the next batch, for w if it is one of the manager's writers. Without more to write,
// the writer of this connection has ended.
func (c *Conn) writeBatch(s *scratch, w *writer) (more bool) {
	batch, last := c.next(s)
	switch {
	case last != nil:
		go c.end(last.reason, last.deadline)
		return false
	case len(batch) == 0:
		return false
	}
	return c.writeOut(batch, w)
}

// writeOut writes a batch that is there, as writeBatch does.
func (c *Conn) writeOut(batch []Outbound, w *writer) (more bool) {
	c.out.writer = w
	err := c.writeAll(batch)
	c.out.writer = nil
	if err != nil {
		c.kill(c.writeReason(err))
		return false
	}
	return !c.out.rest()
}

// rest ends the writer if nothing is left, while what it looks at is still in the processor's cache.
func (o *outbox) rest() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more && o.some() {
		return false
	}
	o.writing, o.more = false, false
	return true
}

// some reports whether there is anything to write.
func (o *outbox) some() bool {
	return !o.q.Empty() || len(o.follows)+len(o.replays) > 0 || o.last != nil
}

// Waiting implements Waiter: the transport's Write, of this goroutine, is about to wait for the peer.
func (o *outbox) Waiting() {
	if o.writer != nil {
		o.writer.leave()
	}
}

// next returns the next batch. An empty batch without last means that the writer has ended.
func (c *Conn) next(s *scratch) (batch []Outbound, last *ending) {
	for {
		upTo := c.manager.order.Load() // before anything is looked at: see merge
		replays, last, over := c.out.look(s)
		if over {
			if last != nil {
				c.countDrops(dropClosed, last.lost+c.out.forsake())
			}
			return nil, last
		}
		if len(s.sources) > 0 {
			c.merge(s, upTo)
		}
		for _, m := range replays {
			s.envelopes = c.replay(m, s.envelopes)
		}
		if len(s.envelopes) > 0 {
			return s.batch(), nil
		}
	}
}

// look takes what waits in the outbox itself and lists what else may have something for it. over is true
// when the writer has ended, with last where it must end the connection.
func (o *outbox) look(s *scratch) (replays []*member, last *ending, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.envelopes, s.sources = s.envelopes[:0], s.sources[:0]
	switch {
	case o.dead:
		return nil, nil, true
	case o.last != nil && time.Now().After(o.last.deadline):
		return nil, o.giveUp(), true
	case len(o.follows) == 0:
		s.envelopes = o.q.Take(s.envelopes, batchMessages, batchBytes)
	default:
		s.envelopes = o.q.TakeControl(s.envelopes, batchMessages)
		s.sources = o.sources(s.sources)
	}
	if len(s.envelopes) > 0 {
		o.release()
	}
	o.more = o.some()
	if replays = o.ready(); len(s.envelopes)+len(s.sources)+len(replays) > 0 {
		return replays, nil, false
	}
	o.writing = false
	if o.last != nil {
		last = o.giveUp()
	}
	return nil, last, true
}

// batch is the envelopes as a transport takes them.
func (s *scratch) batch() []Outbound {
	s.used = max(s.used, len(s.envelopes))
	s.out = s.out[:0]
	for _, e := range s.envelopes {
		s.out = append(s.out, Outbound{e})
	}
	return s.out
}

// giveUp makes the caller the one that ends the connection, for the reason it returns.
func (o *outbox) giveUp() *ending {
	last := o.last
	o.last, o.dead, o.replays = nil, true, nil
	last.lost = o.q.Clear()
	o.release()
	return last
}

// ready returns the members whose barrier has passed.
func (o *outbox) ready() []*member {
	var ready []*member
	for _, m := range o.replays {
		if o.q.Passed(m.topic.priority.queueLane(), m.barrier) {
			ready = append(ready, m)
		}
	}
	return ready
}

// replay pulls one page of m's log behind the envelopes.
func (c *Conn) replay(m *member, dst []*envelope) []*envelope {
	covered := c.coveredBy(m)
	dst, done := m.topic.pull(m, dst, replayPage, batchBytes, covered)
	if done {
		c.out.endReplay(m)
	}
	return dst
}

// endReplay forgets m, unless a publish has made it replaying again meanwhile.
func (o *outbox) endReplay(m *member) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, r := range o.replays {
		if r == m {
			o.replays = append(o.replays[:i], o.replays[i+1:]...)
			return
		}
	}
}

// writeAll writes the whole batch.
func (c *Conn) writeAll(batch []Outbound) (err error) {
	defer c.recoverWrite(&err)
	for len(batch) > 0 {
		open := c.manager.taps.open()
		n, err := c.transport.Write(batch, time.Now().Add(c.manager.settings.WriteTimeout))
		c.left(batch[:n], open)
		if err != nil {
			return err
		}
		if n == 0 {
			return errStuck
		}
		batch = batch[n:]
	}
	return nil
}

// left takes note of what has been written, which taps see that were open before.
func (c *Conn) left(batch []Outbound, open *[]*Tap) {
	c.countOut(batch)
	if !c.tapOut(batch, open) {
		reuse(batch)
	}
}

// recoverWrite makes an error of a panic in a transport's write, in which code of the service may run, such as an
// interceptor: that costs the connection, and neither its writer, which serves others too, nor who sends.
func (c *Conn) recoverWrite(err *error) {
	if p := recover(); p != nil {
		c.manager.logPanic("transport", c, p)
		*err = errWritePanic
	}
}

var (
	errStuck      = errors.New("comm: the transport accepted nothing")
	errWritePanic = errors.New("comm: the transport panicked")
)

func (c *Conn) writeReason(err error) CloseReason {
	if r, ok := errors.AsType[CloseReason](err); ok {
		return r
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return CloseReason{Kind: ReasonSlow, Text: "a write timed out", Err: err}
	}
	return CloseReason{Kind: ReasonLost, Err: err}
}
