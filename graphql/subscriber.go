package graphql

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/places"
)

// Subscriber is one client that runs operations over a connection of its own: a WebSocket with all its
// operations, an event stream with its one operation, or an event stream of the single connection mode with
// all its operations. A request that is answered by one response is none. An operation finds its subscriber in
// [TransportOf]. All methods are safe for concurrent use.
//
// # In the gateway
//
// There a subscriber is a connection of the manager: it is admitted by its authenticator, limits and
// OnConnect, listed, counted, found by ToConn, ToUser and ToAll, closed and drained like every other. Its
// client may say hello in the member comm of connection_init's payload, and is told welcome there, see [Hub]. Of
// all else that the hub sends to the connection it is told what one of its operations takes and makes its own
// responses of, which the fields of [Hub] do, and those of other schemas can:
//
//   - [Subscriber.Join] makes the connection a member of a group and takes the group's messages, in their
//     order, each with its position, from a position on if one is given.
//   - [Subscriber.Frames] takes any of the frames that reach the connection, such as messages to the
//     connection itself, to its user and to everyone.
//   - [Subscriber.Ask] and [Subscriber.Tell] go the other way: they give the hub a frame in the client's
//     name, so that the authorizer decides, and limits and handlers are those of all clients.
//
// The loops of Join and Frames hold at most 16 frames or 256 KiB beside what their body works on. When one of
// them is full, the connection's writer waits, and so does everything behind it in the connection's queue,
// which is bounded by the manager: what is slow meets the manager's policy of overflow, and after its write
// timeout the connection ends as a slow one. So a client that does not read its socket makes its operations
// wait, these the writer, and nothing grows.
//
// What no operation takes when its turn comes is gone, as far as this client is concerned. A message of a log
// is still in the log and comes with the next Join from a position. A call, and a message whose sender waits
// for the client, is answered with the error unknown_type. One that is taken is acknowledged when the loop's
// body has returned, that is, when the response has been given to the network. What the hub says to a client with a
// hello waits for a while for Subscription.events of [Hub].
type Subscriber struct {
	h       *Handler
	carrier carrier
	ctx     context.Context // of all operations, with the Transport
	cancel  context.CancelCauseFunc
	busy    places.Places // operations that run, those among them that the client has completed already
	say     turn          // held while something is said in an operation's name

	mu       sync.Mutex // guards the fields below
	ops      map[string]*running
	active   int           // operations that count against the limit
	held     int           // bytes of their requests
	docs     int           // what the documents in these occupy
	short    int           // those that run and are, as far as is known, no subscriptions
	answered chan struct{} // closed when there are none of these; nil while nobody waits for that
	draining bool          // subscriptions have ended, and no operation begins

	hub     *hubSide // nil where there is no gateway
	line    line     // of its operations, where there is one
	greeted bool     // the client has said hello
}

// carrier says things to a client in the words of its protocol. Its methods but close are called by one
// goroutine at a time, and wait while the client does not read.
type carrier interface {
	next(id string, response []byte) error
	// refuse tells that nothing was executed; it ends the operation.
	refuse(id string, response []byte, errs []*Error) error
	complete(id string) error
	// close ends the connection within deadline, and whatever is being said. It is called once or more.
	close(r comm.CloseReason, deadline time.Time)
}

// running is one operation that has begun.
type running struct {
	id      string
	size    int             // of its request
	docs    int             // what its document occupies
	ctx     context.Context // of its resolvers; it ends with the source too, and then there is something left to say
	cancel  context.CancelFunc
	stopped atomic.Bool // nothing more is said of it
	place   place

	// Under Subscriber.mu.
	over bool          // it counts no more
	kind OperationKind // empty until the request has been accepted
}

// stop ends an operation of which nothing more is to be said.
func (op *running) stop() {
	op.stopped.Store(true)
	op.cancel()
}

