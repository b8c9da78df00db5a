package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/graphql"
)

type user struct {
	ID      int
	Name    string
	Friends []*user
	secret  string
}

func TestResolve(t *testing.T) {
	t.Parallel()
	ann := &user{ID: 1, Name: "Ann", secret: "x"}
	ann.Friends = []*user{{ID: 2, Name: "Bob", Friends: []*user{ann}}}
	s := schema(t,
		graphql.SDL(`type Query { user(id: ID!, deep: Int = 1): User hello(name: String = "world"): String! }
			type User { id: ID! name: String initials(n: Int! = 1): String! friends: [User!] secret: String @deprecated }`),
		graphql.Resolve("Query.user", func(_ context.Context, _ graphql.Root, a struct {
			ID   string
			Deep int
		},
		) (*user, error) {
			if a.ID != "1" {
				return nil, nil
			}
			return ann, nil
		}),
		graphql.GetWith("Query.hello", func(_ graphql.Root, a struct{ Name *string }) string {
			if a.Name == nil {
				return "hello nobody"
			}
			return "hello " + *a.Name
		}),
		graphql.GetWith("User.initials", func(u *user, a struct{ N int }) string { return u.Name[:a.N] }),
		graphql.Get("User.secret", func(u user) string { return u.secret }),
	)
	expect(t, s, `{ user(id: 1) { id name i: initials two: initials(n: 2) secret __typename friends { name friends { id } } } }`,
		`{"data":{"user":{"id":"1","name":"Ann","i":"A","two":"An","secret":"x","__typename":"User","friends":[{"name":"Bob","friends":[{"id":"1"}]}]}}}`)
	expect(t, s, `{ user(id: "2") { id } __typename }`, `{"data":{"user":null,"__typename":"Query"}}`)
	// absent, null, value and default are all different
	expect(t, s, `{ hello }`, `{"data":{"hello":"hello world"}}`)
	expect(t, s, `{ hello(name: null) }`, `{"data":{"hello":"hello nobody"}}`)
	expect(t, s, `query($n: String) { hello(name: $n) }`, `{"data":{"hello":"hello world"}}`)
	expect(t, s, `query($n: String) { hello(name: $n) }`, `{"data":{"hello":"hello nobody"}}`, `{"n":null}`)
	expect(t, s, `query($n: String = "there") { hello(name: $n) }`, `{"data":{"hello":"hello there"}}`)
	expect(t, s, `query($n: String = "there") { hello(name: $n) }`, `{"data":{"hello":"hello you"}}`, `{"n":"you"}`)
	// a panic of a pure function with arguments is the error of that one field
	expect(t, s, `{ user(id: 1) { initials(n: 9) } hello }`, `{"data":{"user":null,"hello":"hello world"},"errors":[{"message":"internal error","locations":[{"line":1,"column":17}],"path":["user","initials"],"extensions":{"code":"INTERNAL"}}]}`)
	// null for an argument that is not null, though the variable may be
	expect(t, s, `query($n: Int = 1) { user(id: 1) { initials(n: $n) } }`, `{"data":{"user":null},"errors":[{"message":"Argument \"n\" has invalid value $n: Expected variable \"$n\" provided to type \"Int!\" not to be null.","locations":[{"line":1,"column":48}],"path":["user","initials"]}]}`, `{"n":null}`)
}

func TestOperations(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`type Query { a: Int } type Mutation { b: Int }`), value("Query.a", 1), value("Mutation.b", 2))
	do := func(name, want string) {
		t.Helper()
		b, _ := s.Append(t.Context(), nil, &graphql.Request{Query: `query A { a } query B { b: a } mutation C { b }`, OperationName: name})
		if string(b) != want {
			t.Errorf("%s: %s", name, b)
		}
	}
	do("A", `{"data":{"a":1}}`)
	do("B", `{"data":{"b":1}}`)
	do("C", `{"data":{"b":2}}`)
	do("", `{"errors":[{"message":"Must provide operation name if query contains multiple operations."}]}`)
	do("D", `{"errors":[{"message":"Unknown operation named \"D\"."}]}`)
	expect(t, s, `mutation { __typename b }`, `{"data":{"__typename":"Mutation","b":2}}`)
	refused(t, s, `subscription { a }`, ``, "ubscription")
	refused(t, s, ``, ``, "Must provide query string")
	refused(t, s, ` # nothing`, ``, "Syntax Error")
	refused(t, s, `{ a`, ``, "Syntax Error", `"line":1`)
	refused(t, s, `{ c }`, ``, `Cannot query field`)
	refused(t, s, `fragment F on Query { a }`, ``, `Fragment`)
}

