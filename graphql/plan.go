package graphql

import (
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// plan is an operation with its conditions decided. The selections of each concrete type are made when
// an object of it is first met: an operation never costs more plan than its data reaches.
type plan struct {
	op    *operation
	conds map[string]bool
	parts bool // @defer and @stream are obeyed
	whole bool // each deferred fragment comes by itself
	root  *selection
}

func (p *plan) begin() *plan {
	p.root = p.compile(p.op.root, []ast.SelectionSet{p.op.def.SelectionSet}, nil, nil)
	return p
}

// selection is what is selected on one concrete type, fields of one key merged, in the order in which
// the keys first occur (specification 6.3.2, CollectFields).
type selection struct {
	typ    *typeDef
	fields []*planField
	slots  int    // fields that the first pass has to look at
	ends   bool   // one of these can make the object null while others are fetched
	err    *Error // a condition that can be neither true nor false: such an object fails
	split  *split
}

// planField is one key of the response.
type planField struct {
	alias string
	key   []byte // "alias":
	def   *fieldDef
	nodes []*ast.Field
	typ   bool // __typename
	deep  bool // something below blocks
	slot  int  // in the frame of the first pass; -1 if the second reads it by itself
	p     *plan

	argsVary bool
	args     any // *A
	argsErr  error

	subs []atomic.Pointer[selection] // by the index of the possible type

	// Of plans in parts.
	usages []*deferUsage // of each node
	under  []*deferUsage // of the selection that the field is in
	stream *streamUsage
}

// perField is about what a planField occupies.
const perField = 400

// compile merges selection sets for one concrete type. usages are the fragments that the sets are deferred
// by and under those that the selection will be executed for; both are nil but in plans in parts.
func (p *plan) compile(t *typeDef, sets []ast.SelectionSet, usages, under []*deferUsage) *selection {
	c := &collector{p: p, sel: &selection{typ: t}, index: make(map[string]*planField), seen: make(map[string]bool)}
	for i, set := range sets {
		if usages == nil {
			c.walk(set, nil)
		} else {
			c.walk(set, usages[i])
		}
	}
	if c.sel.err != nil {
		c.sel.fields = nil
	}
	if p.op.entry != nil {
		p.op.s.cache.grow(p.op.entry, perField*(1+len(c.sel.fields)))
	}
	if p.parts {
		c.divide(under)
	}
	c.finishAll(c.sel)
	c.sel.settle()
	return c.sel
}

type collector struct {
	p     *plan
	sel   *selection
	index map[string]*planField // by alias
	seen  map[string]bool       // fragments

	// Of plans in parts.
	opened   []*deferUsage
	deferred map[spreadIn]bool
	within   map[*deferUsage]map[string]*planField // index where fragments come whole
}

func (c *collector) walk(set ast.SelectionSet, in *deferUsage) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if c.included(s.Directives) {
				c.add(s, in)
			}
		case *ast.InlineFragment:
			if c.included(s.Directives) && c.applies(s.TypeCondition) {
				c.walk(s.SelectionSet, c.usage(s.Directives, in))
			}
		case *ast.FragmentSpread:
			switch {
			case !c.included(s.Directives):
			case c.p.parts:
				c.spread(s, in)
			case !c.seen[s.Name]:
				c.seen[s.Name] = true
				if c.applies(s.Definition.TypeCondition) {
					c.walk(s.Definition.SelectionSet, nil)
				}
			}
		}
	}
}

// included decides @skip and @include.
func (c *collector) included(list ast.DirectiveList) bool {
	for _, d := range list {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		arg := d.Arguments.ForName("if")
		on := arg.Value.Raw == "true"
		if arg.Value.Kind == ast.Variable {
			var known bool
			if on, known = c.p.conds[arg.Value.Raw]; !known {
				c.undecided(d, arg)
				return false
			}
		}
		if on == (d.Name == "skip") {
			return false
		}
	}
	return true
}

// undecided is a variable that is null, which a default allows where a Boolean! is needed.
func (c *collector) undecided(d *ast.Directive, arg *ast.Argument) {
	if c.sel.err == nil {
		c.sel.err = isNull(d, arg)
	}
}

func isNull(d *ast.Directive, arg *ast.Argument) *Error {
	return errorAt(fmt.Sprintf("Argument %q of @%s needs a Boolean, but the variable \"$%s\" is null.", arg.Name, d.Name, arg.Value.Raw), arg.Value.Position)
}

func (c *collector) applies(condition string) bool {
	return condition == "" || c.sel.typ.applies[c.p.op.s.types[condition]]
}

