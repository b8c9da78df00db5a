package graphql

import (
	"context"
	"iter"
	"reflect"
)

// Root is the parent of fields of Query, Mutation and Subscription.
type Root struct{}

// NoArgs is for fields without arguments.
type NoArgs struct{}

// Result is what a [Batch] function may return per parent, so that one can fail alone.
type Result[T any] struct {
	Value T
	Err   error
}

func (r *Result[T]) split() (reflect.Value, error) { return valueOf(&r.Value), r.Err }
func (r *Result[T]) resultType() reflect.Type      { return reflect.TypeFor[T]() }

type splitter interface {
	split() (reflect.Value, error)
	resultType() reflect.Type
}

type resolverKind uint8

const (
	kindGet resolverKind = iota
	kindResolve
	kindBatch
	kindSubscribe
)

// resolver is one registered function, its types erased.
type resolver struct {
	coord  string
	kind   resolverKind
	parent reflect.Type // nil accepts every parent
	args   reflect.Type // nil without arguments
	result reflect.Type

	newArgs   func() any // *A
	get       func(parent reflect.Value, args any) reflect.Value
	direct    any // func(reflect.Value) of string, int, bool or float64: no detour over the heap
	resolve   func(ctx context.Context, parent reflect.Value, args any) (reflect.Value, error)
	batch     func(ctx context.Context, parents []instance, args any) (reflect.Value, error)
	subscribe func(ctx context.Context, args any) (iter.Seq2[reflect.Value, error], error)
	feed      func(ctx context.Context, args any) (feed[reflect.Value], error) // in place of subscribe

	cost     int
	multiply string
	queue    int // of SubscribeTo; 0 is the default
	queueSet bool
	latest   bool
	inTurn   bool // see line
}

// FieldOption is a setting of one field.
type FieldOption interface{ applyField(*resolver) }

type fieldOption func(*resolver)

func (o fieldOption) applyField(r *resolver) { o(r) }

// Cost is what the field adds to the cost of an operation. The default is 1.
func Cost(n int) FieldOption { return fieldOption(func(r *resolver) { r.cost = n }) }

// Multiply names the argument by whose value the cost of what is selected below the field counts
// several times, such as "first".
func Multiply(arg string) FieldOption { return fieldOption(func(r *resolver) { r.multiply = arg }) }

// Get registers a function that neither blocks nor fails, for a field without arguments. It is called
// inline while the response is written, at least once per value.
func Get[P, R any](coord string, f func(P) R, opts ...FieldOption) SchemaOption {
	r := newResolver[P, NoArgs, R](coord, kindGet, opts)
	in := parentOf[P]()
	r.get = func(parent reflect.Value, _ any) reflect.Value {
		v := f(in(parent))
		return valueOf(&v)
	}
	r.direct = directly(in, f)
	return register(r)
}

// directly keeps the results of plain types from the heap.
func directly[P, R any](in func(reflect.Value) P, f func(P) R) any {
	switch f := any(f).(type) {
	case func(P) string:
		return func(v reflect.Value) string { return f(in(v)) }
	case func(P) int:
		return func(v reflect.Value) int64 { return int64(f(in(v))) }
	case func(P) bool:
		return func(v reflect.Value) bool { return f(in(v)) }
	case func(P) float64:
		return func(v reflect.Value) float64 { return f(in(v)) }
	}
	return nil
}

// GetWith is [Get] for a field with arguments, which f must not change.
func GetWith[P, A, R any](coord string, f func(P, A) R, opts ...FieldOption) SchemaOption {
	r := newResolver[P, A, R](coord, kindGet, opts)
	in := parentOf[P]()
	r.get = func(parent reflect.Value, args any) reflect.Value {
		v := f(in(parent), argsAs[A](args))
		return valueOf(&v)
	}
	return register(r)
}

