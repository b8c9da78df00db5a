package graphql_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

type product struct {
	ID    string
	Price int
	Size  string
}

func TestFederation(t *testing.T) {
	t.Parallel()
	const sdl = `type Query { top: Product @provides(fields: "price") }
type Product @key(fields: "id") @key(fields: "size") { id: ID! price: Int @external size: String @shareable shipping: Int @requires(fields: "price") }
type User @key(fields: "id", resolvable: false) { id: ID! }
type Order @key(fields: "id") { id: ID! }`
	var calls [][]product
	products := graphql.Entity("Product", func(_ context.Context, keys []product) ([]graphql.Result[*product], error) {
		calls = append(calls, keys)
		out := make([]graphql.Result[*product], len(keys))
		for i, k := range keys {
			switch k.ID {
			case "none":
			case "bad":
				out[i].Err = graphql.Errorf("bad")
			default:
				out[i].Value = &k
			}
		}
		return out, nil
	})
	type order struct{ ID string }
	opts := []graphql.SchemaOption{
		graphql.SDL(sdl), products,
		graphql.Get("Query.top", func(graphql.Root) *product { return &product{ID: "1"} }),
		graphql.Get("Product.shipping", func(p *product) int { return p.Price / 10 }),
		graphql.Bind[struct{ ID string }]("User"),
	}
	if got := problems(t, opts...); !strings.Contains(got, "schema:4:6: type Order has a @key, so it needs an Entity.") {
		t.Error(got)
	}
	opts = append(opts, graphql.Entity("Order", func(_ context.Context, keys []order) ([]order, error) { return keys, nil }))
	got := problems(t, append(opts, graphql.Entity("Query", func(context.Context, []order) ([]order, error) { return nil, nil }), graphql.Entity("User", func(context.Context, []order) ([]int, error) { return nil, nil }))...)
	for _, want := range []string{`Entity("Query"): the type has no @key.`, `Entity(User): User is struct { ID string }, not int.`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	s := schema(t, opts...)
	var res struct {
		Data struct {
			Service struct{ SDL string } `json:"_service"`
		}
	}
	if err := json.Unmarshal([]byte(ask(t, s, `{ _service { sdl } }`)), &res); err != nil || !strings.Contains(res.Data.Service.SDL, sdl) || !strings.HasPrefix(res.Data.Service.SDL, `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3"`) || strings.Contains(res.Data.Service.SDL, "_Any") {
		t.Error(err, res)
	}
	expect(t, s, `query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Product { id shipping } ... on Order { id } } }`,
		`{"data":{"_entities":[{"__typename":"Product","id":"1","shipping":5},{"__typename":"Order","id":"7"},null,{"__typename":"Product","id":"2","shipping":0},null,null,null]},"errors":[`+
			`{"message":"bad","locations":[{"line":1,"column":23}],"path":["_entities",4]},`+
			`{"message":"A representation needs the __typename of an entity of this subgraph, not \"Nope\".","locations":[{"line":1,"column":23}],"path":["_entities",5]},`+
			`{"message":"Product: cannot unmarshal number into Go value of type string","locations":[{"line":1,"column":23}],"path":["_entities",6]}]}`,
		`{"r":[{"__typename":"Product","id":"1","price":50},{"__typename":"Order","id":"7"},{"__typename":"Product","id":"none"},{"__typename":"Product","id":"2"},{"__typename":"Product","id":"bad"},{"__typename":"Nope"},{"__typename":"Product","id":3}]}`)
	if len(calls) != 1 || len(calls[0]) != 4 {
		t.Errorf("%v", calls)
	}
	// a subgraph without queries of its own, with a link of its own
	s = schema(t, graphql.SDL(`extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"]) type Order @key(fields: "id") { id: ID! }`),
		graphql.Entity("Order", func(_ context.Context, keys []order) ([]order, error) { return keys, nil }))
	if got := ask(t, s, `{ _service { sdl } _entities(representations: [{__typename: "Order", id: "1"}]) { ... on Order { id } } }`); strings.Contains(got, "v2.3") || !strings.Contains(got, `"_entities":[{"id":"1"}]`) {
		t.Error(got)
	}
}
