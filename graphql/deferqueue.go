package graphql

// Which fragments the client waits for, what of them is there, and what that lets begin. The rules are those
// of graphql-js 17: a fragment is told when the one that it lies in is complete, and is complete when all of
// its parts are there; a part that several fragments share goes with the first of them.

// add takes in what a run has put off. For a part it stays with that until its fragment is complete; else the
// new fragments and streams are returned.
func (d *delivery) add(p *putOff, of *part) (fragments []*fragment, streams []*streamed) {
	for _, f := range p.fragments {
		f.from = p
	}
	for _, f := range p.fragments {
		if d.addFragment(p, f) && of == nil && f.parent == nil {
			fragments = append(fragments, f)
		}
	}
	for _, t := range p.parts {
		d.addPart(t)
	}
	if of == nil {
		return withParts(fragments, nil), p.streams
	}
	of.streams = append(of.streams, p.streams...)
	return nil, nil
}

// addFragment adds a fragment below its parent, which comes first; false means that the parent is no more.
func (d *delivery) addFragment(p *putOff, f *fragment) bool {
	if f.visited {
		return f.known
	}
	f.visited = true
	if up := f.parent; up != nil {
		if up.from == p {
			d.addFragment(p, up)
		}
		if !up.known {
			return false
		}
		up.children = append(up.children, f)
	}
	f.known = true
	return true
}

func (d *delivery) addPart(t *part) {
	for _, f := range t.fragments {
		if !f.known {
			continue
		}
		f.parts = append(f.parts, t)
		f.open++
		if f.current {
			d.begin(t)
		}
	}
}

// withParts leaves out fragments without a part of their own, and puts those within them in their place.
func withParts(list, out []*fragment) []*fragment {
	for _, f := range list {
		switch {
		case !f.known:
		case !f.waits():
			f.known = false
			out = withParts(f.children, out)
		default:
			out = append(out, f)
		}
	}
	return out
}

func (f *fragment) waits() bool {
	for _, t := range f.parts {
		if !t.removed {
			return true
		}
	}
	return false
}

func (d *delivery) begin(t *part) {
	if !t.begun {
		t.begun = true
		d.begun = append(d.begun, t)
	}
}

// promise tells the client of fragments and streams, and lets their execution begin.
func (d *delivery) promise(fragments []*fragment, streams []*streamed) {
	for i := 0; i < len(fragments); i++ { // it grows
		f := fragments[i]
		f.current = true
		d.current[f] = true
		d.tell(&f.promise)
	}
	for _, s := range streams {
		d.streams[s] = true
		d.tell(&s.promise)
		d.goesOn = append(d.goesOn, s)
	}
	for _, f := range fragments {
		for _, t := range f.parts {
			if !t.removed {
				d.begin(t)
			}
		}
	}
	for _, f := range fragments {
		if e := f.failure(); e != nil {
			d.close(&f.promise, e)
			d.remove(f)
			continue
		}
		d.complete(f)
	}
}

// failure is that of a part which another fragment has had begun.
func (f *fragment) failure() *Error {
	for _, t := range f.parts {
		if t.failed != nil {
			return t.failed
		}
	}
	return nil
}

func (d *delivery) tell(p *promise) {
	d.lastID++
	p.id = d.lastID
	d.words.promise(&d.out, p)
}

// arrived takes in a job that is done.
func (d *delivery) arrived(j *job) {
	if j.stream != nil {
		d.elementsArrived(j.stream, j)
		return
	}
	for i, t := range j.parts {
		if t.removed {
			continue
		}
		if e := j.done[i].failed; e != nil {
			d.failed(t, e)
			continue
		}
		t.data, t.errs, t.job = j.done[i].data, j.done[i].errs, nil
		d.bytes.Add(int64(len(t.data)))
		d.add(j.done[i].later, t)
		for _, f := range t.fragments {
			if f.known {
				f.open--
				d.complete(f)
			}
		}
	}
}

// complete delivers a fragment, if the client waits for it and all of it is there.
func (d *delivery) complete(f *fragment) {
	if !f.current || f.open > 0 {
		return
	}
	f.known, f.current = false, false
	delete(d.current, f)
	var streams []*streamed
	for _, t := range f.parts {
		if t.removed {
			continue
		}
		d.deliverPart(f, t)
		streams = append(streams, t.streams...)
		t.removed = true
	}
	d.close(&f.promise, nil)
	d.promise(withParts(f.children, nil), streams)
}

// deliverPart writes a part as that of the innermost fragment of its own that the client waits for.
func (d *delivery) deliverPart(f *fragment, t *part) {
	best := f
	for _, o := range t.fragments {
		if o.id > 0 && len(o.path) > len(best.path) {
			best = o
		}
	}
	d.words.fields(&d.out, best, t)
	d.out.errs = append(d.out.errs, t.errs...)
	t.data = nil
}

// close tells that a promise is kept, or why it cannot be.
func (d *delivery) close(p *promise, failed *Error) {
	d.words.end(&d.out, p, failed)
	if failed != nil {
		d.out.errs = append(d.out.errs, failed)
	}
	p.id = 0
}

// failed ends the fragments of a part that cannot be had: now, or when the client is told of them.
func (d *delivery) failed(t *part, e *Error) {
	t.failed, t.job = e, nil
	for _, f := range t.fragments {
		if f.known && f.current {
			d.close(&f.promise, e)
			d.remove(f)
		}
	}
}

// remove forgets a fragment and all within it; parts that nobody waits for any more end.
func (d *delivery) remove(f *fragment) {
	f.known, f.current = false, false
	delete(d.current, f)
	for _, t := range f.parts {
		if !t.removed && !t.waited() {
			t.removed = true
			if t.job != nil {
				t.job.drop()
			}
		}
	}
	for _, c := range f.children {
		if c.known {
			d.remove(c)
		}
	}
}

func (t *part) waited() bool {
	for _, f := range t.fragments {
		if f.known {
			return true
		}
	}
	return false
}

// elementsArrived delivers elements of a list, and goes on with the next.
func (d *delivery) elementsArrived(s *streamed, j *job) {
	out := j.done[0]
	if len(out.data) > 0 {
		d.words.elements(&d.out, s, out.data, out.errs)
		d.out.errs = append(d.out.errs, out.errs...)
		d.bytes.Add(int64(len(out.data)))
		d.promise(d.add(out.later, nil))
	}
	s.next += out.elements
	if out.failed != nil || s.next == s.list.Len() {
		delete(d.streams, s)
		d.close(&s.promise, out.failed)
		return
	}
	d.goesOn = append(d.goesOn, s)
}
