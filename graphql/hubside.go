package graphql

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// ErrNoGateway is what the methods of a [Subscriber] return where it is no connection of a gateway: the handler
// stands alone, or the operation came over plain HTTP.
var ErrNoGateway = errors.New("graphql: the operation came over no connection of a gateway")

// hubSide is what the hub knows of a subscriber: a comm.Transport, whose Write hands frames to those
// operations that take them.
type hubSide struct {
	s    *Subscriber
	host comm.Host
	conn atomic.Pointer[comm.Conn] // nil until the manager has made it

	inward turn         // held while the hub is given a frame: one at a time, and it may have no room
	signs  atomic.Int32 // of the client's life that have come meanwhile
	joins  turn         // held while the connection joins or leaves a group

	mu     sync.Mutex // guards the fields below, and what takers remember
	takers []*taker   // replaced, never changed
	asked  map[string]chan *comm.Frame
	first  *firstTaker   // what the hub says before the first subscription to events, or nil
	at     comm.Position // how far the connection has been given each log it is in
	// replayed is whether the frame that takers are asked about was given to the connection before.
	replayed bool
	// again is the logs that the connection has joined anew without a loss of its own.
	again    map[string]bool
	reminder *time.Timer // that the identity is about to end; nil without subscriptions to events

	groups map[string]*groupUse // under joins

	waiter comm.Waiter // told before Write waits; nil if nobody is
}

func newHubSide(s *Subscriber, host comm.Host) *hubSide {
	return &hubSide{s: s, host: host, inward: newTurn(), joins: newTurn(), asked: make(map[string]chan *comm.Frame), groups: make(map[string]*groupUse)}
}

// TellWaiting implements comm.WaitTeller.
func (h *hubSide) TellWaiting(w comm.Waiter) bool {
	h.waiter = w
	return true
}

// Write implements comm.Transport. The time of one Write is for one frame: it returns early rather than wait
// for the second.
func (h *hubSide) Write(batch []comm.Outbound, deadline time.Time) (n int, err error) {
	for i, o := range batch {
		takers, full := h.choose(o.Frame(), i > 0)
		if full {
			return i, nil
		}
		f := handedTo(len(takers), o.Frame())
		for _, t := range takers {
			if err := h.hand(t, f, o.Size(), deadline); err != nil {
				return i, err
			}
		}
	}
	return len(batch), nil
}

// choose asks the takers, unless one of them has no room and that matters.
func (h *hubSide) choose(f *comm.Frame, mindRoom bool) (chosen []*taker, full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if mindRoom && slices.ContainsFunc(h.takers, (*taker).full) {
		return nil, true
	}
	h.see(f)
	for _, t := range h.takers {
		if t.keep(f) {
			chosen = append(chosen, t)
		}
	}
	h.answered(f)
	if len(chosen) == 0 {
		h.decline(f)
	}
	return chosen, false
}

// see notes how far a log has come.
func (h *hubSide) see(f *comm.Frame) {
	p, known := h.at.Get(f.Log.Log)
	same := known && p.Epoch == f.Log.Epoch
	h.replayed = false
	switch f.Op {
	case comm.OpMessage:
		h.replayed = same && f.Log.Offset <= p.Offset
	case comm.OpGap: // that of another epoch is told to who has asked for it
		h.replayed = same && f.Log.Offset <= p.Offset || !same && h.again[f.Log.Log]
	case comm.OpJoined: // a log that nothing was in is forgotten when nobody is there
		empty := known && p.Offset+f.Log.Offset == 0
		h.rejoined(f.Log.Log, comesAgain(f.ID) && (same || empty))
	case comm.OpLeft:
		if !comesAgain(f.ID) {
			delete(h.again, f.Log.Log)
		}
	}
	if h.replayed && !same {
		return
	}
	observe(&h.at, f)
}

// rejoined notes how a log was joined.
func (h *hubSide) rejoined(log string, again bool) {
	switch {
	case !again:
		delete(h.again, log)
	case h.again == nil:
		h.again = map[string]bool{log: true}
	default:
		h.again[log] = true
	}
}

