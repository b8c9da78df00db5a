package graphql

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// WithIncremental serves @defer and @stream as graphql-js 17 has them: both directives are part of the schema
// then, and without it a document that uses them is refused. A transport that takes several responses for one
// operation gets them in parts: [Schema.Subscribe], HTTP for clients that accept multipart/mixed, and
// transports for subscriptions. Where there is one response, as for [Schema.Append], it has everything.
//
// The first response has what is not put off, with "pending" naming what will follow; each further one has
// "incremental" data, and in "completed" what has been delivered or has failed. What is put off begins when
// the first response has been taken. Fields that are registered with [Batch] are fetched once for all objects
// of a list whose fragments are deferred. The operation's limit of time is for all of its responses.
//
// A client whose Accept header names deferSpec=20220824 is answered in the format of the drafts of 2022, by path and
// label: each deferred fragment comes whole then, so what several of them select is fetched for each.
func WithIncremental() SchemaOption { return schemaOption(func(b *builder) { b.incremental = true }) }

// delivery is one execution in parts. All of it but what is said to be guarded belongs to the loop over the
// responses.
type delivery struct {
	s     *Schema
	op    *operation
	vars  variables
	words words
	lazy  *lazyContext    // ends with the operation
	base  context.Context // of the jobs: lazy with the values of the middleware
	room  atomic.Int64    // how many more fragments and streams there may be
	crew  crew

	current map[*fragment]bool // those that the client waits for
	streams map[*streamed]bool
	lastID  int
	begun   []*part     // can begin
	goesOn  []*streamed // can go on
	waiting []*job
	running int
	bytes   atomic.Int64 // of all data so far
	out     response
	buf     []byte

	wg    sync.WaitGroup
	wake  chan struct{}
	mu    sync.Mutex // guards ready
	ready []*job
}

// response is one that is being put together.
type response struct {
	pending, incremental, completed []byte
	errs                            []*Error
}

func (p *response) empty() bool { return len(p.pending)+len(p.incremental)+len(p.completed) == 0 }

func newDelivery(ctx context.Context, s *Schema, op *operation, vars variables) *delivery {
	d := &delivery{
		s: s, op: op, vars: vars, words: byID{}, lazy: newLazyContext(ctx, s.limits.Time), wake: make(chan struct{}, 1),
		current: make(map[*fragment]bool), streams: make(map[*streamed]bool),
	}
	d.base = d.lazy
	d.room.Store(int64(s.limits.Pending))
	d.crew.free.Store(int64(s.limits.Concurrency))
	return d
}

func (d *delivery) putOff(sc *deferScope) *putOff { return &putOff{scope: sc, room: &d.room} }

// more reports whether the client waits for something.
func (d *delivery) more() bool { return len(d.current)+len(d.streams) > 0 }

// left is how many bytes may still be written: all responses together are bounded as one.
func (d *delivery) left() int { return max(0, d.s.limits.ResponseBytes-int(d.bytes.Load())) }

// deliver executes an operation and yields its responses.
func (st *Stream) deliver(p *plan, yield func([]byte, Outcome) bool) {
	d := newDelivery(st.ctx, st.s, st.op, st.vars)
	if st.byPath {
		d.words = byPath{}
	}
	began, size := time.Now(), 0
	all := Outcome{Kind: st.op.kind}
	defer func() {
		d.lazy.end(errUnfinished)
		d.wg.Wait()
		if st.s.observer != nil {
			st.s.observe(st.ctx, OperationEvent{
				Kind: st.op.kind, Name: st.s.names.of(st.op), Start: began, Duration: time.Since(began),
				Errors: all.Errors, RequestError: all.RequestError, Bytes: size,
			})
		}
	}()
	out := d.first(p)
	all.Errors, all.RequestError = slices.Clip(out.Errors), out.RequestError
	for n := 1; ; n++ {
		size += len(d.buf)
		if !yield(d.buf, out) || !out.HasNext {
			return
		}
		var ok bool
		if out, ok = d.next(n); !ok {
			return
		}
		all.Errors = append(all.Errors, out.Errors...)
	}
}

