package graphql

import (
	"encoding/json"
	"reflect"
)

// Opt is an input that may be absent, null or a value; the zero Opt is absent. Without it, absent and
// null both leave a field's zero value.
type Opt[T any] struct {
	value T
	state optState
}

type optState uint8

const (
	optAbsent optState = iota
	optNull
	optValue
)

// Some is an Opt with a value.
func Some[T any](v T) Opt[T] { return Opt[T]{v, optValue} }

// Null is an Opt that is null.
func Null[T any]() Opt[T] { return Opt[T]{state: optNull} }

// Get returns the value, and whether there is one.
func (o Opt[T]) Get() (T, bool) { return o.value, o.state == optValue }

// Or returns the value, or else v.
func (o Opt[T]) Or(v T) T {
	if o.state == optValue {
		return o.value
	}
	return v
}

// IsAbsent reports whether the client left the input out.
func (o Opt[T]) IsAbsent() bool { return o.state == optAbsent }

// IsNull reports whether the client said null.
func (o Opt[T]) IsNull() bool { return o.state == optNull }

// MarshalJSON writes the value, or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.state != optValue {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// optional is what the binder sees of a *Opt.
type optional interface {
	optType() reflect.Type
	optSet(null bool) reflect.Value
}

func (o *Opt[T]) optType() reflect.Type { return reflect.TypeFor[T]() }

// optSet marks o and returns where its value goes.
func (o *Opt[T]) optSet(null bool) reflect.Value {
	o.state = optValue
	if null {
		o.state = optNull
	}
	return reflect.ValueOf(&o.value).Elem()
}
