package graphql

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// federation makes the schema a subgraph: what a gateway of Apollo Federation 2 asks of it.
type federation struct {
	entities []*entity
}

// entity is how the objects of one type are found again by their keys.
type entity struct {
	name    string
	key     reflect.Type
	result  reflect.Type
	resolve func(ctx context.Context, keys reflect.Value) (reflect.Value, error)
	bind    *structBinder
}

// WithFederation makes the schema a subgraph of Apollo Federation 2: it declares @key, @shareable,
// @external, @requires, @provides and the other directives of that specification, and serves _service and
// _entities. Each type with a @key that can be resolved needs an [Entity].
func WithFederation() SchemaOption {
	return schemaOption(func(b *builder) {
		if b.federation == nil {
			b.federation = new(federation)
		}
	})
}

// Entity registers how objects of a type with a @key are found: f is called once for all representations
// of the type in a request, as [Batch] is, and returns one result for each, in their order; a [Result] can
// fail alone. K is a struct with fields for the key, and for what @requires names; a representation may
// lack some of them. It switches federation on.
func Entity[K, R any](typeName string, f func(ctx context.Context, keys []K) ([]R, error)) SchemaOption {
	e := &entity{name: typeName, key: reflect.TypeFor[K](), result: reflect.TypeFor[R]()}
	if s, ok := any(new(R)).(splitter); ok {
		e.result = s.resultType()
	}
	e.resolve = func(ctx context.Context, keys reflect.Value) (reflect.Value, error) {
		ks, _ := keys.Interface().([]K)
		rs, err := f(ctx, ks)
		return reflect.ValueOf(rs), err
	}
	return schemaOption(func(b *builder) {
		if b.federation == nil {
			b.federation = new(federation)
		}
		b.federation.entities = append(b.federation.entities, e)
	})
}

const federationSDL = `
scalar _Any
scalar federation__FieldSet
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
type _Service { sdl: String! }
directive @link(url: String!, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
directive @key(fields: federation__FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE
directive @shareable repeatable on OBJECT | FIELD_DEFINITION
directive @external on OBJECT | FIELD_DEFINITION
directive @requires(fields: federation__FieldSet!) on FIELD_DEFINITION
directive @provides(fields: federation__FieldSet!) on FIELD_DEFINITION
directive @extends on OBJECT | INTERFACE
directive @override(from: String!) on FIELD_DEFINITION
directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION
directive @tag(name: String!) repeatable on FIELD_DEFINITION | INTERFACE | OBJECT | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION
`

