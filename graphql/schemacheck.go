package graphql

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// checkSchema refuses what the specification refuses in a schema and the parser's package accepts.
func (b *builder) checkSchema() {
	s := b.s
	if s.query == nil {
		b.problem(nil, "Query root type must be provided.")
	}
	for _, t := range s.sortedTypes() {
		if t.def.BuiltIn || strings.HasPrefix(t.name, "__") {
			continue
		}
		b.checkDirectives(t.def.Directives)
		switch t.kind {
		case ast.InputObject:
			b.checkInputObject(t)
		case ast.Object, ast.Interface:
			b.checkFields(t)
		case ast.Enum:
			for _, v := range t.def.EnumValues {
				b.checkDirectives(v.Directives)
			}
		}
	}
	for _, d := range s.ast.Directives {
		if d.Position != nil && !d.Position.Src.BuiltIn {
			b.checkInputs("@"+d.Name, s.inputDefs(d.Arguments))
		}
	}
	b.checkDirectives(s.ast.SchemaDirectives)
	b.checkDefaultCycles()
}

func (b *builder) checkFields(t *typeDef) {
	for _, f := range t.order {
		if strings.HasPrefix(f.name, "__") {
			continue
		}
		b.checkDirectives(f.def.Directives)
		b.checkInputs(t.name+"."+f.name, f.args)
		b.checkImplemented(t, f)
		if f.def.Directives.ForName("deprecated") == nil {
			continue
		}
		for _, name := range t.def.Interfaces {
			if i := b.s.types[name].fields[f.name]; i != nil && i.def.Directives.ForName("deprecated") == nil {
				b.problem(f.def.Position, "Interface field %s.%s is not deprecated, so implementation field %s.%s must not be deprecated.", name, f.name, t.name, f.name)
			}
		}
	}
}

// checkImplemented holds the arguments of a field against those of the interfaces' fields: their types
// are the same (specification 3.6.1), while the parser's package takes an argument that is nullable for
// one that is not.
func (b *builder) checkImplemented(t *typeDef, f *fieldDef) {
	for _, name := range t.def.Interfaces {
		of := b.s.types[name].fields[f.name]
		if of == nil {
			continue
		}
		for _, want := range of.args {
			if arg := f.arg(want.name); arg != nil && arg.typ.String() != want.typ.String() {
				b.problem(arg.pos, "Interface field argument %s.%s(%s:) expects type %s but %s.%s(%s:) is type %s.", name, f.name, want.name, want.typ, t.name, f.name, want.name, arg.typ)
			}
		}
	}
}

func (b *builder) checkInputObject(t *typeDef) {
	b.checkInputs(t.name, t.inputs)
	if !t.oneOf {
		return
	}
	for _, in := range t.inputs {
		if in.typ.nonNull {
			b.problem(in.pos, "OneOf input field %s.%s must be nullable.", t.name, in.name)
		}
		if in.dflt != nil {
			b.problem(in.pos, "OneOf input field %s.%s cannot have a default value.", t.name, in.name)
		}
	}
}

func (b *builder) checkInputs(of string, list []*inputDef) {
	for _, in := range list {
		b.checkDirectives(in.directives)
		if in.required() && in.directives.ForName("deprecated") != nil {
			b.problem(in.pos, "Required input %s(%s:) cannot be deprecated.", of, in.name)
		}
		if in.dflt == nil {
			continue
		}
		if text := b.s.checkConst(in.typ, in.dflt); text != "" {
			b.problem(in.dflt.Position, "%s(%s:) has an invalid default value: %s", of, in.name, text)
		}
	}
}

