package main

import (
	"context"
	"iter"

	"github.com/anasamu/comm/bench/internal/gqlschema"
	"github.com/anasamu/comm/graphql"
)

// commGraphQL is package graphql as its documentation says, with its limits.
type commGraphQL struct{}

// commLoop is the same where the source of the subscriptions is a loop over a
// channel, as a rival's is, and not a graphql.Topic.
type commLoop struct{ commInfo }

type (
	commQueries struct {
		schema *graphql.Schema
		source eventSource
	}
	tickTopic   struct{ graphql.Topic[*gqlschema.Tick] }
	friendsArgs struct{ First int }
	searchArgs  struct {
		Filter gqlschema.Filter
		First  int
	}
	userArgs struct{ ID string }
)

func (commGraphQL) GraphQL(*spec) (answerer, error)          { return newCommQueries(newTopic()) }
func (commGraphQL) GraphQLSource(*spec) (eventServer, error) { return newCommQueries(newTopic()) }
func (commGraphQL) GraphQLHub(s *spec) (hub, error)          { return serveCommQueries(s)(newTopic()) }

func (commLoop) GraphQLSource(*spec) (eventServer, error) { return newCommQueries(newLoopSource()) }

func (commLoop) GraphQLHub(s *spec) (hub, error) { return serveCommQueries(s)(newLoopSource()) }

func newTopic() (eventSource, graphql.SchemaOption) {
	t := &tickTopic{}
	return t, graphql.SubscribeTo("Subscription.tick", func(context.Context, graphql.NoArgs) (graphql.Source[*gqlschema.Tick], error) {
		return &t.Topic, nil
	})
}

func (t *tickTopic) Publish(tick *gqlschema.Tick) { t.Topic.Publish(tick) }
func (t *tickTopic) Subscribers() int             { return t.Len() }

func newLoopSource() (eventSource, graphql.SchemaOption) {
	source := &gqlschema.Source{}
	return source, graphql.Subscribe("Subscription.tick", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[*gqlschema.Tick, error], error) {
		return ticks(ctx, source), nil
	})
}

func newCommQueries(source eventSource, subscribe graphql.SchemaOption) (*commQueries, error) {
	q := &commQueries{source: source}
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
		subscribe,
	)
	q.schema = s
	return q, err
}

func ticks(ctx context.Context, source *gqlschema.Source) iter.Seq2[*gqlschema.Tick, error] {
	c := source.Join()
	return func(yield func(*gqlschema.Tick, error) bool) {
		defer source.Leave(c)
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
	}
}

func (q *commQueries) Answer(dst, request []byte) ([]byte, error) {
	req, err := graphql.ParseRequest(request)
	if err != nil {
		return dst, err
	}
	dst, _ = q.schema.Append(graphQLContext, dst, req)
	return dst, nil
}

func (q *commQueries) Source() eventSource { return q.source }

func (q *commQueries) Subscribe(ctx context.Context, request []byte, each func([]byte), done func(error)) {
	req, err := graphql.ParseRequest(request)
	if err != nil {
		done(err)
		return
	}
	stream, refused, _ := q.schema.Subscribe(ctx, req)
	if stream == nil {
		done(errorsOf(refused))
		return
	}
	stream.Deliver(func(response []byte, _ graphql.Outcome) bool {
		each(response)
		return true
	}, func() { done(nil) })
}

func serveCommQueries(s *spec) func(eventSource, graphql.SchemaOption) (hub, error) {
	return func(source eventSource, subscribe graphql.SchemaOption) (hub, error) {
		q, err := newCommQueries(source, subscribe)
		if err != nil {
			return nil, err
		}
		h, err := graphql.NewHandler(q.schema)
		if err != nil {
			return nil, err
		}
		return serveGraphQL(s, h, source)
	}
}
