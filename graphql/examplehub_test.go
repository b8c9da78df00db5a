package graphql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// The hub's fields stand beside those of the service's own schema.
func ExampleHub() {
	m, err := comm.New(
		comm.WithInMemory(), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(graphql.New(
			graphql.SDL(`type Query { hello: String }`),
			graphql.Get("Query.hello", func(graphql.Root) string { return "world" }),
			graphql.Hub(),
		)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	if err := m.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	for _, body := range []string{
		`{"query": "{ hello connections { total } }"}`,
		`{"query": "mutation { send(to: \"group:lobby\", type: \"chat\", content: {text: \"hi\"}, id: \"1\") { id matched } }"}`,
	} {
		r, err := http.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := m.HandleRequest(context.Background(), "graphql", r)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(answer))
	}
	// Output:
	// {"data":{"hello":"world","connections":{"total":1}}}
	// {"data":{"send":{"id":"1","matched":0}}}
}

// A client says hello with the groups that it wants to be in, and hears all that reaches it in one order. With the
// session and the position that events tell it, it would go on there after a cut.
func ExampleHub_events() {
	m, err := comm.New(
		comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithProvider(graphql.New(graphql.Hub())))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := m.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	conn, _, err := ws.Dial(ctx, "ws://gateway/graphql", ws.WithSubprotocols("graphql-transport-ws"), ws.WithNetDial(m.DialContext))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	say := func(message string) { _ = conn.Write(ctx, ws.Text, []byte(message)) }
	hear := func() (heard struct {
		Type    string
		Payload json.RawMessage
	},
	) {
		_, message, err := conn.Read(ctx, nil)
		if err == nil {
			err = json.Unmarshal(message, &heard)
		}
		if err != nil {
			fmt.Println(err)
		}
		return heard
	}
	say(`{"type":"connection_init","payload":{"comm":{"groups":["lobby"]}}}`)
	fmt.Println(hear().Type)
	say(`{"id":"1","type":"subscribe","payload":{"query":"subscription { events { __typename ` +
		`... on HubJoined { group } ... on HubMessage { type content } ... on HubClosing { code message } } }"}}`)
	for range 2 {
		fmt.Println(string(hear().Payload))
	}
	message, _ := comm.NewMessage("chat", "hello")
	if _, err := m.Send(ctx, comm.ToGroup("lobby"), message); err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(hear().Payload))
	for c := range m.Connections(comm.ToGroup("lobby")) {
		go c.Close(ctx, "good night")
	}
	fmt.Println(string(hear().Payload))
	// Output:
	// connection_ack
	// {"data":{"events":{"__typename":"HubWelcome"}}}
	// {"data":{"events":{"__typename":"HubJoined","group":"lobby"}}}
	// {"data":{"events":{"__typename":"HubMessage","type":"chat","content":"hello"}}}
	// {"data":{"events":{"__typename":"HubClosing","code":"NORMAL","message":"good night"}}}
}
