package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

func limited(t testing.TB, l graphql.Limits, more ...graphql.SchemaOption) *graphql.Schema {
	return schema(t, append([]graphql.SchemaOption{
		graphql.SDL(`interface N { id: Int n: N } type A implements N { id: Int n: N } type B implements N { id: Int n: N }
			type Query { a(x: String): Int b: Int list(first: Int = 2, after: String): [T!]! fails: [Int] n: N }
			type T { name: String child(first: Int): [T!]! heavy: Int }`),
		graphql.WithLimits(l), graphql.WithUnmaskedErrors(),
		graphql.GetWith("Query.a", func(graphql.Root, struct{ X string }) int { return 1 }), graphql.Get("Query.b", func(graphql.Root) int { return 2 }),
		graphql.GetWith("Query.list", func(graphql.Root, struct {
			First int
			After string
		},
		) []*m {
			return nil
		}, graphql.Multiply("first")),
		graphql.Bind[m]("T"), graphql.Bind[m]("A"), graphql.Bind[m]("B"), graphql.TypeOf("N", func(m) string { return "A" }),
		graphql.Get("Query.n", func(graphql.Root) m { return m{"n": m{}} }),
		graphql.Batch("T.child", func(_ context.Context, ps []m, _ struct{ First int }) ([][]m, error) {
			return make([][]m, len(ps)), nil
		}, graphql.Multiply("first"), graphql.Cost(3)),
		graphql.Get("T.heavy", func(m) int { return 1 }, graphql.Cost(100)),
		graphql.Get("Query.fails", func(graphql.Root) []any {
			list := make([]any, 1000)
			for i := range list {
				list[i] = "x"
			}
			return list
		}),
	}, more...)...)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limit := func(l graphql.Limits, ok, over, what string, variables ...string) {
		t.Helper()
		s := limited(t, l)
		if got := ask(t, s, ok, variables...); strings.Contains(got, graphql.CodeLimit) {
			t.Errorf("%s: %s", ok, got)
		}
		vars := ""
		if len(variables) > 1 {
			vars = variables[1]
		}
		if got := ask(t, s, over, vars); strings.Contains(got, `"data":{`) || !strings.Contains(got, graphql.CodeLimit) || !strings.Contains(got, what) {
			t.Errorf("%s: %s", over, got)
		}
	}
	limit(graphql.Limits{Tokens: 4}, `{ a b }`, `{ a b a }`, "4 tokens")
	limit(graphql.Limits{Depth: 2}, `{ list { name } }`, `{ list { child { name } } }`, "2 levels of depth")
	limit(graphql.Limits{Depth: 2}, `{ list { ...F } } fragment F on T { name }`, `{ list { ...F } } fragment F on T { ...G } fragment G on T { child { name } }`, "2 levels of depth")
	limit(graphql.Limits{Aliases: 2}, `{ x: a y: a a }`, `{ x: a y: a z: a }`, "2 aliases")
	limit(graphql.Limits{Selections: 4}, `{ list { name heavy } b }`, `{ list { ...F child { ...F } } } fragment F on T { name heavy }`, "4 selected fields")
	limit(graphql.Limits{Selections: 1}, `{ ...F } fragment F on Query { a }`, `{ ...A } fragment A on Query { ...B } fragment B on Query { ...C } fragment C on Query { ...D } fragment D on Query { a }`, "10 fields to validate")
	limit(graphql.Limits{OverlapBudget: 5}, `{ a b a }`, `{ a b a b a b }`, "5 steps to compare")
	limit(graphql.Limits{Cost: 5}, `{ list { name name } }`, `{ list(first: 5) { name } }`, "it costs 6")
	limit(graphql.Limits{Cost: 50}, `query($n: Int) { list(first: $n) { child(first: 4) { name } } }`, `query($n: Int) { list(first: $n) { child(first: 4) { name } } }`, "it costs 71", ``, `{"n":10}`)
	limit(graphql.Limits{Cost: 50}, `{ b }`, `{ list { heavy } }`, "it costs 201")
	// 1,000 fields fail; the response names a few
	s := limited(t, graphql.Limits{Errors: 3})
	got := ask(t, s, `{ fails }`)
	if strings.Count(got, `"message"`) != 4 || !strings.Contains(got, "997 are left out") {
		t.Error(len(got), got[max(0, len(got)-300):])
	}
	refused(t, s, `{ q w e r t y }`, ``, "Too many validation errors", graphql.CodeLimit)
	if got := ask(t, s, `{ q w e r t y }`); strings.Count(got, `"message"`) != 4 {
		t.Error(got)
	}
	got = ask(t, limited(t, graphql.Limits{ResponseBytes: 1000}), `{ fails b }`)
	if !strings.HasPrefix(got, `{"data":null`) || !strings.Contains(got, "1000 bytes of a response") {
		t.Error(got)
	}
	none := limited(t, graphql.Limits{Tokens: -1, Depth: -1, Aliases: -1, Selections: -1, Cost: -1, OverlapBudget: -1, Errors: -1, ResponseBytes: -1, Time: -1})
	if got := ask(t, none, `{`+strings.Repeat(" a", 20_000)+`}`); got != `{"data":{"a":1}}` {
		t.Error(got)
	}
}

