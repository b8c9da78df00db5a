package graphql

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// bindAll connects the SDL with Go: leaves and inputs first, then what is registered by coordinate, then
// the fields of structs, from the types that are known to those that they lead to.
func (b *builder) bindAll() {
	b.bindLeaves()
	b.bindDefaults()
	b.bindTypes()
	introspect(b)
	if b.federation != nil {
		b.federation.bind(b)
	}
	b.bindResolvers()
	b.bindMembers()
	for len(b.queue) > 0 {
		t := b.queue[0]
		b.queue = b.queue[1:]
		b.bindFields(t)
	}
	b.bindUnknown()
	b.bindMembers()
	resolved := b.resolvedFields()
	b.applyDirectives()
	b.applyMiddleware(resolved)
}

func (b *builder) lookup(name, what string, kinds ...ast.DefinitionKind) *typeDef {
	t := b.s.types[name]
	switch {
	case t == nil:
		b.problem(nil, "%s(%q): the SDL has no type of that name.%s", what, name, didYouMean(name, b.typeNames()))
		return nil
	case !slices.Contains(kinds, t.kind):
		b.problem(t.def.Position, "%s(%q): the type is %s, which cannot be bound so.", what, name, t.kind)
		return nil
	}
	return t
}

func (b *builder) typeNames() (names []string) {
	for name := range b.s.types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *builder) bindLeaves() {
	for _, e := range b.enums {
		t := b.lookup(e.name, "Enum", ast.Enum)
		if t == nil {
			continue
		}
		if t.enum != nil {
			b.problem(t.def.Position, "Enum(%q) is registered twice.", e.name)
		}
		t.enum = e.enum
		b.checkEnum(t)
	}
	for _, sc := range b.scalars {
		t := b.lookup(sc.name, "Scalar", ast.Scalar)
		switch {
		case t == nil:
			continue
		case isBuiltin(sc.name):
			b.problem(nil, "Scalar(%q): the scalars of the specification cannot be changed.", sc.name)
			continue
		case t.scalar != nil:
			b.problem(t.def.Position, "Scalar(%q) is registered twice.", sc.name)
		}
		t.scalar = sc.scalar
	}
	if t := b.s.types["Upload"]; t != nil && t.kind == ast.Scalar && t.scalar == nil {
		b.bindUpload(t)
	}
}

func (b *builder) checkEnum(t *typeDef) {
	if t.enum.dup != "" {
		b.problem(t.def.Position, "Enum(%q): %s have one Go value.", t.name, t.enum.dup)
	}
	for _, v := range t.def.EnumValues {
		if _, ok := t.enum.in[v.Name]; !ok {
			b.problem(v.Position, "Enum(%q): the value %s has no Go value.", t.name, v.Name)
		}
	}
	for name := range t.enum.in {
		if t.def.EnumValues.ForName(name) == nil {
			b.problem(t.def.Position, "Enum(%q): the SDL has no value %s.", t.name, name)
		}
	}
}

// bindDefaults coerces every default once.
func (b *builder) bindDefaults() {
	set := func(of string, list []*inputDef) {
		for _, in := range list {
			if in.dflt == nil {
				continue
			}
			if b.s.defaultOf(in); in.err != nil {
				b.problem(in.dflt.Position, "%s(%s:) has an invalid default value: %v", of, in.name, in.err)
			}
		}
	}
	for _, t := range b.s.types {
		set(t.name, t.inputs)
		for _, f := range t.order {
			set(t.name+"."+f.name, f.args)
		}
	}
}

func (b *builder) bindTypes() {
	for _, t := range []*typeDef{b.s.query, b.s.mutation, b.s.subscription} {
		if t != nil {
			t.goType = reflect.TypeFor[Root]()
			b.queue = append(b.queue, t)
		}
	}
	for _, bind := range b.binds {
		t := b.lookup(bind.name, "Bind", ast.Object, ast.InputObject)
		if t == nil {
			continue
		}
		base := baseType(bind.typ)
		switch {
		case t.goType != nil:
			b.problem(t.def.Position, "Bind(%q): the type is already %s.", bind.name, t.goType)
		case t.kind == ast.InputObject:
			t.goType = base
			b.structBinder(t.name, t.inputs, base, t.def.Position)
		case base.Kind() == reflect.Interface:
			t.dynamic, t.goType = true, base
			b.queue = append(b.queue, t)
		default:
			b.know(t, base)
		}
	}
	for _, to := range b.typeOfs {
		t := b.lookup(to.name, "TypeOf", ast.Interface, ast.Union)
		if t == nil {
			continue
		}
		if t.typeOf != nil {
			b.problem(t.def.Position, "TypeOf(%q) is registered twice.", to.name)
		}
		t.typeOf = to.f
	}
}

