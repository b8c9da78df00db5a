package graphql

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
)

// The directives of incremental delivery, and the rules that graphql-js 17 has for them.

const incrementalSDL = `
"Directs the executor to defer this fragment when the ` + "`if`" + ` argument is true or undefined."
directive @defer(
	"Deferred when true or undefined."
	if: Boolean! = true
	"Unique name"
	label: String
) on FRAGMENT_SPREAD | INLINE_FRAGMENT

"Directs the executor to stream plural fields when the ` + "`if`" + ` argument is true or undefined."
directive @stream(
	"Number of items to return immediately"
	initialCount: Int! = 0
	"Stream when true or undefined."
	if: Boolean! = true
	"Unique name"
	label: String
) on FIELD
`

// declareIncremental declares both directives, or takes away what the parser's package declares of them.
func (b *builder) declareIncremental(schema *ast.Schema) {
	delete(schema.Directives, "defer")
	delete(schema.Directives, "stream")
	if !b.incremental {
		return
	}
	doc, err := validator.LoadSchema(&ast.Source{Name: "incremental", Input: incrementalSDL + "scalar Boolean scalar Int scalar String", BuiltIn: true})
	if err != nil {
		b.problem(nil, "the directives of incremental delivery: %v", err)
		return
	}
	schema.Directives["defer"], schema.Directives["stream"] = doc.Directives["defer"], doc.Directives["stream"]
}

func isStreamed(f *ast.Field) bool { return f.Directives.ForName("stream") != nil }

var incrementalRules = []validator.Rule{
	{Name: "DeferStreamDirectiveLabel", RuleFunc: labelRule},
	{Name: "DeferStreamDirectiveOnRootField", RuleFunc: rootDelayRule},
	{Name: "DeferStreamDirectiveOnValidOperations", RuleFunc: subscriptionDelayRule},
	{Name: "StreamDirectiveOnListField", RuleFunc: streamedListRule},
}

// labelRule wants labels that are constant and unique. A fragment is walked for each that leads to it.
func labelRule(observers *core.Events, add core.AddErrFunc) {
	known := make(map[string]*ast.Directive)
	seen := make(map[*ast.Directive]bool)
	observers.OnDirective(func(_ *core.Walker, d *ast.Directive) {
		if d.Name != "defer" && d.Name != "stream" || seen[d] {
			return
		}
		seen[d] = true
		arg := d.Arguments.ForName("label")
		switch {
		case arg == nil || arg.Value.Kind == ast.NullValue:
		case arg.Value.Kind != ast.StringValue && arg.Value.Kind != ast.BlockValue:
			add(core.Message("Argument \"@%s(label:)\" must be a static string.", d.Name), core.At(d.Position))
		case known[arg.Value.Raw] != nil:
			add(core.Message(`Value for arguments "defer(label:)" and "stream(label:)" must be unique across all Defer/Stream directive usages.`),
				core.At(known[arg.Value.Raw].Position), core.At(d.Position))
		default:
			known[arg.Value.Raw] = d
		}
	})
}

// delays goes through a selection set and the fragments that it uses, each once.
type delays struct {
	seen  map[string]bool
	each  func(d *ast.Directive)
	below bool                         // below fields too
	skip  func(ast.DirectiveList) bool // what is perhaps not executed
}

func (w *delays) walk(set ast.SelectionSet) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			if w.visit(sel.Directives) && w.below {
				w.walk(sel.SelectionSet)
			}
		case *ast.InlineFragment:
			if w.visit(sel.Directives) {
				w.walk(sel.SelectionSet)
			}
		case *ast.FragmentSpread:
			if w.visit(sel.Directives) && sel.Definition != nil && !w.seen[sel.Name] {
				w.seen[sel.Name] = true
				w.walk(sel.Definition.SelectionSet)
			}
		}
	}
}

func (w *delays) visit(list ast.DirectiveList) bool {
	if w.skip != nil && w.skip(list) {
		return false
	}
	for _, d := range list {
		if d.Name == "defer" || d.Name == "stream" {
			w.each(d)
		}
	}
	return true
}

// titleOf is a directive's name in the text of an error.
func titleOf(d *ast.Directive) string {
	if d.Name == "defer" {
		return "Defer"
	}
	return "Stream"
}

// rootDelayRule keeps the root fields of mutations and subscriptions together.
func rootDelayRule(observers *core.Events, add core.AddErrFunc) {
	observers.OnOperation(func(w *core.Walker, op *ast.OperationDefinition) {
		root := w.Schema.Mutation
		if op.Operation == ast.Subscription {
			root = w.Schema.Subscription
		}
		if op.Operation != ast.Mutation && op.Operation != ast.Subscription || root == nil {
			return
		}
		(&delays{seen: make(map[string]bool), each: func(d *ast.Directive) {
			add(core.Message("%s directive cannot be used on root %s type %q.", titleOf(d), op.Operation, root.Name), core.At(d.Position))
		}}).walk(op.SelectionSet)
	})
}

// subscriptionDelayRule refuses what cannot be switched off in a subscription.
func subscriptionDelayRule(observers *core.Events, add core.AddErrFunc) {
	observers.OnOperation(func(_ *core.Walker, op *ast.OperationDefinition) {
		if op.Operation != ast.Subscription {
			return
		}
		(&delays{seen: make(map[string]bool), below: true, skip: maySkip, each: func(d *ast.Directive) {
			if !mayBe(d, "if", "false") {
				add(core.Message("%s directive not supported on subscription operations. Disable `@%s` by setting the `if` argument to `false`.", titleOf(d), d.Name), core.At(d.Position))
			}
		}}).walk(op.SelectionSet)
	})
}

// maySkip reports whether @skip or @include can leave a selection out.
func maySkip(list ast.DirectiveList) bool {
	skip, include := list.ForName("skip"), list.ForName("include")
	return skip != nil && mayBe(skip, "if", "true") || include != nil && mayBe(include, "if", "false")
}

// mayBe reports whether an argument is given and is a variable or a value.
func mayBe(d *ast.Directive, name, raw string) bool {
	arg := d.Arguments.ForName(name)
	return arg != nil && (arg.Value.Kind == ast.Variable || arg.Value.Kind == ast.BooleanValue && arg.Value.Raw == raw)
}

// streamedListRule wants @stream on lists alone.
func streamedListRule(observers *core.Events, add core.AddErrFunc) {
	seen := make(map[*ast.Field]bool)
	observers.OnField(func(_ *core.Walker, f *ast.Field) {
		d := f.Directives.ForName("stream")
		if d == nil || f.Definition == nil || f.Definition.Type.Elem != nil || seen[f] {
			return
		}
		seen[f] = true
		where := f.Name
		if f.ObjectDefinition != nil {
			where = fmt.Sprintf("%s.%s", f.ObjectDefinition.Name, f.Name)
		}
		add(core.Message("Directive \"@stream\" cannot be used on non-list field %q.", where), core.At(d.Position))
	})
}
