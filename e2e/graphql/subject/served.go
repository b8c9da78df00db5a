package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// service is what clients from elsewhere are let loose on.
type service struct {
	open atomic.Int64 // sources that have not ended
}

const servedSDL = `
type Query {
  hello(name: String! = "world"): String!
  "Sources of subscriptions that have not ended."
  open: Int!
  "Who asks, and over what."
  who: String!
  person: Person!
}
scalar Upload
type Mutation {
  set(value: Int!): Int!
  "Gives name, type and content of the files."
  store(files: [Upload!]!): [String!]!
}
type Person {
  id: ID!
  name: String!
  "Comes after a while."
  story: String!
  "Cannot be had."
  secret: String!
  friends: [Person!]!
}
type Subscription {
  "The numbers from 1 on, one after so many milliseconds."
  count(to: Int!, every: Int! = 0): Int!
  "A number, an error and a number."
  broken: Int
  "Has no source."
  refused: Int
  "Has one event, and then none for ever."
  forever: String!
  who: String!
}
`

func (s *service) options() []graphql.SchemaOption {
	return []graphql.SchemaOption{
		graphql.SDL(servedSDL),
		graphql.Resolve("Query.hello", func(_ context.Context, _ graphql.Root, a struct{ Name string }) (string, error) {
			return "hello " + a.Name, nil
		}),
		graphql.Get("Query.open", func(graphql.Root) int { return int(s.open.Load()) }),
		graphql.Resolve("Query.who", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) { return who(ctx), nil }),
		graphql.Resolve("Mutation.set", func(_ context.Context, _ graphql.Root, a struct{ Value int }) (int, error) { return a.Value, nil }),
		graphql.Resolve("Mutation.store", store),
		graphql.WithIncremental(),
		graphql.Bind[person]("Person"),
		graphql.Get("Query.person", func(graphql.Root) person { return person{"1", "Ada"} }),
		graphql.Resolve("Person.story", func(ctx context.Context, p person, _ graphql.NoArgs) (string, error) {
			sleep(ctx, 20*time.Millisecond)
			return "the story of " + p.Name, ctx.Err()
		}),
		graphql.Resolve("Person.secret", func(context.Context, person, graphql.NoArgs) (string, error) {
			return "", graphql.Errorf("it is a secret")
		}),
		graphql.Get("Person.friends", func(person) []person { return []person{{"2", "Bea"}, {"3", "Cai"}, {"4", "Dan"}} }),
		graphql.Subscribe("Subscription.count", s.count),
		graphql.Subscribe("Subscription.broken", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				_ = yield(1, nil) && yield(0, graphql.Errorf("one event fails")) && yield(3, nil)
			}, nil
		}),
		graphql.Subscribe("Subscription.refused", func(context.Context, graphql.NoArgs) (iter.Seq2[int, error], error) {
			return nil, graphql.Errorf("there is no source")
		}),
		graphql.Subscribe("Subscription.forever", s.forever),
		graphql.Subscribe("Subscription.who", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			return func(yield func(string, error) bool) { yield(who(ctx), nil) }, nil
		}),
	}
}

type person struct{ ID, Name string }

// store gives what it was given.
func store(_ context.Context, _ graphql.Root, a struct{ Files []*graphql.Upload }) ([]string, error) {
	list := make([]string, len(a.Files))
	for i, f := range a.Files {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		list[i] = f.Filename + " " + f.ContentType + " " + string(content)
	}
	return list, nil
}

// who is the user, where there is one, and the transport.
func who(ctx context.Context) string {
	t := graphql.TransportOf(ctx)
	user := "nobody"
	switch {
	case t.Conn != nil && t.Conn.Identity().User != "":
		user = t.Conn.Identity().User
	case t.Handshake != nil && t.Handshake.Token == goodToken:
		user = goodUser
	}
	return user + " by " + t.Name
}

func (s *service) count(ctx context.Context, a struct{ To, Every int }) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		s.open.Add(1)
		defer s.open.Add(-1)
		for n := 1; n <= a.To; n++ {
			if a.Every > 0 && !sleep(ctx, time.Duration(a.Every)*time.Millisecond) || !yield(n, nil) {
				return
			}
		}
	}, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *service) forever(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		s.open.Add(1)
		defer s.open.Add(-1)
		if yield("begun", nil) {
			<-ctx.Done()
		}
	}, nil
}

const (
	goodToken = "let-me-in"
	goodUser  = "ann"
)

// authenticate knows one user, and lets clients without a token in.
func authenticate(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	switch hs.Token {
	case "":
		return comm.Identity{}, nil
	case goodToken:
		return comm.Identity{User: goodUser}, nil
	}
	return comm.Identity{}, fmt.Errorf("%w: %w", comm.ErrUnauthenticated, errors.New("an unknown token"))
}
