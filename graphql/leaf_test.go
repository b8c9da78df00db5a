package graphql_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/graphql"
)

// What Go values become, by the type of the SDL; "" is an error.
func TestLeaves(t *testing.T) {
	t.Parallel()
	type name string
	type num int16
	s := "p"
	for _, c := range []struct {
		typ  string
		v    any
		want string
	}{
		{"Int", num(7), "7"},
		{"Int", uint8(7), "7"},
		{"Int", uint64(math.MaxInt32), "2147483647"},
		{"Int", uint64(1 << 31), ""},
		{"Int", int64(math.MinInt32), "-2147483648"},
		{"Int", int64(math.MinInt32 - 1), ""},
		{"Int", 2.0, "2"},
		{"Int", true, "1"},
		{"Int", "2", ""},
		{"Float", 1.5, "1.5"},
		{"Float", float32(0.25), "0.25"},
		{"Float", 3, "3"},
		{"Float", uint(3), "3"},
		{"Float", 1e21, "1e+21"},
		{"Float", 1e-7, "1e-7"},
		{"Float", math.Copysign(0, -1), "0"},
		{"Float", math.NaN(), ""},
		{"Float", math.Inf(1), ""},
		{"Float", 123456789.0, "123456789"},
		{"Float", false, "0"},
		{"String", name("n"), `"n"`},
		{"String", &s, `"p"`},
		{"String", netip.MustParseAddr("::1"), `"::1"`},
		{"String", true, `"true"`},
		{"String", 5, `"5"`},
		{"String", []int{1}, ""},
		{"ID", "x", `"x"`},
		{"ID", int8(-4), `"-4"`},
		{"ID", uint(4), `"4"`},
		{"ID", 1.5, ""},
		{"ID", netip.MustParseAddr("10.0.0.1"), `"10.0.0.1"`},
		{"Boolean", true, "true"},
		{"Boolean", 0, "false"},
		{"Boolean", "x", ""},
		{"Color", "RED", `"RED"`},
		{"Color", name("RED"), `"RED"`},
		{"Color", "red", ""},
		{"Color", 1, ""},
		{"Any", m{"b": 1, "a": []any{nil, "<"}}, `{"a":[null,"\u003c"],"b":1}`},
		{"Any", json.RawMessage(`{"x":1}`), `{"x":1}`},
		{"Any", time.Unix(0, 0).UTC(), `"1970-01-01T00:00:00Z"`},
		{"Any", make(chan int), ""},
		{"Any", (*int)(nil), "null"},
		{"Any", map[string]int(nil), "null"},
	} {
		got := ask(t, schema(t, graphql.SDL(`scalar Any enum Color { RED } type Query { v: `+c.typ+` }`), value("Query.v", c.v)), `{ v }`)
		if want := `{"data":{"v":` + c.want + `}}`; c.want != "" && got != want || c.want == "" && !strings.HasPrefix(got, `{"data":{"v":null},"errors":[`) {
			t.Errorf("%s of %T %v: %s", c.typ, c.v, c.v, got)
		}
	}
}

func TestOpt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opt          graphql.Opt[int]
		value        int
		ok, null, no bool
		text         string
	}{
		{graphql.Opt[int]{}, 9, false, false, true, "null"}, {graphql.Null[int](), 9, false, true, false, "null"}, {graphql.Some(3), 3, true, false, false, "3"},
	} {
		_, ok := c.opt.Get()
		text, err := json.Marshal(c.opt)
		if c.opt.Or(9) != c.value || ok != c.ok || c.opt.IsNull() != c.null || c.opt.IsAbsent() != c.no || string(text) != c.text || err != nil {
			t.Errorf("%+v: %s %v", c, text, err)
		}
	}
}

// Arguments are the same if their values are, whatever their order.
func TestSameArguments(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`input In { a: Int b: [Int] c: In } type Query { f(x: In, y: String): Int }`),
		graphql.GetWith("Query.f", func(graphql.Root, m) int { return 1 }))
	expect(t, s, `{ f(x: {a: 1, b: [1, 2], c: {a: 2, b: []}}, y: "#\"") # "comment \uD800
		f(y: "#\"", x: {c: {b: [], a: 2}, b: [1, 2], a: 1}) }`, `{"data":{"f":1}}`)
	for _, other := range []string{`{a: 2, b: [1, 2]}`, `{a: 1, b: [2, 1]}`, `{a: 1, b: [1, 2], c: null}`, `{a: 1}`} {
		refused(t, s, `{ f(x: {a: 1, b: [1, 2]}) f(x: `+other+`) }`, ``, "differing arguments")
	}
	refused(t, s, `{ f(x: {d: 1}) }`, ``, `\"d\" is not defined by type \"In\"`)
	refused(t, s, `{ f(x: 1) }`, ``, `Expected value of type \"In\", found 1`)
	refused(t, s, `{ f(y: """ block \uD800 """) f(y: "\uD800") }`, ``, `Invalid Unicode escape`, `"column":36`)
}