// Fields of one key are merged, in the order in which keys first occur among what is included.
func TestMergeAndOrder(t *testing.T) {
	t.Parallel()
	ann := &user{ID: 1, Name: "Ann", Friends: []*user{{ID: 2, Name: "Bob"}}}
	s := schema(t, graphql.SDL(`type Query { user: User } type User { id: Int name: String friends: [User] }`), graphql.Bind[*user]("User"), value("Query.user", ann))
	expect(t, s, `query Q { user { ...A friends { name } } ...B user { id } }
		fragment A on User { friends { id } name } fragment B on Query { user { name __typename } }`,
		`{"data":{"user":{"friends":[{"id":2,"name":"Bob"}],"name":"Ann","__typename":"User","id":1}}}`)

	const conditional = `query($on: Boolean!, $off: Boolean = true) { user { id @include(if: $on) name ... @skip(if: $off) { friends { id } } ...F @include(if: $on) id } } fragment F on User { n: name }`
	expect(t, s, conditional, `{"data":{"user":{"id":1,"name":"Ann","n":"Ann"}}}`, `{"on":true}`)
	expect(t, s, conditional, `{"data":{"user":{"name":"Ann","id":1}}}`, `{"on":false}`)
	expect(t, s, conditional, `{"data":{"user":{"name":"Ann","friends":[{"id":2}],"id":1}}}`, `{"on":false,"off":false}`)
	expect(t, s, `{ user { id @skip(if: true) name @include(if: false) @skip(if: false) } }`, `{"data":{"user":{}}}`)
	expect(t, s, `{ user { id @skip(if: true) @include(if: true) ...F @skip(if: false) @include(if: true) } } fragment F on User { name }`, `{"data":{"user":{"name":"Ann"}}}`)
	// a fragment that is skipped where it first stands counts where it stands again
	expect(t, s, `{ user { ...F @skip(if: true) ...F } } fragment F on User { id }`, `{"data":{"user":{"id":1}}}`)
	refused(t, s, conditional, ``, `"$on\" of required type \"Boolean!\" was not provided`)
	// a condition that is null fails the object that it is met in, as graphql-js has it, before fragments are told apart
	undecided := func(column int) string {
		return fmt.Sprintf(`{"data":{"user":null},"errors":[{"message":"Argument \"if\" of @skip needs a Boolean, but the variable \"$off\" is null.","locations":[{"line":1,"column":%d}],"path":["user"]}]}`, column)
	}
	expect(t, s, conditional, undecided(93), `{"on":true,"off":null}`)
	expect(t, s, `query($off: Boolean = true) { user { ...F ...F @skip(if: $off) } } fragment F on User { id }`, undecided(58), `{"off":null}`)
	expect(t, s, `query($off: Boolean = true) { user { id } ... @skip(if: $off) { __typename } }`,
		`{"data":null,"errors":[{"message":"Argument \"if\" of @skip needs a Boolean, but the variable \"$off\" is null.","locations":[{"line":1,"column":57}]}]}`, `{"off":null}`)
	refused(t, s, `{ user { a: id a: name } }`, ``, `different fields`)
	refused(t, s, `{ user { friends { x: id } ...F } } fragment F on User { friends { x: name } }`, ``, `subfields \"x\" conflict`)
}

// Locations list every node of a merged field, and the path goes by aliases.
func TestErrorPlaces(t *testing.T) {
	t.Parallel()
	s := schema(t, graphql.SDL(`type Query { bad: Int }`), graphql.Resolve("Query.bad", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) {
		return 0, fmt.Errorf("wrapped: %w", graphql.Errorf("no").With("code", "NO"))
	}))
	expect(t, s, "{ x: bad\n ...F }\nfragment F on Query { x: bad }",
		`{"data":{"x":null},"errors":[{"message":"no","locations":[{"line":1,"column":3},{"line":3,"column":23}],"path":["x"],"extensions":{"code":"NO"}}]}`)
}

func TestMutationsAreSerial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, mutationsAreSerial)
}

