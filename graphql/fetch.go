package graphql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// The first pass. It goes breadth first: a frame holds all objects at one place of the plan, whatever
// lists they are in, and each field that blocks is fetched for all of them before the objects below it
// make the next frames. Fields of different places do not wait for each other.

// frame is all objects of one selection at one place of the plan.
type frame struct {
	sel    *selection
	inst   []instance
	slots  []slot
	parent *frame
	strict bool           // an object that is null makes the one above it null
	dead   []bool         // objects that will be null; guarded by fetcher.mu
	ctxs   []*lazyContext // of each object, where one can end before its time
}

// slot is one field of all objects of a frame.
type slot struct {
	vals  []reflect.Value
	errs  []error // nil as long as there is none
	all   error   // of all objects
	base  []int32 // of each object, the index of its first node; -1 where nobody looked
	nodes []node
}

// node is one object below a slot: where its own fields are.
type node struct {
	fr  *frame
	k   int32
	err error
}

// errSkipped marks what was not called because its object will be null.
var errSkipped = errors.New("graphql: skipped")

func (s *slot) err(k int32) error {
	if s.all != nil {
		return s.all
	}
	if s.errs != nil {
		return s.errs[k]
	}
	return nil
}

func (s *slot) setErr(k int32, err error) {
	if s.errs == nil {
		s.errs = make([]error, len(s.vals))
	}
	s.errs[k] = err
}

// group is one field that blocks, of all objects of a frame: a call each, or one call for all.
type group struct {
	f       *planField
	fr      *frame
	s       *slot
	args    any
	next    int // the next object to call for
	calls   int
	pending int
}

// fetcher runs the calls of one request: the caller's goroutine always, and as many others as there are
// calls to make, up to a limit. None of them ever waits for another call, so nesting cannot lock them.
type fetcher struct {
	r    *run
	crew *crew // of an operation in parts

	mu      sync.Mutex // guards the fields below, and what they point to
	wake    sync.Cond  // for the caller
	queue   []*group
	ready   int // calls in queue
	open    int // groups that are not finished
	workers int // goroutines beside the caller
	coming  int // those of them that have not taken their first call
	waiting bool
	wg      sync.WaitGroup
}

// fetch fetches what blocks in a frame, or in one field of it, and all below.
func (r *run) fetch(fr *frame, only *planField) {
	x := &r.fetcher
	x.begin(fr, only)
	x.work(true)
	x.wg.Wait()
}

// space is what the first frame of most operations needs, kept with the run.
type space struct {
	fr     frame
	inst   [1]instance
	slots  [4]slot
	vals   [4]reflect.Value
	groups [4]group
	queue  [4]*group
	taken  int // of vals and groups
}

// rootFrame is the frame of the root type, with its one object.
func (r *run) rootFrame(sel *selection) *frame {
	sp := &r.space
	sp.inst[0] = instance{v: rootValue}
	sp.fr = frame{sel: sel, inst: sp.inst[:], strict: true}
	if sel.slots <= len(sp.slots) {
		sp.fr.slots = sp.slots[:sel.slots]
	} else {
		sp.fr.slots = make([]slot, sel.slots)
	}
	r.fetcher.r, r.fetcher.wake.L, r.fetcher.queue = r, &r.fetcher.mu, sp.queue[:0]
	return &sp.fr
}

// newGroup gives the group of a field and room for its values.
func (x *fetcher) newGroup(fr *frame) (*group, []reflect.Value) {
	sp := &x.r.space
	if fr == &sp.fr && sp.taken < len(sp.groups) { // only the caller's goroutine works on the root, or looks at taken
		i := sp.taken
		sp.taken++
		return &sp.groups[i], sp.vals[i : i+1 : i+1]
	}
	return new(group), make([]reflect.Value, len(fr.inst))
}

func (r *run) newFrame(sel *selection, parent *frame, strict bool) *frame {
	return &frame{sel: sel, slots: make([]slot, sel.slots), parent: parent, strict: strict}
}

// begin queues the calls of a frame, and looks into its pure fields for more.
func (x *fetcher) begin(fr *frame, only *planField) {
	if fr.sel.ends && fr.parent != nil && fr.ctxs == nil {
		fr.ctxs = make([]*lazyContext, len(fr.inst))
		for k := range fr.inst {
			fr.ctxs[k] = newLazyContext(x.contextOf(fr.parent, fr.inst[k].parent), 0)
		}
	}
	for _, f := range fr.sel.fields {
		if f.slot >= 0 && f.def.blocks() && (only == nil || f == only) {
			x.enqueue(f, fr)
		}
	}
	for _, f := range fr.sel.fields {
		if f.slot >= 0 && !f.def.blocks() && (only == nil || f == only) {
			x.read(f, fr)
		}
	}
}

