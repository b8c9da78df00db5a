package graphql

import (
	"reflect"

	"github.com/vektah/gqlparser/v2/ast"
)

// typeDef is a named type with what is bound to it.
type typeDef struct {
	name   string
	kind   ast.DefinitionKind
	def    *ast.Definition
	fields map[string]*fieldDef // of objects and interfaces
	order  []*fieldDef
	inputs []*inputDef // of input objects
	oneOf  bool

	possible []*typeDef           // of abstract types, in the order of the SDL; of an object itself
	index    map[*typeDef]int     // of possible
	byGo     map[reflect.Type]int // of possible, by what is bound to them
	typeOf   func(reflect.Value) string
	applies  map[*typeDef]bool // conditions of fragments that hold for an object

	goType  reflect.Type // the struct, map or other type of an object; nil before it is known
	dynamic bool         // an object whose values may be of any Go type
	enum    *enumBinding
	scalar  *scalarBinding
	root    bool
}

func (t *typeDef) isAbstract() bool { return t.kind == ast.Interface || t.kind == ast.Union }
func (t *typeDef) isLeaf() bool     { return t.kind == ast.Scalar || t.kind == ast.Enum }

// typeRef is a use of a type: named, or a list, perhaps non-null.
type typeRef struct {
	nonNull bool
	elem    *typeRef // of a list
	named   *typeDef // the innermost type, also of a list
	src     *ast.Type
}

func (r *typeRef) String() string { return r.src.String() }

// nullable is r without its "!".
func (r *typeRef) nullable() *typeRef {
	if !r.nonNull {
		return r
	}
	c, s := *r, *r.src
	c.nonNull, s.NonNull = false, false
	c.src = &s
	return &c
}

// fieldDef is a field of an object or interface.
type fieldDef struct {
	parent *typeDef
	name   string
	def    *ast.FieldDefinition
	typ    *typeRef
	args   []*inputDef
	cost   int

	r       *resolver     // nil on an interface and for a field of a struct
	path    []int         // of the struct's field, where there is no resolver
	mapKey  reflect.Value // where the parent is a map
	comp    *completer
	argBind *structBinder
	wrapped bool // has middleware
}

// blocks reports whether the first pass has to call the field.
func (f *fieldDef) blocks() bool {
	return f.r != nil && (f.r.kind == kindResolve || f.r.kind == kindBatch)
}

func (f *fieldDef) arg(name string) *inputDef {
	for _, a := range f.args {
		if a.name == name {
			return a
		}
	}
	return nil
}

// inputDef is an argument or a field of an input object.
type inputDef struct {
	name       string
	typ        *typeRef
	dflt       *ast.Value // as written, or nil
	value      any        // dflt, coerced; see Schema.defaultOf
	err        error
	ready      bool
	directives ast.DirectiveList
	desc       string
	pos        *ast.Position
}

func (d *inputDef) required() bool { return d.typ.nonNull && d.dflt == nil }

type enumBinding struct {
	typ reflect.Type
	in  map[string]any
	out map[any]string
	dup string
}

type scalarBinding struct {
	typ   reflect.Type
	parse func(any) (any, error)
	write func([]byte, reflect.Value) ([]byte, error)
}

type (
	binding struct {
		name string
		typ  reflect.Type
	}
	typeOfBinding struct {
		name string
		f    func(reflect.Value) string
	}
	namedEnum struct {
		name string
		enum *enumBinding
	}
	namedScalar struct {
		name   string
		scalar *scalarBinding
	}
)

// instance is one object that is being executed: a struct that can be addressed, or another value.
type instance struct {
	v      reflect.Value
	parent int32 // index in the parent frame
}

// canonical makes an instance of a value that is no pointer any more.
func canonical(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Struct || v.CanAddr() {
		return v
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Elem()
}

// indirect follows pointers and interfaces; ok is false for nil.
func indirect(v reflect.Value) (reflect.Value, bool) {
	for {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		case reflect.Invalid:
			return v, false
		default:
			return v, true
		}
	}
}

// baseType is t without its pointers.
func baseType(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
