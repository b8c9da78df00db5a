package graphql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

func echoSchema(t *testing.T) *graphql.Schema {
	return schema(t,
		graphql.SDL("\"\"\"Of the first line,\n    and of the second.\n\"\"\"\ntype Query { a(s: String = \"\"\"x\n   y\n     z\"\"\", i: [Float]): String }"),
		graphql.GetWith("Query.a", func(_ graphql.Root, a struct {
			S string
			I []float64
		},
		) string {
			return a.S
		}))
}

// The indentation of a block string's first line is not counted (specification 2.9.4).
func TestBlockStrings(t *testing.T) {
	t.Parallel()
	s := echoSchema(t)
	for _, c := range []struct{ text, want string }{
		{"a\n  b\n    c", "a\nb\n  c"},
		{"  a\n  b\n    c", "  a\nb\n  c"},
		{"\n  a\n    b\n", "a\n  b"},
		{"\n  a\n    b\n  ", "a\n  b"},
		{"a\r\n\t\tb\r\n\t\tc\r\n\t", "a\nb\nc"},
		{"a\r  b", "a\nb"},
		{"a\n \n    b\n      \n    c", "a\n\nb\n  \nc"},
		{"a\n  \\\"\"\"b", "a\n\"\"\"b"},
		{"a\n", "a"},
		{"a\n  # b\n  \"c\" \\n", "a\n# b\n\"c\" \\n"},
		{"", ""},
	} {
		got := ask(t, s, `{ a(s: """`+c.text+`""") }`)
		if want, _ := json.Marshal(c.want); got != `{"data":{"a":`+string(want)+`}}` {
			t.Errorf("%q: got %s, want %s", c.text, got, want)
		}
	}
	expect(t, s, `{ a }`, `{"data":{"a":"x\ny\n  z"}}`)
	expect(t, s, `{ __type(name: "Query") { description } }`, `{"data":{"__type":{"description":"Of the first line,\nand of the second."}}}`)
	// what stands after one keeps its place, and a fourth quote begins the next string
	refused(t, s, "{ a(s: \"\"\"x\n    y\n  z\"\"\") nope }", ``, `"line":3,"column":9`)
	refused(t, s, "{ a(s: \"\"\"x\n  y\n  \"\"\") nope }", ``, `"line":3,"column":8`)
	expect(t, s, `{ __type(name: """Query""""") { name } }`, ask(t, s, `{ __type(name: """Query""" "") { name } }`))
	refused(t, s, `{ a(s: """x"""" ) }`, ``, `Syntax Error`)
	refused(t, s, `{ a(s: """x`, ``, `Syntax Error`)
	if text := problems(t, graphql.SDL("type Query { a(s: Int = \"\"\"\n  \"\"\"): Int, b(x: Nope): Int }")); !strings.Contains(text, "2:19: ") {
		t.Error(text)
	}
}

// After a number neither a name nor a dot may stand (specification 2.9.1).
func TestNumbers(t *testing.T) {
	t.Parallel()
	s := echoSchema(t)
	for _, ok := range []string{`[1, -2.5e+3 0E-1,1]`, `1#a` + "\n", `0`} {
		expect(t, s, `{ a(i: `+ok+`) }`, `{"data":{"a":"x\ny\n  z"}}`)
	}
	for _, bad := range []string{`1a`, `1_`, `1.5a`, `1e3e`, `0xF`, `1.5.2`, `1...`, `-1L`} {
		refused(t, s, `{ a(i: [`+bad+`]) }`, ``, `Syntax Error`)
	}
	refused(t, s, "{\n a(i: [12a]) }", ``, `"line":2,"column":10`)
	refused(t, s, "{ a(s: \"1a \\\"1a\" # 1a\n i: 1) a1a: __typename b(s: \"\"\"1a\"\"\") }", ``, `Cannot query field`)
	if text := problems(t, graphql.SDL("type Query {\n a(s: [Int] = [1a]): Int }")); !strings.Contains(text, "schema:2:17: Syntax Error") {
		t.Error(text)
	}
}

// Directives on the definition of a variable are constant (specification 2.11).
func TestConstantDirectives(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`directive @d(x: [Int]) on VARIABLE_DEFINITION type Query { a(i: Int): Int }`), graphql.GetWith("Query.a", func(_ graphql.Root, a struct{ I *int }) *int { return a.I }))
	expect(t, s, `query($v: Int @d(x: [1])) { a(i: $v) }`, `{"data":{"a":3}}`, `{"v":3}`)
	refused(t, s, `query($v: Int @d(x: [$w]), $w: Int) { a(i: $v) }`, ``, `Syntax Error`, `"line":1,"column":21`)
}

// The error of an argument has the place of the value inside of it that is wrong, as graphql-js has it.
func TestArgumentPlaces(t *testing.T) {
	t.Parallel()
	s := inputSchema(t)
	expect(t, s, `query($n: String = "x") { user(in: {name: "a" friend: {name: $n}}) }`,
		`{"data":{"user":null},"errors":[{"message":"Argument \"in\" has invalid value {name:\"a\",friend:{name:$n}}: Expected variable \"$n\" provided to type \"String!\" not to be null.","locations":[{"line":1,"column":62}],"path":["user"]}]}`,
		`{"n":null}`)
}

// A string and a comment may hold any character (specification 2.1, SourceCharacter), and columns stay right.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	s := echoSchema(t)
	for _, c := range []struct{ text, want string }{
		{"\"a\x01b\x00\x1f\"", "a\x01b\x00\x1f"},
		{"\"\\\"\x07\\u0007\\\\\"", "\"\x07\x07\\"},
		{"\"\"\"\n  a\x0bb\n  \\\"\"\"\x0c\"\"\"", "a\x0bb\n\"\"\"\x0c"},
		{"\"\\\\\" #\x01", `\`},
		{"\"\x01\\\\\", i: [1] # \"\x02", "\x01\\"},
		{"\"\ufdd1\x01\"", "\ufdd1\x01"},
		{"\"x\" # \x01 \"\x02", "x"},
	} {
		body, _ := json.Marshal(map[string]string{"query": "{ a(s: " + c.text + "\n) }"})
		var req graphql.Request
		if err := json.Unmarshal(body, &req); err != nil {
			t.Fatal(err)
		}
		var got struct{ Data struct{ A *string } }
		if err := json.Unmarshal([]byte(ask(t, s, req.Query)), &got); err != nil || got.Data.A == nil || *got.Data.A != c.want {
			t.Errorf("%q: got %s, want %q", c.text, ask(t, s, req.Query), c.want)
		}
	}
	expect(t, s, "query($s: String = \"\x01\") { a(s: $s) }", `{"data":{"a":"\u0001"}}`)
	expect(t, s, "query { ...F } fragment F on Query { ... { a(s: \"\x02\") @skip(if: false) } }", `{"data":{"a":"\u0002"}}`)
	refused(t, s, "{ a(s: \"\x01\x02\x03\") nope }", ``, `"line":1,"column":15`)
	refused(t, s, "{ a(s: [\"\x01\"]) }", ``, `\u0001`)
	refused(t, s, "{ a(s: \"x\") \x01 }", ``, `Syntax Error`, `"line":1,"column":13`)
	refused(t, s, "{ a(s: \"\ufdd1\x01\U0010ffc1\") }", ``, `Syntax Error`) // nothing is left to stand for it
	refused(t, s, "{ a(s: \"\x01\n\") }", ``, `Syntax Error`)
}
