package graphql

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// What a plan in parts knows beside other plans: a field belongs to the fragments that defer all of its
// nodes, and the fields of one object are divided by that. The names and the rules are those of
// graphql-js 17.

// deferUsage is one use of @defer on a concrete type.
type deferUsage struct {
	label  []byte // as JSON, or nil
	node   *ast.Directive
	parent *deferUsage
}

// split is what is put off on a concrete type.
type split struct {
	now    *selection    // what is not put off
	opened []*deferUsage // fragments that begin on this type
	later  []*laterSet
}

// laterSet is the fields of one object that belong to the same deferred fragments.
type laterSet struct {
	usages []*deferUsage
	sel    *selection
	loads  bool // something in it is fetched for many parents at once
}

// streamUsage is the @stream of a field.
type streamUsage struct {
	label   []byte
	initial *ast.Value // nil is 0
	items   *planField // how the rest of the list is executed: for no deferred fragment
	err     *Error     // a condition that can be neither true nor false: such a list fails
}

// spreadIn is a fragment that is used within a deferred one.
type spreadIn struct {
	name string
	in   *ast.Directive
}

// usage is the deferred fragment that a selection set belongs to: that of its own @defer, or the one it is in.
func (c *collector) usage(list ast.DirectiveList, in *deferUsage) *deferUsage {
	d := c.deferring(list)
	if d == nil {
		return in
	}
	u := &deferUsage{label: labelOf(d), node: d, parent: in}
	c.opened = append(c.opened, u)
	return u
}

// spread walks a fragment. What has been selected at once needs not be looked at again, and what a deferred
// fragment has selected not again for the same.
func (c *collector) spread(s *ast.FragmentSpread, in *deferUsage) {
	if !c.applies(s.Definition.TypeCondition) {
		return
	}
	d := c.deferring(s.Directives) // first, for its errors
	if c.seen[s.Name] {
		return
	}
	key := spreadIn{s.Name, d}
	if d == nil && in != nil {
		key.in = in.node
	}
	if c.deferred[key] {
		return
	}
	if key.in == nil {
		c.seen[s.Name] = true
	} else {
		if c.deferred == nil {
			c.deferred = make(map[spreadIn]bool)
		}
		c.deferred[key] = true
	}
	c.walk(s.Definition.SelectionSet, c.usage(s.Directives, in))
}

// indexWithin are the fields of one deferred fragment, which are merged with no other's where fragments come whole.
func (c *collector) indexWithin(in *deferUsage) map[string]*planField {
	if c.within == nil {
		c.within = make(map[*deferUsage]map[string]*planField)
	}
	index := c.within[in]
	if index == nil {
		index = make(map[string]*planField)
		c.within[in] = index
	}
	return index
}

// deferring finds a @defer that is switched on.
func (c *collector) deferring(list ast.DirectiveList) *ast.Directive {
	d, unknown := c.p.delaying(list, "defer")
	if unknown != nil {
		c.undecided(d, unknown)
		return nil
	}
	return d
}

// delaying finds a directive that is switched on, or one whose condition is a variable that is null.
func (p *plan) delaying(list ast.DirectiveList, name string) (d *ast.Directive, unknown *ast.Argument) {
	if !p.parts {
		return nil, nil
	}
	if d = list.ForName(name); d == nil {
		return nil, nil
	}
	arg := d.Arguments.ForName("if")
	if arg == nil {
		return d, nil
	}
	on := arg.Value.Raw == "true"
	if arg.Value.Kind == ast.Variable {
		var known bool
		if on, known = p.conds[arg.Value.Raw]; !known {
			return d, arg
		}
	}
	if !on {
		return nil, nil
	}
	return d, nil
}

func labelOf(d *ast.Directive) []byte {
	if arg := d.Arguments.ForName("label"); arg != nil && arg.Value.Kind != ast.NullValue {
		return jsonscan.AppendString(nil, arg.Value.Raw)
	}
	return nil
}

// divide moves the fields that the selection is not executed for to sets of their own.
func (c *collector) divide(under []*deferUsage) {
	sp := &split{opened: c.opened}
	all := c.sel.fields
	c.sel.fields = nil
	for _, f := range all {
		f.under = deferredBy(f.usages)
		if sameUsages(f.under, under) {
			c.sel.fields = append(c.sel.fields, f)
			continue
		}
		set := sp.set(c.sel.typ, f.under)
		set.sel.fields = append(set.sel.fields, f)
		set.loads = set.loads || slices.ContainsFunc(f.nodes, func(n *ast.Field) bool { return c.p.op.loads[n] })
	}
	for _, set := range sp.later {
		c.finishAll(set.sel)
	}
	if len(sp.opened) > 0 || len(sp.later) > 0 {
		c.sel.split = sp
	}
}

// settle copies what is not put off, once that is finished: the writer needs it without its split.
func (sel *selection) settle() {
	if sel.split == nil {
		return
	}
	now := *sel
	now.split = nil
	sel.split.now = &now
}

func (sp *split) set(t *typeDef, usages []*deferUsage) *laterSet {
	for _, s := range sp.later {
		if sameUsages(s.usages, usages) {
			return s
		}
	}
	s := &laterSet{usages: usages, sel: &selection{typ: t}}
	sp.later = append(sp.later, s)
	return s
}

