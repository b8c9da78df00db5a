package graphql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// variable is a coerced variable (specification 6.1.2). One that was not given is not in the map.
type variable struct {
	value any // as coerced; nil is null
	plain any // as it came, for what custom scalars get of it
}

type variables map[string]variable

// coerceVariables reads the JSON of a request's variables against their definitions.
func (s *Schema) coerceVariables(op *operation, raw json.RawMessage, files map[string]*Upload) (variables, []*Error) {
	given, err := decodeVariables(raw)
	if err == nil && len(files) > 0 {
		err = placeFiles(given, files)
	}
	if err != nil {
		return nil, []*Error{err}
	}
	if len(op.vars) == 0 {
		return nil, nil
	}
	vars := make(variables, len(op.vars))
	c := &coercer{limit: s.limits.Errors}
	for _, d := range op.vars {
		s.coerceVariable(c, vars, d, given)
	}
	return vars, c.errs
}

func decodeVariables(raw json.RawMessage) (map[string]any, *Error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		return nil, nil
	}
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		return nil, &Error{Message: "Variables must be a JSON object: " + err.Error()}
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, &Error{Message: "Variables must be one JSON object."}
	}
	return m, nil
}

// varDef is a variable of an operation.
type varDef struct {
	name string
	typ  *typeRef
	dflt *ast.Value
	pos  *ast.Position
}

func (s *Schema) coerceVariable(c *coercer, vars variables, d *varDef, given map[string]any) {
	v, ok := given[d.name]
	switch {
	case !ok && d.dflt != nil:
		value, err := s.literal(d.typ, d.dflt, nil)
		if err != nil {
			c.errs = append(c.errs, errorAt(fmt.Sprintf("Variable \"$%s\" has an invalid default value: %s", d.name, err), d.pos))
			return
		}
		vars[d.name] = variable{value, plainLiteral(d.dflt, nil)}
	case !ok && d.typ.nonNull:
		c.errs = append(c.errs, errorAt(fmt.Sprintf("Variable \"$%s\" of required type %q was not provided.", d.name, d.typ), d.pos))
	case !ok:
	case v == nil && d.typ.nonNull:
		c.errs = append(c.errs, errorAt(fmt.Sprintf("Variable \"$%s\" of non-null type %q must not be null.", d.name, d.typ), d.pos))
	default:
		c.def, c.path = d, c.path[:0]
		vars[d.name] = variable{c.json(d.typ, v), v}
	}
}

