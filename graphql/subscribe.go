package graphql

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
)

// Stream is the responses of one operation. [Schema.Subscribe] makes one. Its user takes them by one
// loop over [Stream.Responses], and calls Close when it wants no more.
type Stream struct {
	s      *Schema
	ctx    context.Context
	cancel context.CancelFunc
	op     *operation
	vars   variables
	source iter.Seq2[reflect.Value, error]
	taken  atomic.Bool
}

// Subscribe begins any operation: the responses of a subscription are those of its source's events, a
// query or a mutation has one, which is executed when it is taken. If the request is refused, or the
// source cannot be made, the stream is nil, the bytes are the one response there is, and the outcome
// tells of a request error (specification 6.2.3.1). ctx bounds the life of the stream.
func (s *Schema) Subscribe(ctx context.Context, req *Request) (*Stream, []byte, Outcome) {
	op, vars, errs := s.accept(req)
	if errs != nil {
		body, out := s.refuse(ctx, nil, op, errs)
		return nil, body, out
	}
	st := &Stream{s: s, op: op, vars: vars}
	st.ctx, st.cancel = context.WithCancel(ctx)
	if op.kind == Subscription {
		if err := st.open(); err != nil {
			st.cancel()
			body, out := s.refuse(ctx, nil, op, []*Error{err})
			return nil, body, out
		}
	}
	return st, nil, Outcome{Kind: op.kind}
}

// Kind is the kind of the operation.
func (st *Stream) Kind() OperationKind { return st.op.kind }

// open is CreateSourceEventStream.
func (st *Stream) open() *Error {
	p := st.op.plan(st.vars)
	if p.root.err != nil {
		return p.root.err
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
		st.source, e = st.create(f, args)
	}
	if e == nil && st.source == nil {
		e = errors.New("graphql: " + f.def.r.coord + ": the source is nil")
	}
	if e != nil {
		return st.s.present(st.ctx, e, f, []any{f.alias})
	}
	return nil
}

func (st *Stream) create(f *planField, args any) (seq iter.Seq2[reflect.Value, error], err error) {
	defer recovered(&err)
	return f.def.r.subscribe(st.ctx, args)
}

// Responses yields each response, whole and as JSON. The bytes are the loop's until its next turn. The
// source runs on the caller's goroutine and only while the loop asks for more. When the loop ends, by
// itself or by break, the source's context ends too. It can be ranged over once.
func (st *Stream) Responses() iter.Seq2[[]byte, Outcome] {
	return func(yield func([]byte, Outcome) bool) {
		if st.taken.Swap(true) {
			return
		}
		defer st.cancel()
		if st.op.kind != Subscription {
			yield(st.s.execute(st.ctx, nil, st.op, st.vars, nil))
			return
		}
		var buf []byte
		st.events(func(ev event) bool {
			if st.ctx.Err() != nil {
				return false
			}
			var out Outcome
			buf, out = st.s.execute(st.ctx, buf[:0], st.op, st.vars, &ev)
			return yield(buf, out)
		})
	}
}

// events goes through the source. Its panic is its last event; one of the loop's body goes on upwards.
func (st *Stream) events(each func(event) bool) {
	inside := false
	defer func() {
		if inside {
			return
		}
		if r := recover(); r != nil {
			each(event{err: newPanicError(r)})
		}
	}()
	for v, err := range st.source {
		inside = true
		more := each(event{v, err})
		inside = false
		if !more {
			return
		}
	}
}

// Close ends the stream: the context of its source ends. It may be called at any time, and again.
func (st *Stream) Close() { st.cancel() }
