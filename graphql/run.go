package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// run is one execution of an operation.
type run struct {
	s    *Schema
	op   *operation
	vars variables
	ctx  context.Context
	most int // bytes of the buffer

	lazy *lazyContext // ctx, while resolvers are called

	buf   []byte
	path  []pathStep
	errs  []*Error
	more  int // errors over the limit
	fatal *Error

	mu   sync.Mutex // guards args
	args map[*planField]madeArgs

	fetcher fetcher
	space   space
	later   *putOff // of an operation in parts
}

type madeArgs struct {
	args any
	err  error
}

var runs = sync.Pool{New: func() any { return new(run) }}

// rootValue is the parent of the fields of the root types.
var rootValue = reflect.ValueOf(new(Root)).Elem()

// Append executes a query or a mutation and appends its response to dst. It never fails: what goes
// wrong is in the response. For a subscription use [Schema.Subscribe].
func (s *Schema) Append(ctx context.Context, dst []byte, req *Request) ([]byte, Outcome) {
	op, vars, errs := s.accept(req)
	return s.answer(ctx, dst, op, vars, errs)
}

// answer executes what was accepted and appends its one response.
func (s *Schema) answer(ctx context.Context, dst []byte, op *operation, vars variables, errs []*Error) ([]byte, Outcome) {
	if errs != nil {
		return s.refuse(ctx, dst, op, errs)
	}
	if op.kind == Subscription {
		return s.refuse(ctx, dst, op, []*Error{{Message: "A subscription needs a transport for streams: WebSocket or Server-Sent Events."}})
	}
	return s.execute(ctx, dst, op, vars, nil)
}

// accept finds the operation of a request and coerces its variables. The operation is nil as long as
// none was found.
func (s *Schema) accept(req *Request) (*operation, variables, []*Error) {
	query, err := s.document(req)
	if err != nil {
		return nil, nil, []*Error{err}
	}
	op, errs := s.prepare(query, req.OperationName)
	if errs != nil {
		return nil, nil, errs
	}
	if req.ReadOnly && op.kind != Query {
		return op, nil, []*Error{{
			Message: fmt.Sprintf("A %s cannot be executed by a request that only reads; use POST.", op.kind), Extensions: map[string]any{"code": CodeReadOnly},
		}}
	}
	s.keep(req, query)
	vars, errs := s.coerceVariables(op, req.Variables, req.Files)
	if errs != nil {
		return op, nil, errs
	}
	cost := op.cost
	if op.costVaries {
		cost, _ = s.cost(op.def, vars)
	}
	if cost > s.limits.Cost {
		return op, nil, []*Error{limitError(fmt.Sprintf("for the cost of an operation: it costs %d", cost), s.limits.Cost)}
	}
	return op, vars, nil
}

// refuse appends the response of a request that is not executed.
func (s *Schema) refuse(ctx context.Context, dst []byte, op *operation, errs []*Error) ([]byte, Outcome) {
	out := Outcome{RequestError: true, Errors: errs}
	e := OperationEvent{Name: "invalid", Start: time.Now(), RequestError: true, Errors: errs}
	if op != nil {
		out.Kind, e.Kind, e.Name = op.kind, op.kind, s.names.of(op)
	}
	for _, err := range errs {
		s.withoutHint(err)
		s.tell(ctx, err)
	}
	dst = append(dst, '{')
	dst = append(appendErrors(dst, errs), '}')
	if s.observer != nil {
		s.observe(ctx, e)
	}
	return dst, out
}

func appendErrors(b []byte, errs []*Error) []byte {
	b = append(b, `"errors":[`...)
	for i, e := range errs {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.append(b)
	}
	return append(b, ']')
}

// event is one event of a subscription, in place of a resolver's result.
type event struct {
	v   reflect.Value
	err error
}

// execute runs the operation and appends its response.
func (s *Schema) execute(ctx context.Context, dst []byte, op *operation, vars variables, ev *event) ([]byte, Outcome) {
	return s.executePlan(ctx, dst, op.plan(vars), vars, ev, nil)
}

// executePlan executes what of a plan is not put off; later takes that, and is nil if the plan has no parts.
func (s *Schema) executePlan(ctx context.Context, dst []byte, p *plan, vars variables, ev *event, later *putOff) ([]byte, Outcome) {
	op := p.op
	r, _ := runs.Get().(*run)
	r.s, r.op, r.vars, r.buf, r.ctx, r.most, r.later = s, op, vars, dst, ctx, len(dst)+s.limits.ResponseBytes, later
	var began time.Time
	if s.observer != nil {
		began = time.Now()
	}
	var out Outcome
	if len(s.operationMW) == 0 {
		r.all(p, ev)
		out = r.end(nil)
	} else {
		out = r.throughMiddleware(ctx, p, ev, len(dst))
	}
	dst = r.buf
	size := len(dst)
	*r = run{path: r.path[:0]} //nolint:govet // nobody holds its locks any more
	runs.Put(r)
	if s.observer != nil && later == nil { // what has parts is over with the last
		s.observe(ctx, OperationEvent{
			Kind: op.kind, Name: s.names.of(op), Start: began, Duration: time.Since(began), Errors: out.Errors, RequestError: out.RequestError, Bytes: size,
		})
	}
	return dst, out
}