// plainCopy copies v with numbers as custom scalars get them.
func plainCopy(v any) any {
	switch v := v.(type) {
	case json.Number:
		return plainNumber(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainCopy(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = plainCopy(v[k])
		}
		return m
	}
	return v
}

// coercer collects what is wrong with the values of variables.
type coercer struct {
	def   *varDef
	path  []any
	errs  []*Error
	limit int
}

func (c *coercer) fail(v any, format string, args ...any) {
	if len(c.errs) >= c.limit {
		return
	}
	at := ""
	if len(c.path) > 0 {
		at = fmt.Sprintf(" at %q", c.where())
	}
	text := fmt.Sprintf("Variable \"$%s\" got invalid value %s%s; ", c.def.name, showJSON(v), at) + fmt.Sprintf(format, args...)
	c.errs = append(c.errs, errorAt(text, c.def.pos))
}

// where is the place in the variable, such as input.tags[1].
func (c *coercer) where() string {
	b := []byte(c.def.name)
	for _, p := range c.path {
		switch p := p.(type) {
		case string:
			b = append(append(b, '.'), p...)
		case int:
			b = append(strconv.AppendInt(append(b, '['), int64(p), 10), ']')
		}
	}
	return string(b)
}

// json coerces a value that was decoded from JSON with numbers as they stood.
func (c *coercer) json(t *typeRef, v any) any {
	switch {
	case v == nil:
		if t.nonNull {
			c.fail(v, "Expected non-nullable type %q not to be null.", t)
		}
		return nil
	case t.elem != nil:
		return c.list(t, v)
	case t.named.kind == ast.InputObject:
		return c.object(t.named, v)
	}
	value, err := leafJSON(t.named, v)
	if err != nil {
		if isBuiltin(t.named.name) || t.named.kind == ast.Enum {
			c.fail(v, "%s", err)
		} else {
			c.fail(v, "Expected type %q. %s", t.named.name, err)
		}
	}
	return value
}

// notAList is said of an item: only a whole value becomes a list by itself (specification 3.11).
const notAList = "Expected type %q to be a list: in a list of lists, every item is one."

func (c *coercer) list(t *typeRef, v any) any {
	list, ok := v.([]any)
	if !ok {
		return []any{c.json(t.elem, v)}
	}
	out := make([]any, len(list))
	for i := range list {
		c.path = append(c.path, i)
		if _, ok := list[i].([]any); !ok && list[i] != nil && t.elem.elem != nil {
			c.fail(list[i], notAList, t.elem)
		} else {
			out[i] = c.json(t.elem, list[i])
		}
		c.path = c.path[:len(c.path)-1]
	}
	return out
}

func (c *coercer) object(t *typeDef, v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		c.fail(v, "Expected type %q to be an object.", t.name)
		return nil
	}
	out := make(map[string]any, len(m))
	for _, in := range t.inputs {
		field, ok := m[in.name]
		switch {
		case ok:
			c.path = append(c.path, in.name)
			out[in.name] = c.json(in.typ, field)
			c.path = c.path[:len(c.path)-1]
		case in.dflt != nil:
			out[in.name] = in.value
		case in.typ.nonNull:
			c.fail(v, "Field %q of required type %q was not provided.", in.name, in.typ)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(c.errs) < c.limit && t.input(name) == nil {
			c.fail(v, "Field %q is not defined by type %q.%s", name, t.name, didYouMean(name, inputNames(t)))
		}
	}
	if t.oneOf {
		c.oneOf(t, m)
	}
	return out
}

func (c *coercer) oneOf(t *typeDef, m map[string]any) {
	if len(m) != 1 {
		c.fail(m, "Exactly one key must be specified for OneOf type %q.", t.name)
		return
	}
	for name, v := range m {
		if v == nil {
			c.path = append(c.path, name)
			c.fail(v, "Field %q must be non-null.", name)
			c.path = c.path[:len(c.path)-1]
		}
	}
}

func inputNames(t *typeDef) (names []string) {
	for _, in := range t.inputs {
		names = append(names, in.name)
	}
	return names
}

// absent is what a literal without a value coerces to: a variable that was not given.
type absent struct{}

// literal coerces a literal with its variables (specification 6.4.1); the document is valid, so what
// can go wrong is a custom scalar, and a variable that is null or absent where neither may stand.
func (s *Schema) literal(t *typeRef, v *ast.Value, vars variables) (any, error) {
	x, err := s.literalValue(t, v, vars)
	return x, literalAt(err, v)
}

// literalError is what is wrong with a literal, and the innermost one that it is wrong with.
type literalError struct {
	error
	pos *ast.Position
}

func (e *literalError) Unwrap() error { return e.error }

// literalAt says where err is, unless something inside of v has said it.
func literalAt(err error, v *ast.Value) error {
	if _, known := err.(*literalError); known || err == nil { //nolint:errorlint // ours, never wrapped
		return err
	}
	return &literalError{err, v.Position}
}

func (s *Schema) literalValue(t *typeRef, v *ast.Value, vars variables) (any, error) {
	switch {
	case v.Kind == ast.Variable:
		x, ok := vars[v.Raw]
		switch {
		case !ok:
			return absent{}, nil
		case x.value == nil && t.nonNull:
			return nil, coercionf("Expected variable \"$%s\" provided to type %q not to be null.", v.Raw, t)
		}
		return listOf(t, x.value), nil
	case v.Kind == ast.NullValue:
		if t.nonNull {
			return nil, coercionf("Expected value of non-null type %q not to be null.", t)
		}
		return nil, nil
	case t.elem != nil:
		return s.literalList(t, v, vars)
	case t.named.kind == ast.InputObject:
		return s.literalObject(t.named, v, vars)
	}
	if text := leafLiteralProblem(t.named, v); text != "" {
		return nil, coercionf("%s", text)
	}
	return leafLiteral(t.named, v, vars)
}

// listOf wraps the value of a variable that is used where a list of its type is expected.
func listOf(t *typeRef, v any) any {
	if v == nil || t.elem == nil {
		return v
	}
	if _, ok := v.([]any); ok {
		return v
	}
	return []any{listOf(t.elem, v)}
}

func (s *Schema) literalList(t *typeRef, v *ast.Value, vars variables) (any, error) {
	if v.Kind != ast.ListValue {
		x, err := s.literal(t.elem, v, vars)
		return []any{x}, err
	}
	out := make([]any, len(v.Children))
	for i, c := range v.Children {
		x, err := s.literal(t.elem, c.Value, vars)
		if err != nil {
			return nil, err
		}
		if x == any(absent{}) {
			if t.elem.nonNull {
				return nil, literalAt(coercionf("Expected variable \"$%s\" provided to type %q to have a value.", c.Value.Raw, t.elem), c.Value)
			}
			x = nil
		}
		out[i] = x
	}
	return out, nil
}

func (s *Schema) literalObject(t *typeDef, v *ast.Value, vars variables) (any, error) {
	if v.Kind != ast.ObjectValue {
		return nil, coercionf("Expected value of type %q to be an object.", t.name)
	}
	out := make(map[string]any, len(v.Children))
	for _, in := range t.inputs {
		var x any = absent{}
		if c := v.Children.ForName(in.name); c != nil {
			var err error
			if x, err = s.literal(in.typ, c, vars); err != nil {
				return nil, err
			}
		}
		switch {
		case x != any(absent{}):
			out[in.name] = x
		case in.dflt != nil:
			out[in.name] = s.defaultOf(in)
		case in.typ.nonNull:
			return nil, coercionf("Field %q of required type %q was not provided.", in.name, in.typ)
		}
	}
	if t.oneOf {
		return out, oneOfProblem(t, out)
	}
	return out, nil
}

func oneOfProblem(t *typeDef, m map[string]any) error {
	if len(m) != 1 {
		return coercionf("Exactly one key must be specified for OneOf type %q.", t.name)
	}
	for name, v := range m {
		if v == nil {
			return coercionf("Field %q of OneOf type %q must be non-null.", name, t.name)
		}
	}
	return nil
}

// defaultOf is the coerced default of in. NewSchema has asked for all of them, so that later it only reads.
func (s *Schema) defaultOf(in *inputDef) any {
	if !in.ready {
		in.ready = true
		in.value, in.err = s.literal(in.typ, in.dflt, nil)
	}
	return in.value
}