// turn is a mutex that can be waited for with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take reports whether the turn was taken before ctx ended.
func (t turn) take(ctx context.Context) bool {
	if t.try() {
		return true
	}
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// try takes the turn if nobody has it.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) give() { <-t }

// newSubscriber makes a subscriber whose operations have the values of ctx. It ends by end alone.
func newSubscriber(ctx context.Context, h *Handler, c carrier, t *Transport) *Subscriber {
	s := &Subscriber{h: h, carrier: c, say: newTurn(), ops: make(map[string]*running)}
	t.Subscriber = s
	s.ctx, s.cancel = context.WithCancelCause(WithTransport(context.WithoutCancel(ctx), t))
	return s
}

// Conn is the connection of the gateway, or nil where the handler stands alone, and of a nil Subscriber, which
// requests over plain HTTP have.
func (s *Subscriber) Conn() *comm.Conn {
	if s == nil || s.hub == nil {
		return nil
	}
	return s.hub.conn.Load()
}

// Why an operation does not begin.
var (
	errDuplicateID = errors.New("graphql: an operation of that id runs")
	errLeaving     = errors.New("graphql: the subscriber is leaving")
)

// requestsHeld is how many requests of the largest size the operations of one connection may hold together: their
// documents and variables stay as long as they run.
const requestsHeld = 4

// documentsHeld bounds what their documents occupy, as documentBytes has it, unless there is but one. Persisted and
// trusted documents do not count.
const documentsHeld = 24 << 20

// enter makes an operation known by its id, unless one of that id runs, or too many do.
func (s *Subscriber) enter(id string, req *Request) (*running, error) {
	size, docs := len(req.Query)+len(req.Variables)+len(req.Extensions), 0
	if req.Query != "" {
		docs = documentBytes(req.Query)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, dup := s.ops[id]; dup {
		return nil, errDuplicateID
	}
	if bytes := requestsHeld * s.h.maxBody; s.held+size > bytes {
		return nil, limitError("bytes of requests at once on one connection", bytes)
	}
	if s.docs > 0 && s.docs+docs > documentsHeld {
		return nil, limitError("bytes of documents at once on one connection", documentsHeld)
	}
	if most := s.h.operations; s.active >= most {
		return nil, limitError("operations at once on one connection", most)
	}
	if s.busy.Enter(0) != nil {
		return nil, errLeaving
	}
	s.active++
	op := &running{id: id, size: size, docs: docs}
	s.held += size
	s.docs += op.docs
	s.short++
	op.ctx, op.cancel = context.WithCancel(s.ctx)
	s.ops[id] = op
	if s.hub != nil {
		op.ctx = context.WithValue(op.ctx, runningKey{}, op)
	}
	return op, nil
}

// arrive is enter for an operation of the client's own, which takes its place behind those that came before it.
func (s *Subscriber) arrive(id string, req *Request) (*running, error) {
	op, err := s.enter(id, req)
	if err == nil && s.hub != nil {
		s.line.join(op)
	}
	return op, err
}

// leave is the end of an operation's goroutine.
func (s *Subscriber) leave(op *running) {
	op.cancel()
	s.line.leave(op)
	s.count(op)
	s.release(op)
	s.mu.Lock()
	if op.kind != Subscription {
		s.shorter()
	}
	s.mu.Unlock()
	s.busy.Leave()
}

// shorter counts a query or a mutation less. s.mu is held.
func (s *Subscriber) shorter() {
	if s.short--; s.short == 0 && s.answered != nil {
		close(s.answered)
		s.answered = nil
	}
}

// settle waits until no query or mutation runs, or ctx ends.
func (s *Subscriber) settle(ctx context.Context) {
	s.mu.Lock()
	if s.short == 0 {
		s.mu.Unlock()
		return
	}
	if s.answered == nil {
		s.answered = make(chan struct{})
	}
	answered := s.answered
	s.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
	}
}

// release frees what an operation has taken: its id, and its share of the limits.
func (s *Subscriber) release(op *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.over {
		return
	}
	op.over = true
	s.active--
	s.held -= op.size
	s.docs -= op.docs
	if s.ops[op.id] == op {
		delete(s.ops, op.id)
	}
}

// stop ends an operation of which its client wants no more; nothing is said of it any more. It reports
// whether there was one.
func (s *Subscriber) stop(id string) bool {
	s.mu.Lock()
	op := s.ops[id]
	delete(s.ops, id)
	s.mu.Unlock()
	if op == nil {
		return false
	}
	op.stop()
	return true
}

// run executes an operation and says each of its responses. The goroutine is the operation's own: it goes on for as
// long as the operation, unless that has a feed. The next event is asked for when the response to the last one has been
// given to the network.
func (s *Subscriber) run(op *running, req *Request) {
	switch st := s.begin(op, req); {
	case st == nil:
		s.leave(op)
	case st.feed != nil:
		st.deliverTo(&answering{s: s, op: op})
	default:
		s.answer(op, st)
	}
}

// begin makes the stream of an operation; one that is refused has none, and its client knows.
func (s *Subscriber) begin(op *running, req *Request) *Stream {
	st, body, out := s.h.s.stream(op.ctx, op.cancel, req)
	if st != nil {
		s.began(op, st)
		body, out = st.begin()
	}
	if body != nil {
		s.conclude(op, func() error { return s.carrier.refuse(op.id, body, out.Errors) })
		return nil
	}
	if st.Kind() == Subscription { // its source has said to the hub what it had to say
		s.line.leave(op)
		s.count(op)
	}
	return st
}

// answer says the responses of an operation. Goroutines wait here for the next event: see Stream.responses.
func (s *Subscriber) answer(op *running, st *Stream) {
	a := answering{s: s, op: op}
	defer a.over()
	for body, out := range st.Responses() {
		if !a.response(body, out) {
			return
		}
	}
}

// answering says the responses of one operation, and leaves when it is over.
type answering struct {
	s    *Subscriber
	op   *running
	said bool // the last has been said, or nobody wants it
}

func (a *answering) response(body []byte, out Outcome) bool {
	s, op := a.s, a.op
	if out.RequestError {
		a.said = true
		s.conclude(op, func() error { return s.carrier.refuse(op.id, body, out.Errors) })
		return false
	}
	a.said = !s.speak(op.ctx, op, func() error { return s.carrier.next(op.id, body) })
	return !a.said
}

func (a *answering) over() {
	defer a.s.leave(a.op)
	if !a.said {
		a.s.conclude(a.op, func() error { return a.s.carrier.complete(a.op.id) })
	}
}

// conclude says the last of an operation. Its client may begin another one with the id as soon as it hears that.
func (s *Subscriber) conclude(op *running, f func() error) {
	s.speak(s.ctx, op, func() error {
		s.release(op)
		return f()
	})
}

// began notes the kind of an operation; a subscription that a drain has overtaken ends. An operation that does
// not begin with a field which keeps the order holds nobody up.
func (s *Subscriber) began(op *running, st *Stream) {
	if !st.inTurn() {
		s.line.leave(op)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op.kind = st.Kind(); op.kind != Subscription {
		return
	}
	if s.shorter(); s.draining {
		op.stop()
	}
}

// speak says something in an operation's name, unless its client wants no more of it: a response that
// followed would be taken for one of the next operation with the same id. It waits for its turn as long as ctx
// lives, and reports whether it was said.
func (s *Subscriber) speak(ctx context.Context, op *running, f func() error) bool {
	if !s.say.take(ctx) {
		return false
	}
	defer s.say.give()
	if op.stopped.Load() || ctx.Err() != nil {
		return false
	}
	if err := f(); err != nil {
		s.cancel(err)
		return false
	}
	return true
}

// end ends the subscriber, and tells its client why, by deadline. A drain lets queries and mutations be
// answered, and leaves subscriptions open in the client's eyes, so that it comes back for them. For a client
// that is not to return they are completed: the libraries come back as long as they have one.
func (s *Subscriber) end(r comm.CloseReason, deadline time.Time) {
	s.busy.Close()
	switch {
	case r.Kind == comm.ReasonDrain:
		s.finish(deadline)
	case !r.Reconnect() && r.Kind != comm.ReasonProtocol:
		s.completeAll(deadline)
	}
	s.cancel(r)
	s.carrier.close(r, deadline)
}

// finish ends the subscriptions and waits for everything else, leaving a quarter of the time to say goodbye.
func (s *Subscriber) finish(deadline time.Time) {
	s.mu.Lock()
	s.draining = true
	for _, op := range s.ops {
		if op.kind == Subscription {
			op.stop()
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, time.Until(deadline)*3/4)
	defer cancel()
	_ = s.busy.Wait(ctx) // what has not ended by then ends with the subscriber
}

func (s *Subscriber) completeAll(deadline time.Time) {
	s.mu.Lock()
	ops := s.ops
	s.ops = make(map[string]*running)
	s.mu.Unlock()
	for _, op := range ops {
		op.stop()
	}
	ctx, cancel := context.WithDeadline(s.ctx, deadline)
	defer cancel()
	if !s.say.take(ctx) {
		return
	}
	defer s.say.give()
	for id := range ops {
		if s.carrier.complete(id) != nil {
			return
		}
	}
}

// wait returns when every operation has ended. Those whose resolvers heed their context do soon after end.
func (s *Subscriber) wait() { _ = s.busy.Wait(context.Background()) }
