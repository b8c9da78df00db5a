package graphql

import (
	"errors"
	"reflect"
	"slices"
	"sync/atomic"
)

// crew bounds the goroutines of one operation in parts, whatever run they work for. A nil crew has no bound.
type crew struct{ free atomic.Int64 }

func (c *crew) join() bool {
	if c == nil {
		return true
	}
	if c.free.Add(-1) >= 0 {
		return true
	}
	c.free.Add(1)
	return false
}

func (c *crew) leave() {
	if c != nil {
		c.free.Add(1)
	}
}

// job is one execution of what was put off: a part, or all parts of one place whose fields are fetched
// together, or some elements of a list.
type job struct {
	parts  []*part
	stream *streamed
	to     int // the element behind those of the job
	lazy   *lazyContext
	alive  int // parts that somebody waits for

	done []done // for each part, or one
}

// done is what a part, or some elements of a list, have come to.
type done struct {
	data   []byte
	errs   []*Error
	later  *putOff
	failed *Error // a null that goes up beyond the part

	elements int // of a list: how many data has
}

// blocks reports whether resolvers will be called, so that nobody should wait for it.
func (j *job) blocks() bool {
	if j.stream != nil {
		return j.stream.f.deep
	}
	return j.parts[0].set.sel.slots > 0
}

// drop is told that nobody waits for one of the parts any more.
func (j *job) drop() {
	if j.alive--; j.alive == 0 {
		j.lazy.end(errSkipped)
	}
}

// do executes the job. A panic of the user's code that nothing else has caught ends its parts alone.
func (d *delivery) do(j *job) {
	r := &run{s: d.s, op: d.op, vars: d.vars, lazy: j.lazy, ctx: j.lazy, most: d.left()}
	r.fetcher.r, r.fetcher.wake.L, r.fetcher.crew = r, &r.fetcher.mu, &d.crew
	defer j.lazy.end(errSkipped)
	var err error
	func() {
		defer recovered(&err)
		if j.stream != nil {
			j.done = append(j.done, d.elements(r, j))
			return
		}
		d.fields(r, j)
	}()
	if err != nil {
		e := d.s.present(r.ctx, err, nil, show(r.path))
		for len(j.done) < max(1, len(j.parts)) {
			j.done = append(j.done, done{failed: e})
		}
	}
}

// fields executes parts of one place.
func (d *delivery) fields(r *run, j *job) {
	sel := j.parts[0].set.sel
	var fr *frame
	if sel.slots > 0 {
		fr = r.newFrame(sel, nil, len(j.parts) == 1)
		for _, t := range j.parts {
			fr.inst = append(fr.inst, instance{v: t.v})
		}
		r.fetch(fr, nil)
	}
	for k, t := range j.parts {
		r.path = append(r.path[:0], t.path...)
		r.errs, r.more, r.fatal, r.later = nil, 0, nil, d.putOff(t.scope)
		start := len(r.buf)
		ok := r.object(sel, t.v, fr, int32(k)) && (len(r.buf) <= r.most || r.tooLarge())
		j.done = append(j.done, r.done(start, ok, 0))
	}
}

// done is what the writer has left behind a place of the buffer. mark is how many errors there were before
// what has failed, if something has.
func (r *run) done(start int, ok bool, mark int) done {
	if ok && r.fatal == nil {
		if r.more > 0 {
			r.errs = append(r.errs, r.tooManyErrors())
		}
		return done{data: r.buf[start:], errs: r.errs, later: r.later}
	}
	e := r.fatal
	switch {
	case e != nil:
	case r.more > 0: // what has failed came last
		e = r.tooManyErrors()
	default:
		e = r.errs[len(r.errs)-1]
	}
	return done{errs: r.errs[:mark], failed: e}
}

