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

// mediumQuery is about what a page of an application asks for.
const mediumQuery = `query Page($first: Int = 10, $withPets: Boolean!) {
	user(id: 1) { id name initials(n: 2) friends { ...Person } }
	search(text: "a", first: $first) { __typename ... on Named { name } ... on Dog @include(if: $withPets) { barks owner { ...Person } } ... on User { friends { id } } }
	stats { count average label }
}
fragment Person on User { id name age: years friends { id name } }`

func mediumSchema(tb testing.TB) *graphql.Schema {
	bob := &user{ID: 2, Name: "Bob"}
	ann := &user{ID: 1, Name: "Ann", Friends: []*user{bob, bob}}
	type stats struct {
		Count   int
		Average float64
		Label   string
	}
	type dog2 struct {
		Name  string
		Barks bool
		Owner *user
	}
	return schema(tb,
		graphql.SDL(`interface Named { name: String! }
			type User implements Named { id: ID! name: String! initials(n: Int!): String friends: [User!]! years: Int }
			type Dog implements Named { name: String! barks: Boolean owner: User } union Found = User | Dog
			type Stats { count: Int! average: Float! label: String }
			type Query { user(id: ID!): User search(text: String!, first: Int): [Found!]! stats: Stats! }`),
		graphql.Bind[*dog2]("Dog"),
		graphql.Resolve("Query.user", func(context.Context, graphql.Root, struct{ ID string }) (*user, error) { return ann, nil }),
		graphql.Resolve("Query.search", func(context.Context, graphql.Root, struct {
			Text  string
			First int
		},
		) ([]any, error) {
			return []any{ann, &dog2{"Rex", true, bob}, bob}, nil
		}),
		graphql.Get("Query.stats", func(graphql.Root) stats { return stats{3, 1.5, "x"} }),
		graphql.GetWith("User.initials", func(u *user, _ struct{ N int }) string { return u.Name[:1] }),
		graphql.Get("User.years", func(u *user) int { return 30 + u.ID }),
		graphql.Batch("User.friends", func(_ context.Context, us []*user, _ graphql.NoArgs) ([][]*user, error) {
			out := make([][]*user, len(us))
			for i := range us {
				out[i] = us[i].Friends
			}
			return out, nil
		}),
	)
}

// BenchmarkMedium is one query from the bytes of its request to those of its response: cached, and with
// another text each time.
func BenchmarkMedium(b *testing.B) {
	s := mediumSchema(b)
	for _, cached := range []bool{true, false} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for n := 0; b.Loop(); n++ {
				query := mediumQuery
				if !cached {
					query += fmt.Sprint("#", n)
				}
				req := &graphql.Request{Query: query, Variables: json.RawMessage(`{"withPets":true}`)}
				var out graphql.Outcome
				if buf, out = s.Append(context.Background(), buf[:0], req); len(out.Errors) > 0 {
					b.Fatal(out.Errors[0])
				}
			}
		})
	}
}
