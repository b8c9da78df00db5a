package graphql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// overlap finds fields of one response key that cannot be merged (specification 5.3.2). Comparing each
// pair, as the specification puts it, is quadratic; comparing each field of a group with the first says
// the same, because being alike is transitive. What is left is bounded by a budget of steps.
type overlap struct {
	s      *Schema
	budget int
	errs   []*Error
	found  map[[2]*ast.Field]bool
}

// outOfBudget ends the search.
type outOfBudget struct{}

// checkOverlap checks every operation of a document that is valid otherwise.
func (s *Schema) checkOverlap(doc *ast.QueryDocument) (errs []*Error) {
	o := &overlap{s: s, budget: s.limits.OverlapBudget, found: make(map[[2]*ast.Field]bool)}
	defer func() {
		switch r := recover().(type) {
		case nil:
			errs = o.errs
		case outOfBudget:
			errs = append(o.errs, limitError("steps to compare overlapping fields", s.limits.OverlapBudget))
		default:
			panic(r)
		}
	}()
	for _, op := range doc.Operations {
		o.check(o.collect([]scope{{s.rootDef(op.Operation), op.SelectionSet}}))
	}
	return nil
}

// check checks groups of which nothing has been merged yet. What is below a field that is alone in its
// group begins anew, and that is nearly all there is.
func (o *overlap) check(groups []keyed) {
	several := groups[:0:0]
	for _, g := range groups {
		if len(g.fields) > 1 {
			several = append(several, g)
		} else if scopes := o.below(g.fields); len(scopes) > 0 {
			o.check(o.collect(scopes))
		}
	}
	if len(several) > 0 {
		o.sameField(several, nil)
		o.sameShape(several, nil)
	}
}

func (s *Schema) rootDef(kind ast.Operation) *ast.Definition {
	switch kind {
	case ast.Mutation:
		return s.ast.Mutation
	case ast.Subscription:
		return s.ast.Subscription
	}
	return s.ast.Query
}

// scope is a selection set on a type.
type scope struct {
	parent *ast.Definition
	set    ast.SelectionSet
}

// selected is a field where it stands.
type selected struct {
	parent *ast.Definition
	field  *ast.Field
}

// keyed are the fields of one response key.
type keyed struct {
	key    string
	fields []selected
}

// collect groups all fields of some selection sets, through fragments, by their key.
func (o *overlap) collect(scopes []scope) []keyed {
	c := &overlapCollector{o: o}
	for _, sc := range scopes {
		c.walk(sc.parent, sc.set)
	}
	return c.groups
}

type overlapCollector struct {
	o      *overlap
	groups []keyed
	index  map[string]int  // of groups, once there are many
	seen   map[string]bool // fragments
}

// few is how many groups are searched one by one.
const few = 16

// group is the index of the group of a key; a new one is added.
func (c *overlapCollector) group(key string) int {
	if len(c.groups) <= few {
		if i := slices.IndexFunc(c.groups, func(g keyed) bool { return g.key == key }); i >= 0 {
			return i
		}
	} else if i, ok := c.index[key]; ok {
		return i
	}
	c.groups = append(c.groups, keyed{key: key})
	if n := len(c.groups); n == few+1 {
		c.index = make(map[string]int)
		for i, g := range c.groups {
			c.index[g.key] = i
		}
	} else if n > few {
		c.index[key] = n - 1
	}
	return len(c.groups) - 1
}

func (c *overlapCollector) walk(parent *ast.Definition, set ast.SelectionSet) {
	for _, sel := range set {
		if c.o.budget--; c.o.budget < 0 {
			panic(outOfBudget{})
		}
		switch sel := sel.(type) {
		case *ast.Field:
			i := c.group(sel.Alias)
			c.groups[i].fields = append(c.groups[i].fields, selected{parent, sel})
		case *ast.InlineFragment:
			p := parent
			if sel.TypeCondition != "" {
				p = c.o.s.ast.Types[sel.TypeCondition]
			}
			c.walk(p, sel.SelectionSet)
		case *ast.FragmentSpread:
			if sel.Definition != nil && !c.seen[sel.Name] {
				if c.seen == nil {
					c.seen = make(map[string]bool)
				}
				c.seen[sel.Name] = true
				c.walk(sel.Definition.Definition, sel.Definition.SelectionSet)
			}
		}
	}
}

// below are the selections of some fields.
func (o *overlap) below(fields []selected) (scopes []scope) {
	for _, f := range fields {
		if len(f.field.SelectionSet) > 0 && f.field.Definition != nil {
			scopes = append(scopes, scope{o.s.ast.Types[f.field.Definition.Type.Name()], f.field.SelectionSet})
		}
	}
	return scopes
}

