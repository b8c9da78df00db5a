package graphql

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
)

// operation is one operation of a document, parsed and valid. It is shared by all its requests.
type operation struct {
	s     *Schema
	def   *ast.OperationDefinition
	kind  OperationKind
	name  string
	query string
	root  *typeDef
	vars  []*varDef
	conds []string // the variables of @skip and @include

	cost       int
	costVaries bool
	blocking   map[*ast.Field]bool // fields that block, or have such below them
	deep       map[*ast.Field]bool // those that have such below them

	entry *cacheEntry

	delays []string            // the variables that switch @defer and @stream
	parts  bool                // one of these directives is in the operation
	loads  map[*ast.Field]bool // fields that are fetched for many parents at once, or have such below them

	mu      sync.Mutex // guards the fields below
	plans   map[uint64]*plan
	inParts map[partsKey]*plan
}

// maxPlans bounds the plans of one operation that are kept: one for each combination of its conditions.
const maxPlans = 32

// prepare gives the operation of a document: from the cache, or parsed, measured and validated.
func (s *Schema) prepare(query, name string) (*operation, []*Error) {
	if op := s.cache.get(query, name); op != nil {
		return op, nil
	}
	doc, errs := s.parse(query)
	if errs != nil {
		return nil, errs
	}
	if errs := s.checkSize(doc); errs != nil {
		return nil, errs
	}
	if errs := s.validate(doc); errs != nil {
		return nil, errs
	}
	if errs := s.checkOverlap(doc); errs != nil {
		return nil, errs
	}
	op, err := s.newOperation(doc, query, name)
	if err != nil {
		return nil, []*Error{err}
	}
	s.cache.put(query, name, op)
	return op, nil
}

func (s *Schema) newOperation(doc *ast.QueryDocument, query, name string) (*operation, *Error) {
	def, err := chooseOperation(doc, name)
	if err != nil {
		return nil, err
	}
	op := &operation{
		s: s, def: def, kind: OperationKind(def.Operation), name: def.Name, query: query,
		root: s.types[s.rootDef(def.Operation).Name], blocking: make(map[*ast.Field]bool), deep: make(map[*ast.Field]bool), plans: make(map[uint64]*plan),
	}
	for _, v := range def.VariableDefinitions {
		op.vars = append(op.vars, &varDef{v.Variable, s.ref(v.Type), v.DefaultValue, v.Position})
	}
	if s.incremental {
		op.loads = make(map[*ast.Field]bool)
	}
	l := &looker{op: op, fragments: make(map[string]lookedAt)}
	l.set(def.SelectionSet)
	slices.Sort(op.conds)
	op.conds = slices.Compact(op.conds)
	slices.Sort(op.delays)
	op.delays = slices.Compact(op.delays)
	if l.introspects != nil && !s.introspection {
		return nil, errorAt("Introspection is switched off: the fields __schema and __type are not served.", l.introspects)
	}
	op.cost, op.costVaries = s.cost(def, nil)
	return op, nil
}

// chooseOperation is GetOperation (specification 6.1).
func chooseOperation(doc *ast.QueryDocument, name string) (*ast.OperationDefinition, *Error) {
	switch {
	case name != "":
		if def := doc.Operations.ForName(name); def != nil {
			return def, nil
		}
		return nil, &Error{Message: fmt.Sprintf("Unknown operation named %q.", name)}
	case len(doc.Operations) == 0:
		return nil, &Error{Message: "Must provide an operation."}
	case len(doc.Operations) > 1:
		return nil, &Error{Message: "Must provide operation name if query contains multiple operations."}
	}
	return doc.Operations[0], nil
}

// looker goes once over an operation: which fields block, what conditions there are, does it introspect.
type looker struct {
	op          *operation
	fragments   map[string]lookedAt
	introspects *ast.Position
}

// lookedAt is what is known of a selection set: whether anything in it blocks, and is fetched in a batch.
type lookedAt struct{ blocks, loads bool }

func (a lookedAt) or(b lookedAt) lookedAt { return lookedAt{a.blocks || b.blocks, a.loads || b.loads} }

func (l *looker) set(set ast.SelectionSet) (all lookedAt) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			l.conditions(sel.Directives)
			l.delaying(sel.Directives)
			if sel.Name == "__schema" || sel.Name == "__type" {
				l.introspects = sel.Position
			}
			in := l.set(sel.SelectionSet)
			if in.blocks {
				l.op.deep[sel] = true
			}
			if in.blocks || l.field(sel) {
				l.op.blocking[sel] = true
				in.blocks = true
			}
			if l.op.s.incremental && (in.loads || l.batches(sel)) {
				l.op.loads[sel] = true
				in.loads = true
			}
			all = all.or(in)
		case *ast.InlineFragment:
			l.conditions(sel.Directives)
			l.delaying(sel.Directives)
			all = all.or(l.set(sel.SelectionSet))
		case *ast.FragmentSpread:
			l.conditions(sel.Directives)
			l.delaying(sel.Directives)
			in, ok := l.fragments[sel.Name]
			if !ok {
				in = l.set(sel.Definition.SelectionSet)
				l.fragments[sel.Name] = in
			}
			all = all.or(in)
		}
	}
	return all
}

// field reports whether a field blocks on any object that it may be on.
func (l *looker) field(f *ast.Field) bool {
	if f.ObjectDefinition == nil || strings.HasPrefix(f.Name, "__") {
		return false
	}
	for _, p := range l.op.s.types[f.ObjectDefinition.Name].possible {
		if d := p.fields[f.Name]; d != nil && d.blocks() {
			return true
		}
	}
	return false
}

func (l *looker) conditions(list ast.DirectiveList) {
	for _, d := range list {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		if arg := d.Arguments.ForName("if"); arg != nil && arg.Value.Kind == ast.Variable {
			l.op.conds = append(l.op.conds, arg.Value.Raw)
		}
	}
}

// plan gives the plan for what the variables say to the operation's conditions.
func (op *operation) plan(vars variables) *plan {
	var mask uint64
	for i, name := range op.conds {
		on, ok := vars[name].value.(bool)
		if !ok || i >= 64 { // null, or too many for a mask: such a plan is not kept
			return op.newPlan(vars)
		}
		if on {
			mask |= 1 << i
		}
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	p := op.plans[mask]
	if p == nil {
		if p = op.newPlan(vars); len(op.plans) < maxPlans {
			op.plans[mask] = p
		}
	}
	return p
}

func (op *operation) newPlan(vars variables) *plan {
	p := &plan{op: op, conds: make(map[string]bool, len(op.conds))}
	for _, name := range op.conds {
		if on, ok := vars[name].value.(bool); ok {
			p.conds[name] = on
		}
	}
	return p.begin()
}