// first makes the first response.
func (d *delivery) first(p *plan) (out Outcome) {
	later := d.putOff(nil)
	d.buf, out = d.s.executePlan(d.lazy, nil, p, d.vars, nil, later)
	d.bytes.Add(int64(len(d.buf)))
	if later.ctx != nil {
		d.inherit(later.ctx)
	}
	fragments, streams := d.add(later, nil)
	d.promise(fragments, streams)
	if !d.more() {
		return out
	}
	out.HasNext = true
	d.buf = append(d.buf[:len(d.buf)-1], ',')
	if len(d.out.pending) > 0 {
		d.buf = append(append(append(d.buf, `"pending":[`...), d.out.pending...), `],`...)
	}
	d.buf = append(d.buf, `"hasNext":true}`...)
	d.out = response{pending: d.out.pending[:0]}
	return out
}

// inherit has the jobs see the values of a middleware's context. That may have ended: it was for the first
// response alone.
func (d *delivery) inherit(values context.Context) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(values))
	context.AfterFunc(d.lazy, func() { cancel(context.Cause(d.lazy.make())) })
	d.base = ctx
}

// next makes the n-th response after the first; false means that nobody wants it.
func (d *delivery) next(n int) (out Outcome, ok bool) {
	if n >= d.s.limits.Parts-1 {
		return d.abandon(limitError("responses of one operation", d.s.limits.Parts)), true
	}
	for d.out.empty() && d.more() {
		d.launch()
		jobs, err := d.take()
		if limit, late := lateness(d.lazy, err); late {
			return d.abandon(&Error{Message: limit.Error(), Extensions: map[string]any{"code": CodeLimit}, err: err}), true
		}
		if err != nil {
			return out, false
		}
		for len(jobs) > 0 {
			for _, j := range jobs {
				if j.blocks() {
					d.running--
				}
				d.arrived(j)
			}
			if len(d.out.incremental) > enough {
				break
			}
			d.launch()
			jobs = d.taken()
		}
	}
	return d.flush(), true
}

// enough is the size of a response that does not wait for more that is there as well.
const enough = 64 << 10

// take waits for jobs that are done.
func (d *delivery) take() ([]*job, error) {
	for {
		if err := d.lazy.cause(); err != nil {
			return nil, err
		}
		if jobs := d.taken(); len(jobs) > 0 {
			return jobs, nil
		}
		select {
		case <-d.wake:
		case <-d.lazy.Done():
		}
	}
}

func (d *delivery) taken() []*job {
	d.mu.Lock()
	defer d.mu.Unlock()
	jobs := d.ready
	d.ready = nil
	return jobs
}

// abandon completes everything that is open with an error.
func (d *delivery) abandon(e *Error) Outcome {
	d.s.tell(d.lazy, e)
	var open []*promise
	for f := range d.current {
		open = append(open, &f.promise)
	}
	for s := range d.streams {
		open = append(open, &s.promise)
	}
	slices.SortFunc(open, func(a, b *promise) int { return a.id - b.id })
	for _, p := range open {
		d.close(p, e)
	}
	clear(d.current)
	clear(d.streams)
	return d.flush()
}

// flush writes the response that was put together.
func (d *delivery) flush() Outcome {
	out := Outcome{Kind: d.op.kind, Errors: d.out.errs, HasNext: d.more()}
	b := append(d.buf[:0], '{')
	for _, list := range []struct {
		name  string
		items []byte
	}{{"pending", d.out.pending}, {"incremental", d.out.incremental}, {"completed", d.out.completed}} {
		if len(list.items) > 0 {
			b = append(append(append(append(b, '"'), list.name...), `":[`...), list.items...)
			b = append(b, `],`...)
		}
	}
	if out.HasNext {
		b = append(b, `"hasNext":true}`...)
	} else {
		b = append(b, `"hasNext":false}`...)
	}
	d.buf = b
	d.out = response{d.out.pending[:0], d.out.incremental[:0], d.out.completed[:0], nil}
	return out
}