// sameShape requires that all fields of a key give the same shape of JSON, on whatever types they are.
func (o *overlap) sameShape(groups []keyed, path []string) {
	for _, g := range groups {
		first := g.fields[0]
		ok := true
		for _, f := range g.fields[1:] {
			if a, b := first.field.Definition, f.field.Definition; a != nil && b != nil && !o.shapesFit(a, b) {
				o.conflict(path, g.key, first, f, fmt.Sprintf("they return conflicting types %q and %q", typeOfField(a), typeOfField(b)))
				ok = false
			}
		}
		if scopes := o.below(g.fields); ok && len(scopes) > 0 {
			o.sameShape(o.collect(scopes), through(path, g.key, g.fields))
		}
	}
}

// through is the path to what is below some fields: what is below one alone is in conflict by itself.
func through(path []string, key string, fields []selected) []string {
	if len(fields) == 1 {
		return nil
	}
	return append(slices.Clip(path), key)
}

// typeOfField is a field's type; the parser's __typename lacks its "!".
func typeOfField(d *ast.FieldDefinition) *ast.Type {
	if d.Name == "__typename" {
		return ast.NonNullNamedType("String", nil)
	}
	return d.Type
}

func (o *overlap) shapesFit(x, y *ast.FieldDefinition) bool {
	a, b := typeOfField(x), typeOfField(y)
	for {
		if a.NonNull != b.NonNull || (a.Elem == nil) != (b.Elem == nil) {
			return false
		}
		if a.Elem == nil {
			break
		}
		a, b = a.Elem, b.Elem
	}
	ta, tb := o.s.ast.Types[a.NamedType], o.s.ast.Types[b.NamedType]
	if ta == nil || tb == nil || !ta.IsLeafType() && !tb.IsLeafType() {
		return true
	}
	return ta == tb
}

// sameField requires that fields of a key that can meet in one object are the same field.
func (o *overlap) sameField(groups []keyed, path []string) {
	for _, g := range groups {
		for _, part := range parts(g.fields) {
			ok := true
			first, args := part[0], ""
			if len(part) > 1 {
				args = argsText(first.field)
			}
			for _, f := range part[1:] {
				switch {
				case f.field.Name != first.field.Name:
					o.conflict(path, g.key, first, f, fmt.Sprintf("%q and %q are different fields", first.field.Name, f.field.Name))
					ok = false
				case argsText(f.field) != args:
					o.conflict(path, g.key, first, f, "they have differing arguments")
					ok = false
				}
			}
			if scopes := o.below(part); ok && len(scopes) > 0 {
				o.sameField(o.collect(scopes), through(path, g.key, part))
			}
		}
	}
}

// parts splits fields by the object they are on; those on an abstract type may meet any of them.
func parts(fields []selected) [][]selected {
	if len(fields) == 1 {
		return [][]selected{fields}
	}
	var abstract []selected
	var names []string
	objects := make(map[string][]selected)
	for _, f := range fields {
		if f.parent == nil || f.parent.Kind != ast.Object {
			abstract = append(abstract, f)
			continue
		}
		if _, ok := objects[f.parent.Name]; !ok {
			names = append(names, f.parent.Name)
		}
		objects[f.parent.Name] = append(objects[f.parent.Name], f)
	}
	if len(names) == 0 {
		return [][]selected{abstract}
	}
	var out [][]selected
	for _, name := range names {
		out = append(out, slices.Concat(objects[name], abstract))
	}
	return out
}

// argsText is a field's arguments in a form in which equal ones are equal.
func argsText(f *ast.Field) string {
	if len(f.Arguments) == 0 {
		return ""
	}
	args := make([]string, len(f.Arguments))
	for i, a := range f.Arguments {
		args[i] = a.Name + ":" + valueText(a.Value)
	}
	slices.Sort(args)
	return strings.Join(args, ",")
}

func valueText(v *ast.Value) string {
	if v.Kind != ast.ObjectValue && v.Kind != ast.ListValue {
		return v.String()
	}
	parts := make([]string, len(v.Children))
	for i, c := range v.Children {
		parts[i] = c.Name + ":" + valueText(c.Value)
	}
	if v.Kind == ast.ListValue {
		return "[" + strings.Join(parts, ",") + "]"
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

func (o *overlap) conflict(path []string, key string, a, b selected, why string) {
	pair := [2]*ast.Field{a.field, b.field}
	if o.found[pair] {
		return
	}
	o.found[pair] = true
	if len(o.errs) >= o.s.limits.Errors {
		panic(outOfBudget{})
	}
	text := why
	for i := len(path); i > 0; i-- {
		k := key
		if i < len(path) {
			k = path[i]
		}
		text = fmt.Sprintf("subfields %q conflict because %s", k, text)
	}
	if len(path) > 0 {
		key = path[0]
	}
	o.errs = append(o.errs, errorAt(
		fmt.Sprintf("Fields %q conflict because %s. Use different aliases on the fields to fetch both if this was intentional.", key, text),
		a.field.Position, b.field.Position,
	))
}