// observe applies a frame to a position. A connection that leaves a group to join it anew from an earlier place has
// been given what comes then.
func observe(at *comm.Position, f *comm.Frame) {
	switch {
	case f.Op == comm.OpLeft && comesAgain(f.ID):
		return
	case f.Op == comm.OpJoined:
		if p, ok := at.Get(f.Log.Log); ok && p.Epoch == f.Log.Epoch && p.Offset > f.Log.Offset {
			return
		}
	}
	at.Observe(f)
}

// answered tells who has asked.
func (h *hubSide) answered(f *comm.Frame) {
	if f.ID == "" || f.Op == comm.OpMessage || f.Op == comm.OpCall {
		return
	}
	if c := h.asked[f.ID]; c != nil {
		delete(h.asked, f.ID)
		c <- f
	}
}

// wantsAnswer reports whether somebody waits for what the client says to a frame.
func wantsAnswer(f *comm.Frame) bool { return f.Op == comm.OpCall || f.Op == comm.OpMessage && f.Ack }

// decline answers for a client that nobody's question reaches. The hub's writer must not wait for the hub's
// reader; there are as many goroutines as the manager lets calls be open.
func (h *hubSide) decline(f *comm.Frame) {
	if wantsAnswer(f) {
		go h.tell(&comm.Frame{Op: comm.OpError, ID: f.ID, Code: comm.CodeUnknownType, Text: "no operation of this client takes it"})
	}
}

// hand gives a frame to a taker, and waits for room.
func (h *hubSide) hand(t *taker, f handed, size int, deadline time.Time) error {
	room, over := t.put(f, size)
	if room != nil {
		var err error
		if over, err = h.insist(t, f, size, room, deadline); err != nil {
			return err
		}
	}
	if over {
		h.drop([]handed{f})
	}
	return nil
}

// insist waits until there is room, or nobody takes the frame any more.
func (h *hubSide) insist(t *taker, f handed, size int, room <-chan struct{}, deadline time.Time) (over bool, err error) {
	if h.waiter != nil {
		h.waiter.Waiting()
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for room != nil {
		select {
		case <-room:
			room, over = t.put(f, size)
		case <-timer.C:
			if h.dropFirst(t) { // that client has not asked for events
				return true, nil
			}
			return false, os.ErrDeadlineExceeded
		case <-h.s.ctx.Done():
			return false, context.Cause(h.s.ctx)
		}
	}
	return over, nil
}

// flush has the operations say what the hub has given them, which is what it takes for written.
func (h *hubSide) flush(deadline time.Time) {
	h.mu.Lock()
	takers := h.takers
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.s.ctx, time.Until(deadline)/2)
	defer cancel()
	for _, t := range takers {
		t.settle(ctx)
	}
}

// Close implements comm.Transport.
func (h *hubSide) Close(r comm.CloseReason, deadline time.Time) error {
	h.dropFirst(nil)
	switch r.Kind {
	case comm.ReasonNormal, comm.ReasonDrain, comm.ReasonKicked, comm.ReasonExpired, comm.ReasonSuperseded,
		comm.ReasonRateLimited, comm.ReasonTryLater, comm.ReasonInternal:
		h.farewell(r, deadline)
	}
	h.s.end(r, deadline)
	h.stopReminder() // nothing sets it any more
	return nil
}

// farewell tells subscriptions to events why the connection ends; before a drain queries and mutations are answered.
func (h *hubSide) farewell(r comm.CloseReason, deadline time.Time) {
	if r.Kind == comm.ReasonDrain {
		h.s.busy.Close()
		ctx, cancel := context.WithTimeout(h.s.ctx, time.Until(deadline)*3/4)
		h.s.settle(ctx)
		cancel()
	}
	h.announce(r.Frame())
	h.flush(deadline)
}

// announce has subscriptions to events take a frame that is not from the hub's writer. They have room for one more.
func (h *hubSide) announce(f *comm.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.see(f)
	for _, t := range h.takers {
		if t.events && t.keep(f) {
			t.add(f)
		}
	}
}

// tell gives the hub a frame that is no operation's.
func (h *hubSide) tell(f *comm.Frame) error { return h.give(h.s.ctx, f, h.host.Receive) }

// give has one of the host's methods take a frame. It waits while the hub has no room, and for others that do; who is
// among these goes when ctx ends.
func (h *hubSide) give(ctx context.Context, f *comm.Frame, receive func(*comm.Conn, *comm.Frame) error) error {
	if !h.inward.take(ctx) {
		return context.Cause(ctx)
	}
	defer h.giveInward()
	c := h.conn.Load()
	if c == nil { // the manager is about to return it
		return comm.ErrClosed
	}
	return receive(c, f)
}

