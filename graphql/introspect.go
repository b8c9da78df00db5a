package graphql

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// Introspection (specification 4) is served by the executor itself: these are ordinary pure fields.

type introSchema struct {
	s       *Schema
	types   []*introType // in the order of the SDL, then those of the specification
	byDef   map[*typeDef]*introType
	directs []*introDirective
}

type introType struct {
	in  *introSchema
	def *typeDef
	ref *typeRef // of a list or non-null type; def is nil then
}

type introField struct {
	in *introSchema
	f  *fieldDef
}

type introInput struct {
	in *introSchema
	d  *inputDef
}

type introEnumValue struct{ d *ast.EnumValueDefinition }

type introDirective struct {
	in *introSchema
	d  *ast.DirectiveDefinition
}

type includeDeprecated struct{ IncludeDeprecated bool }

// introspect registers the fields of the types that begin with two underscores.
func introspect(b *builder) {
	in := newIntroSchema(b.s)
	b.s.intro = in
	root := b.s.query.name
	for _, o := range slices.Concat(introSchemaFields(root, in), introTypeFields(), introFieldFields(), introDirectiveFields()) {
		o.applySchema(b)
	}
}

func newIntroSchema(s *Schema) *introSchema {
	in := &introSchema{s: s, byDef: make(map[*typeDef]*introType)}
	list := s.sortedTypes()
	slices.SortStableFunc(list, func(a, b *typeDef) int { return bySource(a.def.Position, b.def.Position) })
	for _, t := range list {
		it := &introType{in: in, def: t}
		in.byDef[t] = it
		in.types = append(in.types, it)
	}
	for _, d := range s.ast.Directives {
		in.directs = append(in.directs, &introDirective{in, d})
	}
	slices.SortFunc(in.directs, func(a, b *introDirective) int {
		return cmp.Or(bySource(a.d.Position, b.d.Position), strings.Compare(a.d.Name, b.d.Name))
	})
	return in
}

// bySource orders by file and place; what is of the specification comes last.
func bySource(a, b *ast.Position) int {
	switch {
	case a == nil || b == nil || a.Src == nil || b.Src == nil:
		return 0
	case a.Src.BuiltIn != b.Src.BuiltIn:
		if a.Src.BuiltIn {
			return 1
		}
		return -1
	case a.Src != b.Src:
		return strings.Compare(a.Src.Name, b.Src.Name)
	}
	return a.Start - b.Start
}

func (in *introSchema) of(t *typeDef) *introType {
	if t == nil {
		return nil
	}
	return in.byDef[t]
}

func (in *introSchema) ofRef(r *typeRef) *introType {
	if !r.nonNull && r.elem == nil {
		return in.byDef[r.named]
	}
	return &introType{in: in, ref: r}
}

func introSchemaFields(root string, in *introSchema) []SchemaOption {
	return []SchemaOption{
		Get(root+".__schema", func(Root) *introSchema { return in }),
		GetWith(root+".__type", func(_ Root, a struct{ Name string }) *introType { return in.of(in.s.types[a.Name]) }),
		Get("__Schema.description", func(s *introSchema) *string { return orNil(s.s.ast.Description) }),
		Get("__Schema.types", func(s *introSchema) []*introType { return s.types }),
		Get("__Schema.queryType", func(s *introSchema) *introType { return s.of(s.s.query) }),
		Get("__Schema.mutationType", func(s *introSchema) *introType { return s.of(s.s.mutation) }),
		Get("__Schema.subscriptionType", func(s *introSchema) *introType { return s.of(s.s.subscription) }),
		Get("__Schema.directives", func(s *introSchema) []*introDirective { return s.directs }),
	}
}

func introTypeFields() []SchemaOption {
	return []SchemaOption{
		Get("__Type.kind", (*introType).kind),
		Get("__Type.name", func(t *introType) *string {
			if t.def == nil {
				return nil
			}
			return &t.def.name
		}),
		Get("__Type.description", func(t *introType) *string {
			if t.def == nil {
				return nil
			}
			return orNil(t.def.def.Description)
		}),
		Get("__Type.specifiedByURL", (*introType).specifiedBy),
		GetWith("__Type.fields", (*introType).fields),
		Get("__Type.interfaces", (*introType).interfaces),
		Get("__Type.possibleTypes", (*introType).possibleTypes),
		GetWith("__Type.enumValues", (*introType).enumValues),
		GetWith("__Type.inputFields", (*introType).inputFields),
		Get("__Type.ofType", (*introType).ofType),
		Get("__Type.isOneOf", func(t *introType) *bool {
			if t.def == nil || t.def.kind != ast.InputObject {
				return nil
			}
			return &t.def.oneOf
		}),
	}
}

func (t *introType) kind() string {
	switch {
	case t.def != nil:
		return string(t.def.kind)
	case t.ref.nonNull:
		return "NON_NULL"
	}
	return "LIST"
}

func (t *introType) ofType() *introType {
	switch {
	case t.def != nil:
		return nil
	case t.ref.nonNull:
		return t.in.ofRef(t.ref.nullable())
	}
	return t.in.ofRef(t.ref.elem)
}

func (t *introType) specifiedBy() *string {
	if t.def == nil || t.def.kind != ast.Scalar {
		return nil
	}
	d := t.def.def.Directives.ForName("specifiedBy")
	if d == nil || d.Arguments.ForName("url") == nil {
		return nil
	}
	return &d.Arguments.ForName("url").Value.Raw
}