// know says that an object is of a Go type, whose fields are bound later.
func (b *builder) know(t *typeDef, base reflect.Type) {
	t.goType = base
	b.queue = append(b.queue, t)
}

// bindResolvers puts every registered function to its field.
func (b *builder) bindResolvers() {
	for _, r := range b.resolvers {
		f := b.fieldAt(r)
		if f == nil {
			continue
		}
		if f.r != nil {
			b.problem(f.def.Position, "%s is registered twice.", r.coord)
			continue
		}
		f.r, f.cost = r, r.cost
		b.checkResolver(f)
	}
	for _, r := range b.resolvers {
		typeName, name, _ := strings.Cut(r.coord, ".")
		if t := b.s.types[typeName]; t != nil && t.fields[name] != nil && t.fields[name].r == r {
			f := t.fields[name]
			if f.comp = b.completer(f.typ, r.result, r.coord, f.def.Position); f.comp == nil {
				f.comp = new(completer)
			}
		}
	}
}

func (b *builder) fieldAt(r *resolver) *fieldDef {
	typeName, name, ok := strings.Cut(r.coord, ".")
	t := b.s.types[typeName]
	switch {
	case !ok:
		b.problem(nil, "coordinate %q: Type.field is needed.", r.coord)
	case t == nil:
		b.problem(nil, "coordinate %q: the SDL has no type %s.%s", r.coord, typeName, didYouMean(typeName, b.typeNames()))
	case t.kind != ast.Object:
		b.problem(t.def.Position, "coordinate %q: %s is %s; only objects have resolvers.", r.coord, typeName, t.kind)
	case t.fields[name] == nil:
		b.problem(t.def.Position, "coordinate %q: the SDL has no field %s.%s", r.coord, name, didYouMean(name, fieldNames(t)))
	default:
		return t.fields[name]
	}
	return nil
}

func fieldNames(t *typeDef) (names []string) {
	for _, f := range t.order {
		names = append(names, f.name)
	}
	return names
}

func (b *builder) checkResolver(f *fieldDef) {
	r, t, pos := f.r, f.parent, f.def.Position
	b.checkParent(f)
	if (t == b.s.subscription) != (r.kind == kindSubscribe) {
		b.problem(pos, "%s: fields of %s, and only they, are registered with Subscribe.", r.coord, "Subscription")
	}
	if r.queueSet && r.queue < 1 {
		b.problem(pos, "%s: Queue(%d): 1 or more is needed.", r.coord, r.queue)
	}
	if (r.queueSet || r.latest) && r.feed == nil {
		b.problem(pos, "%s: Queue and KeepLatest are for SubscribeTo.", r.coord)
	}
	switch {
	case r.args == nil && len(f.args) > 0:
		b.problem(pos, "%s has arguments (%s), but its function takes none.", r.coord, f.args[0].name)
	case r.args != nil && r.args.Kind() == reflect.Map:
		f.argBind = b.mapBinder(r.args, r.coord, pos, f.args)
	case r.args != nil && baseType(r.args).Kind() != reflect.Struct:
		b.problem(pos, "%s: arguments are a struct or map[string]any, not %s.", r.coord, r.args)
	case r.args != nil:
		f.argBind = b.structBinder(r.coord, f.args, r.args, pos)
	}
	if r.multiply != "" {
		if a := f.arg(r.multiply); a == nil || a.typ.named.name != "Int" || a.typ.elem != nil {
			b.problem(pos, "%s: Multiply(%q): an argument of type Int is needed.", r.coord, r.multiply)
		}
	}
	if r.cost < 0 {
		b.problem(pos, "%s: Cost(%d): 0 or more is needed.", r.coord, r.cost)
	}
}

// checkParent holds a function's parent against the object's Go type, or learns that from it.
func (b *builder) checkParent(f *fieldDef) {
	r, t := f.r, f.parent
	if r.parent == nil || t.dynamic {
		return
	}
	base := baseType(r.parent)
	root := base == reflect.TypeFor[Root]() || base == reflect.TypeFor[struct{}]()
	switch {
	case t.root && !root:
		b.problem(f.def.Position, "%s: the parent of a field of %s is graphql.Root, not %s.", r.coord, t.name, r.parent)
	case t.root:
	case t.goType == nil:
		b.know(t, base)
	case t.goType != base:
		b.problem(f.def.Position, "%s: the parent is %s, but %s is %s.", r.coord, r.parent, t.name, t.goType)
	}
}

