package graphql

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/internal/jsonscan"
)

// isBuiltin reports whether a scalar is one of the specification's five.
func isBuiltin(name string) bool {
	switch name {
	case "Int", "Float", "String", "Boolean", "ID":
		return true
	}
	return false
}

// leafLiteralProblem says why a literal is not of a scalar or enum, or "".
func leafLiteralProblem(t *typeDef, v *ast.Value) string {
	if t.kind == ast.Enum {
		switch {
		case v.Kind != ast.EnumValue:
			return fmt.Sprintf("Enum %q cannot represent non-enum value: %s.", t.name, v)
		case t.def.EnumValues.ForName(v.Raw) == nil:
			return fmt.Sprintf("Value %q does not exist in %q enum.%s", v.Raw, t.name, didYouMean(v.Raw, enumNames(t)))
		}
		return ""
	}
	if t.kind != ast.Scalar {
		return fmt.Sprintf("%s is not an input type.", t.name)
	}
	str := v.Kind == ast.StringValue || v.Kind == ast.BlockValue
	switch t.name {
	case "Int":
		if v.Kind != ast.IntValue {
			return "Int cannot represent non-integer value: " + v.String()
		}
		if _, err := strconv.ParseInt(v.Raw, 10, 32); err != nil {
			return "Int cannot represent non 32-bit signed integer value: " + v.Raw
		}
	case "Float":
		if v.Kind != ast.IntValue && v.Kind != ast.FloatValue {
			return "Float cannot represent non numeric value: " + v.String()
		}
		if _, err := strconv.ParseFloat(v.Raw, 64); err != nil {
			return "Float cannot represent a value beyond double precision: " + v.Raw
		}
	case "String":
		if !str {
			return "String cannot represent a non string value: " + v.String()
		}
	case "Boolean":
		if v.Kind != ast.BooleanValue {
			return "Boolean cannot represent a non boolean value: " + v.String()
		}
	case "ID":
		if !str && v.Kind != ast.IntValue {
			return "ID cannot represent a non-string and non-integer value: " + v.String()
		}
	}
	return ""
}

func enumNames(t *typeDef) (names []string) {
	for _, v := range t.def.EnumValues {
		names = append(names, v.Name)
	}
	return names
}

// leafLiteral is the value of a literal that has no problem: int64, float64, string, bool, or what the
// scalar or enum makes of it.
func leafLiteral(t *typeDef, v *ast.Value, vars variables) (any, error) {
	if t.kind == ast.Enum {
		return t.enumValue(v.Raw), nil
	}
	switch t.name {
	case "Int":
		n, err := strconv.ParseInt(v.Raw, 10, 32)
		return n, err
	case "Float":
		return strconv.ParseFloat(v.Raw, 64)
	case "String", "ID":
		return v.Raw, nil
	case "Boolean":
		return v.Raw == "true", nil
	}
	return t.parseScalar(plainLiteral(v, vars))
}

// enumValue is the Go value of a name that the enum has.
func (t *typeDef) enumValue(name string) any {
	if t.enum != nil {
		return t.enum.in[name]
	}
	return name
}

func (t *typeDef) parseScalar(v any) (out any, err error) {
	if t.scalar == nil || t.scalar.parse == nil {
		return v, nil
	}
	defer recovered(&err)
	return t.scalar.parse(v)
}

// recovered turns a panic of the user's code into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = newPanicError(r)
	}
}

// plainLiteral is a literal as custom scalars get it.
func plainLiteral(v *ast.Value, vars variables) any {
	switch v.Kind {
	case ast.Variable:
		return plainCopy(vars[v.Raw].plain)
	case ast.IntValue, ast.FloatValue:
		return plainNumber(json.Number(v.Raw))
	case ast.BooleanValue:
		return v.Raw == "true"
	case ast.NullValue:
		return nil
	case ast.ListValue:
		list := make([]any, len(v.Children))
		for i, c := range v.Children {
			list[i] = plainLiteral(c.Value, vars)
		}
		return list
	case ast.ObjectValue:
		m := make(map[string]any, len(v.Children))
		for _, c := range v.Children {
			if c.Value.Kind == ast.Variable {
				if _, ok := vars[c.Value.Raw]; !ok {
					continue
				}
			}
			m[c.Name] = plainLiteral(c.Value, vars)
		}
		return m
	}
	return v.Raw
}

