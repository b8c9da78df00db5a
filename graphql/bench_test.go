package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/anasamu/comm/graphql"
)

type benchUser struct {
	ID    string
	Name  string
	Age   int
	Admin bool
}

type benchParent struct{ ID int }

type benchChild struct {
	ID   int
	Name string
}

const benchSDL = `
type Query { hello: String! pure: String! users: [User!]! parents: [Parent!]! }
type User { id: ID! name: String! age: Int! admin: Boolean! }
type Parent { id: Int! batch: [Child!]! each: [Child!]! }
type Child { id: Int! name: String! }`

func benchSchema(tb testing.TB) *graphql.Schema {
	users := make([]*benchUser, 100)
	for i := range users {
		users[i] = &benchUser{fmt.Sprint("user-", i), fmt.Sprint("Name ", i), 20 + i, i%7 == 0}
	}
	parents := make([]*benchParent, 100)
	for i := range parents {
		parents[i] = &benchParent{i}
	}
	children := make([]benchChild, 10)
	for i := range children {
		children[i] = benchChild{i, fmt.Sprint("Child ", i)}
	}
	s, err := graphql.NewSchema(
		graphql.SDL(benchSDL),
		graphql.Resolve("Query.hello", func(context.Context, graphql.Root, graphql.NoArgs) (string, error) { return "world", nil }),
		graphql.Get("Query.pure", func(graphql.Root) string { return "world" }),
		graphql.Resolve("Query.users", func(context.Context, graphql.Root, graphql.NoArgs) ([]*benchUser, error) { return users, nil }),
		graphql.Resolve("Query.parents", func(context.Context, graphql.Root, graphql.NoArgs) ([]*benchParent, error) { return parents, nil }),
		graphql.Batch("Parent.batch", func(_ context.Context, ps []*benchParent, _ graphql.NoArgs) ([][]benchChild, error) {
			out := make([][]benchChild, len(ps))
			for i := range out {
				out[i] = children
			}
			return out, nil
		}),
		graphql.Resolve("Parent.each", func(context.Context, *benchParent, graphql.NoArgs) ([]benchChild, error) { return children, nil }),
	)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func BenchmarkExecute(b *testing.B) {
	s := benchSchema(b)
	for _, c := range []struct{ name, query string }{
		{"hello", `{ hello }`},
		{"hello/pure", `{ pure }`},
		{"objects", `{ users { id name age admin } }`},
		{"batch", `{ parents { id batch { id name } } }`},
		{"resolve", `{ parents { id each { id name } } }`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			body, _ := json.Marshal(map[string]string{"query": c.query})
			var buf []byte
			for b.Loop() {
				req, err := graphql.ParseRequest(body)
				if err != nil {
					b.Fatal(err)
				}
				var out graphql.Outcome
				if buf, out = s.Append(context.Background(), buf[:0], req); len(out.Errors) > 0 {
					b.Fatal(out.Errors[0])
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
