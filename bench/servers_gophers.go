package main

import (
	"context"
	"encoding/json"
	"time"

	gophers "github.com/graph-gophers/graphql-go"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// gophersSubject is graph-gophers/graphql-go.
type gophersSubject struct{}

func init() { register(gophersSubject{}) }

func (gophersSubject) Name() string   { return "graph-gophers" }
func (gophersSubject) Module() string { return "github.com/graph-gophers/graphql-go" }
func (gophersSubject) Config() string {
	return "GraphQL: UseFieldResolvers, DisableFieldSelections; it has no cache of documents and no batch: graphqlbatch calls a method per parent inline, graphqlresolve one with a context, which it runs on goroutines"
}

// The types that its schema check wants: ID, int32, and a method for each field
// with arguments.
type (
	gophersUser struct {
		ID    gophers.ID
		Name  string
		Age   int32
		Admin bool
		user  *gqlschema.User
	}
	gophersParent struct {
		ID       int32
		children []*gophersChild
	}
	gophersChild struct {
		ID   int32
		Name string
	}
	gophersTick struct {
		Seq  int32
		Text string
	}
	gophersFilter struct {
		MinAge *int32
		Admin  *bool
	}
)

type gophersRoot struct {
	users   map[*gqlschema.User]*gophersUser
	list    []*gophersUser
	parents []*gophersParent
}

func newGophersRoot() *gophersRoot {
	r := &gophersRoot{users: make(map[*gqlschema.User]*gophersUser)}
	for _, u := range gqlschema.Users {
		g := &gophersUser{gophers.ID(u.ID), u.Name, int32(u.Age), u.Admin, u}
		r.users[u] = g
		r.list = append(r.list, g)
	}
	for _, p := range gqlschema.Parents {
		g := &gophersParent{ID: int32(p.ID)}
		for _, c := range gqlschema.Children[p.ID] {
			g.children = append(g.children, &gophersChild{int32(c.ID), c.Name})
		}
		r.parents = append(r.parents, g)
	}
	return r
}

// gophersData is the data in its own types, made once.
var gophersData = newGophersRoot()

func (r *gophersRoot) Hello() string             { return gqlschema.Hello }
func (r *gophersRoot) Users() []*gophersUser     { return r.list }
func (r *gophersRoot) Parents() []*gophersParent { return r.parents }
func (r *gophersRoot) all(list []*gqlschema.User) []*gophersUser {
	out := make([]*gophersUser, len(list))
	for i, u := range list {
		out[i] = r.users[u]
	}
	return out
}

func (r *gophersRoot) User(a struct{ ID gophers.ID }) *gophersUser {
	return r.users[gqlschema.UserByID(string(a.ID))]
}

func (r *gophersRoot) Search(a struct {
	Filter gophersFilter
	First  int32
},
) []*gophersUser {
	f := gqlschema.Filter{Admin: a.Filter.Admin}
	if a.Filter.MinAge != nil {
		age := int(*a.Filter.MinAge)
		f.MinAge = &age
	}
	return r.all(gqlschema.Search(f, int(a.First)))
}

// Tick has no part in a row.
func (r *gophersRoot) Tick(context.Context) <-chan *gophersTick { return make(chan *gophersTick) }

func (u *gophersUser) Friends(a struct{ First int32 }) []*gophersUser {
	return gophersData.all(u.user.Friends(int(a.First)))
}

func (p *gophersParent) Batch() []*gophersChild { return p.children }

func (p *gophersParent) Each(context.Context) ([]*gophersChild, error) { return p.children, nil }

func (p *gophersParent) Wait(context.Context) ([]*gophersChild, error) {
	time.Sleep(gqlschema.Wait)
	return p.children, nil
}

type gophersServer struct{ schema *gophers.Schema }

func (gophersSubject) GraphQL(*spec) (answerer, error) {
	s, err := gophers.ParseSchema(gqlschema.SDL, gophersData, gophers.UseFieldResolvers(), gophers.DisableFieldSelections())
	return gophersServer{s}, err
}

// Answer does what its package relay does, without net/http.
func (g gophersServer) Answer(dst, request []byte) ([]byte, error) {
	var params struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	if err := json.Unmarshal(request, &params); err != nil {
		return dst, err
	}
	doc, err := json.Marshal(g.schema.Exec(graphQLContext, params.Query, params.OperationName, params.Variables))
	return append(dst, doc...), err
}
