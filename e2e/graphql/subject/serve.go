package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

const servedSDL = `
type Query { hello(name: String! = "world"): String! }
type Mutation { set(value: Int!): Int! }
`

func servedOptions() []graphql.SchemaOption {
	return []graphql.SchemaOption{
		graphql.SDL(servedSDL),
		graphql.Resolve("Query.hello", func(_ context.Context, _ graphql.Root, a struct{ Name string }) (string, error) {
			return "hello " + a.Name, nil
		}),
		graphql.Resolve("Mutation.set", func(_ context.Context, _ graphql.Root, a struct{ Value int }) (int, error) {
			return a.Value, nil
		}),
	}
}

// serve serves the schema by its handler alone, and by a gateway, until ctx ends.
func serve(ctx context.Context, out io.Writer) error {
	alone, stop, err := serveAlone()
	if err != nil {
		return err
	}
	var opts []graphql.Option
	for _, o := range servedOptions() {
		opts = append(opts, o)
	}
	gw, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithProvider(graphql.New(opts...)))
	if err != nil {
		return err
	}
	if err := gw.Start(ctx); err != nil {
		return err
	}
	addrs, err := gw.Addrs("graphql")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s/graphql and http://%s/graphql\n", alone, addrs[0])
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(stop(ctx), gw.Drain(ctx), gw.Close())
}

func serveAlone() (net.Addr, func(context.Context) error, error) {
	schema, err := graphql.NewSchema(servedOptions()...)
	if err != nil {
		return nil, nil, err
	}
	handler, err := graphql.NewHandler(schema)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/graphql", handler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // Shutdown ends it
	return l.Addr(), srv.Shutdown, nil
}
