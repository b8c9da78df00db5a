package graphql

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
)

// Schema is an executable schema. [NewSchema] makes one; it is immutable and safe for concurrent use.
type Schema struct {
	ast                           *ast.Schema
	types                         map[string]*typeDef
	query, mutation, subscription *typeDef
	limits                        Limits
	rules                         []validator.Rule
	cache                         *documentCache
	dynamic                       sync.Map // dynamicKey to *completer: as many as the program has types
	sdl                           string   // as it was given, for a federation's _service

	operationMW   []OperationMiddleware
	presenter     func(context.Context, *Error)
	observer      Observer
	names         *nameSet
	logger        *slog.Logger // of WithSchemaLogger
	hostLogger    atomic.Pointer[slog.Logger]
	unmasked      bool
	introspection bool
	incremental   bool
	hub           bool // it has the fields of Hub
	persisted     *persistedQueries
	trusted       *trustedDocuments
	intro         *introSchema
	pumps         pumps
}

// builder collects options and then everything that is wrong.
type builder struct {
	sources       []*ast.Source
	binds         []binding
	typeOfs       []typeOfBinding
	enums         []namedEnum
	scalars       []namedScalar
	resolvers     []*resolver
	directives    []directiveBinding
	fieldMW       []fieldMiddleware
	operationMW   []OperationMiddleware
	limits        Limits
	configured    Limits // where limits has none
	introspection bool
	incremental   bool
	unmasked      bool
	presenter     func(context.Context, *Error)
	logger        *slog.Logger
	observer      Observer
	persistedSize int
	trusted       map[string]string
	federation    *federation
	hub           bool

	s        *Schema
	problems []Problem
	queue    []*typeDef // objects whose fields are to be bound
	binders  map[inputKey]*structBinder
}

// NewSchema makes a schema of SDL and of the Go functions and types that are registered for it. The
// error is a [*SchemaError] with every problem that was found, or of an option.
func NewSchema(opts ...SchemaOption) (*Schema, error) {
	b := &builder{introspection: true, persistedSize: defaultPersistedBytes}
	for i, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("graphql: NewSchema: option %d is nil", i+1)
		}
		o.applySchema(b)
	}
	return b.build()
}

func (b *builder) build() (*Schema, error) {
	limits, err := b.limits.or(b.configured).resolve()
	if err != nil {
		return nil, err
	}
	b.s = &Schema{
		types: make(map[string]*typeDef), limits: limits, cache: newDocumentCache(limits.CacheBytes),
		operationMW: b.operationMW, presenter: b.presenter, observer: b.observer, logger: b.logger,
		unmasked: b.unmasked, introspection: b.introspection, incremental: b.incremental, hub: b.hub, names: newNameSet(),
		persisted: newPersistedQueries(b.persistedSize), trusted: newTrustedDocuments(b.trusted),
	}
	if b.hub {
		b.prepareHub()
	}
	if b.federation != nil {
		b.federation.prepare(b)
	}
	if b.load() {
		b.makeTypes()
		b.checkSchema()
		if len(b.problems) == 0 {
			b.bindAll()
		}
	}
	if len(b.problems) > 0 {
		slices.SortStableFunc(b.problems, compareProblems)
		return nil, &SchemaError{slices.Compact(b.problems)}
	}
	b.s.rules = validationRules(b.incremental)
	return b.s, nil
}

func compareProblems(x, y Problem) int {
	switch {
	case x.File != y.File:
		if x.File < y.File {
			return -1
		}
		return 1
	case x.Line != y.Line:
		return x.Line - y.Line
	}
	return x.Column - y.Column
}

// problem notes what is wrong at a place of the SDL, or at none.
func (b *builder) problem(pos *ast.Position, format string, args ...any) {
	p := Problem{Text: fmt.Sprintf(format, args...)}
	if pos != nil && pos.Src != nil && !pos.Src.BuiltIn {
		p.File, p.Line, p.Column = pos.Src.Name, pos.Line, pos.Column
	}
	b.problems = append(b.problems, p)
}

