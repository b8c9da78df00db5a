package conf

import (
	"fmt"
	"reflect"
)

// Decode sets the fields of the struct that dst points to from the section's keys; fields whose key is absent keep
// their value. Every unknown key, wrong type and refused value is reported; the field of a refused value keeps what
// it had. Slices are replaced, never appended to or written into; a pointer gets a value of its own, so that defaults
// shared by several structs are safe. To check only the shape of a section, decode it onto a value to throw away.
func (s *Section) Decode(dst any) error {
	v, err := target(dst)
	if err != nil || s == nil {
		return err
	}
	d := decoder{section: s}
	d.object(v, s.node, s.path)
	return d.problems.err()
}

// decoder carries one Decode.
type decoder struct {
	section  *Section
	problems problems
}

func (d *decoder) report(path string, at pos, err error) {
	d.problems.add(d.section.error(path, at, err))
}

// object fills struct v from the members of n.
func (d *decoder) object(v reflect.Value, n *node, path string) {
	fs, err := fields(v.Type())
	if err != nil {
		d.report(path, n.pos, err)
		return
	}
	for _, m := range n.members {
		if d.problems.full() {
			d.problems.more++
			continue
		}
		f := fieldOf(fs, m.key)
		if f == nil {
			d.problems.add(d.section.unknown(path, m, keysOf(fs)))
			continue
		}
		d.field(v.FieldByIndex(f.index), f, m.value, join(path, m.key))
	}
}

func fieldOf(fs []field, key string) *field {
	for i := range fs {
		if fs[i].key == key {
			return &fs[i]
		}
	}
	return nil
}

// field reads n into a fresh value and assigns it only when it is wholly right. A nested struct is the exception:
// each of its own fields decides for itself.
func (d *decoder) field(v reflect.Value, f *field, n *node, path string) {
	if isSection(v.Type()) && n.kind == object {
		d.object(v, n, path)
		return
	}
	fresh := reflect.New(f.written(v.Type())).Elem()
	fresh.Set(v.Convert(fresh.Type()))
	if !d.value(fresh, n, path) {
		return
	}
	err := f.check(fresh)
	if err == nil {
		err = f.set(v, fresh)
	}
	if err != nil {
		d.report(path, n.pos, err)
	}
}

// value reads n into v and reports whether it could.
func (d *decoder) value(v reflect.Value, n *node, path string) bool {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer && !readsText(t):
		return d.pointer(v, n, path)
	case isSection(t) && n.kind == object:
		before := len(d.problems.errs)
		d.object(v, n, path)
		return len(d.problems.errs) == before
	case isList(t) && n.kind == array:
		return d.list(v, n, path)
	}
	if want, ok := takes(t, n.kind); !ok {
		d.report(path, n.pos, causef(ErrType, "want %s, found %v", want, n.kind))
		return false
	}
	v.SetZero() // a type's own method must not write into what the old value shares
	if err := setText(v, n.text); err != nil {
		d.report(path, n.pos, err)
		return false
	}
	return true
}

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && !readsText(t) }

// pointer gives v a value of its own that starts as a copy of the old one; null takes it away.
func (d *decoder) pointer(v reflect.Value, n *node, path string) bool {
	if n.kind == null {
		v.SetZero()
		return true
	}
	fresh := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		fresh.Elem().Set(v.Elem())
	}
	ok := d.value(fresh.Elem(), n, path)
	v.Set(fresh)
	return ok
}

func (d *decoder) list(v reflect.Value, n *node, path string) bool {
	fresh := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	ok := true
	for i, item := range n.items {
		ok = d.value(fresh.Index(i), item, fmt.Sprintf("%s[%d]", path, i)) && ok
	}
	v.Set(fresh)
	return ok
}

// takes reports whether a JSON value of kind k can be the text of a t, and what t wants.
func takes(t reflect.Type, k kind) (want string, ok bool) {
	isNumber := numeric(t.Kind())
	switch {
	case t == durationType:
		return `a duration such as "30s"`, k == text
	case readsText(t):
		return "a string", k == text || k == number && isNumber || k == boolean && t.Kind() == reflect.Bool
	case isNumber && t.Kind() >= reflect.Float32:
		return "a number", k == number
	case isNumber:
		return "a whole number", k == number
	case t.Kind() == reflect.Bool:
		return "true or false", k == boolean
	case t.Kind() == reflect.String:
		return "a string", k == text
	case isList(t):
		return "a list", false
	}
	return "an object", false
}
