package graphql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// validationRules are the rules of section 5 of the specification. Four of the parser's package are
// replaced: two accept or refuse wrongly, one has no bound, and one is not told the same twice.
func validationRules(incremental bool) []validator.Rule {
	r := rules.NewDefaultRules()
	r.RemoveRule(rules.OverlappingFieldsCanBeMergedRule.Name)
	r.RemoveRule(rules.SingleFieldSubscriptionsRule.Name)
	r.RemoveRule(rules.ValuesOfCorrectTypeRule.Name)
	r.RemoveRule(rules.KnownTypeNamesRule.Name) // its suggestions come in another order each time
	r.AddRule(rules.KnownTypeNamesRuleWithoutSuggestions.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	var list []validator.Rule
	for name, f := range r.GetInner() {
		list = append(list, validator.Rule{Name: name, RuleFunc: f})
	}
	list = append(list, valuesRule, subscriptionRule)
	if incremental {
		list = append(list, incrementalRules...)
	}
	slices.SortFunc(list, func(a, b validator.Rule) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// parse parses a document and applies what can be said before it is validated.
func (s *Schema) parse(query string) (*ast.QueryDocument, []*Error) {
	query, stands := cover(query)
	query, wrong := repair(query)
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Name: "query", Input: query}, s.limits.Tokens)
	if err != nil {
		return nil, []*Error{s.parseError(err)}
	}
	if stands != 0 {
		stands.uncover(doc)
	}
	if wrong == nil {
		wrong = variableInConstant(doc)
	}
	if wrong != nil {
		return nil, []*Error{wrong}
	}
	if len(doc.Operations) == 0 && len(doc.Fragments) == 0 {
		return nil, []*Error{{Message: "Syntax Error: Unexpected <EOF>.", Locations: []Location{{1, 1}}}}
	}
	return doc, nil
}

func (s *Schema) parseError(err error) *Error {
	g, ok := err.(*gqlerror.Error) //nolint:errorlint // the parser returns this type
	if !ok {
		return &Error{Message: "Syntax Error: " + err.Error()}
	}
	if strings.Contains(g.Message, "exceeded token limit") {
		e := limitError("tokens", s.limits.Tokens)
		e.Locations = ofParser(g).Locations
		return e
	}
	e := ofParser(g)
	e.Message = "Syntax Error: " + e.Message
	return e
}

// withoutHint takes a suggestion off an error: where introspection is off, it would tell names one by one.
func (s *Schema) withoutHint(e *Error) {
	if !s.introspection {
		e.Message, _, _ = strings.Cut(e.Message, " Did you mean ")
	}
}

// variableInConstant finds a variable in a directive on the definition of another, where only constants
// stand (specification 2.11), which the parser lets through.
func variableInConstant(doc *ast.QueryDocument) *Error {
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			for _, d := range v.Directives {
				for _, arg := range d.Arguments {
					if hasVariable(arg.Value) {
						return errorAt(fmt.Sprintf("Syntax Error: Unexpected variable in the constant value %s.", arg.Value), arg.Value.Position)
					}
				}
			}
		}
	}
	return nil
}

// tooMany ends a walk of the validator, which has no other way to be ended.
type tooMany struct{}

// validate applies the rules to a document, once: they write into it.
func (s *Schema) validate(doc *ast.QueryDocument) (errs []*Error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case tooMany:
			errs = append(errs, &Error{
				Message: "Too many validation errors, error limit reached. Validation aborted.", Extensions: map[string]any{"code": CodeLimit},
			})
		default:
			errs = append(errs, &Error{Message: fmt.Sprint("The document cannot be validated: ", r)})
		}
	}()
	observers := &core.Events{}
	for _, rule := range s.rules {
		rule.RuleFunc(observers, func(options ...core.ErrorOption) {
			if len(errs) >= s.limits.Errors {
				panic(tooMany{})
			}
			err := &gqlerror.Error{Rule: rule.Name}
			for _, o := range options {
				o(err)
			}
			errs = append(errs, ofParser(err))
		})
	}
	validator.Walk(s.ast, doc, observers)
	return errs
}

// valuesRule is "values of correct type" (specification 5.6.1).
var valuesRule = validator.Rule{Name: "ValuesOfCorrectType", RuleFunc: func(observers *core.Events, add core.AddErrFunc) {
	observers.OnValue(func(_ *core.Walker, v *ast.Value) {
		if v.Definition != nil && v.ExpectedType != nil && v.Kind != ast.Variable {
			checkValue(v, func(format string, args ...any) { add(core.Message(format, args...), core.At(v.Position)) })
		}
	})
}}

