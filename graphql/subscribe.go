package graphql

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
)

// Stream is the responses of one operation. [Schema.Subscribe] makes one. Its user takes them once, by a
// loop over [Stream.Responses] or by [Stream.Deliver], and calls Close when it wants no more.
type Stream struct {
	s      *Schema
	ctx    context.Context
	cancel context.CancelFunc
	op     *operation
	vars   variables
	source iter.Seq2[reflect.Value, error] // of a subscription; or
	feed   feed[reflect.Value]
	leave  func() bool // ends the wait for the end of ctx on the feed's behalf
	taken  atomic.Bool
	byPath bool // what is put off is told by path and label
}

// Subscribe begins any operation: the responses of a subscription are those of its source's events, a
// query or a mutation has one, which is executed when it is taken, and more if parts of it are put off; see
// [WithIncremental]. If the request is refused, or the
// source cannot be made, the stream is nil, the bytes are the one response there is, and the outcome
// tells of a request error (specification 6.2.3.1). ctx bounds the life of the stream.
func (s *Schema) Subscribe(ctx context.Context, req *Request) (*Stream, []byte, Outcome) {
	ctx, cancel := context.WithCancel(ctx)
	st, body, out := s.stream(ctx, cancel, req)
	if st != nil {
		if body, out = st.begin(); body != nil {
			return nil, body, out
		}
	}
	return st, body, out
}

// stream accepts a request, with a context that is the stream's to end. If it is refused, the stream is nil and
// the bytes are the response.
func (s *Schema) stream(ctx context.Context, cancel context.CancelFunc, req *Request) (*Stream, []byte, Outcome) {
	op, vars, errs := s.accept(req)
	if errs != nil {
		defer cancel()
		body, out := s.refuse(ctx, nil, op, errs)
		return nil, body, out
	}
	return &Stream{s: s, ctx: ctx, cancel: cancel, op: op, vars: vars}, nil, Outcome{Kind: op.kind}
}

// begin makes the source of a subscription. If there is none, the bytes are the one response there is.
func (st *Stream) begin() (body []byte, out Outcome) {
	if err := st.open(); err != nil {
		defer st.cancel()
		return st.s.refuse(st.ctx, nil, st.op, []*Error{err})
	}
	return nil, Outcome{Kind: st.op.kind}
}

// Kind is the kind of the operation.
func (st *Stream) Kind() OperationKind { return st.op.kind }

// open is CreateSourceEventStream; operations of other kinds have no source.
func (st *Stream) open() *Error {
	if st.op.kind != Subscription {
		return nil
	}
	p := st.op.plan(st.vars)
	if p.root.err != nil {
		return p.root.err
	}
	if err := st.op.notInParts(st.vars); err != nil {
		return err
	}
	if len(p.root.fields) != 1 || p.root.fields[0].def == nil {
		return errorAt("A subscription must select one field.", st.op.def.Position)
	}
	f := p.root.fields[0]
	args, e := f.args, f.argsErr
	if f.argsVary {
		args, e = st.s.makeArgs(f.def, f.nodes[0], st.vars)
	}
	if e == nil {
		e = st.create(f.def.r, args)
	}
	if e == nil && st.source == nil && st.feed == nil {
		e = errors.New("graphql: " + f.def.r.coord + ": the source is nil")
	}
	if e != nil {
		return st.s.present(st.ctx, e, f, []any{f.alias})
	}
	if st.feed != nil {
		st.leave = context.AfterFunc(st.ctx, st.endFeed)
	}
	return nil
}

func (st *Stream) create(r *resolver, args any) (err error) {
	defer recovered(&err)
	if r.feed != nil {
		st.feed, err = r.feed(st.ctx, args)
	} else {
		st.source, err = r.subscribe(st.ctx, args)
	}
	return err
}

// endFeed lets the source of a feed go. What of the user's runs then must not take others with it.
func (st *Stream) endFeed() {
	defer st.s.caught(st.ctx, "graphql: the end of a source has panicked", func() {})
	st.feed.end()
}