// linkSDL says to a gateway which version is meant, where the SDL does not say it itself.
const linkSDL = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@external", "@requires", "@provides", "@extends", "@override", "@inaccessible", "@tag"])
`

// prepare adds the subgraph's own SDL and resolvers.
func (f *federation) prepare(b *builder) {
	doc := &ast.SchemaDocument{}
	sdl := ""
	for _, src := range b.sources {
		sdl += src.Input + "\n"
		if d, err := parser.ParseSchema(src); err == nil { // the mistakes are told when it is parsed again
			doc.Merge(d)
		}
	}
	if !slices.ContainsFunc(append(doc.Schema, doc.SchemaExtension...), func(d *ast.SchemaDefinition) bool { return d.Directives.ForName("link") != nil }) {
		sdl = linkSDL + sdl
	}
	root, exists := queryRoot(doc)
	var text strings.Builder
	text.WriteString(federationSDL)
	fields := "_service: _Service!"
	keyed := keyedTypes(doc)
	if len(keyed) > 0 {
		fmt.Fprintf(&text, "union _Entity = %s\n", strings.Join(keyed, " | "))
		fields += " _entities(representations: [_Any!]!): [_Entity]!"
	}
	if exists {
		text.WriteString("extend ")
	}
	fmt.Fprintf(&text, "type %s { %s }\n", root, fields)
	b.sources = append(b.sources, &ast.Source{Name: "federation", Input: text.String()})
	service := struct{ SDL string }{sdl}
	Get(root+"._service", func(Root) *struct{ SDL string } { return &service }).applySchema(b)
	if len(keyed) > 0 {
		Resolve(root+"._entities", f.find).applySchema(b)
	}
	for _, name := range keyed {
		if !slices.ContainsFunc(f.entities, func(e *entity) bool { return e.name == name }) {
			def := doc.Definitions.ForName(name)
			if def == nil {
				def = doc.Extensions.ForName(name)
			}
			b.problem(def.Position, "type %s has a @key, so it needs an Entity.", name)
		}
	}
}

// queryRoot is the name of the type of queries, and whether the SDL defines it.
func queryRoot(doc *ast.SchemaDocument) (name string, exists bool) {
	name = "Query"
	for _, d := range append(doc.Schema, doc.SchemaExtension...) {
		for _, op := range d.OperationTypes {
			if op.Operation == ast.Query {
				name = op.Type
			}
		}
	}
	return name, doc.Definitions.ForName(name) != nil
}

// keyedTypes are the objects that a gateway may ask for by a key.
func keyedTypes(doc *ast.SchemaDocument) (names []string) {
	for _, d := range slices.Concat(doc.Definitions, doc.Extensions) {
		if d.Kind != ast.Object || slices.Contains(names, d.Name) {
			continue
		}
		for _, key := range d.Directives.ForNames("key") {
			if arg := key.Arguments.ForName("resolvable"); (arg == nil || arg.Value.Raw != "false") && !slices.Contains(names, d.Name) {
				names = append(names, d.Name)
			}
		}
	}
	return names
}

// bind makes the binders of the keys: their fields are those of the object, read as inputs.
func (f *federation) bind(b *builder) {
	for _, e := range f.entities {
		t := b.lookup(e.name, "Entity", ast.Object)
		if t == nil {
			continue
		}
		if t.def.Directives.ForName("key") == nil {
			b.problem(t.def.Position, "Entity(%q): the type has no @key.", e.name)
		}
		if baseType(e.key).Kind() != reflect.Struct {
			b.problem(t.def.Position, "Entity(%q): the key is a struct, not %s.", e.name, e.key)
			continue
		}
		b.knowObject(t, e.result, "Entity("+e.name+")", t.def.Position)
		e.bind = b.keyBinder(e, t)
	}
}

// keyBinder binds those fields of an object that the key's struct has.
func (b *builder) keyBinder(e *entity, t *typeDef) *structBinder {
	sb := &structBinder{typ: baseType(e.key)}
	for _, g := range structFields(sb.typ).list {
		i := slices.IndexFunc(t.order, func(f *fieldDef) bool {
			tag := g.Tag.Get("graphql")
			return tag == f.name || tag == "" && foldName(g.Name) == foldName(f.name)
		})
		if i < 0 {
			b.problem(t.def.Position, "Entity(%q): %s has no field for %s.", e.name, t.name, g.Name)
			continue
		}
		sb.fields = append(sb.fields, fieldBinder{t.order[i].name, g.Index, jsonSetter(t)})
	}
	return sb
}

// failedValue is one element of a list that has failed alone.
type failedValue struct{ err error }

// find resolves _entities: one call for each type.
func (f *federation) find(ctx context.Context, _ Root, args struct{ Representations []any }) ([]any, error) {
	out := make([]any, len(args.Representations))
	byType := make(map[string][]int)
	for i, r := range args.Representations {
		m, _ := r.(map[string]any)
		name, _ := m["__typename"].(string)
		byType[name] = append(byType[name], i)
	}
	for name, at := range byType {
		k := slices.IndexFunc(f.entities, func(e *entity) bool { return e.name == name })
		if k < 0 {
			for _, i := range at {
				out[i] = failedValue{Errorf("A representation needs the __typename of an entity of this subgraph, not %q.", shorten(name))}
			}
			continue
		}
		f.entities[k].find(ctx, args.Representations, at, out)
	}
	return out, nil
}

func (e *entity) find(ctx context.Context, reps []any, at []int, out []any) {
	keys := reflect.MakeSlice(reflect.SliceOf(e.key), 0, len(at))
	good := at[:0:0]
	for _, i := range at {
		m, _ := reps[i].(map[string]any)
		key := reflect.New(e.key).Elem()
		if err := e.bind.bind(key, m); err != nil {
			out[i] = failedValue{Errorf("%v", err)}
			continue
		}
		keys, good = reflect.Append(keys, key), append(good, i)
	}
	if len(good) == 0 {
		return
	}
	rs, err := e.call(ctx, keys)
	if err == nil && rs.Len() != len(good) {
		err = fmt.Errorf("entity %s: %d results for %d keys", e.name, rs.Len(), len(good))
	}
	for n, i := range good {
		if err != nil {
			out[i] = failedValue{err}
			continue
		}
		v := rs.Index(n)
		if sp, ok := v.Addr().Interface().(splitter); ok {
			var err error
			if v, err = sp.split(); err != nil {
				out[i] = failedValue{err}
				continue
			}
		}
		out[i] = v.Interface()
	}
}

func (e *entity) call(ctx context.Context, keys reflect.Value) (rs reflect.Value, err error) {
	defer recovered(&err)
	return e.resolve(ctx, keys)
}
