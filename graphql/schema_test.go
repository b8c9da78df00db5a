package graphql_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// What the parser's package accepts and the specification does not.
func TestInvalidSchemas(t *testing.T) {
	t.Parallel()
	const q = "type Query { a: Int }\n"
	for _, c := range []struct{ sdl, want string }{
		{`type A { a: Int }`, `Query root type must be provided`},
		{q + `type M { a: Int } schema { query: M mutation: M }`, `2:37: All root types must be different`},
		{q + `input I @oneOf { a: Int! }`, `2:18: OneOf input field I.a must be nullable`},
		{q + `input I @oneOf { a: Int = 1 }`, `2:18: OneOf input field I.a cannot have a default`},
		{q + `input I { a: Int = "x" }`, `2:21: I(a:) has an invalid default value: Int cannot represent`},
		{q + `input I { a: Int! = null }`, `not to be null`},
		{q + `input I { a: [[Int]] = [1] }`, `every item is one`},
		{q + `input I { a: J = {b: 1} } input J { c: Int! b: Int }`, `"J.c" of required type "Int!" was not provided`},
		{q + `input I { a: J = {d: 1} } input J { c: Int }`, `"d" is not defined by type "J"`},
		{q + `enum E { A } input I { a: E = B }`, `does not exist in "E" enum`},
		{q + `input I { a: I = {} }`, `2:11: The default value of I.a contains itself`},
		{q + `input I { a: J = {} } input J { b: I = {} }`, `contains itself`},
		{q + `type T { a(x: Int! @deprecated): Int }`, `2:12: Required input T.a(x:) cannot be deprecated`},
		{q + `input I { a: Int! @deprecated }`, `Required input I(a:) cannot be deprecated`},
		{q + `interface N { a: Int } type T implements N { a: Int @deprecated }`, `Interface field N.a is not deprecated`},
		{q + `extend type Nope { a: Int }`, `2:13: Cannot extend type "Nope"`},
		{q + `directive @d(x: Int) on OBJECT type T @d(x: "1") { a: Int }`, `@d(x:): Int cannot represent`},
		{q + `directive @d(x: Int = true) on OBJECT`, `@d(x:) has an invalid default value`},
		{q + `directive @skip(if: Boolean!) on FIELD`, `@skip is one of the specification`},
		{q + `directive @deprecated on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE`, `@deprecated is one of the specification`},
		{q + `directive @include(if: Int!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT`, `@include is one of the specification`},
		{q + `directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT`, `@defer is one of the specification`},
		{q + `type T { a: Nope }`, `Undefined type Nope`},
		{`type Query { a Int }`, `schema:1:16`},
		{q + `type T implements N { b: Int } interface N { a: Int }`, `must have a field called a`},
	} {
		if got := problems(t, graphql.SDL(c.sdl)); !strings.Contains(got, c.want) {
			t.Errorf("%s\n%q is not in %s", c.sdl, c.want, got)
		}
	}
}

type badArgs struct {
	First  string
	Secret int
}

