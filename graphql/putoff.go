package graphql

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
)

// What the second pass puts off. While it writes an object it notes the fields that are deferred and the
// lists that are streamed, each with the place in the buffer where that was: a null that goes up and cuts
// the buffer back cuts these notes back with it.

// putOff is what one run has put off.
type putOff struct {
	scope     *deferScope
	fragments []*fragment
	parts     []*part
	streams   []*streamed
	room      *atomic.Int64   // how many more fragments and streams there may be
	ctx       context.Context // of the innermost middleware, or nil
}

// deferScope says which fragments the uses of @defer above an object stand for there.
type deferScope struct {
	above     *deferScope
	fragments []*fragment // of one object
}

func (sc *deferScope) find(u *deferUsage) *fragment {
	for ; sc != nil; sc = sc.above {
		for _, f := range sc.fragments {
			if f.usage == u {
				return f
			}
		}
	}
	return nil
}

// fragment is a deferred fragment at one place of the response: what the client is told to wait for.
type fragment struct {
	promise
	usage  *deferUsage
	parent *fragment
	at     int // in the buffer

	// Of the queue.
	known    bool
	current  bool // the client has been told of it
	visited  bool
	from     *putOff
	children []*fragment
	parts    []*part
	open     int // parts that are not there yet
}

// promise is what the client is told that it will get.
type promise struct {
	id    int // from 1; 0 before it is told and after it is kept
	label []byte
	path  []pathStep

	stream *streamed // whose elements they are, or nil
}

// part is the fields of one object that wait for the same fragments.
type part struct {
	fragments []*fragment
	set       *laterSet
	v         reflect.Value
	scope     *deferScope
	path      []pathStep
	at        int

	// Of the queue.
	begun   bool
	removed bool // nobody waits for it any more
	job     *job
	data    []byte // once it is there
	errs    []*Error
	failed  *Error // if it cannot be had
	streams []*streamed
}

// streamed is the rest of a list.
type streamed struct {
	promise
	f    *planField
	list reflect.Value
	next int // the element that comes next
	take int // how many are taken at once
	at   int
	job  *job
}

// divided writes an object of which something is put off.
func (r *run) divided(sel *selection, v reflect.Value, fr *frame, k int32) bool {
	p := r.later
	above := p.scope
	defer func() { p.scope = above }()
	at := len(r.buf)
	var opened []*fragment
	if n := len(sel.split.opened); n > 0 {
		opened = make([]*fragment, n)
		path := slices.Clone(r.path)
		p.scope = &deferScope{above, opened}
		for i, u := range sel.split.opened {
			opened[i] = &fragment{promise: promise{label: u.label, path: path}, usage: u, at: at}
		}
		for i, u := range sel.split.opened {
			if u.parent != nil {
				opened[i].parent = p.scope.find(u.parent)
			}
		}
	}
	if !r.object(sel.split.now, v, fr, k) || !r.mayPutOff(len(opened)) {
		return false
	}
	p.fragments = append(p.fragments, opened...)
	for _, set := range sel.split.later {
		p.parts = append(p.parts, r.partOf(set, v, at))
	}
	return true
}

func (r *run) partOf(set *laterSet, v reflect.Value, at int) *part {
	t := &part{set: set, v: v, scope: r.later.scope, path: slices.Clone(r.path), at: at}
	for _, u := range set.usages {
		t.fragments = append(t.fragments, t.scope.find(u))
	}
	return t
}

// mayPutOff holds n more fragments or streams against the limit.
func (r *run) mayPutOff(n int) bool {
	if r.later.room.Add(int64(-n)) >= 0 {
		return true
	}
	if r.fatal == nil {
		r.fatal = limitError("deferred fragments and streamed lists", r.s.limits.Pending)
	}
	return false
}

// cut forgets what was put off behind a place of the buffer.
func (p *putOff) cut(start int) {
	p.fragments = slices.DeleteFunc(p.fragments, func(f *fragment) bool { return f.at >= start })
	p.parts = slices.DeleteFunc(p.parts, func(t *part) bool { return t.at >= start })
	p.streams = slices.DeleteFunc(p.streams, func(s *streamed) bool { return s.at >= start })
}

// streamFrom is how many elements of a list are written at once; the rest is put off.
func (r *run) streamFrom(f *planField, c *completer, list reflect.Value) (int, bool) {
	n, err := f.stream.initialCount(r.s, r.vars)
	if err != nil {
		r.fail(f, err)
		return 0, false
	}
	if n >= list.Len() {
		return list.Len(), true
	}
	if !r.mayPutOff(1) {
		return 0, false
	}
	return n, true
}

// stream notes the rest of a list.
func (r *run) stream(f *planField, c *completer, list reflect.Value, from, at int) {
	if list.Kind() == reflect.Array { // which may not have an address
		s := reflect.MakeSlice(reflect.SliceOf(list.Type().Elem()), list.Len(), list.Len())
		reflect.Copy(s, list)
		list = s
	}
	def := *f.def
	def.comp, def.typ, def.r = nullableList(c), c.ref.nullable(), nil
	items := *f.stream.items
	items.def = &def
	t := &streamed{f: &items, list: list, next: from, take: 1, at: at}
	t.promise = promise{label: f.stream.label, path: slices.Clone(r.path), stream: t}
	r.later.streams = append(r.later.streams, t)
}

// nullableList is the completer of a list that itself is there.
func nullableList(c *completer) *completer {
	l := *c
	l.nonNull = false
	return &l
}

// show is a path as errors hold it.
func show(path []pathStep) []any {
	list := make([]any, len(path))
	for i, p := range path {
		if list[i] = p.index; p.key != "" {
			list[i] = p.key
		}
	}
	return list
}

// notInParts is the error of @defer or @stream where an operation has many responses anyway.
func (op *operation) notInParts(vars variables) *Error {
	for _, name := range op.delays {
		if on, ok := vars[name].value.(bool); on || !ok {
			return &Error{Message: fmt.Sprintf("@defer and @stream are not supported on subscriptions: disable them by setting \"$%s\" to false.", name)}
		}
	}
	return nil
}
