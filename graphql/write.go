package graphql

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// The second pass. It goes depth first and writes in the order of the response; what the first pass has
// fetched lies ready in frames. Every function here that returns false has left a null that must go up:
// the error is noted, and the first caller whose type is nullable cuts the buffer back to where its
// value began. So each null that has gone up has one error, and what stood beside it is never looked at.

// pathStep is a key, or an index where key is empty.
type pathStep struct {
	key   string
	index int
}

// cursor goes through the objects that the first pass has found below a field, in the same order.
type cursor struct {
	nodes []node
	next  int32
}

// object writes what is selected of one object. fr is nil where nothing was fetched.
func (r *run) object(sel *selection, v reflect.Value, fr *frame, k int32) bool {
	if len(r.buf) > r.most {
		return r.tooLarge()
	}
	if sel.err != nil {
		r.fail(nil, sel.err)
		return false
	}
	if sel.split != nil {
		return r.divided(sel, v, fr, k)
	}
	r.buf = append(r.buf, '{')
	for i, f := range sel.fields {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		r.buf = append(r.buf, f.key...)
		if f.typ {
			r.buf = append(append(append(r.buf, '"'), sel.typ.name...), '"')
			continue
		}
		r.path = append(r.path, pathStep{key: f.alias})
		ok := r.field(f, v, fr, k)
		r.path = r.path[:len(r.path)-1]
		if !ok {
			return false
		}
	}
	r.buf = append(r.buf, '}')
	return true
}

func (r *run) tooLarge() bool {
	if r.fatal == nil {
		r.fatal = limitError("bytes of a response", r.s.limits.ResponseBytes)
	}
	return false
}

// field writes the value of one field.
func (r *run) field(f *planField, parent reflect.Value, fr *frame, k int32) bool {
	if f.slot >= 0 {
		return r.fetched(f, &fr.slots[f.slot], k)
	}
	c := f.def.comp
	if f.def.r == nil {
		v := f.def.read(parent)
		if c.bare && v.IsValid() {
			return r.leaf(f, c, v)
		}
		return r.complete(f, c, v, nil)
	}
	if f.def.r.direct != nil && c.bare {
		if done, ok := r.direct(f, parent); done {
			return ok
		}
	}
	v, err := r.get(f, parent)
	if err != nil {
		return r.failed(f, c, err)
	}
	return r.complete(f, c, v, nil)
}

// fetched writes what the first pass has fetched.
func (r *run) fetched(f *planField, s *slot, k int32) bool {
	c := f.def.comp
	if err := s.err(k); err != nil {
		if err == errSkipped { //nolint:errorlint // a mark, never wrapped
			r.buf = append(r.buf, "null"...)
			return true
		}
		return r.failed(f, c, err)
	}
	if !f.deep {
		return r.complete(f, c, s.vals[k], nil)
	}
	if s.base[k] < 0 { // not looked into, because a null goes up from beside it
		r.buf = append(r.buf, "null"...)
		return true
	}
	return r.complete(f, c, s.vals[k], &cursor{s.nodes, s.base[k]})
}

// get calls a pure function.
func (r *run) get(f *planField, parent reflect.Value) (v reflect.Value, err error) {
	defer recovered(&err)
	args, err := r.argsOf(f)
	if err != nil {
		return v, err
	}
	return f.def.r.get(parent, args), nil
}

// direct writes the result of a pure function of a plain type without a value on the heap.
func (r *run) direct(f *planField, parent reflect.Value) (done, ok bool) {
	var err error
	name := f.def.typ.named.name
	switch get := f.def.r.direct.(type) {
	case func(reflect.Value) string:
		if f.def.typ.named.kind != ast.Scalar || name != "String" && name != "ID" {
			return false, false
		}
		var s string
		if s, err = calling(get, parent); err == nil {
			r.buf = jsonscan.AppendString(r.buf, s)
		}
	case func(reflect.Value) int64:
		if name != "Int" {
			return false, false
		}
		var n int64
		if n, err = calling(get, parent); err == nil {
			r.buf, err = appendInt32(r.buf, n)
		}
	case func(reflect.Value) bool:
		if name != "Boolean" {
			return false, false
		}
		var b bool
		if b, err = calling(get, parent); err == nil {
			r.buf = strconv.AppendBool(r.buf, b)
		}
	case func(reflect.Value) float64:
		if name != "Float" {
			return false, false
		}
		var x float64
		if x, err = calling(get, parent); err == nil {
			r.buf, err = appendFloat(r.buf, x)
		}
	}
	if err != nil {
		return true, r.failed(f, f.def.comp, err)
	}
	return true, true
}

