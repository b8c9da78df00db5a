package graphql_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
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
