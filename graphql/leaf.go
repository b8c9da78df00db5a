package graphql

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// leafWriterOf makes the writer of a scalar or enum from a Go type; nil where it does not fit.
func leafWriterOf(t *typeDef, g reflect.Type) leafWriter {
	switch {
	case t.scalar != nil && t.scalar.write != nil:
		if g != t.scalar.typ {
			return nil
		}
		return func(b []byte, v reflect.Value) (_ []byte, err error) {
			defer recovered(&err)
			return t.scalar.write(b, v)
		}
	case t.enum != nil:
		if g != t.enum.typ {
			return nil
		}
		return enumWriter(t)
	case t.kind == ast.Enum:
		if g.Kind() != reflect.String {
			return nil
		}
		return nameWriter(t)
	case isBuiltin(t.name):
		return builtinWriter(t.name, g)
	}
	if g.Kind() == reflect.Pointer || g.Kind() == reflect.Interface {
		return nil // what it holds decides
	}
	return jsonWriter
}

func builtinWriter(name string, g reflect.Type) leafWriter {
	kind := g.Kind()
	switch name {
	case "String":
		if kind == reflect.String {
			return writeString
		}
		if kind != reflect.Interface && g.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return writeText
		}
	case "ID":
		switch {
		case kind == reflect.String:
			return writeString
		case isInt(kind):
			return func(b []byte, v reflect.Value) ([]byte, error) {
				return append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"'), nil
			}
		case isUint(kind):
			return func(b []byte, v reflect.Value) ([]byte, error) {
				return append(strconv.AppendUint(append(b, '"'), v.Uint(), 10), '"'), nil
			}
		}
		if kind != reflect.Interface && g.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return writeText
		}
	case "Boolean":
		if kind == reflect.Bool {
			return writeBool
		}
	case "Int":
		switch {
		case isInt(kind):
			return writeInt
		case isUint(kind):
			return writeUint
		}
	case "Float":
		switch {
		case kind == reflect.Float64 || kind == reflect.Float32:
			return writeFloat
		case isInt(kind):
			return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendInt(b, v.Int(), 10), nil }
		case isUint(kind):
			return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendUint(b, v.Uint(), 10), nil }
		}
	}
	return nil
}

func isInt(k reflect.Kind) bool  { return k >= reflect.Int && k <= reflect.Int64 }
func isUint(k reflect.Kind) bool { return k >= reflect.Uint && k <= reflect.Uint64 }

func writeString(b []byte, v reflect.Value) ([]byte, error) {
	return jsonscan.AppendString(b, v.String()), nil
}

func writeText(b []byte, v reflect.Value) (_ []byte, err error) {
	defer recovered(&err)
	m, ok := v.Interface().(encoding.TextMarshaler)
	if !ok {
		return b, errors.New("the value has no text")
	}
	text, err := m.MarshalText()
	return jsonscan.AppendString(b, text), err
}

func writeBool(b []byte, v reflect.Value) ([]byte, error) {
	return strconv.AppendBool(b, v.Bool()), nil
}

func writeInt(b []byte, v reflect.Value) ([]byte, error) { return appendInt32(b, v.Int()) }

func appendInt32(b []byte, n int64) ([]byte, error) {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return b, &Error{Message: fmt.Sprintf("Int cannot represent non 32-bit signed integer value: %d", n)}
	}
	return strconv.AppendInt(b, n, 10), nil
}

func writeUint(b []byte, v reflect.Value) ([]byte, error) {
	if v.Uint() > math.MaxInt32 {
		return b, &Error{Message: fmt.Sprintf("Int cannot represent non 32-bit signed integer value: %d", v.Uint())}
	}
	return strconv.AppendUint(b, v.Uint(), 10), nil
}

func writeFloat(b []byte, v reflect.Value) ([]byte, error) { return appendFloat(b, v.Float()) }

// appendFloat writes what encoding/json does: ES6 number-to-string.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, &Error{Message: fmt.Sprintf("Float cannot represent non numeric value: %v", f)}
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.AppendInt(b, int64(f), 10), nil
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b, nil
}

func enumWriter(t *typeDef) leafWriter {
	return func(b []byte, v reflect.Value) ([]byte, error) {
		name, ok := t.enum.out[v.Interface()]
		if !ok {
			return b, &Error{Message: fmt.Sprintf("Enum %q cannot represent value: %v", t.name, v.Interface())}
		}
		return append(append(append(b, '"'), name...), '"'), nil
	}
}

func nameWriter(t *typeDef) leafWriter {
	names := make(map[string]bool)
	for _, v := range t.def.EnumValues {
		names[v.Name] = true
	}
	return func(b []byte, v reflect.Value) ([]byte, error) {
		if !names[v.String()] {
			return b, &Error{Message: fmt.Sprintf("Enum %q cannot represent value: %q", t.name, v.String())}
		}
		return append(append(append(b, '"'), v.String()...), '"'), nil
	}
}

// jsonWriter is for custom scalars that are not registered.
func jsonWriter(b []byte, v reflect.Value) (_ []byte, err error) {
	defer recovered(&err)
	raw, err := json.Marshal(v.Interface())
	return append(b, raw...), err
}

// looseLeaf is for values of which only their holder's type, an interface, was known beforehand: what
// graphql-js serializes besides, a float without a fraction as Int for example.
func looseLeaf(t *typeDef, g reflect.Type) leafWriter {
	kind := g.Kind()
	switch {
	case t.name == "Int" && (kind == reflect.Float64 || kind == reflect.Float32):
		return func(b []byte, v reflect.Value) ([]byte, error) {
			if f := v.Float(); f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
				return appendInt32(b, int64(f))
			}
			return b, &Error{Message: fmt.Sprintf("Int cannot represent non-integer value: %v", v.Float())}
		}
	case (t.name == "Int" || t.name == "Float") && kind == reflect.Bool:
		return func(b []byte, v reflect.Value) ([]byte, error) {
			if v.Bool() {
				return append(b, '1'), nil
			}
			return append(b, '0'), nil
		}
	case t.name == "String" && kind == reflect.Bool:
		return func(b []byte, v reflect.Value) ([]byte, error) {
			return append(strconv.AppendBool(append(b, '"'), v.Bool()), '"'), nil
		}
	case t.name == "String" && (isInt(kind) || kind == reflect.Float64):
		return func(b []byte, v reflect.Value) ([]byte, error) {
			return append(fmt.Append(append(b, '"'), v.Interface()), '"'), nil
		}
	case t.name == "Boolean" && (isInt(kind) || kind == reflect.Float64):
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendBool(b, !v.IsZero()), nil }
	}
	return nil
}