// read gets a pure field of all objects, because something blocks below it.
func (x *fetcher) read(f *planField, fr *frame) {
	s := &fr.slots[f.slot]
	s.vals = make([]reflect.Value, len(fr.inst))
	for k := range fr.inst {
		if f.def.r == nil {
			s.vals[k] = f.def.read(fr.inst[k].v)
			continue
		}
		v, err := x.r.get(f, fr.inst[k].v)
		if s.vals[k] = v; err != nil {
			s.setErr(int32(k), err)
		}
	}
	x.expand(f, fr)
}

func (x *fetcher) enqueue(f *planField, fr *frame) {
	s := &fr.slots[f.slot]
	g, vals := x.newGroup(fr)
	*g = group{f: f, fr: fr, s: s, calls: len(fr.inst)}
	s.vals = vals
	if f.def.r.kind == kindBatch {
		g.calls = 1
	}
	g.pending = g.calls
	var err error
	if g.args, err = x.r.argsOf(f); err != nil {
		s.all = err
		x.mu.Lock()
		for k := range fr.inst {
			x.bury(f, fr, int32(k))
		}
		x.mu.Unlock()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue = append(x.queue, g)
	x.ready += g.calls
	x.open++
	x.hire()
}

// contextOf is the context of the calls for an object: its own, or that of the nearest above.
func (x *fetcher) contextOf(fr *frame, k int32) *lazyContext {
	for fr.ctxs == nil {
		if fr.parent == nil {
			return x.r.lazy
		}
		fr, k = fr.parent, fr.inst[k].parent
	}
	return fr.ctxs[k]
}

// callContext is the context of one call of a field.
func callContext(ctx context.Context, f *planField) context.Context {
	if f.def.wrapped {
		return context.WithValue(ctx, aliasKey{}, f.alias)
	}
	return ctx
}

type aliasKey struct{}

func aliasOf(ctx context.Context) string {
	alias, _ := ctx.Value(aliasKey{}).(string)
	return alias
}

// hire starts goroutines for the calls that nobody would take at once. The one that queues takes one.
func (x *fetcher) hire() {
	spare := x.ready - 1 - x.coming
	if x.waiting {
		x.wake.Signal()
		spare--
	}
	for ; spare > 0 && x.workers < x.r.s.limits.Concurrency-1 && x.crew.join(); spare-- {
		x.workers++
		x.coming++
		x.wg.Go(func() { x.work(false) })
	}
}

// work makes calls: the caller until all groups are finished, others while there are calls.
func (x *fetcher) work(caller bool) {
	x.mu.Lock()
	if !caller {
		x.coming--
	}
	for {
		g, k, ok := x.take()
		switch {
		case ok:
			x.mu.Unlock()
			x.call(g, k)
			x.mu.Lock()
		case !caller:
			x.workers--
			x.mu.Unlock()
			x.crew.leave()
			return
		case x.open == 0:
			x.mu.Unlock()
			return
		default:
			x.waiting = true
			x.wake.Wait()
			x.waiting = false
		}
	}
}

// take takes the next call off the queue.
func (x *fetcher) take() (g *group, k int32, ok bool) {
	if len(x.queue) == 0 {
		return nil, 0, false
	}
	g = x.queue[0]
	k = int32(g.next)
	g.next++
	x.ready--
	if g.next == g.calls {
		x.queue[0] = nil
		x.queue = x.queue[1:]
	}
	return g, k, true
}

// call makes one call; the last of a group goes on with what is below.
func (x *fetcher) call(g *group, k int32) {
	if g.f.def.r.kind == kindBatch {
		x.callBatch(g)
	} else {
		x.callOne(g, k)
	}
	x.mu.Lock()
	g.pending--
	last := g.pending == 0
	x.mu.Unlock()
	if !last {
		return
	}
	if g.f.deep {
		x.expand(g.f, g.fr)
	}
	x.mu.Lock()
	if x.open--; x.open == 0 && x.waiting {
		x.wake.Signal()
	}
	x.mu.Unlock()
}

func (x *fetcher) callOne(g *group, k int32) {
	v, err := reflect.Value{}, error(errSkipped)
	if !x.isDead(g.fr, k) {
		v, err = x.resolve(g, k)
	}
	if g.s.vals[k] = v; err == nil {
		return
	}
	x.mu.Lock()
	g.s.setErr(k, err)
	x.bury(g.f, g.fr, k)
	x.mu.Unlock()
}

func (x *fetcher) resolve(g *group, k int32) (v reflect.Value, err error) {
	defer recovered(&err)
	ctx := x.contextOf(g.fr, k)
	if cause := ctx.cause(); cause != nil {
		return v, cause
	}
	return g.f.def.r.resolve(callContext(ctx, g.f), g.fr.inst[k].v, g.args)
}

// callBatch makes one call for all objects.
func (x *fetcher) callBatch(g *group) {
	rs, err := x.resolveBatch(g)
	if err == nil && (!rs.IsValid() || rs.Kind() != reflect.Slice || rs.Len() != len(g.fr.inst)) {
		n := 0
		if rs.IsValid() && rs.Kind() == reflect.Slice {
			n = rs.Len()
		}
		err = fmt.Errorf("%s: the batch gave %d results for %d parents", g.f.def.r.coord, n, len(g.fr.inst))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		g.s.all = err
		for k := range g.fr.inst {
			x.bury(g.f, g.fr, int32(k))
		}
		return
	}
	for k := range g.fr.inst {
		v := rs.Index(k)
		if v.CanAddr() {
			if sp, ok := v.Addr().Interface().(splitter); ok {
				if v, err = sp.split(); err != nil {
					g.s.setErr(int32(k), err)
					x.bury(g.f, g.fr, int32(k))
				}
			}
		}
		g.s.vals[k] = v
	}
}

func (x *fetcher) resolveBatch(g *group) (v reflect.Value, err error) {
	defer recovered(&err)
	if cause := x.r.lazy.cause(); cause != nil {
		return v, cause
	}
	return g.f.def.r.batch(callContext(x.r.lazy, g.f), g.fr.inst, g.args)
}

func (x *fetcher) isDead(fr *frame, k int32) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return fr.dead != nil && fr.dead[k]
}

