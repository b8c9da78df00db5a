package graphql_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// Subscriptions over WebSocket and as Server-Sent Events, on one path.
func ExampleNewHandler_subscriptions() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`type Query { a: Int } type Subscription { countdown(from: Int!): Int! }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Subscribe("Subscription.countdown", func(_ context.Context, args struct{ From int }) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for n := args.From; n > 0 && yield(n, nil); n-- {
				}
			}, nil
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := graphql.NewHandler(schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	ctx := context.Background()
	defer handler.Shutdown(ctx)

	conn, _, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http"), ws.WithSubprotocols("graphql-transport-ws"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	for _, message := range []string{
		`{"type":"connection_init"}`,
		`{"id":"1","type":"subscribe","payload":{"query":"subscription { countdown(from: 1) }"}}`,
	} {
		if err := conn.Write(ctx, ws.Text, []byte(message)); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 3 {
		_, message, err := conn.Read(ctx, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(message))
	}

	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{"query":"subscription { countdown(from: 1) }"}`))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", sse.ContentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	for event, err := range sse.NewDecoder(response.Body).Events() {
		if err != nil {
			break
		}
		fmt.Println(event.Type, string(event.Data))
	}
	// Output:
	// {"type":"connection_ack"}
	// {"id":"1","type":"next","payload":{"data":{"countdown":1}}}
	// {"id":"1","type":"complete"}
	// next {"data":{"countdown":1}}
	// complete
}

// A subscription that is fed by a group of the gateway: its client meets those of all other protocols.
func ExampleSubscriber_Join() {
	provider := graphql.New(
		graphql.SDL(`type Query { a: Int } type Subscription { lobby: String }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Subscribe("Subscription.lobby", func(ctx context.Context, _ graphql.NoArgs) (iter.Seq2[string, error], error) {
			frames, err := graphql.TransportOf(ctx).Subscriber.Join(ctx, "lobby", comm.Position{})
			if err != nil {
				return nil, err
			}
			return func(yield func(string, error) bool) {
				for f, err := range frames {
					text := f.Op.String()
					if f.Op == comm.OpMessage {
						text = fmt.Sprintf("%s at %d", f.Message.Content(), f.Log.Offset)
					}
					if !yield(text, err) {
						return
					}
				}
			}, nil
		}),
	)
	gateway, err := comm.New(comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithOpenAccess(), comm.WithProvider(provider))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := gateway.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer gateway.Close()

	conn, _, err := ws.Dial(ctx, "ws://gateway/graphql", ws.WithSubprotocols("graphql-transport-ws"), ws.WithNetDial(gateway.DialContext))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	say := func(message string) { _ = conn.Write(ctx, ws.Text, []byte(message)) }
	hear := func() {
		_, message, err := conn.Read(ctx, nil)
		fmt.Println(string(message), err)
	}
	say(`{"type":"connection_init"}`)
	hear()
	say(`{"id":"1","type":"subscribe","payload":{"query":"subscription { lobby }"}}`)
	hear()
	message, _ := comm.NewMessage("chat", "hello")
	delivery, err := gateway.Send(ctx, comm.ToGroup("lobby"), message)
	fmt.Println("reaches", delivery.Matched, err)
	hear()
	// Output:
	// {"type":"connection_ack"} <nil>
	// {"id":"1","type":"next","payload":{"data":{"lobby":"joined"}}} <nil>
	// reaches 1 <nil>
	// {"id":"1","type":"next","payload":{"data":{"lobby":"\"hello\" at 1"}}} <nil>
}
