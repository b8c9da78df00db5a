package graphql

import (
	"reflect"

	"github.com/vektah/gqlparser/v2/ast"
)

type compKind uint8

const (
	compLeaf compKind = iota
	compList
	compObject
	compAbstract
	compDynamic // an interface in Go: what it holds decides
)

// completer is how values of one Go type become a type of the SDL (specification 6.4.3).
type completer struct {
	kind    compKind
	nonNull bool
	ref     *typeRef
	typ     *typeDef // the innermost type
	elem    *completer
	leaf    leafWriter
	goType  reflect.Type // what leaf takes
	bare    bool         // a leaf that is neither a pointer nor an interface: no look for null
}

// leafWriter appends a leaf as JSON.
type leafWriter func(b []byte, v reflect.Value) ([]byte, error)

// composite reports whether there are objects at the end.
func (c *completer) composite() bool { return !c.typ.isLeaf() }

// completer makes the completer, learns the Go types of objects on the way, and notes what does not fit.
func (b *builder) completer(t *typeRef, g reflect.Type, of string, pos *ast.Position) *completer {
	c := b.s.newCompleter(t, g)
	switch {
	case c == nil:
		b.problem(pos, "%s: %s cannot be made of %s.%s", of, t, g, leafHint(t.named))
		return nil
	case t.named.kind == ast.Object:
		if !b.knowObject(t.named, g, of, pos) {
			return nil
		}
	case t.named.isAbstract():
		b.checkAbstract(t.named, innermost(g), of, pos)
	}
	return c
}

// innermost is the Go type of what is in lists and behind pointers.
func innermost(g reflect.Type) reflect.Type {
	for {
		switch g.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			g = g.Elem()
		default:
			return g
		}
	}
}

func (b *builder) knowObject(t *typeDef, g reflect.Type, of string, pos *ast.Position) bool {
	g = innermost(g)
	switch {
	case g.Kind() == reflect.Interface || t.dynamic:
	case t.goType == nil && g.Kind() != reflect.Struct && g.Kind() != reflect.Map:
		b.problem(pos, "%s: the object %s cannot be made of %s; bind a type of its own with Bind.", of, t.name, g)
		return false
	case t.goType == nil:
		b.know(t, g)
	case t.goType != g:
		b.problem(pos, "%s: %s is %s, not %s.", of, t.name, t.goType, g)
		return false
	}
	return true
}

// checkAbstract notes a Go type that can never be one of the members.
func (b *builder) checkAbstract(t *typeDef, g reflect.Type, of string, pos *ast.Position) {
	if g.Kind() == reflect.Interface || t.typeOf != nil {
		return
	}
	for _, p := range t.possible {
		if p.goType == g {
			return
		}
	}
	b.problem(pos, "%s: %s is bound to no member of %s.", of, g, t.name)
}

// newCompleter is nil where g cannot be t.
func (s *Schema) newCompleter(t *typeRef, g reflect.Type) *completer {
	c := &completer{nonNull: t.nonNull, ref: t, typ: t.named}
	leaf := t.elem == nil && t.named.isLeaf()
	if leaf {
		if c.leaf = leafWriterOf(t.named, g); c.leaf != nil {
			c.goType = g
			c.kind, c.bare = compLeaf, g.Kind() != reflect.Pointer && g.Kind() != reflect.Interface && g.Kind() != reflect.Map && g.Kind() != reflect.Slice
			return c
		}
	}
	base := baseType(g)
	if base.Kind() == reflect.Interface && !(t.elem == nil && t.named.isAbstract()) {
		c.kind = compDynamic
		return c
	}
	switch {
	case t.elem != nil:
		if base.Kind() != reflect.Slice && base.Kind() != reflect.Array {
			return nil
		}
		c.kind, c.elem = compList, s.newCompleter(t.elem, base.Elem())
		if c.elem == nil {
			return nil
		}
	case leaf:
		c.kind, c.leaf, c.goType = compLeaf, leafWriterOf(t.named, base), base
		if c.leaf == nil {
			return nil
		}
	case t.named.isAbstract():
		c.kind = compAbstract
	default:
		c.kind = compObject
	}
	return c
}

type dynamicKey struct {
	ref *typeRef
	typ reflect.Type
}

// dynamicCompleter is the completer for what an interface holds; nil if it cannot be the field's type.
func (s *Schema) dynamicCompleter(t *typeRef, g reflect.Type) *completer {
	key := dynamicKey{t, g}
	if c, ok := s.dynamic.Load(key); ok {
		return c.(*completer)
	}
	c := s.newCompleter(t, g)
	if c == nil && t.elem == nil && t.named.isLeaf() {
		if w := looseLeaf(t.named, g); w != nil {
			c = &completer{kind: compLeaf, nonNull: t.nonNull, ref: t, typ: t.named, leaf: w, goType: g}
		}
	}
	s.dynamic.Store(key, c)
	return c
}

// bindFields binds those fields of an object that nothing is registered for to its Go type.
func (b *builder) bindFields(t *typeDef) {
	if t.dynamic {
		return // bindUnknown says what is missing
	}
	if t.goType.Kind() == reflect.Map {
		b.bindMap(t)
		return
	}
	var fields *goFields
	if t.goType.Kind() == reflect.Struct {
		fields = structFields(t.goType)
	}
	for _, f := range t.order {
		if f.r != nil || f.name == "__schema" || f.name == "__type" {
			continue
		}
		coord := t.name + "." + f.name
		if fields == nil || t.root {
			b.problem(f.def.Position, "%s has no resolver.", coord)
			continue
		}
		g, ok := fields.find(f.name)
		switch {
		case !ok:
			b.problem(f.def.Position, "%s has neither a resolver nor a field in %s.", coord, t.goType)
		case len(f.args) > 0:
			b.problem(f.def.Position, "%s has arguments, so it needs a resolver.", coord)
		default:
			f.path = g.Index
			if f.comp = b.completer(f.typ, g.Type, coord, f.def.Position); f.comp == nil {
				f.comp = new(completer)
			}
		}
	}
}

func (b *builder) bindMap(t *typeDef) {
	if t.goType.Key().Kind() != reflect.String {
		b.problem(t.def.Position, "%s: a map needs keys that are strings, not %s.", t.name, t.goType.Key())
		return
	}
	for _, f := range t.order {
		if f.r != nil {
			continue
		}
		if len(f.args) > 0 {
			b.problem(f.def.Position, "%s.%s has arguments, so it needs a resolver.", t.name, f.name)
			continue
		}
		f.mapKey = reflect.ValueOf(f.name).Convert(t.goType.Key())
		if f.comp = b.completer(f.typ, t.goType.Elem(), t.name+"."+f.name, f.def.Position); f.comp == nil {
			f.comp = new(completer)
		}
	}
}

// read is the value of a field that is no resolver's. An embedded pointer that is nil makes it null.
func (f *fieldDef) read(parent reflect.Value) reflect.Value {
	if f.mapKey.IsValid() {
		return parent.MapIndex(f.mapKey)
	}
	if len(f.path) == 1 {
		return parent.Field(f.path[0])
	}
	v, err := parent.FieldByIndexErr(f.path)
	if err != nil {
		return reflect.Value{}
	}
	return v
}