// bury marks an object whose non-null field has failed, and those above that it makes null. What was not
// called yet for them will not be, and the context of what is under way ends.
func (x *fetcher) bury(f *planField, fr *frame, k int32) {
	if !f.def.typ.nonNull {
		return
	}
	for {
		if fr.dead == nil {
			fr.dead = make([]bool, len(fr.inst))
		}
		fr.dead[k] = true
		if fr.ctxs != nil {
			fr.ctxs[k].end(errSkipped)
		}
		if !fr.strict {
			return
		}
		if fr.parent == nil {
			x.r.lazy.end(errSkipped)
			return
		}
		fr, k = fr.parent, fr.inst[k].parent
	}
}

// expand makes the frames of the objects below a field, and begins them.
func (x *fetcher) expand(f *planField, fr *frame) {
	s := &fr.slots[f.slot]
	s.base = make([]int32, len(fr.inst))
	frames := make([]*frame, len(f.subs))
	strict := strictly(f.def.typ)
	x.mu.Lock()
	dead := slices.Clone(fr.dead)
	x.mu.Unlock()
	most := noLimit
	if f.stream != nil {
		most, _ = f.stream.initialCount(x.r.s, x.r.vars) // the writer tells what is wrong with it
	}
	for k := range fr.inst {
		s.base[k] = -1
		if s.err(int32(k)) != nil || dead != nil && dead[k] {
			continue
		}
		s.base[k] = int32(len(s.nodes))
		x.r.s.objects(f.def.comp, s.vals[k], most, func(v reflect.Value) {
			v = canonical(v)
			i, err := x.r.s.typeIndex(f, f.def.comp, v)
			if err != nil {
				s.nodes = append(s.nodes, node{err: err})
				return
			}
			if frames[i] == nil {
				frames[i] = x.r.newFrame(f.sub(i), fr, strict)
			}
			child := frames[i]
			s.nodes = append(s.nodes, node{fr: child, k: int32(len(child.inst))})
			child.inst = append(child.inst, instance{v, int32(k)})
		})
	}
	for _, child := range frames {
		if child != nil && child.sel.slots > 0 {
			x.begin(child, nil)
		}
	}
}

// strictly reports whether a null of an object goes up through all lists and the field itself.
func strictly(t *typeRef) bool {
	for ; t != nil; t = t.elem {
		if !t.nonNull {
			return false
		}
	}
	return true
}
