package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// The data of a generated schema. Each object has a number; the value of a field follows from its
// parent's number, its name and its arguments alone. graphql/data.mjs computes the same.

// object is an object of any type.
type object struct {
	typ string
	id  uint32
}

// rates say of a hundred values how many are what.
type rates struct {
	Null     uint32 `json:"null"`     // null where it may stand
	Wrong    uint32 `json:"wrong"`    // null where it may not
	Error    uint32 `json:"error"`    // fields that fail
	Mismatch uint32 `json:"mismatch"` // values that are not of their type
}

var (
	errInjected = errors.New("injected")
	errMismatch = errors.New("the value is not of the Go type")
)

// mix makes numbers that differ in one bit differ in half of them (MurmurHash3's finalizer).
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// hash is FNV-1a.
func hash(s string) uint32 {
	h := uint32(0x811c9dc5)
	for _, c := range []byte(s) {
		h = (h ^ uint32(c)) * 0x01000193
	}
	return mix(h)
}

// pick is a number below n; salt tells the questions that are asked of one h apart.
func pick(h, salt, n uint32) uint32 { return mix(h^salt*0x9e3779b1) % n }

// parentID is the number of a resolver's parent.
func parentID(parent any) uint32 {
	if o, ok := parent.(*object); ok {
		return o.id
	}
	return 1
}

// data computes values of one schema.
type data struct {
	rates rates
	types map[string]*typeInfo
}

// field is the value of a field, or its error.
func (d *data) field(parent any, f *fieldInfo, args map[string]any) (any, error) {
	given := canonical(nil, args)
	h := hash(strconv.FormatUint(uint64(parentID(parent)), 10) + "." + f.Name + string(given))
	if pick(h, 1, 100) < d.rates.Error {
		return nil, errInjected
	}
	return d.value(h, f.ref, given), nil
}

func (d *data) value(h uint32, t *ref, given []byte) any {
	rate := d.rates.Null
	if t.nonNull {
		rate = d.rates.Wrong
	}
	switch {
	case pick(h, 2, 100) < rate:
		return nil
	case t.elem == nil:
		return d.named(h, d.types[t.name], given)
	case pick(h, 3, 300) < d.rates.Mismatch:
		return 7 // no list
	}
	list := make([]any, pick(h, 4, 4))
	for i := range list {
		list[i] = d.value(mix(h+uint32(i)+1), t.elem, given)
	}
	return list
}

func (d *data) named(h uint32, t *typeInfo, given []byte) any {
	bad := pick(h, 5, 100) < d.rates.Mismatch
	switch {
	case t.Kind == "OBJECT":
		return &object{t.Name, h}
	case t.Kind == "INTERFACE" || t.Kind == "UNION":
		if bad {
			return &object{[]string{"", "Nowhere", "Query", t.Name}[pick(h, 6, 4)], h}
		}
		return &object{t.Possible[pick(h, 6, uint32(len(t.Possible)))], h}
	case t.Kind == "ENUM":
		if bad {
			return enumValue("NO_SUCH_VALUE")
		}
		return enumValue(t.Values[pick(h, 6, uint32(len(t.Values)))])
	}
	return scalar(h, t.Name, bad, given)
}

func scalar(h uint32, name string, bad bool, given []byte) any {
	switch name {
	case "Int":
		if bad {
			return []any{int64(3000000000), 1.5, int64(-2147483649)}[pick(h, 6, 3)]
		}
		return []any{int(pick(h, 7, 1000)), 2147483647, -2147483648, float64(pick(h, 7, 50)), true, 0}[pick(h, 6, 6)]
	case "Float":
		if bad {
			return "no number"
		}
		return []any{float64(pick(h, 7, 1000)) / 8, 1e21, 1.5e-7, -0.25, 12, int64(123456789012)}[pick(h, 6, 6)]
	case "String":
		if bad {
			return []any{"list"}
		}
		return []any{string(given), "ä\u2028\"\\\n\x01<&>😀", true, 12}[pick(h, 6, 4)]
	case "Boolean":
		if bad {
			return "true"
		}
		return []any{true, false, 1, 0}[pick(h, 6, 4)]
	case "ID":
		if bad {
			return 1.5
		}
		return []any{strconv.FormatUint(uint64(h), 10), int(pick(h, 7, 1000)), string(given)}[pick(h, 6, 3)]
	}
	return []any{
		map[string]any{"a": []any{1, "x", nil}, "h": int(pick(h, 7, 1000))}, []any{}, "text", false, 1.25, string(given),
	}[pick(h, 6, 6)]
}

// enumValue is the Go value of an enum's values, which is not their name.
type enumValue string

// canonical writes arguments in one form: keys sorted, numbers as ECMAScript writes them.
func canonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case enumValue:
		return append(append(b, "enum "...), v...)
	case string:
		return quote(b, v)
	case map[string]any:
		return canonicalObject(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = canonical(b, e)
		}
		return append(b, ']')
	case float64:
		if v == 0 { // negative zero too
			return append(b, '0')
		}
	case json.Number: // too large for an int64
		f, _ := v.Float64()
		return canonical(b, f)
	}
	text, _ := json.Marshal(v) // of a number or a bool
	return append(b, text...)
}

func canonicalObject(b []byte, m map[string]any) []byte {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = canonical(append(quote(b, k), ':'), m[k])
	}
	return append(b, '}')
}

func quote(b []byte, s string) []byte {
	b = append(b, '"')
	b = append(b, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)...)
	return append(b, '"')
}