// all writes {"data": ..., and whatever goes wrong into r.errs.
func (r *run) all(p *plan, ev *event) {
	r.buf = append(r.buf, `{"data":`...)
	start := len(r.buf)
	var ok bool
	switch {
	case ev != nil && !p.root.fields[0].deep:
		ok = r.event(p, nil, ev)
	case ev == nil && p.root.slots == 0:
		ok = r.object(p.root, rootValue, nil, 0)
	default:
		ok = r.blocking(p, ev)
	}
	if !ok || r.fatal != nil {
		r.buf = append(r.buf[:start], "null"...)
		if r.later != nil {
			r.later.cut(0)
		}
	}
	if r.fatal != nil {
		r.errs = append(r.errs, r.fatal)
	}
	if r.more > 0 {
		r.errs = append(r.errs, r.tooManyErrors())
	}
}

func (r *run) tooManyErrors() *Error {
	return limitError(fmt.Sprintf("errors of a response: %d are left out", r.more), r.s.limits.Errors)
}

// blocking is for operations that call resolvers: it has a context that ends with it.
func (r *run) blocking(p *plan, ev *event) bool {
	r.lazy = newLazyContext(r.ctx, r.s.limits.Time)
	defer r.lazy.end(context.Canceled)
	r.ctx = r.lazy
	fr := r.rootFrame(p.root)
	switch {
	case ev != nil:
		return r.event(p, fr, ev)
	case r.op.kind == Mutation:
		return r.mutation(p.root, fr)
	}
	r.fetch(fr, nil)
	return r.object(p.root, rootValue, fr, 0)
}

// mutation executes the root fields one after the other, each with all that is below it (specification
// 6.2.2). A null that goes up ends it.
func (r *run) mutation(sel *selection, fr *frame) bool {
	if sel.err != nil {
		r.fail(nil, sel.err)
		return false
	}
	r.buf = append(r.buf, '{')
	for i, f := range sel.fields {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		r.buf = append(r.buf, f.key...)
		if f.typ {
			r.buf = append(append(append(r.buf, '"'), sel.typ.name...), '"')
			continue
		}
		if f.slot >= 0 {
			r.fetch(fr, f)
		}
		r.path = append(r.path, pathStep{key: f.alias})
		ok := r.field(f, rootValue, fr, 0)
		r.path = r.path[:len(r.path)-1]
		if !ok {
			return false
		}
	}
	r.buf = append(r.buf, '}')
	return true
}

// event executes a subscription's one root field on a value of its source (specification 6.2.3.2). fr is nil
// where nothing below it calls resolvers.
func (r *run) event(p *plan, fr *frame, ev *event) bool {
	f := p.root.fields[0]
	r.buf = append(append(r.buf, '{'), f.key...)
	r.path = append(r.path, pathStep{key: f.alias})
	var ok bool
	switch {
	case ev.err != nil:
		ok = r.failed(f, f.def.comp, ev.err)
	case fr == nil:
		ok = r.complete(f, f.def.comp, ev.v, nil)
	default:
		s := &fr.slots[f.slot]
		s.vals = []reflect.Value{ev.v}
		x := &r.fetcher
		x.expand(f, fr)
		x.work(true)
		x.wg.Wait()
		ok = r.fetched(f, s, 0)
	}
	r.path = r.path[:len(r.path)-1]
	r.buf = append(r.buf, '}')
	return ok
}

// end closes the response.
func (r *run) end(extensions map[string]any) Outcome {
	if len(r.errs) > 0 {
		r.buf = appendErrors(append(r.buf, ','), r.errs)
	}
	if len(extensions) > 0 {
		if ext, err := json.Marshal(extensions); err == nil {
			r.buf = append(append(r.buf, `,"extensions":`...), ext...)
		}
	}
	r.buf = append(r.buf, '}')
	return Outcome{Kind: r.op.kind, Errors: r.errs}
}

// throughMiddleware wraps the execution; an error of a middleware takes the place of the response.
func (r *run) throughMiddleware(ctx context.Context, p *plan, ev *event, start int) (out Outcome) {
	o := &Operation{Kind: r.op.kind, Name: r.op.name, Query: r.op.query, Variables: make(map[string]any, len(r.vars))}
	for name, v := range r.vars {
		o.Variables[name] = v.value
	}
	executed := false
	next := OperationFunc(func(ctx context.Context, _ *Operation) error {
		if executed {
			return errors.New("graphql: an operation middleware has called next twice")
		}
		executed = true
		if r.ctx = ctx; r.later != nil {
			r.later.ctx = ctx
		}
		r.all(p, ev)
		o.errs = r.errs
		return nil
	})
	for i := len(r.s.operationMW) - 1; i >= 0; i-- {
		next = r.s.operationMW[i](next)
	}
	err := callMiddleware(ctx, next, o)
	if err == nil && executed {
		return r.end(o.Extensions)
	}
	if err == nil {
		err = errors.New("graphql: an operation middleware has neither called next nor refused")
	}
	if r.later != nil {
		r.later.cut(0)
	}
	r.buf = append(r.buf[:start], '{')
	e := r.s.present(ctx, err, nil, nil)
	r.buf = append(appendErrors(r.buf, []*Error{e}), '}')
	return Outcome{Kind: r.op.kind, Errors: []*Error{e}, RequestError: true}
}