// bindUnknown is for objects that no Go type was found for: they are reached through interfaces or any.
func (b *builder) bindUnknown() {
	for _, t := range b.s.sortedTypes() {
		if t.kind != ast.Object || t.goType != nil {
			continue
		}
		t.dynamic = true
		var unbound []string
		for _, f := range t.order {
			if f.r == nil {
				unbound = append(unbound, f.name)
			}
		}
		if len(unbound) > 0 {
			b.problem(t.def.Position, "type %s has no Go type, so its fields %s cannot be served: use Bind, or a resolver whose parent is it.", t.name, strings.Join(unbound, ", "))
		}
	}
}

// bindMembers tells the members of abstract types apart by their Go types.
func (b *builder) bindMembers() {
	for _, t := range b.s.sortedTypes() {
		if !t.isAbstract() {
			continue
		}
		t.byGo = make(map[reflect.Type]int)
		for i, p := range t.possible {
			if p.goType == nil || p.dynamic || t.typeOf != nil {
				continue
			}
			if other, dup := t.byGo[p.goType]; dup {
				if len(b.queue) == 0 {
					b.problem(t.def.Position, "%s: its members %s and %s are both %s: use TypeOf to tell them apart.", t.name, t.possible[other].name, p.name, p.goType)
				}
				continue
			}
			t.byGo[p.goType] = i
		}
	}
}

func (b *builder) applyMiddleware(resolved []*fieldDef) {
	for _, m := range slices.Backward(b.fieldMW) {
		if m.mw == nil {
			b.problem(nil, "WithFieldMiddleware: the middleware is nil.")
			continue
		}
		if len(m.coords) == 0 {
			for _, f := range resolved {
				b.wrapField(f, m.mw, "WithFieldMiddleware")
			}
		}
		for _, coord := range m.coords {
			if f := b.fieldAt(&resolver{coord: coord}); f != nil {
				b.wrapField(f, m.mw, "WithFieldMiddleware("+coord+")")
			}
		}
	}
}

// resolvedFields are the fields that are registered with Resolve or Batch.
func (b *builder) resolvedFields() (list []*fieldDef) {
	for _, t := range b.s.sortedTypes() {
		for _, f := range t.order {
			if t.kind == ast.Object && f.blocks() {
				list = append(list, f)
			}
		}
	}
	return list
}

func (b *builder) wrapField(f *fieldDef, mw FieldMiddleware, what string) {
	if f.r != nil && f.r.kind == kindSubscribe {
		b.problem(f.def.Position, "%s: a field of Subscription has no middleware; use operation middleware.", what)
		return
	}
	if f.r == nil {
		f.r = b.pureResolver(f)
	}
	f.wrap(mw)
	f.wrapped = true
}

// pureResolver is a struct's field as a resolver, so that it can be wrapped.
func (b *builder) pureResolver(f *fieldDef) *resolver {
	return &resolver{coord: f.parent.name + "." + f.name, kind: kindGet, cost: f.cost, get: func(parent reflect.Value, _ any) reflect.Value {
		return f.read(parent)
	}}
}

// applyDirectives wraps fields by the directives that stand on them; the first is the outermost.
func (b *builder) applyDirectives() {
	known := make(map[string]bool)
	for _, d := range b.directives {
		def := b.s.ast.Directives[d.name]
		switch {
		case def == nil:
			b.problem(nil, "Directive(%q): the SDL does not declare it.", d.name)
			continue
		case !slices.Contains(def.Locations, ast.LocationFieldDefinition):
			b.problem(def.Position, "Directive(%q): it must be allowed on FIELD_DEFINITION.", d.name)
			continue
		case known[d.name]:
			b.problem(def.Position, "Directive(%q) is registered twice.", d.name)
			continue
		}
		known[d.name] = true
		inputs := b.s.inputDefs(def.Arguments)
		for _, in := range inputs {
			if in.dflt != nil {
				b.s.defaultOf(in)
			}
		}
		var bind *structBinder
		if d.args != reflect.TypeFor[NoArgs]() && d.args != reflect.TypeFor[struct{}]() {
			bind = b.structBinder("@"+d.name, inputs, d.args, def.Position)
		}
		for _, t := range b.s.sortedTypes() {
			for _, f := range t.order {
				if t.kind == ast.Object {
					b.applyDirective(f, d, inputs, bind)
				}
			}
		}
	}
}

func (b *builder) applyDirective(f *fieldDef, d directiveBinding, inputs []*inputDef, bind *structBinder) {
	for _, use := range slices.Backward(f.def.Directives.ForNames(d.name)) {
		args := d.newArgs()
		if bind != nil {
			values, err := b.s.arguments(inputs, use.Arguments, nil)
			if err == nil {
				err = bind.bind(reflect.ValueOf(args).Elem(), values)
			}
			if err != nil {
				b.problem(use.Position, "@%s: %v", d.name, err)
				continue
			}
		}
		b.wrapField(f, func(next FieldFunc) FieldFunc { return d.wrap(args, next) }, fmt.Sprintf("@%s", d.name))
	}
}
