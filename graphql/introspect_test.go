package graphql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// introspectionQuery is the full one of graphql-js 17 with all of its options.
const introspectionQuery = `query IntrospectionQuery {
	__schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind } types { ...FullType }
		directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf
	fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
	inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`

func introspected(t *testing.T) *graphql.Schema {
	return schema(t,
		graphql.SDL(`"A schema." schema { query: Root }
			directive @tag("Its name." name: String! = "x", old: Int @deprecated(reason: "gone")) repeatable on OBJECT | FIELD_DEFINITION
			"The root." type Root { "A field." a("An argument." x: [In!]! = [{s: "q\"", e: B, n: null, l: [1, 2]}], old: Int @deprecated): Node old: Int @deprecated(reason: "why") }
			interface Node { id: ID! } interface Sub implements Node { id: ID! } type T implements Node & Sub { id: ID! } union U = T
			enum E { A "Second." B OLD @deprecated } input In { s: String e: E = A n: Int l: [Int] old: Int @deprecated } input One @oneOf { a: Int b: In }
			scalar Url @specifiedBy(url: "https://example.com")`),
		graphql.Bind[m]("T"),
		graphql.GetWith("Root.a", func(graphql.Root, m) m { return nil }), graphql.Get("Root.old", func(graphql.Root) int { return 1 }),
	)
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	s := introspected(t)
	for _, c := range []struct{ query, want string }{
		{`{ __schema { description queryType { name kind } mutationType { name } } }`, `{"__schema":{"description":"A schema.","queryType":{"name":"Root","kind":"OBJECT"},"mutationType":null}}`},
		{`{ __type(name: "Root") { description fields { name description isDeprecated } } }`, `{"__type":{"description":"The root.","fields":[{"name":"a","description":"A field.","isDeprecated":false}]}}`},
		{
			`{ __type(name: "Root") { fields(includeDeprecated: true) { name deprecationReason args { name defaultValue type { kind ofType { kind ofType { kind ofType { name } } } } } } } }`,
			`{"__type":{"fields":[{"name":"a","deprecationReason":null,"args":[{"name":"x","defaultValue":"[{ s: \"q\\\"\", e: B, n: null, l: [1, 2] }]","type":{"kind":"NON_NULL","ofType":{"kind":"LIST","ofType":{"kind":"NON_NULL","ofType":{"name":"In"}}}}}]},{"name":"old","deprecationReason":"why","args":[]}]}}`,
		},
		{
			`{ __type(name: "Node") { kind possibleTypes { name } interfaces { name } } sub: __type(name: "Sub") { possibleTypes { name } interfaces { name } } u: __type(name: "U") { kind possibleTypes { name } fields { name } } }`,
			`{"__type":{"kind":"INTERFACE","possibleTypes":[{"name":"T"}],"interfaces":[]},"sub":{"possibleTypes":[{"name":"T"}],"interfaces":[{"name":"Node"}]},"u":{"kind":"UNION","possibleTypes":[{"name":"T"}],"fields":null}}`,
		},
		{
			`{ __type(name: "E") { enumValues { name description } all: enumValues(includeDeprecated: true) { name isDeprecated deprecationReason } } }`,
			`{"__type":{"enumValues":[{"name":"A","description":null},{"name":"B","description":"Second."}],"all":[{"name":"A","isDeprecated":false,"deprecationReason":null},{"name":"B","isDeprecated":false,"deprecationReason":null},{"name":"OLD","isDeprecated":true,"deprecationReason":"No longer supported"}]}}`,
		},
		{
			`{ __type(name: "One") { isOneOf inputFields { name } } in: __type(name: "In") { isOneOf inputFields { name defaultValue } } no: __type(name: "E") { isOneOf inputFields { name } } }`,
			`{"__type":{"isOneOf":true,"inputFields":[{"name":"a"},{"name":"b"}]},"in":{"isOneOf":false,"inputFields":[{"name":"s","defaultValue":null},{"name":"e","defaultValue":"A"},{"name":"n","defaultValue":null},{"name":"l","defaultValue":null}]},"no":{"isOneOf":null,"inputFields":null}}`,
		},
		{
			`query($x: Boolean) { __type(name: "Root") { fields(includeDeprecated: $x) { name } } meta: __type(name: "__Field") { fields { args { defaultValue type { kind ofType { name } } } } } }`,
			`{"__type":{"fields":[{"name":"a"}]},"meta":{"fields":[{"args":[]},{"args":[]},{"args":[{"defaultValue":"false","type":{"kind":"NON_NULL","ofType":{"name":"Boolean"}}}]},{"args":[]},{"args":[]},{"args":[]}]}}`,
		},
		{`{ __type(name: "Url") { specifiedByURL kind } none: __type(name: "Nope") { name } }`, `{"__type":{"specifiedByURL":"https://example.com","kind":"SCALAR"},"none":null}`},
	} {
		expect(t, s, c.query, `{"data":`+c.want+`}`)
	}
	var res struct {
		Data struct {
			Schema struct {
				Types      []struct{ Name string }
				Directives []struct {
					Name         string
					IsRepeatable bool
					Args         []struct{ Name string }
				}
			} `json:"__schema"`
		}
	}
	if err := json.Unmarshal([]byte(ask(t, s, introspectionQuery)), &res); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, typ := range res.Data.Schema.Types {
		names = append(names, typ.Name)
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "Root Node Sub T U E In One Url ") || !strings.Contains(got, "__DirectiveLocation") {
		t.Error(got)
	}
	names = nil
	for _, d := range res.Data.Schema.Directives {
		names = append(names, d.Name)
		if d.Name == "tag" && (!d.IsRepeatable || len(d.Args) != 2) {
			t.Errorf("%+v", d)
		}
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, "tag ") || strings.Contains(got, "defer") || strings.Contains(got, "stream") || len(names) != 6 {
		t.Error(got)
	}
	refused(t, s, `{ a(x: []) { id } ... @defer { old } }`, ``, `Unknown directive`)
	refused(t, s, `{ __type { name } }`, ``, `required`)
}
