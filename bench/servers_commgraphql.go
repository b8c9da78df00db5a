package main

import (
	"context"
	"iter"

	"github.com/anasamu/comm/bench/internal/gqlschema"
	"github.com/anasamu/comm/graphql"
)

// commGraphQL is package graphql as its documentation says, with its limits.
type commGraphQL struct{}

type (
	commQueries struct {
		schema *graphql.Schema
		source gqlschema.Source
	}
	friendsArgs struct{ First int }
	searchArgs  struct {
		Filter gqlschema.Filter
		First  int
	}
	userArgs struct{ ID string }
)

func (commGraphQL) GraphQL(*spec) (answerer, error)          { return newCommQueries() }
func (commGraphQL) GraphQLSource(*spec) (eventServer, error) { return newCommQueries() }

func newCommQueries() (*commQueries, error) {
	q := &commQueries{}
	s, err := graphql.NewSchema(
		graphql.SDL(gqlschema.SDL),
		graphql.Resolve("Query.hello", func(context.Context, graphql.Root, graphql.NoArgs) (string, error) { return gqlschema.Hello, nil }),
		graphql.Resolve("Query.users", func(context.Context, graphql.Root, graphql.NoArgs) ([]*gqlschema.User, error) {
			return gqlschema.Users, nil
		}),
		graphql.Resolve("Query.parents", func(context.Context, graphql.Root, graphql.NoArgs) ([]*gqlschema.Parent, error) {
			return gqlschema.Parents, nil
		}),
		graphql.Resolve("Query.user", func(_ context.Context, _ graphql.Root, a userArgs) (*gqlschema.User, error) {
			return gqlschema.UserByID(a.ID), nil
		}),
		graphql.Resolve("Query.search", func(_ context.Context, _ graphql.Root, a searchArgs) ([]*gqlschema.User, error) {
			return gqlschema.Search(a.Filter, a.First), nil
		}),
		graphql.Resolve("User.friends", func(_ context.Context, u *gqlschema.User, a friendsArgs) ([]*gqlschema.User, error) {
			return u.Friends(a.First), nil
		}),
		graphql.Batch("Parent.batch", func(_ context.Context, ps []*gqlschema.Parent, _ graphql.NoArgs) ([][]*gqlschema.Child, error) {
			return gqlschema.ChildrenOf(ps), nil
		}),
		graphql.Resolve("Parent.each", func(_ context.Context, p *gqlschema.Parent, _ graphql.NoArgs) ([]*gqlschema.Child, error) {
			return gqlschema.Children[p.ID], nil
		}),
		graphql.Resolve("Parent.wait", func(_ context.Context, p *gqlschema.Parent, _ graphql.NoArgs) ([]*gqlschema.Child, error) {
			return gqlschema.WaitForChildren(p), nil
		}),
		graphql.Subscribe("Subscription.tick", q.ticks),
	)
	q.schema = s
	return q, err
}

func (q *commQueries) ticks(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[*gqlschema.Tick, error], error) {
	c := q.source.Join()
	return func(yield func(*gqlschema.Tick, error) bool) {
		defer q.source.Leave(c)
		for {
			select {
			case t := <-c:
				if !yield(t, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

func (q *commQueries) Answer(dst, request []byte) ([]byte, error) {
	req, err := graphql.ParseRequest(request)
	if err != nil {
		return dst, err
	}
	dst, _ = q.schema.Append(graphQLContext, dst, req)
	return dst, nil
}

func (q *commQueries) Source() *gqlschema.Source { return &q.source }

func (q *commQueries) Subscribe(ctx context.Context, request []byte, each func([]byte)) error {
	req, err := graphql.ParseRequest(request)
	if err != nil {
		return err
	}
	stream, refused, _ := q.schema.Subscribe(ctx, req)
	if stream == nil {
		return errorsOf(refused)
	}
	for response := range stream.Responses() {
		each(response)
	}
	return nil
}

func (commGraphQL) GraphQLHub(s *spec) (hub, error) {
	q, err := newCommQueries()
	if err != nil {
		return nil, err
	}
	h, err := graphql.NewHandler(q.schema)
	if err != nil {
		return nil, err
	}
	return serveGraphQL(s, h, &q.source)
}