func (c *collector) add(node *ast.Field, in *deferUsage) {
	index := c.index
	if c.p.whole && in != nil {
		index = c.indexWithin(in)
	}
	f := index[node.Alias]
	if f == nil {
		f = &planField{alias: node.Alias, p: c.p, slot: -1}
		f.key = append(jsonscan.AppendString(nil, node.Alias), ':')
		index[node.Alias] = f
		c.sel.fields = append(c.sel.fields, f)
	}
	f.nodes = append(f.nodes, node)
	if c.p.parts {
		f.usages = append(f.usages, in)
	}
}

// finishAll decides what is known of a selection once its fields are all there.
func (c *collector) finishAll(sel *selection) {
	for _, f := range sel.fields {
		c.finish(sel, f)
		sel.ends = sel.ends || f.slot >= 0 && f.def.typ.nonNull
	}
	sel.ends = sel.ends && sel.slots > 1
}

func (c *collector) finish(sel *selection, f *planField) {
	first := f.nodes[0]
	if first.Name == "__typename" {
		f.typ = true
		return
	}
	f.def = sel.typ.fields[first.Name]
	for _, n := range f.nodes {
		f.deep = f.deep || c.p.op.deep[n]
		if c.p.op.blocking[n] && f.slot < 0 && (f.def.blocks() || f.def.comp.composite()) {
			f.slot = sel.slots
			sel.slots++
		}
	}
	if n := len(f.def.typ.named.possible); n > 0 {
		f.subs = newSubs(n)
	}
	if c.p.parts {
		f.stream = c.p.streamOf(f)
	}
	c.constants(f)
}

// constants makes the arguments once if no variable is in them.
func (c *collector) constants(f *planField) {
	for _, a := range f.nodes[0].Arguments {
		if hasVariable(a.Value) {
			f.argsVary = true
			return
		}
	}
	f.args, f.argsErr = c.p.op.s.makeArgs(f.def, f.nodes[0], nil)
}

func hasVariable(v *ast.Value) bool {
	if v.Kind == ast.Variable {
		return true
	}
	for _, c := range v.Children {
		if hasVariable(c.Value) {
			return true
		}
	}
	return false
}

// makeArgs is a *A for the field's function, or nil where it takes none.
func (s *Schema) makeArgs(f *fieldDef, node *ast.Field, vars variables) (args any, err error) {
	if f.argBind == nil {
		return nil, nil
	}
	defer recovered(&err)
	values, err := s.arguments(f.args, node.Arguments, vars)
	if err != nil {
		return nil, err
	}
	args = f.r.newArgs()
	if err := f.argBind.bind(reflect.ValueOf(args).Elem(), values); err != nil {
		return nil, &Error{Message: err.Error()}
	}
	return args, nil
}

// arguments is CoerceArgumentValues (specification 6.4.1).
func (s *Schema) arguments(defs []*inputDef, args ast.ArgumentList, vars variables) (map[string]any, error) {
	values := make(map[string]any, len(defs))
	for _, in := range defs {
		arg := args.ForName(in.name)
		var v any = absent{}
		if arg != nil {
			var err error
			if v, err = s.literal(in.typ, arg.Value, vars); err != nil {
				return nil, s.argumentError(in, arg, err)
			}
		}
		switch {
		case v != any(absent{}):
			values[in.name] = v
		case in.dflt != nil:
			values[in.name] = in.value
		case in.typ.nonNull && arg != nil:
			return nil, errorAt(fmt.Sprintf("Argument %q of required type %q was provided the variable \"$%s\" which was not provided a runtime value.", in.name, in.typ, arg.Value.Raw), arg.Value.Position)
		case in.typ.nonNull:
			return nil, &Error{Message: fmt.Sprintf("Argument %q of required type %q was not provided.", in.name, in.typ)}
		}
	}
	return values, nil
}

func (s *Schema) argumentError(in *inputDef, arg *ast.Argument, err error) *Error {
	pos := arg.Value.Position
	if at, ok := err.(*literalError); ok { //nolint:errorlint // ours, never wrapped
		pos = at.pos
	}
	e := errorAt(fmt.Sprintf("Argument %q has invalid value %s: %s", in.name, arg.Value, err), pos)
	e.err = err
	s.withoutHint(e)
	return e
}

func newSubs(n int) []atomic.Pointer[selection] { return make([]atomic.Pointer[selection], n) }

// sub is what is selected below a field on its i-th possible type.
func (f *planField) sub(i int) *selection {
	if sel := f.subs[i].Load(); sel != nil {
		return sel
	}
	sets := make([]ast.SelectionSet, len(f.nodes))
	for k, n := range f.nodes {
		sets[k] = n.SelectionSet
	}
	f.subs[i].CompareAndSwap(nil, f.p.compile(f.def.typ.named.possible[i], sets, f.usages, f.under))
	return f.subs[i].Load()
}

// at makes an error with the places of all the field's nodes.
func (f *planField) at(message string) *Error {
	e := &Error{Message: message}
	for _, n := range f.nodes {
		e.Locations = append(e.Locations, Location{n.Position.Line, n.Position.Column})
	}
	return e
}
