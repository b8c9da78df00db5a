package conf

import (
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is one configurable field of a struct.
type field struct {
	key   string
	index []int
	tag   reflect.StructTag
}

// written is the type as which a value of the field is written: that of the field, or ByteSize for a plain integer with
// the tag unit:"bytes".
func (f *field) written(t reflect.Type) reflect.Type {
	if f.tag.Get("unit") == "bytes" && reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64 {
		return byteSizeType
	}
	return t
}

// set assigns a value of the written type, unless the field is too small for it.
func (f *field) set(v, value reflect.Value) error {
	if v.Type() != value.Type() && v.OverflowInt(value.Int()) {
		return causef(ErrValue, "%s: out of range", format(value))
	}
	v.Set(value.Convert(v.Type()))
	return nil
}

// fields lists the keys of struct type t, embedded structs inlined. A struct that conf cannot fill is an ErrStruct.
func fields(t reflect.Type) ([]field, error) {
	var all []field
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		if !f.IsExported() {
			return nil, causef(ErrStruct, "bad config struct: %v.%s has a json tag but is not exported", t, f.Name)
		}
		if inSection(t, f.Index) {
			continue
		}
		if throughPointer(t, f.Index) || seen[key] {
			return nil, causef(ErrStruct, "bad config struct: %v.%s: key %q is ambiguous or embedded by pointer", t, f.Name, key)
		}
		if !supported(f.Type) {
			return nil, causef(ErrStruct, "bad config struct: %v.%s: type %v is not supported", t, f.Name, f.Type)
		}
		seen[key] = true
		all = append(all, field{key, f.Index, f.Tag})
	}
	return all, nil
}

// inSection reports whether a promoted field belongs to an embedded struct that has a key, and so a section, of its own.
func inSection(t reflect.Type, index []int) bool {
	for n := 1; n < len(index); n++ {
		if key, _, _ := strings.Cut(t.FieldByIndex(index[:n]).Tag.Get("json"), ","); key != "" {
			return true
		}
	}
	return false
}

// throughPointer reports whether the way to a promoted field leads through an embedded pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for n := 1; n < len(index); n++ {
		if t.FieldByIndex(index[:n]).Type.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

var (
	byteSizeType        = reflect.TypeFor[ByteSize]()
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// readsText reports whether *t has UnmarshalText.
func readsText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshalerType) }

func supported(t reflect.Type) bool {
	switch {
	case readsText(t):
		return true
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		return t.Elem().Kind() != reflect.Pointer && supported(t.Elem())
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Bool, t.Kind() == reflect.String:
		return true
	}
	return numeric(t.Kind()) && t.Kind() != reflect.Uintptr
}

// isSection reports whether a value of type t is an object with keys of its own.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !readsText(t) }

func numeric(k reflect.Kind) bool { return reflect.Int <= k && k <= reflect.Float64 }

// target is the struct that dst points to, with all of its type found usable.
func target(dst any) (reflect.Value, error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return v, causef(ErrStruct, "bad config struct: want a pointer to a struct, found %T", dst)
	}
	_, err := keysBelow("", v.Elem().Type(), nil)
	return v.Elem(), err
}

func keysOf(fs []field) []string {
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = f.key
	}
	return keys
}

func splitPath(path string) iter.Seq[string] { return strings.SplitSeq(path, ".") }

// Keys lists every key of the struct that v points to, nested ones as "tls.cert", in the order of its fields; v may
// hold nil pointers. It is what a table of tests is held against.
func Keys(v any) ([]string, error) {
	s, err := target(v)
	if err != nil {
		return nil, err
	}
	return keysBelow("", s.Type(), nil)
}

// keysBelow refuses a struct that contains itself: it has no end of keys.
func keysBelow(path string, t reflect.Type, outer []reflect.Type) ([]string, error) {
	if slices.Contains(outer, t) {
		return nil, causef(ErrStruct, "bad config struct: %v contains itself", t)
	}
	fs, err := fields(t)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range fs {
		ft, at := t.FieldByIndex(f.index).Type, join(path, f.key)
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if !isSection(ft) {
			all = append(all, at)
			continue
		}
		below, err := keysBelow(at, ft, append(outer[:len(outer):len(outer)], t))
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}