func mutationsAreSerial(t *testing.T) {
	var mu sync.Mutex
	var log []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, what)
	}
	type step struct{ N int }
	s := schema(t,
		graphql.SDL(`type Query { a: Int } type Mutation { step(n: Int!): Step fail: Step! } type Step { n: Int below: Int }`),
		value("Query.a", 1),
		graphql.Resolve("Mutation.step", func(_ context.Context, _ graphql.Root, a struct{ N int }) (*step, error) {
			note(fmt.Sprint("step ", a.N))
			return &step{a.N}, nil
		}),
		graphql.Resolve("Mutation.fail", func(context.Context, graphql.Root, graphql.NoArgs) (*step, error) {
			note("fail")
			return nil, graphql.Errorf("failed")
		}),
		graphql.Resolve("Step.below", func(_ context.Context, st *step, _ graphql.NoArgs) (int, error) {
			time.Sleep(time.Second) // long enough for the next root field, were it not to wait
			note(fmt.Sprint("below ", st.N))
			return st.N, nil
		}),
	)
	expect(t, s, `mutation { a: step(n: 1) { below n } b: step(n: 2) { below } c: step(n: 3) { n } d: step(n: 4) { below } e: step(n: 5) { below } f: step(n: 6) { below } }`,
		`{"data":{"a":{"below":1,"n":1},"b":{"below":2},"c":{"n":3},"d":{"below":4},"e":{"below":5},"f":{"below":6}}}`)
	if got := strings.Join(log, ", "); got != "step 1, below 1, step 2, below 2, step 3, step 4, below 4, step 5, below 5, step 6, below 6" {
		t.Error(got)
	}
	log = nil
	expect(t, s, `mutation { step(n: 1) { n } fail { n } c: step(n: 3) { n } }`, `{"data":null,"errors":[{"message":"failed","locations":[{"line":1,"column":29}],"path":["fail"]}]}`)
	if got := strings.Join(log, ", "); got != "step 1, fail" {
		t.Error(got)
	}
}

// One call per place of the operation, whatever lists the parents are in.
func TestBatch(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ann, bob := &user{ID: 1, Name: "Ann"}, &user{ID: 2, Name: "Bob"}
	s := schema(t,
		graphql.SDL(`type Query { users: [[User]] } type User { id: Int friends(n: Int): [User!]! short: [Int] }`),
		value("Query.users", [][]*user{{ann, nil, bob}, {ann}}),
		graphql.Batch("User.friends", func(_ context.Context, us []*user, a struct{ N *int }) ([][]*user, error) {
			calls.Add(1)
			out := make([][]*user, len(us))
			for i, u := range us {
				out[i] = []*user{{ID: u.ID * 10}, {ID: u.ID*10 + 1}}[:*a.N]
			}
			return out, nil
		}),
		graphql.Batch("User.short", func(_ context.Context, us []*user, _ graphql.NoArgs) ([][]int, error) { return nil, nil }),
	)
	expect(t, s, `query($n: Int) { users { id friends(n: $n) { id friends(n: 1) { id } } } }`,
		`{"data":{"users":[[{"id":1,"friends":[{"id":10,"friends":[{"id":100}]},{"id":11,"friends":[{"id":110}]}]},null,{"id":2,"friends":[{"id":20,"friends":[{"id":200}]},{"id":21,"friends":[{"id":210}]}]}],[{"id":1,"friends":[{"id":10,"friends":[{"id":100}]},{"id":11,"friends":[{"id":110}]}]}]]}}`, `{"n":2}`)
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls for two places", n)
	}
	if got := ask(t, s, `{ users { short } }`); strings.Count(got, `"internal error"`) != 3 {
		t.Error(got)
	}
}

