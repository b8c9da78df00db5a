package gqlgen

import (
	"context"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// Resolvers serve the data of package gqlschema. The zero value is ready.
type Resolvers struct {
	Source gqlschema.Source
}

type (
	queries       struct{}
	parents       struct{}
	users         struct{}
	subscriptions struct{ source *gqlschema.Source }
)

// Query and the others give the resolvers of one type.
func (*Resolvers) Query() QueryResolver                 { return queries{} }
func (*Resolvers) Parent() ParentResolver               { return parents{} }
func (*Resolvers) User() UserResolver                   { return users{} }
func (r *Resolvers) Subscription() SubscriptionResolver { return subscriptions{&r.Source} }

func (queries) Hello(context.Context) (string, error) { return gqlschema.Hello, nil }

func (queries) Users(context.Context) ([]*gqlschema.User, error) { return gqlschema.Users, nil }

func (queries) Parents(context.Context) ([]*gqlschema.Parent, error) { return gqlschema.Parents, nil }

func (queries) User(_ context.Context, id string) (*gqlschema.User, error) {
	return gqlschema.UserByID(id), nil
}

func (queries) Search(_ context.Context, filter gqlschema.Filter, first int) ([]*gqlschema.User, error) {
	return gqlschema.Search(filter, first), nil
}

func (parents) Batch(_ context.Context, ps []*gqlschema.Parent) ([][]*gqlschema.Child, error) {
	return gqlschema.ChildrenOf(ps), nil
}

func (parents) Each(_ context.Context, p *gqlschema.Parent) ([]*gqlschema.Child, error) {
	return gqlschema.Children[p.ID], nil
}

func (parents) Wait(_ context.Context, p *gqlschema.Parent) ([]*gqlschema.Child, error) {
	return gqlschema.WaitForChildren(p), nil
}

func (users) Friends(_ context.Context, u *gqlschema.User, first int) ([]*gqlschema.User, error) {
	return u.Friends(first), nil
}

func (s subscriptions) Tick(ctx context.Context) (<-chan *gqlschema.Tick, error) {
	c := s.source.Join()
	context.AfterFunc(ctx, func() { s.source.Leave(c) })
	return c, nil
}