func (b *builder) addSource(name, text string) {
	if name == "" {
		name = "schema"
		if len(b.sources) > 0 {
			name = fmt.Sprintf("schema%d", len(b.sources)+1)
		}
	}
	b.sources = append(b.sources, &ast.Source{Name: name, Input: text})
}

// makeTypes turns the definitions of the parser into ours.
func (b *builder) makeTypes() {
	s := b.s
	for name, def := range s.ast.Types {
		s.types[name] = &typeDef{
			name: name, kind: def.Kind, def: def, fields: make(map[string]*fieldDef),
			oneOf: def.Kind == ast.InputObject && def.Directives.ForName("oneOf") != nil,
		}
	}
	for _, t := range s.types {
		b.makeFields(t)
	}
	s.query, s.mutation, s.subscription = s.root(s.ast.Query), s.root(s.ast.Mutation), s.root(s.ast.Subscription)
	for _, t := range s.types {
		s.makePossible(t)
	}
	for _, t := range s.types {
		if t.isAbstract() {
			for _, p := range t.possible {
				p.applies[t] = true
			}
		}
	}
}

func (s *Schema) root(def *ast.Definition) *typeDef {
	if def == nil {
		return nil
	}
	t := s.types[def.Name]
	t.root = true
	return t
}

func (b *builder) makeFields(t *typeDef) {
	for _, d := range t.def.Fields {
		if t.kind == ast.InputObject {
			t.inputs = append(t.inputs, &inputDef{
				name: d.Name, typ: b.s.ref(d.Type), dflt: d.DefaultValue, directives: d.Directives, desc: d.Description, pos: d.Position,
			})
			continue
		}
		f := &fieldDef{parent: t, name: d.Name, def: d, typ: b.s.ref(d.Type), cost: 1}
		f.args = b.s.inputDefs(d.Arguments)
		t.fields[f.name] = f
		t.order = append(t.order, f)
	}
}

func (s *Schema) inputDefs(list ast.ArgumentDefinitionList) (defs []*inputDef) {
	for _, a := range list {
		defs = append(defs, &inputDef{
			name: a.Name, typ: s.ref(a.Type), dflt: a.DefaultValue, directives: a.Directives, desc: a.Description, pos: a.Position,
		})
	}
	return defs
}

func (s *Schema) ref(t *ast.Type) *typeRef {
	if t.Elem != nil {
		elem := s.ref(t.Elem)
		return &typeRef{nonNull: t.NonNull, elem: elem, named: elem.named, src: t}
	}
	return &typeRef{nonNull: t.NonNull, named: s.types[t.NamedType], src: t}
}

// makePossible lists the objects of a type; the parser's list for interfaces holds interfaces too.
func (s *Schema) makePossible(t *typeDef) {
	t.index = make(map[*typeDef]int)
	add := func(p *typeDef) {
		if _, dup := t.index[p]; !dup && p != nil && p.kind == ast.Object {
			t.index[p] = len(t.possible)
			t.possible = append(t.possible, p)
		}
	}
	switch t.kind {
	case ast.Object:
		t.applies = map[*typeDef]bool{t: true}
		add(t)
	case ast.Union:
		for _, name := range t.def.Types {
			add(s.types[name])
		}
	case ast.Interface:
		for _, d := range s.sortedTypes() {
			if slices.Contains(d.def.Interfaces, t.name) {
				add(d)
			}
		}
	}
}

// sortedTypes are all types by name.
func (s *Schema) sortedTypes() []*typeDef {
	list := make([]*typeDef, 0, len(s.types))
	for _, t := range s.types {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *typeDef) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return list
}

// logTo sets where masked errors are logged if the user has not said it: a provider's host comes later
// than the schema, and a new one with each start.
func (s *Schema) logTo(l *slog.Logger) { s.hostLogger.Store(l) }

func (s *Schema) log() *slog.Logger {
	switch l := s.hostLogger.Load(); {
	case s.logger != nil:
		return s.logger
	case l != nil:
		return l
	}
	return slog.Default()
}