// Resolvers of one request run at once, but no more of them than the limit, and nesting cannot lock it.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		type n struct{ Depth int }
		slow := func(_ context.Context, p *n, _ graphql.NoArgs) ([]*n, error) {
			for i := now.Add(1); ; {
				if old := most.Load(); old >= i || most.CompareAndSwap(old, i) {
					break
				}
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return []*n{{p.Depth + 1}, {p.Depth + 1}, {p.Depth + 1}}, nil
		}
		s := schema(t,
			graphql.SDL(`type Query { n: N } type N { a: [N!]! b: [N!]! depth: Int! }`),
			graphql.WithLimits(graphql.Limits{Concurrency: 4}),
			graphql.Get("Query.n", func(graphql.Root) *n { return &n{} }),
			graphql.Resolve("N.a", slow), graphql.Resolve("N.b", slow),
		)
		began := time.Now()
		got := ask(t, s, `{ n { a { a { a { depth } b { depth } } } b { b { a { depth } } } } }`)
		if strings.Contains(got, "errors") || strings.Count(got, `"depth":3`) != 27*2+27 {
			t.Error(got)
		}
		if m := most.Load(); m != 4 {
			t.Errorf("%d resolvers ran at once, want 4", m)
		}
		// 2 + 6 + 18 + 9 calls of a second each
		if d := time.Since(began); d > 12*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	opts := []graphql.SchemaOption{
		graphql.SDL(`type Query { wait: Int also: Int fail: Int! }`), graphql.WithLimits(graphql.Limits{Time: 2 * time.Second}),
		graphql.Resolve("Query.wait", wait), graphql.Resolve("Query.also", wait),
		graphql.Resolve("Query.fail", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, graphql.Errorf("failed") }),
	}
	synctest.Test(t, func(t *testing.T) {
		s := schema(t, opts...)
		began := time.Now()
		got := ask(t, s, `{ wait }`)
		if time.Since(began) != 2*time.Second || !strings.Contains(got, `over the limit of 2 s`) || !strings.Contains(got, graphql.CodeLimit) {
			t.Error(time.Since(began), got)
		}
		// all data is null: what runs beside it is told
		began = time.Now()
		got = ask(t, s, `{ wait also fail }`)
		if time.Since(began) != 0 || !strings.HasPrefix(got, `{"data":null`) || !strings.Contains(got, "failed") {
			t.Error(time.Since(began), got)
		}
		// the client goes
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began = time.Now()
		b, _ := s.Append(ctx, nil, &graphql.Request{Query: `{ wait also }`})
		if time.Since(began) != time.Second || !strings.Contains(string(b), `"wait":null,"also":null`) {
			t.Error(time.Since(began), string(b))
		}
	})
}

func TestErrorsAreMasked(t *testing.T) {
	t.Parallel()
	cause := errors.New("pq: password of admin is 1234")
	opts := []graphql.SchemaOption{
		graphql.SDL(`type Query { a: Int }`),
		graphql.Resolve("Query.a", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, cause }),
	}
	if got := ask(t, schema(t, opts...), `{ a }`); strings.Contains(got, "1234") || !strings.Contains(got, "internal error") {
		t.Error(got)
	}
	if got := ask(t, schema(t, append(opts, graphql.WithUnmaskedErrors())...), `{ a }`); !strings.Contains(got, "1234") {
		t.Error(got)
	}
	var seen error
	s := schema(t, append(opts, graphql.WithErrorPresenter(func(_ context.Context, e *graphql.Error) {
		seen = errors.Unwrap(e)
		e.Message, e.Extensions = "presented", map[string]any{"id": 7}
	}))...)
	expect(t, s, `{ a }`, `{"data":{"a":null},"errors":[{"message":"presented","locations":[{"line":1,"column":3}],"path":["a"],"extensions":{"id":7}}]}`)
	if !errors.Is(seen, cause) {
		t.Error(seen)
	}
}

// What is under way for an object ends when another field makes it null, and for no other object.
func TestSiblingsAreCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type item struct{ N int }
		s := schema(t,
			graphql.SDL(`type Query { items: [Item]! strict: [Item!] } type Item { n: Int! fail: Int! wait: Int below: Item! }`),
			graphql.Get("Query.items", func(graphql.Root) []*item { return []*item{{1}, {2}} }),
			graphql.Get("Query.strict", func(graphql.Root) []*item { return []*item{{1}, {2}} }),
			graphql.Get("Item.below", func(i *item) *item { return i }),
			graphql.Resolve("Item.fail", func(_ context.Context, i *item, _ graphql.NoArgs) (int, error) {
				time.Sleep(time.Second)
				if i.N == 1 {
					return 0, graphql.Errorf("one")
				}
				return i.N, nil
			}),
			graphql.Resolve("Item.wait", func(ctx context.Context, i *item, _ graphql.NoArgs) (int, error) {
				select {
				case <-ctx.Done():
					if i.N != 1 {
						t.Errorf("item %d was cancelled after %v: %v", i.N, ctx.Err(), context.Cause(ctx))
					}
					return 0, ctx.Err()
				case <-time.After(10 * time.Second):
					if i.N == 1 {
						t.Error("item 1 was not cancelled")
					}
					return i.N, nil
				}
			}),
		)
		expect(t, s, `{ items { fail wait } }`, `{"data":{"items":[null,{"fail":2,"wait":2}]},"errors":[{"message":"one","locations":[{"line":1,"column":11}],"path":["items",0,"fail"]}]}`)
		expect(t, s, `{ items { below { below { fail } } below { wait } } }`, `{"data":{"items":[null,{"below":{"below":{"fail":2},"wait":2}}]},"errors":[{"message":"one","locations":[{"line":1,"column":27}],"path":["items",0,"below","below","fail"]}]}`)
	})
}