// closeFeed is endFeed for who has asked for events.
func (st *Stream) closeFeed() {
	defer st.s.caught(st.ctx, "graphql: the end of a source has panicked", func() {})
	st.leave()
	st.feed.close()
}

// Responses yields each response, whole and as JSON. The bytes are the loop's until its next turn. The
// source runs on the caller's goroutine and only while the loop asks for more. When the loop ends, by
// itself or by break, the source's context ends too. It can be ranged over once.
func (st *Stream) Responses() iter.Seq2[[]byte, Outcome] { return st.responses }

// Deliver calls each with each response, one at a time, until that returns false, and then done, both on goroutines of
// its own. A subscription of [SubscribeTo] has one only while there are events; everything else has one until it is
// over. It takes the place of a loop over [Stream.Responses]: the bytes are each's until it returns, and when it
// returns false the source's context ends.
func (st *Stream) Deliver(each func(response []byte, out Outcome) bool, done func()) {
	st.deliverTo(&delivered{each, done})
}

// receiver is who is given responses on the stream's goroutines.
type receiver interface {
	response(body []byte, out Outcome) bool
	over()
}

type delivered struct {
	each func([]byte, Outcome) bool
	done func()
}

func (d *delivered) response(body []byte, out Outcome) bool { return d.each(body, out) }
func (d *delivered) over()                                  { d.done() }

func (st *Stream) deliverTo(to receiver) {
	if st.feed != nil && !st.taken.Swap(true) {
		newPump(st, to)
		return
	}
	go func() {
		for body, out := range st.Responses() {
			if !to.response(body, out) {
				break
			}
		}
		to.over()
	}()
}

// responses is where the goroutine of a subscription waits for its next event, so it and what it calls
// keep little on the stack: a few hundred bytes more would double the stack of every subscription.
func (st *Stream) responses(yield func([]byte, Outcome) bool) {
	if st.taken.Swap(true) {
		return
	}
	d := &loop{st: st, yield: yield}
	defer d.end()
	switch {
	case st.feed != nil:
		defer st.closeFeed()
		iterate(st.ctx, st.feed)(d.event)
	case st.op.kind == Subscription:
		st.source(d.event)
	default:
		d.once()
	}
}

// loop is one loop over the responses of a stream.
type loop struct {
	st     *Stream
	yield  func([]byte, Outcome) bool
	buf    []byte
	ev     event
	inside bool // not in the source, but in the executor or in the loop's body
	over   bool // the loop wants no more
}

// once is for an operation that is executed once.
func (d *loop) once() {
	d.inside = true
	d.st.execute(d.yield)
}

// execute yields the one response of an operation, or those of one in parts.
func (st *Stream) execute(yield func([]byte, Outcome) bool) {
	if !st.op.parts {
		yield(st.s.execute(st.ctx, nil, st.op, st.vars, nil))
		return
	}
	st.deliver(st.op.planInParts(st.vars, st.byPath), yield)
}

// event executes the operation for one event. A source that goes on after it was told to end is told again.
func (d *loop) event(v reflect.Value, err error) bool {
	if d.over || d.st.ctx.Err() != nil {
		return false
	}
	d.inside, d.ev = true, event{v, err}
	var out Outcome
	d.buf, out = d.st.s.execute(d.st.ctx, d.buf[:0], d.st.op, d.st.vars, &d.ev)
	d.ev = event{}
	d.over = !d.yield(d.buf, out)
	d.inside = false
	return !d.over
}

// end makes the source's panic its last event; one of the loop's body goes on upwards.
func (d *loop) end() {
	defer d.st.cancel()
	if d.inside {
		return
	}
	if r := recover(); r != nil {
		d.event(reflect.Value{}, newPanicError(r))
	}
}

// Close ends the stream: the context of its source ends. It may be called at any time, and again.
func (st *Stream) Close() { st.cancel() }