// plainNumber is a number without a loss: int64, float64, or itself.
func plainNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if strings.ContainsAny(n.String(), ".eE") {
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return n
}

// leafJSON coerces a variable's value, which is not null.
func leafJSON(t *typeDef, v any) (any, error) {
	if t.kind == ast.Enum {
		name, ok := v.(string)
		switch {
		case !ok:
			return nil, coercionf("Enum %q cannot represent non-string value: %s.", t.name, showJSON(v))
		case t.def.EnumValues.ForName(name) == nil:
			return nil, coercionf("Value %q does not exist in %q enum.%s", name, t.name, didYouMean(name, enumNames(t)))
		}
		return t.enumValue(name), nil
	}
	switch t.name {
	case "Int":
		return intJSON(v)
	case "Float":
		if n, ok := v.(json.Number); ok {
			if f, err := n.Float64(); err == nil {
				return f, nil
			}
		}
		return nil, coercionf("Float cannot represent non numeric value: %s", showJSON(v))
	case "String":
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, coercionf("String cannot represent a non string value: %s", showJSON(v))
	case "Boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, coercionf("Boolean cannot represent a non boolean value: %s", showJSON(v))
	case "ID":
		return idJSON(v)
	}
	return t.parseScalar(plainCopy(v))
}

func intJSON(v any) (any, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, coercionf("Int cannot represent non-integer value: %s", showJSON(v))
	}
	f, err := n.Float64()
	switch {
	case err != nil || f != math.Trunc(f):
		return nil, coercionf("Int cannot represent non-integer value: %s", n)
	case f < math.MinInt32 || f > math.MaxInt32:
		return nil, coercionf("Int cannot represent non 32-bit signed integer value: %s", n)
	}
	return int64(f), nil
}

func idJSON(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String(), nil
		}
	}
	return nil, coercionf("ID cannot represent value: %s", showJSON(v))
}

// showJSON is a value in an error's text, cut where it is long. Its cost is bounded too: a value of a
// megabyte may be shown a hundred times.
func showJSON(v any) string {
	const most = 200
	b := appendShown(nil, v, most)
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

// appendShown appends v as JSON until there is more than is shown.
func appendShown(b []byte, v any, most int) []byte {
	switch v := v.(type) {
	case string:
		return jsonscan.AppendString(b, v[:min(len(v), most)])
	case []any:
		b = append(b, '[')
		for i := 0; i < len(v) && len(b) <= most; i++ {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendShown(b, v[i], most)
		}
		return append(b, ']')
	case map[string]any:
		if len(v) > most {
			return append(b, "{...}"...)
		}
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if len(b) > most {
				break
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsonscan.AppendString(b, name[:min(len(name), most)]), ':')
			b = appendShown(b, v[name], most)
		}
		return append(b, '}')
	case nil:
		return append(b, "null"...)
	}
	return fmt.Append(b, v)
}

// didYouMean names the closest of some names, if one is close.
func didYouMean(name string, names []string) string {
	best, least := "", 1+len(name)/3
	for _, n := range names {
		if d := distance(name, n, least); d <= least && (best == "" || d < least) {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// distance counts the edits between two names, regardless of case; beyond most it stops counting.
func distance(a, b string, most int) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if d := len(a) - len(b); d > most || -d > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// coercionError is what a client is told of a value that is not of its type.
type coercionError string

func (e coercionError) Error() string { return string(e) }

func coercionf(format string, args ...any) error { return coercionError(fmt.Sprintf(format, args...)) }
