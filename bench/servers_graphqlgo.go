package main

import (
	"encoding/json"

	graphqlgo "github.com/graphql-go/graphql"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// graphQLGoSubject is graphql-go/graphql.
type graphQLGoSubject struct{}

func init() { register(graphQLGoSubject{}) }

func (graphQLGoSubject) Name() string   { return "graphql-go" }
func (graphQLGoSubject) Module() string { return "github.com/graphql-go/graphql" }
func (graphQLGoSubject) Config() string {
	return "GraphQL: a function for every field instead of its reflection; it has no cache of documents, no batch and no goroutines: a call per parent"
}

type graphQLGoServer struct{ schema graphqlgo.Schema }

func (graphQLGoSubject) GraphQL(*spec) (answerer, error) {
	s, err := graphqlgo.NewSchema(graphqlgo.SchemaConfig{Query: graphQLGoQuery()})
	return graphQLGoServer{s}, err
}

// Answer does what its handler does, without net/http.
func (g graphQLGoServer) Answer(dst, request []byte) ([]byte, error) {
	var params struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	if err := json.Unmarshal(request, &params); err != nil {
		return dst, err
	}
	doc, err := json.Marshal(graphqlgo.Do(graphqlgo.Params{
		Schema: g.schema, RequestString: params.Query, OperationName: params.OperationName, VariableValues: params.Variables, Context: graphQLContext,
	}))
	return append(dst, doc...), err
}

// goField is a field of type t whose parents are P.
func goField[P any](t graphqlgo.Output, get func(p P, args map[string]any) any, args ...string) *graphqlgo.Field {
	f := &graphqlgo.Field{Type: t, Args: make(graphqlgo.FieldConfigArgument), Resolve: func(p graphqlgo.ResolveParams) (any, error) {
		parent, _ := p.Source.(P)
		return get(parent, p.Args), nil
	}}
	for _, name := range args {
		f.Args[name] = &graphqlgo.ArgumentConfig{Type: graphqlgo.NewNonNull(graphqlgo.Int)}
	}
	return f
}

func goMust(t graphqlgo.Type) graphqlgo.Output { return graphqlgo.NewNonNull(t) }

func goList(t graphqlgo.Type) graphqlgo.Output { return goMust(graphqlgo.NewList(goMust(t))) }

func graphQLGoUser() *graphqlgo.Object {
	type args = map[string]any
	user := graphqlgo.NewObject(graphqlgo.ObjectConfig{Name: "User", Fields: graphqlgo.Fields{
		"id":    goField(goMust(graphqlgo.ID), func(u *gqlschema.User, _ args) any { return u.ID }),
		"name":  goField(goMust(graphqlgo.String), func(u *gqlschema.User, _ args) any { return u.Name }),
		"age":   goField(goMust(graphqlgo.Int), func(u *gqlschema.User, _ args) any { return u.Age }),
		"admin": goField(goMust(graphqlgo.Boolean), func(u *gqlschema.User, _ args) any { return u.Admin }),
	}})
	user.AddFieldConfig("friends", goField(goList(user), func(u *gqlschema.User, a args) any { return u.Friends(a["first"].(int)) }, "first"))
	return user
}

func graphQLGoParent() *graphqlgo.Object {
	type args = map[string]any
	child := graphqlgo.NewObject(graphqlgo.ObjectConfig{Name: "Child", Fields: graphqlgo.Fields{
		"id":   goField(goMust(graphqlgo.Int), func(c *gqlschema.Child, _ args) any { return c.ID }),
		"name": goField(goMust(graphqlgo.String), func(c *gqlschema.Child, _ args) any { return c.Name }),
	}})
	children := goField(goList(child), func(p *gqlschema.Parent, _ args) any { return gqlschema.Children[p.ID] })
	return graphqlgo.NewObject(graphqlgo.ObjectConfig{Name: "Parent", Fields: graphqlgo.Fields{
		"id":    goField(goMust(graphqlgo.Int), func(p *gqlschema.Parent, _ args) any { return p.ID }),
		"batch": children,
		"each":  children,
		"wait":  goField(goList(child), func(p *gqlschema.Parent, _ args) any { return gqlschema.WaitForChildren(p) }),
	}})
}

func graphQLGoQuery() *graphqlgo.Object {
	type args = map[string]any
	user := graphQLGoUser()
	filter := graphqlgo.NewInputObject(graphqlgo.InputObjectConfig{Name: "Filter", Fields: graphqlgo.InputObjectConfigFieldMap{
		"minAge": &graphqlgo.InputObjectFieldConfig{Type: graphqlgo.Int},
		"admin":  &graphqlgo.InputObjectFieldConfig{Type: graphqlgo.Boolean},
	}})
	byID := goField(user, func(_ any, a args) any { return gqlschema.UserByID(a["id"].(string)) })
	byID.Args["id"] = &graphqlgo.ArgumentConfig{Type: goMust(graphqlgo.ID)}
	search := goField(goList(user), func(_ any, a args) any { return graphQLGoSearch(a) }, "first")
	search.Args["filter"] = &graphqlgo.ArgumentConfig{Type: goMust(filter)}
	return graphqlgo.NewObject(graphqlgo.ObjectConfig{Name: "Query", Fields: graphqlgo.Fields{
		"hello":   goField(goMust(graphqlgo.String), func(any, args) any { return gqlschema.Hello }),
		"users":   goField(goList(user), func(any, args) any { return gqlschema.Users }),
		"parents": goField(goList(graphQLGoParent()), func(any, args) any { return gqlschema.Parents }),
		"user":    byID,
		"search":  search,
	}})
}

func graphQLGoSearch(a map[string]any) any {
	given, _ := a["filter"].(map[string]any)
	var f gqlschema.Filter
	if age, ok := given["minAge"].(int); ok {
		f.MinAge = &age
	}
	if admin, ok := given["admin"].(bool); ok {
		f.Admin = &admin
	}
	return gqlschema.Search(f, a["first"].(int))
}
