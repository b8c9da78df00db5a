package graphql

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// size is what a selection amounts to, with its fragments where they are used.
type size struct{ depth, aliases, selections int }

// measurer sizes selections before anything expensive looks at them. Each fragment is measured once,
// however often it is used, so that the work is linear where the size is not.
type measurer struct {
	fragments map[string]*ast.FragmentDefinition
	known     map[string]size
	open      map[string]bool // a fragment within itself is refused later
}

// checkSize holds every operation of a parsed document against the limits.
func (s *Schema) checkSize(doc *ast.QueryDocument) (errs []*Error) {
	m := &measurer{fragments: make(map[string]*ast.FragmentDefinition), known: make(map[string]size), open: make(map[string]bool)}
	for _, f := range doc.Fragments {
		if _, dup := m.fragments[f.Name]; !dup {
			m.fragments[f.Name] = f
		}
	}
	if most := timesUp(reachPerSelection, s.limits.Selections); m.reach(doc, most) > most {
		return []*Error{limitError("fields to validate, fragments counted for each that leads to them", most)}
	}
	for _, op := range doc.Operations {
		z := m.set(op.SelectionSet)
		for _, l := range []struct {
			have, most int
			what       string
		}{
			{z.depth, s.limits.Depth, "levels of depth"},
			{z.aliases, s.limits.Aliases, "aliases"},
			{z.selections, s.limits.Selections, "selected fields"},
		} {
			if l.have > l.most {
				e := limitError(l.what, l.most)
				e.Locations = errorAt("", op.Position).Locations
				errs = append(errs, e)
			}
		}
	}
	return errs
}

// reachPerSelection is how many fields validation may look at for each that may be selected.
const reachPerSelection = 10

// reach counts what validation looks at: every rule walks from each operation and from each fragment
// through all that they lead to, which is quadratic for fragments in a chain. It stops beyond most.
func (m *measurer) reach(doc *ast.QueryDocument, most int) (n int) {
	if len(doc.Fragments) == 0 {
		return 0
	}
	var seen map[string]bool
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, sel := range set {
			if n++; n > most {
				return
			}
			switch sel := sel.(type) {
			case *ast.Field:
				walk(sel.SelectionSet)
			case *ast.InlineFragment:
				walk(sel.SelectionSet)
			case *ast.FragmentSpread:
				if f := m.fragments[sel.Name]; f != nil && !seen[sel.Name] {
					seen[sel.Name] = true
					walk(f.SelectionSet)
				}
			}
		}
	}
	for _, op := range doc.Operations {
		seen = make(map[string]bool)
		walk(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		seen = make(map[string]bool)
		walk(f.SelectionSet)
	}
	return n
}

func (m *measurer) set(set ast.SelectionSet) (z size) {
	for _, sel := range set {
		var in size
		switch sel := sel.(type) {
		case *ast.Field:
			in = m.set(sel.SelectionSet)
			in.depth = addUp(in.depth, 1)
			if strings.HasPrefix(sel.Name, "__") {
				in.depth = 1
			}
			if sel.Alias != sel.Name {
				in.aliases = addUp(in.aliases, 1)
			}
			in.selections = addUp(in.selections, 1)
		case *ast.InlineFragment:
			in = m.set(sel.SelectionSet)
		case *ast.FragmentSpread:
			in = m.fragment(sel.Name)
		}
		z.depth = max(z.depth, in.depth)
		z.aliases = addUp(z.aliases, in.aliases)
		z.selections = addUp(z.selections, in.selections)
	}
	return z
}

func (m *measurer) fragment(name string) size {
	if z, ok := m.known[name]; ok {
		return z
	}
	f := m.fragments[name]
	if f == nil || m.open[name] {
		return size{}
	}
	m.open[name] = true
	z := m.set(f.SelectionSet)
	delete(m.open, name)
	m.known[name] = z
	return z
}

// addUp adds without an overflow: fragments of fragments double with each step.
func addUp(a, b int) int { return min(a+b, noLimit) }

// timesUp multiplies without an overflow.
func timesUp(a, b int) int {
	if a != 0 && b > noLimit/a {
		return noLimit
	}
	return a * b
}

// coster sums the costs of fields. An argument that multiplies may be a variable, so that the sum can
// differ between requests for one document.
type coster struct {
	s      *Schema
	vars   variables
	known  map[string]int
	varies bool
}

// cost is what an operation costs with these variables.
func (s *Schema) cost(op *ast.OperationDefinition, vars variables) (cost int, varies bool) {
	c := &coster{s: s, vars: vars, known: make(map[string]int)}
	return c.set(op.SelectionSet), c.varies
}

func (c *coster) set(set ast.SelectionSet) (sum int) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			sum = addUp(sum, c.field(sel))
		case *ast.InlineFragment:
			sum = addUp(sum, c.set(sel.SelectionSet))
		case *ast.FragmentSpread:
			n, ok := c.known[sel.Name]
			if !ok && sel.Definition != nil {
				n = c.set(sel.Definition.SelectionSet)
				c.known[sel.Name] = n
			}
			sum = addUp(sum, n)
		}
	}
	return sum
}

func (c *coster) field(f *ast.Field) int {
	below := c.set(f.SelectionSet)
	if f.ObjectDefinition == nil || strings.HasPrefix(f.Name, "__") {
		return addUp(below, 1)
	}
	def := c.s.types[f.ObjectDefinition.Name].fields[f.Name]
	if def == nil {
		return addUp(below, 1)
	}
	own := def.cost
	for _, p := range def.parent.possible {
		if i := p.fields[f.Name]; i != nil {
			own = max(own, i.cost)
		}
	}
	if def.r != nil && def.r.multiply != "" {
		below = timesUp(below, c.times(f, def))
	}
	return addUp(own, below)
}

// times is the value of the argument that multiplies, 1 where it has none.
func (c *coster) times(f *ast.Field, def *fieldDef) int {
	in := def.arg(def.r.multiply)
	v := in.value
	if arg := f.Arguments.ForName(in.name); arg != nil {
		c.varies = c.varies || arg.Value.Kind == ast.Variable
		if given, err := c.s.literal(in.typ, arg.Value, c.vars); err == nil && given != any(absent{}) {
			v = given
		}
	}
	n, _ := v.(int64)
	return int(max(n, 1))
}