// deferredBy are the fragments that a field waits for: none if one of its nodes is not deferred, and no
// fragment that lies within another of them.
func deferredBy(usages []*deferUsage) (set []*deferUsage) {
	for _, u := range usages {
		if u == nil {
			return nil
		}
		if !slices.Contains(set, u) {
			set = append(set, u)
		}
	}
	within := func(u *deferUsage) bool {
		for p := u.parent; p != nil; p = p.parent {
			if slices.Contains(set, p) {
				return true
			}
		}
		return false
	}
	var outer []*deferUsage
	for _, u := range set {
		if !within(u) {
			outer = append(outer, u)
		}
	}
	return outer
}

func sameUsages(a, b []*deferUsage) bool {
	if len(a) != len(b) {
		return false
	}
	for _, u := range a {
		if !slices.Contains(b, u) {
			return false
		}
	}
	return true
}

// streamOf is the @stream of a field that is a list; nodes that are merged have none, or are one alone.
func (p *plan) streamOf(f *planField) *streamUsage {
	d, unknown := p.delaying(f.nodes[0].Directives, "stream")
	if d == nil || f.def.typ.elem == nil {
		return nil
	}
	u := &streamUsage{label: labelOf(d)}
	if unknown != nil {
		u.err = isNull(d, unknown)
	}
	if arg := d.Arguments.ForName("initialCount"); arg != nil {
		u.initial = arg.Value
	}
	items := &planField{alias: f.alias, key: f.key, def: f.def, nodes: f.nodes, deep: f.deep, slot: 0, p: p}
	items.usages = make([]*deferUsage, len(f.nodes))
	if f.subs != nil {
		items.subs = newSubs(len(f.subs))
	}
	u.items = items
	return u
}

// initialCount is how many elements of a streamed list are not put off.
func (u *streamUsage) initialCount(s *Schema, vars variables) (int, error) {
	switch {
	case u.err != nil:
		return 0, u.err
	case u.initial == nil:
		return 0, nil
	}
	v, err := s.literal(initialCountType, u.initial, vars)
	if err != nil {
		return 0, errorAt("Argument \"initialCount\" of @stream: "+err.Error(), u.initial.Position)
	}
	n, ok := v.(int64)
	switch {
	case v == any(absent{}):
		return 0, nil
	case !ok || n < 0:
		return 0, &Error{Message: fmt.Sprintf("Argument \"initialCount\" of @stream must be a positive integer or 0, not %v.", v)}
	}
	return int(n), nil
}

// initialCountType is Int!, and has its own default.
var initialCountType = &typeRef{
	nonNull: true, named: &typeDef{name: "Int", kind: ast.Scalar}, src: ast.NonNullNamedType("Int", nil),
}

// delaying notes the @defer and @stream of a selection.
func (l *looker) delaying(list ast.DirectiveList) {
	for _, d := range list {
		if d.Name != "defer" && d.Name != "stream" {
			continue
		}
		l.op.parts = true
		if arg := d.Arguments.ForName("if"); arg != nil && arg.Value.Kind == ast.Variable {
			l.op.delays = append(l.op.delays, arg.Value.Raw)
		}
	}
}

// batches reports whether a field is fetched for many parents at once on any object that it may be on.
func (l *looker) batches(f *ast.Field) bool {
	for _, p := range l.op.s.types[f.ObjectDefinition.Name].possible {
		if d := p.fields[f.Name]; d != nil && d.r != nil && d.r.kind == kindBatch {
			return true
		}
	}
	return false
}

// planInParts is plan for an execution of an operation in parts. whole has each deferred fragment come by itself, with everything
// that it selects; else nothing comes twice.
func (op *operation) planInParts(vars variables, whole bool) *plan {
	names := len(op.conds) + len(op.delays)
	mask, kept := uint64(0), names <= 64
	for i := range names {
		on, known := op.decide(i, vars)
		if kept = kept && known; on {
			mask |= 1 << i
		}
	}
	if !kept {
		return op.newPlanInParts(vars, whole)
	}
	key := partsKey{mask, whole}
	op.mu.Lock()
	defer op.mu.Unlock()
	p := op.inParts[key]
	if p == nil {
		p = op.newPlanInParts(vars, whole)
		op.keepInParts(key, p)
	}
	return p
}

// decide decides one variable of the conditions of @skip and @include, which come first, or of @defer and
// @stream, whose default is true. One that is null is not known.
func (op *operation) decide(i int, vars variables) (on, known bool) {
	if i < len(op.conds) {
		on, known = vars[op.conds[i]].value.(bool)
		return on, known
	}
	v, given := vars[op.delays[i-len(op.conds)]]
	if !given {
		return true, true
	}
	on, known = v.value.(bool)
	return on, known
}

// newPlanInParts makes a plan for variables that have been decided.
func (op *operation) newPlanInParts(vars variables, whole bool) *plan {
	p := &plan{op: op, conds: make(map[string]bool), parts: true, whole: whole}
	for i, name := range slices.Concat(op.conds, op.delays) {
		if on, known := op.decide(i, vars); known {
			p.conds[name] = on
		}
	}
	return p.begin()
}

// partsKey is what a plan in parts is kept by: what its conditions are, and whether fragments come whole.
type partsKey struct {
	conds uint64
	whole bool
}

func (op *operation) keepInParts(key partsKey, p *plan) {
	if op.inParts == nil {
		op.inParts = make(map[partsKey]*plan)
	}
	if len(op.inParts) < maxPlans {
		op.inParts[key] = p
	}
}