func (t *introType) fields(a includeDeprecated) (list []*introField) {
	if t.def == nil || t.def.kind != ast.Object && t.def.kind != ast.Interface {
		return nil
	}
	list = []*introField{}
	for _, f := range t.def.order {
		if strings.HasPrefix(f.name, "__") || !a.IncludeDeprecated && deprecation(f.def.Directives) != nil {
			continue
		}
		list = append(list, &introField{t.in, f})
	}
	return list
}

func (t *introType) interfaces() (list []*introType) {
	if t.def == nil || t.def.kind != ast.Object && t.def.kind != ast.Interface {
		return nil
	}
	list = []*introType{}
	for _, name := range t.def.def.Interfaces {
		list = append(list, t.in.byDef[t.in.s.types[name]])
	}
	return list
}

func (t *introType) possibleTypes() (list []*introType) {
	if t.def == nil || !t.def.isAbstract() {
		return nil
	}
	list = []*introType{}
	for _, p := range t.def.possible {
		list = append(list, t.in.byDef[p])
	}
	return list
}

func (t *introType) enumValues(a includeDeprecated) (list []*introEnumValue) {
	if t.def == nil || t.def.kind != ast.Enum {
		return nil
	}
	list = []*introEnumValue{}
	for _, v := range t.def.def.EnumValues {
		if a.IncludeDeprecated || deprecation(v.Directives) == nil {
			list = append(list, &introEnumValue{v})
		}
	}
	return list
}

func (t *introType) inputFields(a includeDeprecated) []*introInput {
	if t.def == nil || t.def.kind != ast.InputObject {
		return nil
	}
	return t.in.inputs(t.def.inputs, a)
}

func (in *introSchema) inputs(defs []*inputDef, a includeDeprecated) []*introInput {
	list := []*introInput{}
	for _, d := range defs {
		if a.IncludeDeprecated || deprecation(d.directives) == nil {
			list = append(list, &introInput{in, d})
		}
	}
	return list
}

func introFieldFields() []SchemaOption {
	return []SchemaOption{
		Get("__Field.name", func(f *introField) string { return f.f.name }),
		Get("__Field.description", func(f *introField) *string { return orNil(f.f.def.Description) }),
		GetWith("__Field.args", func(f *introField, a includeDeprecated) []*introInput { return f.in.inputs(f.f.args, a) }),
		Get("__Field.type", func(f *introField) *introType { return f.in.ofRef(f.f.typ) }),
		Get("__Field.isDeprecated", func(f *introField) bool { return deprecation(f.f.def.Directives) != nil }),
		Get("__Field.deprecationReason", func(f *introField) *string { return deprecation(f.f.def.Directives) }),
		Get("__InputValue.name", func(i *introInput) string { return i.d.name }),
		Get("__InputValue.description", func(i *introInput) *string { return orNil(i.d.desc) }),
		Get("__InputValue.type", func(i *introInput) *introType { return i.in.ofRef(i.d.typ) }),
		Get("__InputValue.defaultValue", func(i *introInput) *string {
			if i.d.dflt == nil {
				return nil
			}
			return new(string(appendLiteral(nil, i.d.dflt)))
		}),
		Get("__InputValue.isDeprecated", func(i *introInput) bool { return deprecation(i.d.directives) != nil }),
		Get("__InputValue.deprecationReason", func(i *introInput) *string { return deprecation(i.d.directives) }),
		Get("__EnumValue.name", func(v *introEnumValue) string { return v.d.Name }),
		Get("__EnumValue.description", func(v *introEnumValue) *string { return orNil(v.d.Description) }),
		Get("__EnumValue.isDeprecated", func(v *introEnumValue) bool { return deprecation(v.d.Directives) != nil }),
		Get("__EnumValue.deprecationReason", func(v *introEnumValue) *string { return deprecation(v.d.Directives) }),
	}
}

func introDirectiveFields() []SchemaOption {
	return []SchemaOption{
		Get("__Directive.name", func(d *introDirective) string { return d.d.Name }),
		Get("__Directive.description", func(d *introDirective) *string { return orNil(d.d.Description) }),
		Get("__Directive.isRepeatable", func(d *introDirective) bool { return d.d.IsRepeatable }),
		Get("__Directive.locations", func(d *introDirective) (list []string) {
			list = []string{}
			for _, l := range d.d.Locations {
				list = append(list, string(l))
			}
			return list
		}),
		GetWith("__Directive.args", func(d *introDirective, a includeDeprecated) []*introInput {
			return d.in.inputs(d.in.s.inputDefs(d.d.Arguments), a)
		}),
	}
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deprecation is the reason of @deprecated, or nil.
func deprecation(list ast.DirectiveList) *string {
	d := list.ForName("deprecated")
	if d == nil {
		return nil
	}
	if arg := d.Arguments.ForName("reason"); arg != nil && arg.Value.Kind != ast.NullValue {
		return &arg.Value.Raw
	}
	return new("No longer supported")
}

// appendLiteral prints a constant in the language of documents.
func appendLiteral(b []byte, v *ast.Value) []byte {
	switch v.Kind {
	case ast.StringValue, ast.BlockValue:
		return jsonscan.AppendString(b, v.Raw)
	case ast.ListValue:
		b = append(b, '[')
		for i, c := range v.Children {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendLiteral(b, c.Value)
		}
		return append(b, ']')
	case ast.ObjectValue:
		b = append(b, "{ "...)
		for i, c := range v.Children {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendLiteral(append(append(b, c.Name...), ": "...), c.Value)
		}
		return append(b, " }"...)
	}
	return append(b, v.Raw...)
}