// Documents that are made to cost much are answered soon: each of some 20 KB, under default limits. It is not parallel,
// for it takes the processor's time.
func TestHostileDocuments(t *testing.T) {
	s := limited(t, graphql.Limits{})
	repeat := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	for name, doc := range map[string]string{
		"one field":            `{` + strings.Repeat(`a `, 9_990) + `}`,
		"fields with args":     `{` + repeat(1_000, func(int) string { return `a(x:"1") ` }) + `}`,
		"differing args":       `{` + repeat(1_000, func(i int) string { return fmt.Sprintf(`a(x:"%d") `, i) }) + `}`,
		"unknown fields":       `{` + repeat(3_000, func(i int) string { return fmt.Sprintf(`f%d `, i) }) + `}`,
		"unknown directives":   `{ a ` + strings.Repeat(`@x `, 4_900) + `}`,
		"aliases":              `{` + repeat(2_000, func(i int) string { return fmt.Sprintf(`f%d:a `, i) }) + `}`,
		"deep":                 strings.Repeat(`{ n `, 900) + strings.Repeat(`}`, 900),
		"unclosed":             strings.Repeat(`{a`, 9_000),
		"lists":                `{ a(x: ` + strings.Repeat(`[`, 900) + strings.Repeat(`]`, 900) + `) }`,
		"fragments in a chain": `{ ...F0 } ` + repeat(900, func(i int) string { return fmt.Sprintf(`fragment F%d on Query { ...F%d } `, i, i+1) }) + `fragment F900 on Query { a }`,
		"fragments in a ring":  `{ ...F0 } ` + repeat(900, func(i int) string { return fmt.Sprintf(`fragment F%d on Query { ...F%d } `, i, (i+1)%900) }),
		"doubling fragments": `{ n { ...F0 } } ` + repeat(60, func(i int) string {
			return fmt.Sprintf(`fragment F%d on N { n { ...F%d } m: n { ...F%d } } `, i, i+1, i+1)
		}) + `fragment F60 on N { id }`,
		"fragments of all":    `{ ` + repeat(400, func(i int) string { return fmt.Sprintf(`...F%d `, i) }) + `} ` + repeat(400, func(i int) string { return fmt.Sprintf(`fragment F%d on Query { a b ...F%d } `, i, min(i+1, 399)) }),
		"inline fragments":    `{ ` + strings.Repeat(`...{`, 400) + `a` + strings.Repeat(`}`, 400) + ` }`,
		"abstract partitions": `{ n { ` + strings.Repeat(`... on A { n { ... on B { n { id } } } } ... on B { n { id } } `, 100) + `} }`,
		"variables":           `query(` + repeat(1_200, func(i int) string { return fmt.Sprintf(`$v%d:Int `, i) }) + `) { a }`,
		"used variables":      `query(` + repeat(700, func(i int) string { return fmt.Sprintf(`$v%d:String `, i) }) + `) { ` + repeat(700, func(i int) string { return fmt.Sprintf(`a(x:$v%d) `, i) }) + `}`,
		"arguments":           `{ a(` + repeat(1_500, func(i int) string { return fmt.Sprintf(`y%d:1 `, i) }) + `) }`,
		"operations":          repeat(900, func(i int) string { return fmt.Sprintf(`query Q%d{a} `, i) }),
		"conditions":          `query($c: Boolean!) { ` + strings.Repeat(`a @skip(if:$c) `, 800) + `}`,
		"introspection":       `{ ` + strings.Repeat(`__schema{types{fields{type{fields{type{fields{name}}}}}}} `, 100) + `}`,
		"ofType":              `{ __schema { types { fields { type { ` + strings.Repeat(`ofType { `, 800) + `name` + strings.Repeat(`}`, 800) + ` } } } } }`,
	} {
		t.Run(name, func(t *testing.T) {
			if len(doc) > 36<<10 {
				t.Fatalf("%d bytes", len(doc))
			}
			before := spent()
			got := ask(t, s, doc, `{"c":true}`)
			d := spent() - before
			t.Logf("%5d bytes in %6.1f ms: %.120s", len(doc), float64(d.Microseconds())/1000, got)
			if d > hostileCost {
				t.Errorf("took %v", d)
			}
			if len(got) > 256<<10 {
				t.Errorf("the answer has %d bytes", len(got))
			}
		})
	}
}