// calling calls a user's function and makes an error of its panic.
func calling[R any](get func(reflect.Value) R, parent reflect.Value) (v R, err error) {
	defer recovered(&err)
	return get(parent), nil
}

// failed notes an error, and writes null where it may stand.
func (r *run) failed(f *planField, c *completer, err error) bool {
	r.fail(f, err)
	return r.null(c)
}

func (r *run) null(c *completer) bool {
	if c.nonNull {
		return false
	}
	r.buf = append(r.buf, "null"...)
	return true
}

// isNull writes the null of a value that is nil.
func (r *run) isNull(f *planField, c *completer) bool {
	if c.nonNull {
		r.fail(f, &Error{Message: fmt.Sprintf("Cannot return null for non-nullable field %s.%s.", f.def.parent.name, f.def.name)})
		return false
	}
	r.buf = append(r.buf, "null"...)
	return true
}

// complete is CompleteValue (specification 6.4.3).
func (r *run) complete(f *planField, c *completer, v reflect.Value, cur *cursor) bool {
	switch c.kind {
	case compLeaf:
		return r.completeLeaf(f, c, v)
	case compDynamic:
		return r.completeDynamic(f, c, v, cur)
	}
	v, ok := indirect(v)
	if !ok || c.kind == compList && v.Kind() == reflect.Slice && v.IsNil() && !c.nonNull || v.Kind() == reflect.Map && v.IsNil() {
		return r.isNull(f, c)
	}
	start := len(r.buf)
	if c.kind == compList {
		ok = r.list(f, c, v, cur)
	} else {
		ok = r.completeObject(f, c, v, cur)
	}
	if ok || c.nonNull || r.fatal != nil {
		return ok
	}
	r.buf = append(r.buf[:start], "null"...)
	if r.later != nil {
		r.later.cut(start)
	}
	return true
}

func (r *run) completeLeaf(f *planField, c *completer, v reflect.Value) bool {
	if !v.IsValid() {
		return r.isNull(f, c)
	}
	if c.bare {
		return r.leaf(f, c, v)
	}
	for v.Type() != c.goType {
		if k := v.Kind(); k != reflect.Pointer && k != reflect.Interface || v.IsNil() {
			return r.isNull(f, c)
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return r.isNull(f, c)
		}
	}
	return r.leaf(f, c, v)
}

func (r *run) leaf(f *planField, c *completer, v reflect.Value) bool {
	start := len(r.buf)
	b, err := c.leaf(r.buf, v)
	if err != nil {
		r.buf = r.buf[:start]
		return r.failed(f, c, err)
	}
	r.buf = b
	return true
}

// completeDynamic looks at what an interface holds.
func (r *run) completeDynamic(f *planField, c *completer, v reflect.Value, cur *cursor) bool {
	v, ok := unwrap(v)
	if !ok {
		return r.isNull(f, c)
	}
	dc := r.s.dynamicCompleter(c.ref, v.Type())
	if dc == nil {
		return r.failed(f, c, mismatch(c, v))
	}
	return r.complete(f, dc, v, cur)
}

// unwrap takes a value out of its interfaces; ok is false for nil, a nil pointer too.
func unwrap(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Interface {
		if v.IsNil() {
			return v, false
		}
		v = v.Elem()
	}
	return v, v.IsValid() && (v.Kind() != reflect.Pointer || !v.IsNil())
}

func mismatch(c *completer, v reflect.Value) error {
	if c.ref.elem != nil {
		return &Error{Message: fmt.Sprintf("Expected a list for %s.", c.ref), err: fmt.Errorf("a list is needed, not %s", v.Type())}
	}
	if c.typ.isLeaf() {
		return &Error{Message: fmt.Sprintf("%s cannot represent the value.", c.typ.name), err: fmt.Errorf("%s cannot be made of %s", c.typ.name, v.Type())}
	}
	return fmt.Errorf("%s cannot be made of %s", c.typ.name, v.Type())
}