// Every problem of the registration is told at once, with its place.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID   int
		Size string
	}
	got := problems(t,
		graphql.SDLFile("a.graphql", `type Query {
			noResolver: Int
			args(first: Int, second: Int): Int
			noArgs(first: Int): Int
			things: [Thing]
			any: Either
			color: Color
			twice: Int
			when: Time
		}
		enum Color { RED GREEN }
		scalar Time`),
		graphql.SDLFile("b.graphql", `
		type Thing { id: ID size: Int extra: Boolean }
		type Other { id: ID }
		union Either = Thing | Other
		type Unbound { a: Int }
		extend type Query { unbound: Unbound }`),
		graphql.Bind[thing]("Thing"), graphql.Bind[thing]("Other"), graphql.Bind[thing]("Thingy"), graphql.Bind[thing]("Color"),
		graphql.GetWith("Query.args", func(graphql.Root, badArgs) int { return 0 }),
		graphql.Get("Query.noArgs", func(graphql.Root) int { return 0 }),
		graphql.Get("Query.things", func(graphql.Root) []*user { return nil }),
		graphql.Get("Query.any", func(graphql.Root) *user { return nil }),
		graphql.Enum("Color", map[string]int{"RED": 1, "BLUE": 1}),
		graphql.Get("Query.color", func(graphql.Root) string { return "" }),
		graphql.Get("Query.twice", func(graphql.Root) int { return 0 }), graphql.Get("Query.twice", func(graphql.Root) int { return 0 }),
		graphql.Get("Query.when", func(graphql.Root) int { return 0 }),
		graphql.Scalar("Time", func(any) (string, error) { return "", nil }, func(b []byte, _ string) ([]byte, error) { return b, nil }),
		graphql.Get("Query.unbound", func(graphql.Root) any { return nil }),
		graphql.Get("Query.nope", func(graphql.Root) int { return 0 }), graphql.Get("Nope.a", func(graphql.Root) int { return 0 }), graphql.Get("nope", func(graphql.Root) int { return 0 }),
		graphql.Subscribe("Query.noResolver", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) { return nil, nil }),
		graphql.Get("Thing.id", func(*user) string { return "" }),
		graphql.Directive("nope", func(_ graphql.NoArgs, next graphql.FieldFunc) graphql.FieldFunc { return next }),
	)
	for _, want := range []string{
		`a.graphql:3:9: Query.args.first: Int does not fit into string. It needs int, int64 or int32.`,
		`a.graphql:3:21: Query.args: graphql_test.badArgs has no field for second.`,
		`a.graphql:3:4: Query.args: the field Secret of graphql_test.badArgs is no input of the SDL.`,
		`a.graphql:4:4: Query.noArgs has arguments (first), but its function takes none.`,
		`a.graphql:5:4: Query.things: Thing is graphql_test.thing, not graphql_test.user.`,
		`a.graphql:6:4: Query.any: graphql_test.user is bound to no member of Either.`,
		`a.graphql:7:4: Query.color: Color cannot be made of string. It is a int.`,
		`a.graphql:8:4: Query.twice is registered twice.`,
		`a.graphql:9:4: Query.when: Time cannot be made of int. It is a string.`,
		`a.graphql:11:20: Enum("Color"): the value GREEN has no Go value.`,
		`Enum("Color"): the SDL has no value BLUE.`, `have one Go value`,
		`b.graphql:2:23: Thing.size: Int cannot be made of string.`,
		`b.graphql:2:33: Thing.extra has neither a resolver nor a field in graphql_test.thing.`,
		`Either: its members Thing and Other are both graphql_test.thing: use TypeOf`,
		`b.graphql:5:8: type Unbound has no Go type, so its fields a cannot be served`,
		`Bind("Thingy"): the SDL has no type of that name. Did you mean "Thing"?`, `Bind("Color"): the type is ENUM`,
		`the SDL has no field nope.`, `the SDL has no type Nope.`, `coordinate "nope": Type.field is needed`,
		`Query.noResolver: fields of Subscription, and only they`,
		`Thing.id: the parent is *graphql_test.user, but Thing is graphql_test.thing.`,
		`Directive("nope"): the SDL does not declare it.`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
	_, err := graphql.NewSchema(graphql.SDL(`type Query { a: Int }`))
	if se, ok := errors.AsType[*graphql.SchemaError](err); !ok || len(se.Problems) != 1 || se.Problems[0].Line != 1 || se.Problems[0].Column != 14 {
		t.Errorf("%#v", err)
	}
	for _, opts := range [][]graphql.SchemaOption{{}, {nil}, {graphql.SDL(`type Query { a: Int }`), graphql.WithLimits(graphql.Limits{Concurrency: -1})}} {
		if _, err := graphql.NewSchema(opts...); err == nil {
			t.Error("accepted")
		}
	}
}