// checkDirectives checks how often directives stand in the SDL and the types of their arguments.
func (b *builder) checkDirectives(list ast.DirectiveList) {
	for i, d := range list {
		def := b.s.ast.Directives[d.Name]
		if def == nil {
			continue
		}
		if list[:i].ForName(d.Name) != nil && !def.IsRepeatable {
			b.problem(d.Position, "The directive @%s can only be used once at this location.", d.Name)
		}
		for _, in := range b.s.inputDefs(def.Arguments) {
			arg := d.Arguments.ForName(in.name)
			if arg == nil {
				continue
			}
			if text := b.s.checkConst(in.typ, arg.Value); text != "" {
				b.problem(arg.Value.Position, "@%s(%s:): %s", d.Name, in.name, text)
			}
		}
	}
}

// checkConst says what is wrong with a constant, or "".
func (s *Schema) checkConst(t *typeRef, v *ast.Value) string {
	if v.Kind == ast.Variable {
		return "a variable cannot stand here."
	}
	if v.Kind == ast.NullValue {
		if t.nonNull {
			return fmt.Sprintf("Expected value of non-null type %q not to be null.", t)
		}
		return ""
	}
	if t.elem != nil {
		if v.Kind != ast.ListValue {
			return s.checkConst(t.elem, v)
		}
		for _, c := range v.Children {
			if t.elem.elem != nil && itemNoList(c.Value) {
				return fmt.Sprintf(notAList, t.elem)
			}
			if text := s.checkConst(t.elem, c.Value); text != "" {
				return text
			}
		}
		return ""
	}
	if t.named.kind != ast.InputObject {
		return leafLiteralProblem(t.named, v)
	}
	return s.checkConstObject(t.named, v)
}

func (s *Schema) checkConstObject(t *typeDef, v *ast.Value) string {
	if v.Kind != ast.ObjectValue {
		return fmt.Sprintf("Expected value of type %q to be an object, found %s.", t.name, v)
	}
	for _, c := range v.Children {
		in := t.input(c.Name)
		if in == nil {
			return fmt.Sprintf("Field %q is not defined by type %q.", c.Name, t.name)
		}
		if text := s.checkConst(in.typ, c.Value); text != "" {
			return text
		}
	}
	for _, in := range t.inputs {
		if in.required() && v.Children.ForName(in.name) == nil {
			return fmt.Sprintf("Field %q of required type %q was not provided.", t.name+"."+in.name, in.typ)
		}
	}
	if t.oneOf && (len(v.Children) != 1 || v.Children[0].Value.Kind == ast.NullValue) {
		return fmt.Sprintf("Exactly one field of the OneOf Input Object %q must be given, and not null.", t.name)
	}
	return ""
}

func (t *typeDef) input(name string) *inputDef {
	for _, in := range t.inputs {
		if in.name == name {
			return in
		}
	}
	return nil
}

// checkDefaultCycles refuses input objects whose defaults contain themselves (specification 3.10).
func (b *builder) checkDefaultCycles() {
	state := make(map[*inputDef]int) // 1 under way, 2 done
	var visitType func(t *typeDef, v *ast.Value)
	visitField := func(t *typeDef, in *inputDef) {
		if in.dflt == nil || state[in] == 2 {
			return
		}
		if state[in] == 1 {
			b.problem(in.pos, "The default value of %s.%s contains itself.", t.name, in.name)
			return
		}
		state[in] = 1
		visitType(in.typ.named, in.dflt)
		state[in] = 2
	}
	visitType = func(t *typeDef, v *ast.Value) {
		if t.kind != ast.InputObject {
			return
		}
		if v.Kind == ast.ListValue {
			for _, c := range v.Children {
				visitType(t, c.Value)
			}
			return
		}
		if v.Kind != ast.ObjectValue {
			return
		}
		for _, in := range t.inputs {
			if c := v.Children.ForName(in.name); c != nil {
				visitType(in.typ.named, c)
			} else {
				visitField(t, in)
			}
		}
	}
	for _, t := range b.s.sortedTypes() {
		if t.kind == ast.InputObject {
			for _, in := range t.inputs {
				visitField(t, in)
			}
		}
	}
}
