package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anasamu/comm/graphql"
)

type userKey struct{}

func TestDirective(t *testing.T) {
	t.Parallel()
	auth := graphql.Directive("auth", func(a struct{ Role string }, next graphql.FieldFunc) graphql.FieldFunc {
		return func(ctx context.Context, f *graphql.Field) (any, error) {
			if who, _ := ctx.Value(userKey{}).(string); who != a.Role {
				return nil, graphql.Errorf("%s is for %s", f.Coordinate, a.Role).With("code", "FORBIDDEN")
			}
			return next(ctx, f)
		}
	})
	upper := graphql.Directive("upper", func(_ graphql.NoArgs, next graphql.FieldFunc) graphql.FieldFunc {
		return func(ctx context.Context, f *graphql.Field) (any, error) {
			v, err := next(ctx, f)
			s, _ := v.(string)
			return strings.ToUpper(s), err
		}
	})
	s := schema(t,
		graphql.SDL(`directive @auth(role: String! = "admin") repeatable on FIELD_DEFINITION directive @upper on FIELD_DEFINITION
			type Query { user: User } type User { id: Int name: String @upper secret(n: Int): String @auth @upper friends: [User] @auth(role: "friend") }`),
		auth, upper,
		graphql.Get("Query.user", func(graphql.Root) *user { return &user{ID: 1, Name: "ann"} }),
		graphql.GetWith("User.secret", func(u *user, a struct{ N int }) string { return fmt.Sprint(u.Name, " ", a.N) }),
		graphql.Batch("User.friends", func(_ context.Context, us []*user, _ graphql.NoArgs) ([][]*user, error) {
			return make([][]*user, len(us)), nil
		}),
	)
	expect(t, s, `{ user { id name } }`, `{"data":{"user":{"id":1,"name":"ANN"}}}`)
	expect(t, s, `{ user { x: secret(n: 3) } }`, `{"data":{"user":{"x":null}},"errors":[{"message":"User.secret is for admin","locations":[{"line":1,"column":10}],"path":["user","x"],"extensions":{"code":"FORBIDDEN"}}]}`)
	for who, want := range map[string]string{
		"admin":  `{"data":{"user":{"secret":"ANN 3","friends":null}},"errors":[{"message":"User.friends is for friend"`,
		"friend": `{"data":{"user":{"secret":null,"friends":null}},"errors":[{"message":"User.secret is for admin"`,
	} {
		b, _ := s.Append(context.WithValue(t.Context(), userKey{}, who), nil, &graphql.Request{Query: `{ user { secret(n: 3) friends { id } } }`})
		if !strings.HasPrefix(string(b), want) {
			t.Errorf("%s: %s", who, b)
		}
	}
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var log []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, fmt.Sprintf(format, args...))
	}
	field := func(next graphql.FieldFunc) graphql.FieldFunc {
		return func(ctx context.Context, f *graphql.Field) (any, error) {
			v, err := next(ctx, f)
			note("%s as %s of %d: %v", f.Coordinate, f.Alias, f.Parents, v)
			return v, err
		}
	}
	operation := func(name string) graphql.OperationMiddleware {
		return func(next graphql.OperationFunc) graphql.OperationFunc {
			return func(ctx context.Context, op *graphql.Operation) error {
				if op.Variables["refuse"] == name {
					return graphql.Errorf("refused by %s", name)
				}
				note("%s before %s %s", name, op.Kind, op.Name)
				err := next(ctx, op)
				note("%s after, %d errors", name, len(op.Errors()))
				op.Extensions = map[string]any{"by": name}
				return err
			}
		}
	}
	s := schema(t,
		graphql.SDL(`type Query { a(refuse: String): Int b: Int c: Int fail: Int }`),
		graphql.WithOperationMiddleware(operation("outer"), operation("inner")),
		graphql.WithFieldMiddleware(field), graphql.WithFieldMiddleware(field, "Query.c"),
		graphql.Resolve("Query.a", func(context.Context, graphql.Root, struct{ Refuse string }) (int, error) { return 1, nil }),
		graphql.Get("Query.b", func(graphql.Root) int { return 2 }), graphql.Get("Query.c", func(graphql.Root) int { return 3 }),
		graphql.Resolve("Query.fail", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, graphql.Errorf("no") }),
	)
	expect(t, s, `query Q($refuse: String) { x: a(refuse: $refuse) b c }`, `{"data":{"x":1,"b":2,"c":3},"extensions":{"by":"outer"}}`)
	if want := []string{"outer before query Q", "inner before query Q", "Query.a as x of 1: 1", "Query.c as c of 1: 3", "inner after, 0 errors", "outer after, 0 errors"}; len(log) != 6 || log[0] != want[0] || log[5] != want[5] || !slices.Contains(log, want[2]) || !slices.Contains(log, want[3]) {
		t.Errorf("%q", log)
	}
	expect(t, s, `query Q($refuse: String) { a(refuse: $refuse) }`, `{"errors":[{"message":"refused by inner"}]}`, `{"refuse":"inner"}`)
	log = nil
	if ask(t, s, `{ fail }`); !slices.Contains(log, "inner after, 1 errors") {
		t.Errorf("%q", log)
	}
}

type events struct {
	mu   sync.Mutex
	list []graphql.OperationEvent
}

func (e *events) Operation(_ context.Context, ev graphql.OperationEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func TestObserver(t *testing.T) {
	t.Parallel()
	seen := new(events)
	s := schema(t, graphql.SDL(`type Query { a: Int }`), value("Query.a", 1), graphql.WithOperationObserver(seen))
	ask(t, s, `query First { a }`)
	ask(t, s, `{ a }`)
	ask(t, s, `{ b }`)
	for i := range 500 { // a client makes up names
		ask(t, s, fmt.Sprintf(`query Q%d { a }`, i))
	}
	names := make(map[string]int)
	for _, e := range seen.list {
		names[e.Name]++
		if e.Name == "First" && (e.Kind != graphql.Query || e.Bytes != len(`{"data":{"a":1}}`) || e.Duration <= 0) {
			t.Errorf("%+v", e)
		}
	}
	if len(names) > 210 || names["anonymous"] != 1 || names["invalid"] != 1 || names["other"] < 290 {
		t.Errorf("%d names: %v", len(names), names)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`type Query { add(a: Int!, b: Int!): Int fail: Int }`),
		graphql.GetWith("Query.add", func(_ graphql.Root, a struct{ A, B int }) int { return a.A + a.B }),
		graphql.Resolve("Query.fail", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, graphql.Errorf("no") }),
	)
	c := graphql.NewClient(s)
	var data struct{ Add int }
	if err := c.Do(t.Context(), `query($a: Int!, $b: Int!) { add(a: $a, b: $b) }`, map[string]int{"a": 1, "b": 2}, &data); err != nil || data.Add != 3 {
		t.Error(err, data)
	}
	err := c.Do(t.Context(), `{ add(a: 1, b: 3) fail }`, nil, &data)
	if e, ok := errors.AsType[*graphql.Error](err); !ok || e.Error() != "graphql: fail: no" || data.Add != 4 {
		t.Error(err, data)
	}
	if err := c.Do(t.Context(), `{ nope }`, nil, &data); err == nil {
		t.Error("no error")
	}
}