func callMiddleware(ctx context.Context, f OperationFunc, o *Operation) (err error) {
	defer recovered(&err)
	return f(ctx, o)
}

// argsOf are the arguments of a field in this request.
func (r *run) argsOf(f *planField) (any, error) {
	if !f.argsVary {
		return f.args, f.argsErr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if made, ok := r.args[f]; ok {
		return made.args, made.err
	}
	args, err := r.s.makeArgs(f.def, f.nodes[0], r.vars)
	if r.args == nil {
		r.args = make(map[*planField]madeArgs)
	}
	r.args[f] = madeArgs{args, err}
	return args, err
}

// fail notes the error of a field at the place where the writer is.
func (r *run) fail(f *planField, err error) {
	if len(r.errs) >= r.s.limits.Errors {
		r.more++
		return
	}
	r.errs = append(r.errs, r.s.present(r.ctx, err, f, show(r.path)))
}

// present makes the error that the client is told.
func (s *Schema) present(ctx context.Context, err error, f *planField, path []any) *Error {
	e := &Error{Path: path, err: err}
	limit, late := lateness(ctx, err)
	own, isOwn := errors.AsType[*Error](err)
	switch {
	case isOwn:
		e.Message, e.Locations, e.Extensions = own.Message, own.Locations, own.Extensions
		if own.err != nil {
			e.err = own.err
		}
	case late:
		e.Message, e.Extensions = limit.Error(), map[string]any{"code": CodeLimit}
	case s.unmasked:
		e.Message = err.Error()
	default:
		e.Message, e.Extensions = "internal error", map[string]any{"code": CodeInternal}
		s.logError(ctx, err, f, path)
	}
	if e.Locations == nil && f != nil {
		e.Locations = f.at("").Locations
	}
	s.tell(ctx, e)
	return e
}

// tell has the presenter look at an error. One that panics has not decided what the client may know.
func (s *Schema) tell(ctx context.Context, e *Error) {
	if s.presenter == nil {
		return
	}
	path, places := e.Path, e.Locations
	defer s.caught(ctx, "graphql: the error presenter has panicked", func() {
		*e = Error{Message: "internal error", Path: path, Locations: places, Extensions: map[string]any{"code": CodeInternal}}
	})
	s.presenter(ctx, e)
}

// observe tells the observer of an operation.
func (s *Schema) observe(ctx context.Context, e OperationEvent) {
	defer s.caught(ctx, "graphql: the operation observer has panicked", func() {})
	s.observer.Operation(ctx, e)
}

// caught ends a panic of what the user has beside the execution, which must not take others with it.
func (s *Schema) caught(ctx context.Context, what string, then func()) {
	if r := recover(); r != nil {
		p := newPanicError(r)
		s.log().LogAttrs(ctx, slog.LevelError, what, slog.Any("error", p), slog.String("stack", string(p.Stack)))
		then()
	}
}

// lateness reports whether an error is that of a context that has ended by the limit of time.
func lateness(ctx context.Context, err error) (*timeLimit, bool) {
	if limit, ok := errors.AsType[*timeLimit](err); ok {
		return limit, true
	}
	if lazy, ok := ctx.(*lazyContext); ok && errors.Is(err, context.DeadlineExceeded) {
		return errors.AsType[*timeLimit](lazy.cause())
	}
	return nil, false
}

func (s *Schema) logError(ctx context.Context, err error, f *planField, path []any) {
	if errors.Is(err, context.Canceled) {
		return // the client has gone, or the result was of no use any more
	}
	attrs := []slog.Attr{slog.String("error", err.Error()), slog.String("path", string(appendPath(nil, path)))}
	if f != nil && f.def != nil {
		attrs = append(attrs, slog.String("field", f.def.parent.name+"."+f.def.name))
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	s.log().LogAttrs(ctx, slog.LevelError, "graphql: a resolver failed", attrs...)
}

// PanicError is the panic of a function that was registered. Its client is told "internal error".
type PanicError struct {
	Value any
	Stack []byte
}

func newPanicError(v any) *PanicError { return &PanicError{v, debug.Stack()} }

// Error says what the panic said.
func (e *PanicError) Error() string { return fmt.Sprintf("graphql: panic: %v", e.Value) }

// Unwrap returns the value of the panic if it was an error.
func (e *PanicError) Unwrap() error { err, _ := e.Value.(error); return err }

// timeLimit is the cause of a context that has ended by [Limits].Time.
type timeLimit struct{ d time.Duration }

func (t *timeLimit) Error() string {
	return "The operation is over the limit of " + strconv.FormatFloat(t.d.Seconds(), 'g', -1, 64) + " s."
}

func (t *timeLimit) Is(target error) bool { return target == context.DeadlineExceeded } //nolint:errorlint // a sentinel
