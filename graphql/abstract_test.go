package graphql_test

import (
	"context"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

type pet interface{ isPet() }

type dog struct {
	Name  string
	Barks bool
}

type cat struct {
	Name  string
	Meows bool
}

func (*dog) isPet() {}
func (cat) isPet()  {}

const petSDL = `
interface Named { name: String }
interface Animal implements Named { name: String }
type Dog implements Animal & Named { name: String barks: Boolean owner: String }
type Cat implements Named { name: String meows: Boolean owner: String }
union Pet = Dog | Cat
type Query { pets: [Pet] named: [Named!] animals: [Animal] one(cat: Boolean): Pet }`

func petOptions() []graphql.SchemaOption {
	all := []pet{&dog{"Rex", true}, cat{"Tom", false}, nil}
	return []graphql.SchemaOption{
		graphql.SDL(petSDL), graphql.Bind[*dog]("Dog"), graphql.Bind[cat]("Cat"),
		graphql.Get("Query.pets", func(graphql.Root) []pet { return all }),
		graphql.Resolve("Query.named", func(context.Context, graphql.Root, graphql.NoArgs) ([]any, error) {
			return []any{dog{"Val", false}, &cat{"Ptr", true}}, nil
		}),
		graphql.Get("Query.animals", func(graphql.Root) []*dog { return []*dog{{"Rex", true}, nil} }),
		graphql.GetWith("Query.one", func(_ graphql.Root, a struct{ Cat bool }) pet {
			if a.Cat {
				return cat{"Tom", true}
			}
			return (*dog)(nil)
		}),
		graphql.Batch("Dog.owner", func(_ context.Context, ds []*dog, _ graphql.NoArgs) ([]string, error) {
			return make([]string, len(ds)), nil
		}),
		graphql.Get("Cat.owner", func(c cat) string { return "owner of " + c.Name }),
	}
}

func TestAbstractTypes(t *testing.T) {
	t.Parallel()
	s := schema(t, petOptions()...)
	expect(t, s, `{ pets { __typename ... on Dog { barks name } ... on Cat { name meows } } }`,
		`{"data":{"pets":[{"__typename":"Dog","barks":true,"name":"Rex"},{"__typename":"Cat","name":"Tom","meows":false},null]}}`)
	expect(t, s, `{ named { name ... on Animal { a: name } ...D } } fragment D on Dog { barks }`,
		`{"data":{"named":[{"name":"Val","a":"Val","barks":false},{"name":"Ptr"}]}}`)
	expect(t, s, `{ animals { __typename name } one { __typename } cat: one(cat: true) { ... on Named { name } } }`,
		`{"data":{"animals":[{"__typename":"Dog","name":"Rex"},null],"one":null,"cat":{"name":"Tom"}}}`)
	expect(t, s, `{ pets { ... on Dog { owner } ... on Cat { owner } } }`, `{"data":{"pets":[{"owner":""},{"owner":"owner of Tom"},null]}}`)
	refused(t, s, `{ pets { name } }`, ``, `Cannot query field`)
	refused(t, s, `{ animals { ... on Cat { name } } }`, ``, `ragment`)
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	opts := append(dynamic([]string{"Pet", "Named"}, "Dog", "Cat"),
		graphql.SDL(`interface Named { name: String } type Dog implements Named { name: String } type Cat implements Named { name: String } type Fish { name: String }
			union Pet = Dog | Cat type Query { pets: [Pet] fish: Fish }`),
		graphql.Bind[m]("Fish"), value("Query.fish", nil),
		value("Query.pets", []any{m{"__typename": "Dog", "name": "Rex"}, m{"__typename": "Fish"}, m{"__typename": "Bird"}, m{"__typename": "Named"}, m{}, m{"__typename": "Cat"}}))
	s := schema(t, opts...)
	got := ask(t, s, `{ pets { ... on Named { name } __typename } }`)
	if !strings.HasPrefix(got, `{"data":{"pets":[{"name":"Rex","__typename":"Dog"},null,null,null,null,{"name":null,"__typename":"Cat"}]},"errors":[`) {
		t.Error(got)
	}
	for _, want := range []string{
		`Runtime Object type \"Fish\" is not a possible type for \"Pet\".`,
		`Abstract type \"Pet\" was resolved to a type \"Bird\" that does not exist inside the schema.`,
		`Abstract type \"Pet\" was resolved to a non-object type \"Named\".`,
		`Abstract type \"Pet\" must resolve to an Object type at runtime for field \"Query.pets\".`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}
