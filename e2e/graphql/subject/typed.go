package main

import (
	"context"
	"fmt"
	"math"
	"reflect"

	"github.com/anasamu/comm/graphql"
)

// typed registers a function of a concrete Go type, as programs do: it is checked, bound and written
// by other code than any.
func (d *data) typed(coord string, f *fieldInfo, kind uint32) graphql.SchemaOption {
	if f.ref.elem != nil && d.rates.Mismatch+d.rates.Wrong > 0 {
		return nil // a []int cannot hold what is wrong with one element
	}
	switch f.Type {
	case "Int":
		return typedField[*int](d, coord, f, kind)
	case "Int!":
		return typedField[int](d, coord, f, kind)
	case "String":
		return typedField[*string](d, coord, f, kind)
	case "String!":
		return typedField[string](d, coord, f, kind)
	case "Boolean":
		return typedField[*bool](d, coord, f, kind)
	case "Boolean!":
		return typedField[bool](d, coord, f, kind)
	case "Float!":
		return typedField[float64](d, coord, f, kind)
	case "ID!":
		return typedField[string](d, coord, f, kind)
	case "[Int]":
		return typedField[[]*int](d, coord, f, kind)
	case "[String!]":
		return typedField[[]string](d, coord, f, kind)
	case "[[Int]]":
		return typedField[[][]*int](d, coord, f, kind)
	}
	if f.ref.root() {
		return nil // a root type is a graphql.Root
	}
	if f.ref.elem == nil && d.types[f.ref.name].Kind == "OBJECT" {
		return typedField[*object](d, coord, f, kind)
	}
	if f.ref.elem != nil && f.ref.elem.elem == nil && d.types[f.ref.elem.name].Kind == "OBJECT" {
		return typedField[[]*object](d, coord, f, kind)
	}
	return nil
}

// typedField registers a function with R as its result: pure, or one that may block.
func typedField[R any](d *data, coord string, f *fieldInfo, kind uint32) graphql.SchemaOption {
	if kind == 2 && f.Args == 0 {
		return graphql.Get(coord, func(parent any) R { return must(typedValue[R](d.field(parent, f, nil))) })
	}
	return graphql.Resolve(coord, func(_ context.Context, parent any, args map[string]any) (R, error) {
		return typedValue[R](d.field(parent, f, args))
	})
}

// typedValue turns a value into an R. What R cannot hold is an error at the field, as for graphql-js.
func typedValue[R any](v any, err error) (r R, _ error) {
	if err != nil {
		return r, err
	}
	return r, assign(reflect.ValueOf(&r).Elem(), v)
}

func assign(dst reflect.Value, v any) error {
	if v == nil {
		return assignNull(dst)
	}
	src := reflect.ValueOf(v)
	switch {
	case src.Type() == dst.Type():
		dst.Set(src)
	case dst.Kind() == reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return assign(dst.Elem(), v)
	case dst.Kind() == reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return errMismatch
		}
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
		for i := range list {
			if err := assign(dst.Index(i), list[i]); err != nil {
				return err
			}
		}
	default:
		return assignScalar(dst, src)
	}
	return nil
}

func assignNull(dst reflect.Value) error {
	if k := dst.Kind(); k != reflect.Pointer && k != reflect.Slice && k != reflect.Interface {
		return errMismatch
	}
	dst.SetZero()
	return nil
}

// assignScalar converts as the executor does what it finds in an any.
func assignScalar(dst, src reflect.Value) error {
	switch dst.Kind() {
	case reflect.Int:
		switch {
		case src.Kind() == reflect.Bool && src.Bool():
			dst.SetInt(1)
		case src.Kind() == reflect.Bool:
		case src.CanFloat() && src.Float() == math.Trunc(src.Float()):
			dst.SetInt(int64(src.Float()))
		default:
			return errMismatch
		}
	case reflect.Float64:
		if !src.CanInt() {
			return errMismatch
		}
		dst.SetFloat(float64(src.Int()))
	case reflect.Bool:
		if !src.CanInt() {
			return errMismatch
		}
		dst.SetBool(src.Int() != 0)
	case reflect.String:
		if !src.CanInt() && src.Kind() != reflect.Bool {
			return errMismatch
		}
		dst.SetString(fmt.Sprint(src.Interface()))
	default:
		return errMismatch
	}
	return nil
}
