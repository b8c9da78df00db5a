package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// thing is what graphql-js's non-null tests execute on: each field fails, is null or panics.
type thing struct{ how string }

func (d *thing) sync() *string {
	switch d.how {
	case "null":
		return nil
	case "panic":
		panic("sync")
	}
	s := "sync"
	return &s
}

func (d *thing) async() (*string, error) {
	switch d.how {
	case "null":
		return nil, nil
	case "error":
		return nil, graphql.Errorf("async")
	case "panic":
		panic(errors.New("async"))
	}
	s := "async"
	return &s, nil
}

const thingSDL = `type Query { nest: Thing nestNonNull: Thing! }
type Thing {
	sync: String syncNonNull: String! async: String asyncNonNull: String! batch: String batchNonNull: String!
	nest: Thing nestNonNull: Thing! asyncNest: Thing asyncNestNonNull: Thing!
}`

func things(t *testing.T, how string) *graphql.Schema {
	self := func(_ context.Context, d *thing, _ graphql.NoArgs) (*thing, error) { return d, nil }
	opts := []graphql.SchemaOption{
		graphql.SDL(thingSDL),
		graphql.Get("Query.nest", func(graphql.Root) *thing { return &thing{how} }),
		graphql.Get("Query.nestNonNull", func(graphql.Root) *thing { return &thing{how} }),
		graphql.Get("Thing.nest", func(d *thing) *thing { return d }), graphql.Get("Thing.nestNonNull", func(d *thing) *thing { return d }),
		graphql.Resolve("Thing.asyncNest", self), graphql.Resolve("Thing.asyncNestNonNull", self),
	}
	for _, suffix := range []string{"", "NonNull"} {
		opts = append(opts,
			graphql.Get("Thing.sync"+suffix, (*thing).sync),
			graphql.Resolve("Thing.async"+suffix, func(_ context.Context, d *thing, _ graphql.NoArgs) (*string, error) { return d.async() }),
			graphql.Batch("Thing.batch"+suffix, func(_ context.Context, ds []*thing, _ graphql.NoArgs) ([]graphql.Result[*string], error) {
				out := make([]graphql.Result[*string], len(ds))
				for i, d := range ds {
					out[i].Value, out[i].Err = d.async()
				}
				return out, nil
			}))
	}
	return schema(t, opts...)
}

func TestNonNull(t *testing.T) {
	t.Parallel()
	const internal = `{"message":"internal error","locations":[{"line":1,"column":%d}],"path":[%s],"extensions":{"code":"INTERNAL"}}`
	null := things(t, "null")
	expect(t, null, `{ nest { sync async } }`, `{"data":{"nest":{"sync":null,"async":null}}}`)
	for _, field := range []string{"sync", "async", "batch"} {
		expect(t, null, `{ nest { `+field+`NonNull } }`,
			`{"data":{"nest":null},"errors":[{"message":"Cannot return null for non-nullable field Thing.`+field+`NonNull.","locations":[{"line":1,"column":10}],"path":["nest","`+field+`NonNull"]}]}`)
		expect(t, null, `{ nestNonNull { `+field+`NonNull } }`,
			`{"data":null,"errors":[{"message":"Cannot return null for non-nullable field Thing.`+field+`NonNull.","locations":[{"line":1,"column":17}],"path":["nestNonNull","`+field+`NonNull"]}]}`)
	}
	panics := things(t, "panic")
	for _, field := range []string{"sync", "async"} {
		expect(t, panics, `{ nest { `+field+` } }`, `{"data":{"nest":{"`+field+`":null}},"errors":[`+fmt.Sprintf(internal, 10, `"nest","`+field+`"`)+`]}`)
	}
	fails := things(t, "error")
	expect(t, fails, `{ nest { async batch sync } }`, `{"data":{"nest":{"async":null,"batch":null,"sync":"sync"}},"errors":[{"message":"async","locations":[{"line":1,"column":10}],"path":["nest","async"]},{"message":"async","locations":[{"line":1,"column":16}],"path":["nest","batch"]}]}`)
	// up to the nearest nullable one, through both kinds of non-null nests
	expect(t, fails, `{ nest { asyncNest { nestNonNull { asyncNestNonNull { asyncNonNull } } } sync } }`,
		`{"data":{"nest":{"asyncNest":null,"sync":"sync"}},"errors":[{"message":"async","locations":[{"line":1,"column":55}],"path":["nest","asyncNest","nestNonNull","asyncNestNonNull","asyncNonNull"]}]}`)
	expect(t, fails, `{ nestNonNull { asyncNestNonNull { nestNonNull { batchNonNull } } } nest { sync } }`,
		`{"data":null,"errors":[{"message":"async","locations":[{"line":1,"column":50}],"path":["nestNonNull","asyncNestNonNull","nestNonNull","batchNonNull"]}]}`)
}

// What stands beside a field whose null goes up is neither called nor reported.
func TestOneErrorPerNull(t *testing.T) {
	t.Parallel()
	type item struct{ N int }
	calls := 0
	s := schema(t,
		graphql.SDL(`type Query { items: [Item!] } type Item { bad: Int! good: Int! deep: [Item!]! }`),
		graphql.WithLimits(graphql.Limits{Concurrency: 1}),
		value("Query.items", []*item{{1}, {2}, {3}}),
		graphql.Resolve("Item.bad", func(_ context.Context, i *item, _ graphql.NoArgs) (int, error) {
			return 0, graphql.Errorf("bad %d", i.N)
		}),
		graphql.Resolve("Item.good", func(_ context.Context, i *item, _ graphql.NoArgs) (int, error) { calls++; return i.N, nil }),
		graphql.Resolve("Item.deep", func(_ context.Context, i *item, _ graphql.NoArgs) ([]*item, error) {
			calls++
			return []*item{i, i}, nil
		}),
	)
	expect(t, s, `{ items { deep { good } bad } }`, `{"data":{"items":null},"errors":[{"message":"bad 1","locations":[{"line":1,"column":25}],"path":["items",0,"bad"]}]}`)
	calls = 0
	expect(t, s, `{ items { bad deep { good } good } }`, `{"data":{"items":null},"errors":[{"message":"bad 1","locations":[{"line":1,"column":11}],"path":["items",0,"bad"]}]}`)
	if calls != 0 {
		t.Errorf("%d calls for objects that will be null", calls)
	}
}