func TestManyConditions(t *testing.T) {
	t.Parallel()
	s := limited(t, graphql.Limits{Aliases: -1})
	var defs, sel, vars strings.Builder
	for i := range 70 {
		fmt.Fprintf(&defs, "$c%d: Boolean! ", i)
		fmt.Fprintf(&sel, "f%d: b @include(if: $c%d) ", i, i)
		if fmt.Fprintf(&vars, `,"c%d":%v`, i, i%2 == 0); i == 69 {
			break
		}
	}
	got := ask(t, s, "query("+defs.String()+") {"+sel.String()+"}", "{"+vars.String()[1:]+"}")
	if strings.Count(got, ":2") != 35 || !strings.Contains(got, `"f68":2`) || strings.Contains(got, `"f69"`) {
		t.Error(got)
	}
	// more combinations than are kept
	for i := range 200 {
		var vars strings.Builder
		want := 0
		for k := range 8 {
			fmt.Fprintf(&vars, `,"c%d":%v`, k, i>>k&1 == 1)
			want += i >> k & 1
		}
		q := strings.Split(defs.String(), "$c8")[0]
		f := strings.Split(sel.String(), "f8:")[0]
		if got := ask(t, s, "query("+q+") {"+f+"}", "{"+vars.String()[1:]+"}"); strings.Count(got, ":2") != want {
			t.Fatal(i, got)
		}
	}
}

// The cache is bounded by bytes, whatever clients send.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	s := limited(t, graphql.Limits{CacheBytes: 100 << 10})
	for i := range 500 {
		if got := ask(t, s, fmt.Sprintf(`{ a(x: "%d") n { n { id } } }`, i)); !strings.HasPrefix(got, `{"data":{"a":1`) {
			t.Fatal(got)
		}
	}
	if n, bytes := s.CacheSize(); n == 0 || bytes > 100<<10 || n > 50 {
		t.Errorf("%d entries, %d bytes", n, bytes)
	}
}

func TestIntrospectionOff(t *testing.T) {
	t.Parallel()
	s := limited(t, graphql.Limits{}, graphql.WithIntrospection(false))
	refused(t, s, `{ __schema { types { name } } }`, ``, "Introspection is switched off")
	refused(t, s, `{ a ...F } fragment F on Query { __type(name: "A") { name } }`, ``, "Introspection is switched off", `"column":34`)
	expect(t, s, `{ __typename }`, `{"data":{"__typename":"Query"}}`)
	for _, query := range []string{`{ lis }`, `{ list(firs: 1) { name } }`, `{ n { ... on Quer { a } } }`, `query($x: Strin) { a(x: $x) }`} {
		if got := ask(t, s, query); strings.Contains(got, "Did you mean") || !strings.Contains(got, "errors") {
			t.Errorf("%s: the name of a neighbour is told: %s", query, got)
		}
	}
	if got := ask(t, limited(t, graphql.Limits{}), `{ lis }`); !strings.Contains(got, `Did you mean \"list\"`) {
		t.Error(got)
	}
}