// checkValue checks one value; those inside of it come by themselves.
func checkValue(v *ast.Value, fail func(format string, args ...any)) {
	switch {
	case v.Kind == ast.NullValue:
		if v.ExpectedType.NonNull {
			fail("Expected value of type %q, found null.", v.ExpectedType.String())
		}
	case v.Kind == ast.ListValue:
		if v.ExpectedType.Elem == nil && (v.Definition.Kind != ast.Scalar || isBuiltin(v.Definition.Name)) {
			fail("Expected value of type %q, found %s.", v.ExpectedType.String(), v.String())
		}
		if e := v.ExpectedType.Elem; e != nil && e.Elem != nil && slices.ContainsFunc(v.Children, func(c *ast.ChildValue) bool { return itemNoList(c.Value) }) {
			fail(notAList, e.String())
		}
	case v.Definition.Kind == ast.InputObject:
		checkObjectValue(v, fail)
	default:
		if text := leafLiteralProblem(&typeDef{name: v.Definition.Name, kind: v.Definition.Kind, def: v.Definition}, v); text != "" {
			fail("%s", text)
		}
	}
}

// itemNoList reports whether an item of a list of lists is no list.
func itemNoList(v *ast.Value) bool {
	return v.Kind != ast.ListValue && v.Kind != ast.NullValue && v.Kind != ast.Variable
}

func checkObjectValue(v *ast.Value, fail func(format string, args ...any)) {
	def := v.Definition
	if v.Kind != ast.ObjectValue {
		fail("Expected value of type %q, found %s.", v.ExpectedType.String(), v.String())
		return
	}
	given := make(map[string]*ast.Value, len(v.Children))
	for _, c := range v.Children {
		given[c.Name] = c.Value
		if def.Fields.ForName(c.Name) == nil {
			var names []string
			for _, f := range def.Fields {
				names = append(names, f.Name)
			}
			fail("Field %q is not defined by type %q.%s", c.Name, def.Name, didYouMean(c.Name, names))
		}
	}
	for _, f := range def.Fields {
		if _, ok := given[f.Name]; !ok && f.Type.NonNull && f.DefaultValue == nil {
			fail("Field %q of required type %q was not provided.", def.Name+"."+f.Name, f.Type.String())
		}
	}
	if def.Directives.ForName("oneOf") == nil {
		return
	}
	switch {
	case len(v.Children) != 1:
		fail("OneOf Input Object %q must specify exactly one key.", def.Name)
	case v.Children[0].Value.Kind == ast.NullValue:
		fail("Field %q must be non-null.", def.Name+"."+v.Children[0].Name)
	}
}

// subscriptionRule is "single root field" (specification 5.2.4.1), with its ban of @skip and @include.
var subscriptionRule = validator.Rule{Name: "SingleFieldSubscriptions", RuleFunc: func(observers *core.Events, add core.AddErrFunc) {
	observers.OnOperation(func(w *core.Walker, op *ast.OperationDefinition) {
		if op.Operation != ast.Subscription || w.Schema.Subscription == nil {
			return
		}
		name := "Anonymous Subscription"
		if op.Name != "" {
			name = fmt.Sprintf("Subscription %q", op.Name)
		}
		r := &rootFields{seen: make(map[string]bool), add: func(pos *ast.Position, text string) { add(core.Message("%s %s", name, text), core.At(pos)) }}
		r.walk(op.SelectionSet)
		if len(r.keys) > 1 {
			r.add(r.second, "must select only one top level field.")
		}
	})
}}

type rootFields struct {
	keys   []string
	second *ast.Position
	seen   map[string]bool // fragments
	add    func(*ast.Position, string)
}

func (r *rootFields) walk(set ast.SelectionSet) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			r.conditions(sel.Directives)
			if strings.HasPrefix(sel.Name, "__") {
				r.add(sel.Position, "must not select an introspection top level field.")
			}
			if len(r.keys) < 2 && !slices.Contains(r.keys, sel.Alias) {
				if r.keys = append(r.keys, sel.Alias); len(r.keys) == 2 {
					r.second = sel.Position
				}
			}
		case *ast.InlineFragment:
			r.conditions(sel.Directives)
			r.walk(sel.SelectionSet)
		case *ast.FragmentSpread:
			r.conditions(sel.Directives)
			if sel.Definition != nil && !r.seen[sel.Name] {
				r.seen[sel.Name] = true
				r.walk(sel.Definition.SelectionSet)
			}
		}
	}
}

func (r *rootFields) conditions(list ast.DirectiveList) {
	for _, d := range list {
		if d.Name == "skip" || d.Name == "include" {
			r.add(d.Position, "must not use @skip or @include in the top level selection.")
		}
	}
}
