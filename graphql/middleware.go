package graphql

import (
	"context"
	"reflect"
)

// Operation is what an operation middleware sees.
type Operation struct {
	// Kind and Name are of the operation; the name is the client's.
	Kind OperationKind
	Name string
	// Query is the document.
	Query string
	// Variables are the coerced variables.
	Variables map[string]any
	// Extensions is what is written as the response's entry "extensions". It may be set before or after.
	Extensions map[string]any

	errs []*Error
}

// Errors are the errors of the execution, once it is over.
func (o *Operation) Errors() []*Error { return o.errs }

// OperationFunc executes an operation. An error refuses it: the response has that error and no data.
type OperationFunc func(ctx context.Context, op *Operation) error

// OperationMiddleware wraps the execution of every operation: what stands before next happens before,
// what follows it after. For a subscription it wraps each event.
type OperationMiddleware func(next OperationFunc) OperationFunc

// WithOperationMiddleware adds middleware; the first is the outermost.
func WithOperationMiddleware(mw ...OperationMiddleware) SchemaOption {
	return schemaOption(func(b *builder) { b.operationMW = append(b.operationMW, mw...) })
}

// Field is what a field middleware sees of one call.
type Field struct {
	// Type and Name are of the schema; Coordinate is "Type.name".
	Type, Name, Coordinate string
	// Alias is the key in the response.
	Alias string
	// Parent is the parent value, or nil for a batch.
	Parent any
	// Parents is for how many parents a [Batch] is called, and else 1.
	Parents int
	// Args are the arguments: a pointer to the A of the resolver, or nil.
	Args any
}

// FieldFunc gives the value of a field: for a [Batch] the slice of its results.
type FieldFunc func(ctx context.Context, f *Field) (any, error)

// FieldMiddleware wraps the resolver of a field.
type FieldMiddleware func(next FieldFunc) FieldFunc

// WithFieldMiddleware wraps all fields that are registered with [Resolve] or [Batch], or with coords
// exactly the named ones, which may be of any kind but [Subscribe].
func WithFieldMiddleware(mw FieldMiddleware, coords ...string) SchemaOption {
	return schemaOption(func(b *builder) { b.fieldMW = append(b.fieldMW, fieldMiddleware{mw, coords}) })
}

type fieldMiddleware struct {
	mw     FieldMiddleware
	coords []string
}

// Directive makes a directive of the SDL a middleware of the fields it stands on. f is called once for
// each place, with the directive's arguments.
func Directive[A any](name string, f func(args A, next FieldFunc) FieldFunc) SchemaOption {
	return schemaOption(func(b *builder) {
		b.directives = append(b.directives, directiveBinding{
			name: name, args: reflect.TypeFor[A](), newArgs: func() any { return new(A) },
			wrap: func(args any, next FieldFunc) FieldFunc { return f(argsAs[A](args), next) },
		})
	})
}

type directiveBinding struct {
	name    string
	args    reflect.Type
	newArgs func() any
	wrap    func(args any, next FieldFunc) FieldFunc
}

// wrap puts middleware around a field's resolver; a field that was pure becomes one that is resolved.
func (f *fieldDef) wrap(mw FieldMiddleware) {
	old := f.r
	r := *old
	info := Field{Type: f.parent.name, Name: f.name, Coordinate: f.parent.name + "." + f.name, Parents: 1}
	switch old.kind {
	case kindBatch:
		r.batch = wrapBatch(info, old, mw)
	default:
		r.kind = kindResolve
		r.resolve = wrapResolve(info, old, mw)
	}
	f.r = &r
}

type callKey struct{}

// call carries a call's own parameters through middleware that knows only the public ones.
type call struct {
	parent  reflect.Value
	parents []instance
	args    any
}

func wrapResolve(info Field, old *resolver, mw FieldMiddleware) func(context.Context, reflect.Value, any) (reflect.Value, error) {
	inner := old.resolve
	if old.kind == kindGet {
		inner = func(_ context.Context, parent reflect.Value, args any) (reflect.Value, error) {
			return old.get(parent, args), nil
		}
	}
	wrapped := mw(func(ctx context.Context, _ *Field) (any, error) {
		c, _ := ctx.Value(callKey{}).(*call)
		v, err := inner(ctx, c.parent, c.args)
		return box(v), err
	})
	return func(ctx context.Context, parent reflect.Value, args any) (reflect.Value, error) {
		f := info
		f.Parent, f.Args = publicParent(parent), args
		f.Alias = aliasOf(ctx)
		v, err := wrapped(context.WithValue(ctx, callKey{}, &call{parent: parent, args: args}), &f)
		return reflect.ValueOf(v), err
	}
}

func wrapBatch(info Field, old *resolver, mw FieldMiddleware) func(context.Context, []instance, any) (reflect.Value, error) {
	wrapped := mw(func(ctx context.Context, _ *Field) (any, error) {
		c, _ := ctx.Value(callKey{}).(*call)
		v, err := old.batch(ctx, c.parents, c.args)
		return box(v), err
	})
	return func(ctx context.Context, parents []instance, args any) (reflect.Value, error) {
		f := info
		f.Parents, f.Args = len(parents), args
		f.Alias = aliasOf(ctx)
		v, err := wrapped(context.WithValue(ctx, callKey{}, &call{parents: parents, args: args}), &f)
		return reflect.ValueOf(v), err
	}
}

func box(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}

func publicParent(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if v.Kind() == reflect.Struct && v.CanAddr() {
		v = v.Addr()
	}
	return v.Interface()
}