func (r *run) list(f *planField, c *completer, v reflect.Value, cur *cursor) bool {
	if k := v.Kind(); k != reflect.Slice && k != reflect.Array {
		r.fail(f, mismatch(c, v))
		return false
	}
	n, at := v.Len(), len(r.buf)
	streams := f.stream != nil && r.path[len(r.path)-1].key != "" // the field's own list, not one within it
	if streams {
		var ok bool
		if n, ok = r.streamFrom(f, c, v); !ok {
			return false
		}
	}
	r.buf = append(r.buf, '[')
	r.path = append(r.path, pathStep{})
	step := len(r.path) - 1
	for i := range n {
		if i > 0 {
			r.buf = append(r.buf, ',')
		}
		if len(r.buf) > r.most {
			return r.tooLarge()
		}
		r.path[step].index = i
		if !r.complete(f, c.elem, v.Index(i), cur) {
			r.path = r.path[:step]
			r.pass(c.elem, v, i+1, n, cur)
			return false
		}
	}
	r.path = r.path[:step]
	r.buf = append(r.buf, ']')
	if n < v.Len() {
		r.stream(f, c, v, n, at)
	}
	return true
}

// pass moves the cursor over the objects of elements that are not written any more.
func (r *run) pass(elem *completer, list reflect.Value, from, to int, cur *cursor) {
	if cur == nil {
		return
	}
	for i := from; i < to; i++ {
		r.s.objects(elem, list.Index(i), noLimit, func(reflect.Value) { cur.next++ })
	}
}

// completeObject writes an object or a member of an abstract type.
func (r *run) completeObject(f *planField, c *completer, v reflect.Value, cur *cursor) bool {
	if cur != nil {
		n := &cur.nodes[cur.next]
		cur.next++
		if n.err != nil {
			r.fail(f, n.err)
			return false
		}
		return r.object(n.fr.sel, n.fr.inst[n.k].v, n.fr, n.k)
	}
	v = canonical(v)
	i, err := r.s.typeIndex(f, c, v)
	if err != nil {
		r.fail(f, err)
		return false
	}
	return r.object(f.sub(i), v, nil, 0)
}

// objects calls found for each object in a value, in the order in which they are written. Of a list it looks
// at the first elements alone, up to most.
func (s *Schema) objects(c *completer, v reflect.Value, most int, found func(reflect.Value)) {
	if c.kind == compDynamic {
		var ok bool
		if v, ok = unwrap(v); !ok {
			return
		}
		if c = s.dynamicCompleter(c.ref, v.Type()); c == nil {
			return
		}
	}
	v, ok := indirect(v)
	switch {
	case !ok || v.Kind() == reflect.Map && v.IsNil():
	case c.kind == compList:
		if k := v.Kind(); k != reflect.Slice && k != reflect.Array {
			return
		}
		for i := range min(v.Len(), most) {
			s.objects(c.elem, v.Index(i), noLimit, found)
		}
	case c.kind == compObject || c.kind == compAbstract:
		found(v)
	}
}

// failure is the error of an element that has failed alone.
func failure(v reflect.Value) (error, bool) {
	if v.Type() != reflect.TypeFor[failedValue]() {
		return nil, false
	}
	f, _ := v.Interface().(failedValue)
	return f.err, true
}

// typeIndex says which of the possible types of a field an instance is (specification 6.4.3.1).
func (s *Schema) typeIndex(f *planField, c *completer, v reflect.Value) (int, error) {
	t := c.typ
	if failed, ok := failure(v); ok {
		return 0, failed
	}
	if t.kind == ast.Object {
		if !t.dynamic && v.Type() != t.goType {
			return 0, mismatch(c, v)
		}
		return 0, nil
	}
	if t.typeOf == nil {
		if i, ok := t.byGo[v.Type()]; ok {
			return i, nil
		}
		return 0, fmt.Errorf("abstract type %q must resolve to an object type at runtime for field %s.%s: %s is bound to none of its members", t.name, f.def.parent.name, f.def.name, v.Type())
	}
	name, err := calling(t.typeOf, v)
	if err != nil {
		return 0, err
	}
	member := s.types[name]
	switch {
	case name == "":
		return 0, &Error{Message: fmt.Sprintf("Abstract type %q must resolve to an Object type at runtime for field \"%s.%s\".", t.name, f.def.parent.name, f.def.name)}
	case member == nil:
		return 0, &Error{Message: fmt.Sprintf("Abstract type %q was resolved to a type %q that does not exist inside the schema.", t.name, name)}
	case member.kind != ast.Object:
		return 0, &Error{Message: fmt.Sprintf("Abstract type %q was resolved to a non-object type %q.", t.name, name)}
	}
	i, ok := t.index[member]
	if !ok {
		return 0, &Error{Message: fmt.Sprintf("Runtime Object type %q is not a possible type for %q.", name, t.name)}
	}
	return i, nil
}
