package graphql_test

import (
	"context"
	"fmt"
	"time"

	"github.com/anasamu/comm/graphql"
)

type article struct{ Title, Section string }

// One source for all subscribers. Each has the events that its arguments ask for.
func ExampleTopic() {
	var published graphql.Topic[*article]
	schema, err := graphql.NewSchema(
		graphql.SDL(`
			type Query { sections: Int }
			type Article { title: String! }
			type Subscription { published(section: String): Article! }`),
		graphql.Get("Query.sections", func(graphql.Root) int { return 2 }),
		graphql.Bind[*article]("Article"),
		graphql.SubscribeTo("Subscription.published", func(_ context.Context, args struct{ Section graphql.Opt[string] }) (graphql.Source[*article], error) {
			if section, ok := args.Section.Get(); ok {
				return published.Where(func(a *article) bool { return a.Section == section }), nil
			}
			return &published, nil
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := graphql.NewClient(schema).Subscribe(context.Background(), `subscription { published(section: "sport") { title } }`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range []*article{{"Rain", "weather"}, {"Two to one", "sport"}, {"A draw", "sport"}} {
		fmt.Println(a.Title, "is taken by", published.Publish(a))
	}
	published.End(nil)
	for data, err := range events {
		fmt.Println(string(data), err)
	}
	fmt.Println(published.Len(), "are left")
	// Output:
	// Rain is taken by 0
	// Two to one is taken by 1
	// A draw is taken by 1
	// {"published":{"title":"Two to one"}} <nil>
	// {"published":{"title":"A draw"}} <nil>
	// 0 are left
}

// A source that calls back, here a timer, whose newest event is the one that counts.
func ExampleSourceFunc() {
	beats := graphql.SourceFunc[int](func(_ context.Context, to *graphql.Sink[int]) (stop func(), err error) {
		n := 0
		var timer *time.Timer
		timer = time.AfterFunc(time.Hour, func() {
			n++
			to.Send(n)
			timer.Reset(time.Hour)
		})
		to.Send(0) // where it stands
		return func() { timer.Stop() }, nil
	})
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { a: Int } type Subscription { beats: Int! }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.SubscribeTo("Subscription.beats", func(context.Context, graphql.NoArgs) (graphql.Source[int], error) {
			return beats, nil
		}, graphql.Queue(1), graphql.KeepLatest()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := graphql.NewClient(schema).Subscribe(context.Background(), `subscription { beats }`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for data, err := range events {
		fmt.Println(string(data), err)
		break
	}
	// Output: {"beats":0} <nil>
}