// giveInward gives the turn on, when the signs of life that have come meanwhile are counted.
func (h *hubSide) giveInward() {
	for {
		for range h.signs.Swap(0) {
			_ = h.host.Receive(h.conn.Load(), signOfLife)
		}
		h.inward.give()
		if h.signs.Load() == 0 || !h.inward.try() { // who has the turn now counts those that came just now
			return
		}
	}
}

// heard counts bytes of the client.
func (h *hubSide) heard(size int) { h.host.Traffic(h.conn.Load(), size, 0) }

// alive counts a message of the client that gives the hub nothing: its activity, and its rate. While the connection
// drains the hub hears nothing any more, but the operations under way go on. Who reads of the client does not wait here
// while the hub has no room for what an operation says: the client's pings are to be answered meanwhile, and its
// completes heard. Only one that says no end of them is read no further.
func (h *hubSide) alive() {
	if h.signs.Add(1) > signsHeld {
		h.signs.Add(-1)
		_ = h.tell(signOfLife)
		return
	}
	if h.inward.try() {
		h.giveInward()
	}
}

// signsHeld is how many signs of life may have come that were not counted.
const signsHeld = 16

// signOfLife says nothing to the hub but that the client has said something.
var signOfLife = &comm.Frame{Op: comm.OpPong}

// said counts bytes that have left for the client.
func (h *hubSide) said(size int) {
	if c := h.conn.Load(); c != nil {
		h.host.Traffic(c, 0, size)
	}
}

// detach tells the manager that the connection has ended, and waits until it is out of everything.
func (h *hubSide) detach(r comm.CloseReason) {
	c := h.conn.Load()
	h.host.Detach(c, r)
	<-c.Done()
}

// Tell gives the hub a frame in the client's name and does not wait for an answer: a reply to a call, a message to
// others, a leave. ctx is that of the resolver or source that says it: the operation and its first frame count
// together as one message of the client's. It blocks while the connection has too much for its handlers to do, as
// reading from a client would. Errors: [ErrNoGateway], ErrClosed when the connection has ended, and the context's.
func (s *Subscriber) Tell(ctx context.Context, f *comm.Frame) error {
	if s.Conn() == nil {
		return ErrNoGateway
	}
	return s.hub.speak(ctx, f)
}

// Ask gives the hub a frame in the client's name, with an id of its own in place of the frame's, and waits for
// the answer: ack for a message with Ack, reply for a call or a list, joined, left. The answer is behind what loops
// over Frames and Join have no room for, so the body of such a loop must not wait for one. What the hub refuses is a
// [*comm.PeerError]. Other errors: those of Tell and the context's.
func (s *Subscriber) Ask(ctx context.Context, f *comm.Frame) (*comm.Frame, error) {
	if s.Conn() == nil {
		return nil, ErrNoGateway
	}
	own := *f
	own.ID = newAskID()
	return s.hub.ask(ctx, &own)
}

// ask gives the hub a frame and waits for the answer with the frame's id.
func (h *hubSide) ask(ctx context.Context, f *comm.Frame) (*comm.Frame, error) {
	return h.question(ctx, f, func() error { return h.speak(ctx, f) })
}

// askMore is ask for a frame that is more of what an earlier one began, by which the operation has counted.
func (h *hubSide) askMore(ctx context.Context, f *comm.Frame) (*comm.Frame, error) {
	return h.question(ctx, f, func() error { return h.give(ctx, f, h.host.ReceiveMore) })
}

// question waits for the answer to a frame that give gives the hub.
func (h *hubSide) question(ctx context.Context, f *comm.Frame, give func() error) (*comm.Frame, error) {
	answer := make(chan *comm.Frame, 1)
	h.mu.Lock()
	h.asked[f.ID] = answer
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.asked, f.ID)
		h.mu.Unlock()
	}()
	if err := give(); err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		if a.Op == comm.OpError {
			return nil, &comm.PeerError{Code: a.Code, Message: a.Text}
		}
		return a, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-h.s.ctx.Done():
		return nil, context.Cause(h.s.ctx)
	}
}