// elements executes the next elements of a list. If one of them fails, those before it are still good.
func (d *delivery) elements(r *run, j *job) done {
	s := j.stream
	list := s.list.Slice(s.next, j.to)
	var cur *cursor
	if s.f.deep {
		cur = r.fetchElements(s.f, list)
	}
	r.path = append(append(r.path, s.path...), pathStep{})
	r.later = d.putOff(nil)
	elem := s.f.def.comp.elem
	for i := range list.Len() {
		start, mark := len(r.buf), len(r.errs)
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		r.path[len(r.path)-1].index = s.next + i
		if r.complete(s.f, elem, list.Index(i), cur) && (len(r.buf) <= r.most || r.tooLarge()) {
			continue
		}
		r.later.cut(start)
		out := r.done(start, false, mark)
		out.data, out.later, out.elements = r.buf[:start], r.later, i
		return out
	}
	out := r.done(0, true, 0)
	if out.failed == nil {
		out.elements = list.Len()
	}
	return out
}

// fetchElements fetches what blocks in the elements of a list.
func (r *run) fetchElements(f *planField, list reflect.Value) *cursor {
	sel := &selection{fields: []*planField{f}, slots: 1}
	fr := r.newFrame(sel, nil, false)
	fr.inst = make([]instance, 1)
	s := &fr.slots[0]
	s.vals = []reflect.Value{list}
	r.fetcher.expand(f, fr)
	r.fetcher.work(true)
	r.fetcher.wg.Wait()
	return &cursor{s.nodes, s.base[0]}
}

// errUnfinished ends what is put off when nothing more can be delivered.
var errUnfinished = errors.New("graphql: the operation has ended")

// jobsOf makes jobs of parts that can begin: one of those that are fetched together, else one each.
func (d *delivery) jobsOf(parts []*part) (jobs []*job) {
	together := make(map[*laterSet]*job)
	for _, t := range parts {
		if t.removed {
			continue
		}
		j := together[t.set]
		if j == nil || !t.set.loads || len(j.parts) == maxTogether {
			j = d.newJob()
			jobs = append(jobs, j)
			together[t.set] = j
		}
		j.parts = append(j.parts, t)
		j.alive++
		t.job = j
	}
	return jobs
}

// maxTogether bounds the parts of one job, and so what is held until all of them are there.
const maxTogether = 1000

// jobOf takes the next elements of a list. Where resolvers are called for them the first comes alone, so that
// it is there soon, and then twice as many each time.
func (d *delivery) jobOf(s *streamed) *job {
	j := d.newJob()
	j.stream, j.alive, s.job = s, 1, j
	j.to = s.list.Len()
	if s.f.deep {
		j.to = min(j.to, s.next+s.take)
		s.take = min(2*s.take, maxElements)
	} else {
		j.to = min(j.to, s.next+maxTogether)
	}
	return j
}

// maxElements bounds the elements of a list that are fetched at once.
const maxElements = 100

func (d *delivery) newJob() *job { return &job{lazy: newLazyContext(d.base, 0)} }

// launch begins jobs as far as the crew has somebody for them. What calls no resolver is done at once.
func (d *delivery) launch() {
	d.waiting = append(d.waiting, d.jobsOf(d.begun)...)
	for _, s := range d.goesOn {
		d.waiting = append(d.waiting, d.jobOf(s))
	}
	d.begun, d.goesOn = d.begun[:0], d.goesOn[:0]
	d.waiting = slices.DeleteFunc(d.waiting, func(j *job) bool {
		if j.alive == 0 {
			return true
		}
		if !j.blocks() {
			d.do(j)
			d.finished(j)
			return true
		}
		joined := d.crew.join()
		if !joined && d.running > 0 {
			return false
		}
		d.running++
		d.wg.Go(func() {
			d.do(j)
			if joined {
				d.crew.leave()
			}
			d.finished(j)
		})
		return true
	})
}

// finished hands a job over to the loop that delivers.
func (d *delivery) finished(j *job) {
	d.mu.Lock()
	d.ready = append(d.ready, j)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