func TestPersistedQueries(t *testing.T) {
	t.Parallel()
	const query, hash = `{ b }`, "d2c4f03c05a09b6ad2f21ac6d6fba0a8a4dbd1e8b6d1ffbd5b66ea0b3a1d4d8b"
	do := func(s *graphql.Schema, req graphql.Request) string {
		b, _ := s.Append(t.Context(), nil, &req)
		return string(b)
	}
	ext := func(hash string) json.RawMessage {
		return json.RawMessage(`{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}`)
	}
	right := graphql.HashOf(query)
	s := limited(t, graphql.Limits{})
	for _, c := range []struct {
		req  graphql.Request
		want string
	}{
		{graphql.Request{Extensions: ext(right)}, `{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}`},
		{graphql.Request{Query: query, Extensions: ext(hash)}, `is not that of the query`},
		{graphql.Request{Query: `{ nope }`, Extensions: ext(graphql.HashOf(`{ nope }`))}, `Cannot query field`},
		{graphql.Request{Extensions: ext(graphql.HashOf(`{ nope }`))}, `PersistedQueryNotFound`}, // what is not valid is not kept
		{graphql.Request{Query: query, Extensions: ext(strings.ToUpper(right))}, `{"data":{"b":2}}`},
		{graphql.Request{Extensions: ext(right)}, `{"data":{"b":2}}`},
		{graphql.Request{Extensions: ext("abc")}, `64 hexadecimal digits`},
		{graphql.Request{Extensions: json.RawMessage(`{"persistedQuery":{"version":2}}`)}, `PERSISTED_QUERY_NOT_SUPPORTED`},
		{graphql.Request{Extensions: json.RawMessage(`[]`)}, `must be a JSON object`},
		{graphql.Request{DocumentID: "x"}, `UNTRUSTED_DOCUMENT`},
	} {
		if got := do(s, c.req); !strings.Contains(got, c.want) {
			t.Errorf("%+v\n got %s\nwant %s", c.req, got, c.want)
		}
	}
	if got := do(limited(t, graphql.Limits{}, graphql.WithPersistedQueries(0)), graphql.Request{Extensions: ext(right)}); !strings.Contains(got, "PersistedQueryNotSupported") {
		t.Error(got)
	}
	small := limited(t, graphql.Limits{}, graphql.WithPersistedQueries(4<<10))
	for i := range 100 {
		q := fmt.Sprintf(`{ a(x: "%d") }`, i)
		do(small, graphql.Request{Query: q, Extensions: ext(graphql.HashOf(q))})
	}
	if got := do(small, graphql.Request{Extensions: ext(graphql.HashOf(`{ a(x: "1") }`))}); !strings.Contains(got, "NotFound") {
		t.Error(got)
	}
	if got := do(small, graphql.Request{Extensions: ext(graphql.HashOf(`{ a(x: "99") }`))}); got != `{"data":{"a":1}}` {
		t.Error(got)
	}
}

func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	s := limited(t, graphql.Limits{}, graphql.WithTrustedDocuments(map[string]string{"b-1": `{ b }`}))
	hash := graphql.HashOf(`{ b }`)
	for _, req := range []graphql.Request{
		{DocumentID: "b-1"},
		{DocumentID: "sha256:" + hash},
		{Query: `{ b }`},
		{Extensions: json.RawMessage(`{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}`)},
	} {
		if b, _ := s.Append(t.Context(), nil, &req); string(b) != `{"data":{"b":2}}` {
			t.Errorf("%+v: %s", req, b)
		}
	}
	for _, req := range []graphql.Request{{DocumentID: "b-2"}, {Query: `{ a }`}, {Query: `{b}`}, {}} {
		if b, out := s.Append(t.Context(), nil, &req); out.Code() != graphql.CodeUntrusted {
			t.Errorf("%+v: %s", req, b)
		}
	}
}

// Variables that are wrong in many places cost no more than right ones. It is not parallel, for it takes the processor's
// time.
func TestHostileVariables(t *testing.T) {
	s := inputSchema(t)
	const n = 40_000
	for name, vars := range map[string]string{
		"unknown fields": `{"u":{` + strings.Repeat(`"x`+strings.Repeat("y", 10)+`":1,`, n) + `"name":"a"}}`,
		"wrong items":    `{"u":{"name":"a","grid":[` + strings.Repeat(`["x"],`, n) + `[1]]}}`,
		"long value":     `{"u":{"name":["` + strings.Repeat("x", 500_000) + `"],"grid":[` + strings.Repeat(`"x",`, n) + `1]}}`,
		"deep":           `{"u":` + strings.Repeat(`{"name":"a","friend":`, 3_000) + `1` + strings.Repeat(`}`, 3_001),
		"other names":    `{` + strings.Repeat(`"x":1,`, n) + `"y":1}`,
	} {
		before := spent()
		got := ask(t, s, `query($u: NewUser) { user(in: $u) }`, vars)
		if d := spent() - before; d > 3*hostileCost || len(got) > 100<<10 {
			t.Errorf("%s: %d bytes took %v, the answer has %d: %.300s", name, len(vars), d, len(got), got)
		}
	}
}