// Arguments of an interface's field have its types exactly, a directive that is not repeatable stands once,
// extensions counted, and the reason of @deprecated is no null.
func TestSchemaGaps(t *testing.T) {
	t.Parallel()
	const node = `interface Node { id(x: Int!, y: [Int!] = [1], z: Int): Int } `
	for _, c := range []struct{ sdl, want string }{
		{node + `type Query implements Node { id(x: Int, y: [Int!], z: Int): Int }`, `Interface field argument Node.id(x:) expects type Int! but Query.id(x:) is type Int.`},
		{node + `type Query implements Node { id(x: Int!, y: [Int], z: Int): Int }`, `Node.id(y:) expects type [Int!] but Query.id(y:) is type [Int].`},
		{node + `type Query implements Node { id(x: Int!, y: [Int!], z: Int!): Int }`, `must have the same arguments but z has the wrong type`},
		{node + `interface Sub implements Node { id(x: Int, y: [Int!], z: Int): Int } type Query { a: Sub }`, `Sub.id(x:) is type Int.`},
		{`type Query { a(c: C): Int } input C @oneOf @oneOf { a: Int }`, `schema:1:45: The directive @oneOf can only be used once at this location.`},
		{`type Query { a: Int @deprecated(reason: null) }`, `@deprecated(reason:): Expected value of non-null type "String!" not to be null.`},
		{`type Query { a: S } scalar S @specifiedBy(url: "a") extend scalar S @specifiedBy(url: "b")`, `@specifiedBy can only be used once`},
	} {
		if got := problems(t, graphql.SDL(c.sdl)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", c.sdl, got)
		}
	}
	// what tools print of the specification's own directives may stand
	schema(t, graphql.SDL(`type Query { a(c: C): Int @deprecated } input C @oneOf { a: Int } scalar S @specifiedBy(url: "u")
		directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
		directive @deprecated(reason: String = "No longer supported") on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
		directive @specifiedBy(url: String!) on SCALAR directive @oneOf on INPUT_OBJECT`), graphql.GetWith("Query.a", func(graphql.Root, map[string]any) *int { return nil }))
	schema(t, graphql.SDL(node+`directive @d(n: Int) repeatable on OBJECT type Query implements Node @d @d(n: 1) { id(x: Int!, y: [Int!], z: Int, more: Int): Int } extend type Query @d`),
		graphql.GetWith("Query.id", func(graphql.Root, map[string]any) *int { return nil }))
}

// Several files, extensions, embedded structs, tags and maps.
func TestBind(t *testing.T) {
	t.Parallel()
	type Base struct {
		ID      int
		Created string
	}
	type node struct {
		*Base
		FullName string `graphql:"name"`
		Hidden   string `graphql:"-"`
		Labels   map[string]string
		Any      any
		Inner    struct{ UserName string }
	}
	s := schema(t,
		graphql.SDL(`type Query { node: Node empty: Node map: Map } scalar JSON`), graphql.SDL(`type Node { id: ID name: String } type Inner { user_name: String }`),
		graphql.SDL(`extend type Node { created: String labels: JSON any: Int inner: Inner! } type Map { a: Int b: [String] inner: Inner }`),
		graphql.Get("Query.node", func(graphql.Root) *node {
			n := &node{Base: &Base{7, "today"}, FullName: "n", Labels: map[string]string{"k": "v"}, Any: 3}
			n.Inner.UserName = "u"
			return n
		}),
		graphql.Get("Query.empty", func(graphql.Root) node { return node{} }),
		graphql.Get("Query.map", func(graphql.Root) map[string]any { return m{"a": 1, "b": []string{"x"}} }),
	)
	expect(t, s, `{ node { id name created labels any inner { user_name } } }`, `{"data":{"node":{"id":"7","name":"n","created":"today","labels":{"k":"v"},"any":3,"inner":{"user_name":"u"}}}}`)
	expect(t, s, `{ empty { id name labels any } map { a b inner { user_name } } }`, `{"data":{"empty":{"id":null,"name":"","labels":null,"any":null},"map":{"a":1,"b":["x"],"inner":null}}}`)
}
