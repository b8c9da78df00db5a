package conf

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setText reads one scalar. Files and variables share it, so that a value is written the same way in both.
func setText(v reflect.Value, s string) error {
	t := v.Type()
	switch {
	case t == durationType:
		d, err := time.ParseDuration(s)
		if err != nil {
			return causef(ErrValue, `%s: want a duration such as "30s" or "1m30s"`, show(s))
		}
		v.SetInt(int64(d))
		return nil
	case readsText(t):
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	case t.Kind() == reflect.String:
		v.SetString(s)
		return nil
	case t.Kind() == reflect.Bool:
		return setBool(v, s)
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, t.Bits())
		v.SetInt(n)
		return wrongNumber(s, err, t)
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, t.Bits())
		v.SetUint(n)
		return wrongNumber(s, err, t)
	default:
		f, err := strconv.ParseFloat(s, t.Bits())
		if err == nil && (f != f || f-f != 0) {
			err = strconv.ErrSyntax // JSON cannot say NaN or Inf, a variable shall not either
		}
		v.SetFloat(f)
		return wrongNumber(s, err, t)
	}
}

func setBool(v reflect.Value, s string) error {
	switch s {
	case "true", "1":
		v.SetBool(true)
	case "false", "0":
		v.SetBool(false)
	default:
		return causef(ErrValue, "%s: want true or false", show(s))
	}
	return nil
}

// wrongNumber says what a kind allows instead of strconv's words.
func wrongNumber(s string, err error, t reflect.Type) error {
	bits := t.Bits()
	switch {
	case err == nil:
		return nil
	case t.Kind() >= reflect.Float32 && errors.Is(err, strconv.ErrRange):
		return causef(ErrValue, "%s: out of range", shown(s))
	case t.Kind() >= reflect.Float32:
		return causef(ErrValue, "%s: want a number", show(s))
	case t.Kind() >= reflect.Uint && (errors.Is(err, strconv.ErrRange) || strings.HasPrefix(s, "-")):
		return causef(ErrValue, "%s: allowed are 0 to %d", shown(s), uint64(1)<<(bits-1)<<1-1)
	case errors.Is(err, strconv.ErrRange):
		return causef(ErrValue, "%s: allowed are %d to %d", shown(s), int64(-1)<<(bits-1), uint64(1)<<(bits-1)-1)
	}
	return causef(ErrValue, "%s: want a whole number", show(s))
}

// shown is a number for a message: no quotes, but no megabyte of digits either.
func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "..."
	}
	return s
}

// check holds a field's value against its tags min, max, oneof and format. Lists are checked item by item; a nil pointer is
// no value.
func (f *field) check(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return f.check(v.Elem())
	case isList(v.Type()):
		for i := range v.Len() {
			if err := f.check(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := f.checkOneOf(v); err != nil {
		return err
	}
	if err := f.checkFormat(v); err != nil {
		return err
	}
	return f.checkRange(v)
}

func (f *field) checkFormat(v reflect.Value) error {
	switch format := f.tag.Get("format"); {
	case format == "":
		return nil
	case format == "host" && v.Kind() == reflect.String:
		return checkHost(v.String())
	default:
		return causef(ErrStruct, "bad config struct: format %q of key %q", format, f.key)
	}
}

func (f *field) checkOneOf(v reflect.Value) error {
	list, ok := f.tag.Lookup("oneof")
	if !ok {
		return nil
	}
	s := format(v)
	for allowed := range strings.SplitSeq(list, ",") {
		if s == allowed {
			return nil
		}
	}
	return causef(ErrValue, "%s: allowed are %s", show(s), strings.ReplaceAll(list, ",", ", "))
}

func (f *field) checkRange(v reflect.Value) error {
	low, high := f.tag.Get("min"), f.tag.Get("max")
	below, err := compare(v, low)
	above, err2 := compare(v, high)
	if err = errors.Join(err, err2); err != nil {
		return causef(ErrStruct, "bad config struct: min %q, max %q of key %q: %v", low, high, f.key, err)
	}
	switch {
	case (low == "" || below >= 0) && (high == "" || above <= 0):
		return nil
	case high == "":
		return causef(ErrValue, "%s: allowed is %s or more", format(v), low)
	case low == "":
		return causef(ErrValue, "%s: allowed is %s or less", format(v), high)
	}
	return causef(ErrValue, "%s: allowed are %s to %s", format(v), low, high)
}

// compare orders v and a bound, which is written as a value of v's type would be.
func compare(v reflect.Value, bound string) (int, error) {
	if bound == "" {
		return 0, nil
	}
	b := reflect.New(v.Type()).Elem()
	if !numeric(v.Kind()) {
		return 0, fmt.Errorf("%v has no order", v.Type())
	}
	if err := setText(b, bound); err != nil {
		return 0, err
	}
	switch {
	case v.CanInt():
		return cmp.Compare(v.Int(), b.Int()), nil
	case v.CanUint():
		return cmp.Compare(v.Uint(), b.Uint()), nil
	}
	return cmp.Compare(v.Float(), b.Float()), nil
}

// format writes a value as a file would hold it.
func format(v reflect.Value) string { return fmt.Sprint(v.Interface()) }

// Check holds every field of the struct that v points to against its tags min, max, oneof and format. It is for the
// last layer, options, which assign without passing through this package; source names it in errors.
func Check(source string, v any) error {
	s, err := target(v)
	if err != nil {
		return err
	}
	var all problems
	checkStruct(&all, source, "", s)
	return all.err()
}

func checkStruct(all *problems, source, path string, v reflect.Value) {
	fs, err := fields(v.Type())
	if err != nil {
		all.add(&Error{Source: source, Path: path, Err: err})
		return
	}
	for _, f := range fs {
		fv, at := v.FieldByIndex(f.index), join(path, f.key)
		if fv.Kind() == reflect.Pointer && !fv.IsNil() {
			fv = fv.Elem()
		}
		switch {
		case isSection(fv.Type()):
			checkStruct(all, source, at, fv)
			continue
		case isList(fv.Type()) && isSection(fv.Type().Elem()):
			for i := range fv.Len() {
				checkStruct(all, source, fmt.Sprintf("%s[%d]", at, i), fv.Index(i))
			}
			continue
		}
		if err := f.check(fv); err != nil {
			all.add(&Error{Source: source, Path: at, Err: err})
		}
	}
}
