package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/anasamu/comm/graphql"
)

const incrementalSDL = `
	type Query { hero: Hero list: [Hero!]! bad: [Hero!] names: [String] strict: [String!] matrix: [[String]] nest: A }
	type Mutation { change: Hero }
	type Subscription { heroes: Hero }
	type Hero { id: ID! name: String must: String! fails: String friends: [Hero] best: Hero slow: String slowMust: String! stock: [Hero!]! }
	type A { b: B a: String nonNull: String! } type B { c: C b: String } type C { d: String e: String f: String! nothing: String! }`

func incrementalSchema(t testing.TB, opts ...graphql.SchemaOption) *graphql.Schema {
	luke := m{"id": "1", "name": "Luke", "must": "yes", "best": m{"id": "5", "name": "Wedge", "must": "x"}}
	luke["friends"] = []any{m{"id": "2", "name": "Han", "must": "han"}, m{"id": "3", "name": "Leia", "must": "leia"}, m{"id": "4", "name": "C-3PO"}}
	list := []any{m{"id": "1", "name": "Luke"}, m{"id": "2", "name": "Han"}, m{"id": "3", "name": "Leia"}}
	all := append([]graphql.SchemaOption{
		graphql.SDL(incrementalSDL), graphql.WithIncremental(), graphql.WithUnmaskedErrors(),
		graphql.Get("Query.hero", func(graphql.Root) any { return luke }),
		graphql.Get("Query.list", func(graphql.Root) any { return list }),
		graphql.Get("Query.bad", func(graphql.Root) any { return []any{list[0], nil, list[2]} }),
		graphql.Get("Query.names", func(graphql.Root) any { return []any{"apple", "banana", "coconut"} }),
		graphql.Get("Query.strict", func(graphql.Root) any { return []any{"apple", nil, "coconut"} }),
		graphql.Get("Query.matrix", func(graphql.Root) any { return [][]string{{"a", "b"}, {"c"}, {"d"}} }),
		graphql.Get("Query.nest", func(graphql.Root) any {
			return m{"a": "a", "nonNull": "nn", "b": m{"b": "b", "c": m{"d": "d", "e": "e", "f": "f"}}}
		}),
		graphql.Resolve("Mutation.change", func(context.Context, graphql.Root, graphql.NoArgs) (any, error) { return luke, nil }),
		graphql.Subscribe("Subscription.heroes", source[any](luke, luke)),
		graphql.Resolve("Hero.fails", func(context.Context, m, graphql.NoArgs) (*string, error) { return nil, errors.New("bad") }),
		graphql.Resolve("Hero.slow", func(_ context.Context, h m, _ graphql.NoArgs) (any, error) { return h["name"], nil }),
		graphql.Resolve("Hero.slowMust", func(_ context.Context, h m, _ graphql.NoArgs) (any, error) { return nil, errors.New("bad must") }),
		graphql.Batch("Hero.stock", func(_ context.Context, hs []m, _ graphql.NoArgs) ([]any, error) {
			out := make([]any, len(hs))
			for i := range hs {
				out[i] = []any{m{"id": "s" + hs[i]["id"].(string), "name": "stock"}}
			}
			return out, nil
		}),
	}, dynamic(nil, "Hero", "A", "B", "C")...)
	return schema(t, append(all, opts...)...)
}

// parts are all responses to a request.
func parts(t testing.TB, s *graphql.Schema, query string, variables ...string) (list []string) {
	t.Helper()
	req := &graphql.Request{Query: query}
	if len(variables) > 0 {
		req.Variables = json.RawMessage(variables[0])
	}
	st, body, _ := s.Subscribe(t.Context(), req)
	if st == nil {
		return []string{string(body)}
	}
	for b := range st.Responses() {
		if !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		list = append(list, string(b))
	}
	return list
}
