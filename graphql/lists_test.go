package graphql_test

import (
	"context"
	"testing"

	"github.com/anasamu/comm/graphql"
)

func TestLists(t *testing.T) {
	t.Parallel()
	one, two := 1, 2
	for _, c := range []struct {
		typ  string
		v    any
		want string
	}{
		{"[Int]", []int{1, 2}, `{"data":{"list":[1,2]}}`},
		{"[Int]", []*int{&one, nil, &two}, `{"data":{"list":[1,null,2]}}`},
		{"[Int]", [2]int{1, 2}, `{"data":{"list":[1,2]}}`},
		{"[Int]", []any{1, nil, 2.0}, `{"data":{"list":[1,null,2]}}`},
		{"[Int]", nil, `{"data":{"list":null}}`},
		{"[Int]", []int(nil), `{"data":{"list":null}}`},
		{"[Int]!", []int(nil), `{"data":{"list":[]}}`},
		{"[Int]!", nil, `{"data":null,"errors":[{"message":"Cannot return null for non-nullable field Query.list.","locations":[{"line":1,"column":3}],"path":["list"]}]}`},
		{"[Int!]", []any{1, nil, nil}, `{"data":{"list":null},"errors":[{"message":"Cannot return null for non-nullable field Query.list.","locations":[{"line":1,"column":3}],"path":["list",1]}]}`},
		{"[Int!]!", []any{1, nil}, `{"data":null,"errors":[{"message":"Cannot return null for non-nullable field Query.list.","locations":[{"line":1,"column":3}],"path":["list",1]}]}`},
		{"[[Int!]]!", []any{[]any{1}, []any{2, nil}, nil, []int{3}}, `{"data":{"list":[[1],null,null,[3]]},"errors":[{"message":"Cannot return null for non-nullable field Query.list.","locations":[{"line":1,"column":3}],"path":["list",1,1]}]}`},
		{"[Int]", 1, `{"data":{"list":null},"errors":[{"message":"Expected a list for [Int].","locations":[{"line":1,"column":3}],"path":["list"]}]}`},
		{"[Int]", []any{1, "x", int64(1 << 40), 1.5}, `{"data":{"list":[1,null,null,null]},"errors":[{"message":"Int cannot represent the value.","locations":[{"line":1,"column":3}],"path":["list",1]},{"message":"Int cannot represent non 32-bit signed integer value: 1099511627776","locations":[{"line":1,"column":3}],"path":["list",2]},{"message":"Int cannot represent non-integer value: 1.5","locations":[{"line":1,"column":3}],"path":["list",3]}]}`},
	} {
		expect(t, schema(t, graphql.SDL(`type Query { list: `+c.typ+` }`), value("Query.list", c.v)), `{ list }`, c.want)
	}
}

// The first pass finds the objects below in the same order as the second writes them, whatever is null,
// fails or is cut off between them.
func TestNestedListsOfObjects(t *testing.T) {
	t.Parallel()
	type item struct{ N int }
	items := func(ns ...int) (list []*item) {
		for _, n := range ns {
			if n == 0 {
				list = append(list, nil)
			} else {
				list = append(list, &item{n})
			}
		}
		return list
	}
	s := schema(t,
		graphql.SDL(`type Query { rows: [[Item!]] deep: [[[Item]]] } type Item { n: Int twice: Int! half: Int! rows: [[Item!]] }`),
		value("Query.rows", [][]*item{items(1, 2), items(3, 4, 5), nil, items(6, 0, 7), items(8)}),
		value("Query.deep", [][][]*item{{items(1, 0), nil}, {items(3)}}),
		graphql.Batch("Item.twice", func(_ context.Context, is []*item, _ graphql.NoArgs) ([]int, error) {
			out := make([]int, len(is))
			for k, i := range is {
				out[k] = 2 * i.N
			}
			return out, nil
		}),
		graphql.Resolve("Item.half", func(_ context.Context, i *item, _ graphql.NoArgs) (int, error) {
			if i.N == 4 {
				return 0, graphql.Errorf("four")
			}
			return i.N / 2, nil
		}),
		graphql.Get("Item.rows", func(i *item) [][]*item { return [][]*item{items(i.N, i.N+2), items(i.N + 1)} }),
	)
	expect(t, s, `{ rows { n twice half } }`,
		`{"data":{"rows":[[{"n":1,"twice":2,"half":0},{"n":2,"twice":4,"half":1}],null,null,null,[{"n":8,"twice":16,"half":4}]]},"errors":[`+
			`{"message":"four","locations":[{"line":1,"column":18}],"path":["rows",1,1,"half"]},`+
			`{"message":"Cannot return null for non-nullable field Query.rows.","locations":[{"line":1,"column":3}],"path":["rows",3,1]}]}`)
	expect(t, s, `{ deep { twice } }`, `{"data":{"deep":[[[{"twice":2},null],null],[[{"twice":6}]]]}}`)
	expect(t, s, `{ deep { n rows { half rows { twice } } } }`,
		`{"data":{"deep":[[[{"n":1,"rows":[[{"half":0,"rows":[[{"twice":2},{"twice":6}],[{"twice":4}]]},{"half":1,"rows":[[{"twice":6},{"twice":10}],[{"twice":8}]]}],[{"half":1,"rows":[[{"twice":4},{"twice":8}],[{"twice":6}]]}]]},null],null],`+
			`[[{"n":3,"rows":[[{"half":1,"rows":[[{"twice":6},{"twice":10}],[{"twice":8}]]},{"half":2,"rows":[[{"twice":10},{"twice":14}],[{"twice":12}]]}],null]}]]]},"errors":[{"message":"four","locations":[{"line":1,"column":19}],"path":["deep",1,0,0,"rows",1,0,"half"]}]}`)
}
