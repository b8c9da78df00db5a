package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

type member struct {
	ID   int
	Name string
}

func Example() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`
			type Query { member(id: ID!): Member }
			type Member { id: ID! name: String! initials: String! }`),
		graphql.Bind[*member]("Member"),
		graphql.Get("Member.initials", func(m *member) string { return m.Name[:1] }),
		graphql.Resolve("Query.member", func(_ context.Context, _ graphql.Root, args struct{ ID string }) (*member, error) {
			return &member{7, "Ann"}, nil
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ member(id: 7) { id name initials } }`})
	fmt.Println(string(body))
	// Output: {"data":{"member":{"id":"7","name":"Ann","initials":"A"}}}
}

func ExampleNewSchema() {
	_, err := graphql.NewSchema(
		graphql.SDLFile("api.graphql", "type Query {\n  member: Member\n  count: Int\n}\ntype Member { id: ID! email: String }"),
		graphql.Get("Query.member", func(graphql.Root) *member { return nil }),
	)
	fmt.Println(err)
	// Output:
	// graphql: NewSchema: 2 problems:
	// 	api.graphql:3:3: Query.count has no resolver.
	// 	api.graphql:5:23: Member.email has neither a resolver nor a field in graphql_test.member.
}

func ExampleBatch() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { members: [Member!]! } type Member { name: String! posts: [String!]! }`),
		graphql.Get("Query.members", func(graphql.Root) []*member { return []*member{{1, "Ann"}, {2, "Bob"}} }),
		graphql.Batch("Member.posts", func(_ context.Context, ms []*member, _ graphql.NoArgs) ([][]string, error) {
			fmt.Println("one call for", len(ms), "members")
			return [][]string{{"hello"}, {}}, nil
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ members { name posts } }`})
	fmt.Println(string(body))
	// Output:
	// one call for 2 members
	// {"data":{"members":[{"name":"Ann","posts":["hello"]},{"name":"Bob","posts":[]}]}}
}

func ExampleSchema_Subscribe() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { a: Int } type Subscription { countdown(from: Int!): Int! }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Subscribe("Subscription.countdown", func(_ context.Context, args struct{ From int }) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for n := args.From; n > 0 && yield(n, nil); n-- {
				}
			}, nil
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, refusal, _ := schema.Subscribe(context.Background(), &graphql.Request{Query: `subscription { countdown(from: 2) }`})
	if stream == nil {
		fmt.Println(string(refusal))
		return
	}
	for body := range stream.Responses() {
		fmt.Println(string(body))
	}
	// Output:
	// {"data":{"countdown":2}}
	// {"data":{"countdown":1}}
}

func ExampleNewClient() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { add(a: Int!, b: Int!): Int! }`),
		graphql.GetWith("Query.add", func(_ graphql.Root, args struct{ A, B int }) int { return args.A + args.B }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	var data struct{ Add int }
	err = graphql.NewClient(schema).Do(context.Background(), `query($b: Int!) { add(a: 1, b: $b) }`, map[string]int{"b": 2}, &data)
	fmt.Println(data.Add, err)
	// Output: 3 <nil>
}

func ExampleNewHandler() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { hello: String! }`),
		graphql.Get("Query.hello", func(graphql.Root) string { return "world" }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := graphql.NewHandler(schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("POST", "/graphql", strings.NewReader(`{"query":"{ hello }"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 200 application/json; charset=utf-8
	// {"data":{"hello":"world"}}
}

func ExampleNew() {
	gw, err := comm.New(comm.WithInMemory(), comm.WithProvider(graphql.New(
		graphql.SDL(`type Query { hello: String! }`),
		graphql.Get("Query.hello", func(graphql.Root) string { return "world" }),
	)))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := gw.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	r := httptest.NewRequest("GET", "http://gateway/graphql?query={hello}", nil)
	res, err := gw.HandleRequest(context.Background(), "graphql", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(string(body), err)
	// Output: {"data":{"hello":"world"}} <nil>
}

func ExampleDirective() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`directive @upper on FIELD_DEFINITION type Query { hello: String @upper }`),
		graphql.Get("Query.hello", func(graphql.Root) string { return "world" }),
		graphql.Directive("upper", func(_ graphql.NoArgs, next graphql.FieldFunc) graphql.FieldFunc {
			return func(ctx context.Context, f *graphql.Field) (any, error) {
				v, err := next(ctx, f)
				text, _ := v.(string)
				return strings.ToUpper(text), err
			}
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ hello }`})
	fmt.Println(string(body))
	// Output: {"data":{"hello":"WORLD"}}
}

func ExampleScalar() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`scalar Date type Query { next(day: Date!): Date! }`),
		graphql.Scalar("Date",
			func(v any) (time.Time, error) {
				text, _ := v.(string)
				return time.Parse(time.DateOnly, text)
			},
			func(b []byte, t time.Time) ([]byte, error) { return t.AppendFormat(b, `"2006-01-02"`), nil }),
		graphql.GetWith("Query.next", func(_ graphql.Root, args struct{ Day time.Time }) time.Time { return args.Day.AddDate(0, 0, 1) }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ next(day: "2024-02-28") }`})
	fmt.Println(string(body))
	// Output: {"data":{"next":"2024-02-29"}}
}

func ExampleOpt() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { rename(nick: String): String! }`),
		graphql.GetWith("Query.rename", func(_ graphql.Root, args struct{ Nick graphql.Opt[string] }) string {
			switch nick, ok := args.Nick.Get(); {
			case ok:
				return "to " + nick
			case args.Nick.IsNull():
				return "to nothing"
			}
			return "unchanged"
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ a: rename b: rename(nick: null) c: rename(nick: "x") }`})
	fmt.Println(string(body))
	// Output: {"data":{"a":"unchanged","b":"to nothing","c":"to x"}}
}

func ExampleErrorf() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { member: Int secret: Int }`),
		graphql.Resolve("Query.member", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) {
			return 0, graphql.Errorf("no member %d", 7).With("code", "NOT_FOUND")
		}),
		graphql.Resolve("Query.secret", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) {
			return 0, fmt.Errorf("what only the log is told")
		}),
		graphql.WithErrorPresenter(func(_ context.Context, e *graphql.Error) { e.Locations = nil }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, outcome := schema.Append(context.Background(), nil, &graphql.Request{Query: `{ member secret }`})
	for _, e := range outcome.Errors {
		text, _ := json.Marshal(e)
		fmt.Println(string(text))
	}
	// Output:
	// {"message":"no member 7","path":["member"],"extensions":{"code":"NOT_FOUND"}}
	// {"message":"internal error","path":["secret"],"extensions":{"code":"INTERNAL"}}
}
