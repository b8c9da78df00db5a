package graphql

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
)

// Option is an option of [New]: those of the schema, of the HTTP handler and of the provider.
type Option interface{ applyProvider(*Provider) }

// SchemaOption is an option of [NewSchema], and of [New].
type SchemaOption interface {
	Option
	applySchema(*builder)
}

type schemaOption func(*builder)

func (o schemaOption) applySchema(b *builder)    { o(b) }
func (o schemaOption) applyProvider(p *Provider) { p.schemaOpts = append(p.schemaOpts, o) }

func register(r *resolver) SchemaOption {
	return schemaOption(func(b *builder) { b.resolvers = append(b.resolvers, r) })
}

// SDL adds a text in the schema definition language. It may be given several times; types of one text
// can be extended by another.
func SDL(text string) SchemaOption { return SDLFile("", text) }

// SDLFile is [SDL] with the name of the file, for what [Problem] says.
func SDLFile(name, text string) SchemaOption {
	return schemaOption(func(b *builder) { b.addSource(name, text) })
}

// Bind says that T (a struct, or a pointer to one) is the Go type of an object or input type. Fields of
// the SDL are served from, or written to, fields of the struct: by a tag `graphql:"name"`, else by
// name, regardless of case and underscores. A tag "-" hides a field. For an interface or union it says
// nothing: their members are told apart by the Go types that are bound to these.
func Bind[T any](typeName string) SchemaOption {
	return schemaOption(func(b *builder) {
		b.binds = append(b.binds, binding{typeName, reflect.TypeFor[T]()})
	})
}

// TypeOf tells the members of an interface or a union apart by a function instead of by their Go types,
// so that several can have one Go type.
func TypeOf[T any](abstractType string, f func(T) string) SchemaOption {
	in := parentOf[T]()
	return schemaOption(func(b *builder) {
		b.typeOfs = append(b.typeOfs, typeOfBinding{abstractType, func(v reflect.Value) string { return f(in(v)) }})
	})
}

// Enum says which Go value stands for each value of an enum. All of them must be there. An enum
// without it is a Go string.
func Enum[T comparable](typeName string, values map[string]T) SchemaOption {
	return schemaOption(func(b *builder) {
		e := &enumBinding{typ: reflect.TypeFor[T](), in: make(map[string]any), out: make(map[any]string)}
		for name, v := range values {
			e.in[name] = v
			if other, dup := e.out[v]; dup {
				e.dup = other + " and " + name
			}
			e.out[v] = name
		}
		b.enums = append(b.enums, namedEnum{typeName, e})
	})
}

// Scalar says how a custom scalar is read and written. parse gets what stood in the request: nil is
// never given, numbers are int64, float64 or json.Number where they fit neither, lists []any and objects
// map[string]any; its error is told to the client. write appends JSON.
func Scalar[T any](typeName string, parse func(any) (T, error), write func([]byte, T) ([]byte, error)) SchemaOption {
	return schemaOption(func(b *builder) {
		s := &scalarBinding{typ: reflect.TypeFor[T]()}
		if parse != nil {
			s.parse = func(v any) (any, error) { return parse(v) }
		}
		if write != nil {
			s.write = func(dst []byte, v reflect.Value) ([]byte, error) {
				if v.CanAddr() {
					if p, ok := v.Addr().Interface().(*T); ok {
						return write(dst, *p)
					}
				}
				t, _ := v.Interface().(T)
				return write(dst, t)
			}
		}
		b.scalars = append(b.scalars, namedScalar{typeName, s})
	})
}

// WithLimits sets the limits of every request. Zero fields keep their defaults, in a gateway those of [Config].
func WithLimits(l Limits) SchemaOption { return schemaOption(func(b *builder) { b.limits = l }) }

// WithIntrospection switches __schema and __type on or off. The default is on.
func WithIntrospection(on bool) SchemaOption {
	return schemaOption(func(b *builder) { b.introspection = on })
}

// WithUnmaskedErrors tells clients the text of every error of a resolver. By default they learn "internal
// error", and the text is logged, unless the error is an [*Error] or wraps one.
func WithUnmaskedErrors() SchemaOption { return schemaOption(func(b *builder) { b.unmasked = true }) }

// WithErrorPresenter has f see, and change, every error before it is written. f is called after masking;
// errors.Unwrap gives what the resolver returned.
func WithErrorPresenter(f func(ctx context.Context, e *Error)) SchemaOption {
	return schemaOption(func(b *builder) { b.presenter = f })
}

// WithSchemaLogger sets where masked errors and panics are logged. The default is slog.Default at the
// time of the error; a provider logs to its host's.
func WithSchemaLogger(l *slog.Logger) SchemaOption {
	return schemaOption(func(b *builder) { b.logger = l })
}

// foldName is how names of the SDL and of Go fields are compared.
func foldName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
