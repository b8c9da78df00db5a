package graphql

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// structBinder writes coerced inputs into a Go struct, or gives them out as a map.
type structBinder struct {
	typ    reflect.Type // the struct, without pointers; nil for a map
	fields []fieldBinder
}

type fieldBinder struct {
	name  string
	index []int
	set   inputSetter
}

// inputSetter writes one coerced value into dst; v is nil for null.
type inputSetter func(dst reflect.Value, v any) error

// bind writes values, of which absent ones are left out, into dst.
func (sb *structBinder) bind(dst reflect.Value, values map[string]any) error {
	if sb.typ == nil {
		dst.Set(reflect.ValueOf(values))
		return nil
	}
	for dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		dst = dst.Elem()
	}
	for i := range sb.fields {
		f := &sb.fields[i]
		if v, ok := values[f.name]; ok {
			if err := f.set(dst.FieldByIndex(f.index), v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) mapBinder(t reflect.Type, of string, pos *ast.Position, _ []*inputDef) *structBinder {
	if t != reflect.TypeFor[map[string]any]() {
		b.problem(pos, "%s: arguments are a struct or map[string]any, not %s.", of, t)
	}
	return new(structBinder)
}

// structBinder makes the binder for a struct, and notes what does not fit.
func (b *builder) structBinder(of string, inputs []*inputDef, t reflect.Type, pos *ast.Position) *structBinder {
	base := baseType(t)
	key := inputKey{of, base}
	if sb := b.binders[key]; sb != nil {
		return sb
	}
	sb := &structBinder{typ: base}
	if b.binders == nil {
		b.binders = make(map[inputKey]*structBinder)
	}
	b.binders[key] = sb
	if base.Kind() == reflect.Map {
		if base != reflect.TypeFor[map[string]any]() {
			b.problem(pos, "%s: an input is a struct or map[string]any, not %s.", of, t)
		}
		sb.typ = nil
		return sb
	}
	if base.Kind() != reflect.Struct {
		b.problem(pos, "%s: an input is a struct, not %s.", of, t)
		return sb
	}
	fields := structFields(base)
	for _, in := range inputs {
		f, ok := fields.find(in.name)
		if !ok {
			b.problem(in.pos, "%s: %s has no field for %s.", of, base, in.name)
			continue
		}
		fields.used[f.Name] = true
		if set := b.setter(in.typ, f.Type, of+"."+in.name, in.pos); set != nil {
			sb.fields = append(sb.fields, fieldBinder{in.name, f.Index, set})
		}
	}
	for _, name := range fields.unused() {
		b.problem(pos, "%s: the field %s of %s is no input of the SDL.", of, name, base)
	}
	return sb
}

type inputKey struct {
	of  string
	typ reflect.Type
}

// goFields are the fields of a struct that can be bound.
type goFields struct {
	list []reflect.StructField
	used map[string]bool
}

func structFields(t reflect.Type) *goFields {
	g := &goFields{used: make(map[string]bool)}
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && (!f.Anonymous || f.Tag.Get("graphql") != "") && f.Tag.Get("graphql") != "-" {
			g.list = append(g.list, f)
		}
	}
	return g
}

// find finds the field for a name of the SDL: a tag counts before a name, an exact name before a similar one.
func (g *goFields) find(name string) (reflect.StructField, bool) {
	for _, f := range g.list {
		if f.Tag.Get("graphql") == name {
			return f, true
		}
	}
	for _, f := range g.list {
		if f.Tag.Get("graphql") == "" && f.Name == name {
			return f, true
		}
	}
	for _, f := range g.list {
		if f.Tag.Get("graphql") == "" && foldName(f.Name) == foldName(name) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func (g *goFields) unused() (names []string) {
	for _, f := range g.list {
		if !g.used[f.Name] {
			names = append(names, f.Name)
		}
	}
	return names
}

// setter makes the setter of a type of the SDL into a Go type, or notes why there is none.
func (b *builder) setter(t *typeRef, g reflect.Type, of string, pos *ast.Position) inputSetter {
	if _, ok := reflect.New(g).Interface().(optional); ok {
		return b.optSetter(t, g, of, pos)
	}
	if g.Kind() == reflect.Interface && g.NumMethod() == 0 {
		return func(dst reflect.Value, v any) error {
			if v == nil {
				dst.SetZero()
			} else {
				dst.Set(reflect.ValueOf(v))
			}
			return nil
		}
	}
	if g.Kind() == reflect.Pointer && !(t.elem == nil && t.named.scalar != nil && t.named.scalar.typ == g) {
		return b.pointerSetter(t, g, of, pos)
	}
	switch {
	case t.elem != nil:
		return b.sliceSetter(t, g, of, pos)
	case t.named.kind == ast.InputObject:
		return b.objectSetter(t, g, of, pos)
	}
	set := leafSetter(t.named, g)
	if set == nil {
		b.problem(pos, "%s: %s does not fit into %s.%s", of, t, g, leafHint(t.named))
	}
	return set
}

func leafHint(t *typeDef) string {
	switch {
	case t.scalar != nil:
		return fmt.Sprintf(" It is a %s.", t.scalar.typ)
	case t.enum != nil:
		return fmt.Sprintf(" It is a %s.", t.enum.typ)
	}
	hints := map[string]string{
		"Int": "int, int64 or int32", "Float": "float64 or float32", "String": "a string", "ID": "a string", "Boolean": "a bool",
	}
	if h := hints[t.name]; h != "" {
		return " It needs " + h + "."
	}
	if t.kind == ast.Enum {
		return " An enum without Enum needs a string."
	}
	return ""
}

func (b *builder) optSetter(t *typeRef, g reflect.Type, of string, pos *ast.Position) inputSetter {
	o, _ := reflect.New(g).Interface().(optional)
	inner := b.setter(t.nullable(), o.optType(), of, pos)
	if inner == nil {
		return nil
	}
	return func(dst reflect.Value, v any) error {
		o, _ := dst.Addr().Interface().(optional)
		value := o.optSet(v == nil)
		if v == nil {
			return nil
		}
		return inner(value, v)
	}
}

func (b *builder) pointerSetter(t *typeRef, g reflect.Type, of string, pos *ast.Position) inputSetter {
	inner := b.setter(t, g.Elem(), of, pos)
	if inner == nil {
		return nil
	}
	return func(dst reflect.Value, v any) error {
		if v == nil {
			dst.SetZero()
			return nil
		}
		p := reflect.New(g.Elem())
		if err := inner(p.Elem(), v); err != nil {
			return err
		}
		dst.Set(p)
		return nil
	}
}

func (b *builder) sliceSetter(t *typeRef, g reflect.Type, of string, pos *ast.Position) inputSetter {
	if g.Kind() != reflect.Slice {
		b.problem(pos, "%s: %s needs a slice, not %s.", of, t, g)
		return nil
	}
	inner := b.setter(t.elem, g.Elem(), of, pos)
	if inner == nil {
		return nil
	}
	return func(dst reflect.Value, v any) error {
		list, ok := v.([]any)
		if !ok {
			dst.SetZero()
			return nil
		}
		out := reflect.MakeSlice(g, len(list), len(list))
		for i := range list {
			if err := inner(out.Index(i), list[i]); err != nil {
				return err
			}
		}
		dst.Set(out)
		return nil
	}
}

func (b *builder) objectSetter(t *typeRef, g reflect.Type, of string, pos *ast.Position) inputSetter {
	if bound := t.named.goType; bound != nil && bound != g {
		b.problem(pos, "%s: %s is %s, not %s.", of, t.named.name, bound, g)
		return nil
	}
	sb := b.structBinder(t.named.name, t.named.inputs, g, t.named.def.Position)
	return func(dst reflect.Value, v any) error {
		m, ok := v.(map[string]any)
		if !ok {
			dst.SetZero()
			return nil
		}
		return sb.bind(dst, m)
	}
}

// leafSetter is nil where the Go type does not fit.
func leafSetter(t *typeDef, g reflect.Type) inputSetter {
	switch {
	case t.enum != nil:
		return exactSetter(g, t.enum.typ)
	case t.scalar != nil && t.scalar.parse != nil:
		return exactSetter(g, t.scalar.typ)
	case t.kind == ast.Enum, t.name == "String", t.name == "ID":
		if g.Kind() == reflect.String {
			return func(dst reflect.Value, v any) error { s, _ := v.(string); dst.SetString(s); return nil }
		}
		return nil
	case t.name == "Int":
		switch g.Kind() {
		case reflect.Int, reflect.Int64, reflect.Int32:
			return func(dst reflect.Value, v any) error { n, _ := v.(int64); dst.SetInt(n); return nil }
		}
		return nil
	case t.name == "Float":
		switch g.Kind() {
		case reflect.Float64, reflect.Float32:
			return func(dst reflect.Value, v any) error { f, _ := v.(float64); dst.SetFloat(f); return nil }
		}
		return nil
	case t.name == "Boolean":
		if g.Kind() == reflect.Bool {
			return func(dst reflect.Value, v any) error { x, _ := v.(bool); dst.SetBool(x); return nil }
		}
		return nil
	}
	return jsonSetter(t)
}

func exactSetter(g, want reflect.Type) inputSetter {
	if g != want {
		return nil
	}
	return func(dst reflect.Value, v any) error {
		if v == nil {
			dst.SetZero()
		} else {
			dst.Set(reflect.ValueOf(v))
		}
		return nil
	}
}

// jsonSetter is for custom scalars that are not registered: what came is read as JSON.
func jsonSetter(t *typeDef) inputSetter {
	return func(dst reflect.Value, v any) error {
		raw, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(raw, dst.Addr().Interface())
		}
		if err != nil {
			return fmt.Errorf("%s: %s", t.name, strings.TrimPrefix(err.Error(), "json: "))
		}
		return nil
	}
}