// Resolve registers a function that may block or fail. Calls for several fields and parents run at
// once, as many as [Limits].Concurrency says; ctx ends with the request, or when the object that the
// result is for will be null. Arguments may be shared between calls: f must not change what they point to.
func Resolve[P, A, R any](coord string, f func(context.Context, P, A) (R, error), opts ...FieldOption) SchemaOption {
	r := newResolver[P, A, R](coord, kindResolve, opts)
	in := parentOf[P]()
	r.resolve = func(ctx context.Context, parent reflect.Value, args any) (reflect.Value, error) {
		v, err := f(ctx, in(parent), argsAs[A](args))
		return valueOf(&v), err
	}
	return register(r)
}

// Batch registers a function that is called once for all parents at one place of an operation, whatever
// lists they are in. It returns one result per parent, in their order; a [Result] can fail alone.
func Batch[P, A, R any](coord string, f func(context.Context, []P, A) ([]R, error), opts ...FieldOption) SchemaOption {
	r := newResolver[P, A, R](coord, kindBatch, opts)
	in := parentOf[P]()
	r.batch = func(ctx context.Context, parents []instance, args any) (reflect.Value, error) {
		ps := make([]P, len(parents))
		for i := range parents {
			ps[i] = in(parents[i].v)
		}
		rs, err := f(ctx, ps, argsAs[A](args))
		return reflect.ValueOf(rs), err
	}
	if s, ok := any(new(R)).(splitter); ok {
		r.result = s.resultType()
	}
	return register(r)
}

// Subscribe registers the source of a field of Subscription. An error of f is answered as a request
// that failed; one in the sequence is the error of one event, and the stream goes on. f's context ends
// when the client unsubscribes or goes, and the sequence must then end too. While the client's
// connection takes nothing, the sequence's yield waits. A sequence has a goroutine as long as it lives; for what many
// subscribe to see [SubscribeTo].
func Subscribe[A, R any](coord string, f func(context.Context, A) (iter.Seq2[R, error], error), opts ...FieldOption) SchemaOption {
	r := newResolver[Root, A, R](coord, kindSubscribe, opts)
	r.parent = nil
	r.subscribe = func(ctx context.Context, args any) (iter.Seq2[reflect.Value, error], error) {
		seq, err := f(ctx, argsAs[A](args))
		if err != nil || seq == nil {
			return nil, err
		}
		return func(yield func(reflect.Value, error) bool) {
			seq(func(v R, err error) bool { return yield(valueOf(&v), err) })
		}, nil
	}
	return register(r)
}

func newResolver[P, A, R any](coord string, kind resolverKind, opts []FieldOption) *resolver {
	r := &resolver{coord: coord, kind: kind, result: reflect.TypeFor[R](), cost: 1}
	if t := reflect.TypeFor[P](); t.Kind() != reflect.Interface {
		r.parent = t
	}
	if t := reflect.TypeFor[A](); t != reflect.TypeFor[NoArgs]() && t != reflect.TypeFor[struct{}]() {
		r.args = t
	}
	r.newArgs = func() any { return new(A) }
	for _, o := range opts {
		if o != nil {
			o.applyField(r)
		}
	}
	return r
}

// valueOf is the value that p points to. What fits into a pointer does not keep p alive.
func valueOf[R any](p *R) reflect.Value {
	if t := reflect.TypeFor[R](); t.Kind() == reflect.Pointer {
		return reflect.ValueOf(*p)
	}
	v := *p
	return reflect.ValueOf(&v).Elem()
}

func argsAs[A any](args any) A {
	if p, ok := args.(*A); ok {
		return *p
	}
	var zero A
	return zero
}

// parentOf makes the way from an instance, which is a struct that can be addressed or another value, to
// a function's parameter.
func parentOf[P any]() func(reflect.Value) P {
	t := reflect.TypeFor[P]()
	switch {
	case t == reflect.TypeFor[Root]() || t == reflect.TypeFor[struct{}]():
		return func(reflect.Value) (p P) { return p }
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return func(v reflect.Value) P { p, _ := v.Addr().Interface().(P); return p }
	case t.Kind() == reflect.Struct:
		return func(v reflect.Value) P { return *v.Addr().Interface().(*P) }
	}
	return func(v reflect.Value) (p P) {
		if v.Kind() == reflect.Struct {
			v = v.Addr()
		}
		p, _ = v.Interface().(P)
		return p
	}
}
