// Command graphql is a small GraphQL service: a library of books, in memory.
//
//	go run ./examples/graphql -addr 127.0.0.1:8080
//
// Open http://127.0.0.1:8080/graphql in a browser, or ask it by
//
//	curl -s -H 'Content-Type: application/json' -d '{"query":"{ books { title author { name } } }"}' http://127.0.0.1:8080/graphql
package main

import (
	"context"
	_ "embed"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

//go:embed schema.graphql
var schema string

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	gw, err := newService(newLibrary(), comm.WithAddr(*addr))
	if err == nil {
		log.Printf("serving http://%s/graphql", *addr)
		err = gw.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// newService makes the gateway that serves a library.
func newService(lib *library, opts ...comm.Option) (*comm.Manager, error) {
	api := []graphql.Option{graphql.WithEnablePlayground(true)}
	for _, o := range fields(lib) {
		api = append(api, o)
	}
	return comm.New(append([]comm.Option{comm.WithProvider(graphql.New(api...))}, opts...)...)
}

// fields are the schema and what is behind it.
func fields(lib *library) []graphql.SchemaOption {
	return []graphql.SchemaOption{
		graphql.SDLFile("schema.graphql", schema),
		graphql.Enum("Genre", map[string]genre{"NOVEL": novel, "POETRY": poetry}),
		graphql.Bind[*book]("Book"),
		graphql.Bind[*author]("Author"),

		graphql.Resolve("Query.books", lib.list),
		graphql.Resolve("Query.book", lib.find),
		graphql.Resolve("Query.search", lib.search),
		graphql.Resolve("Mutation.addBook", lib.add),
		graphql.SubscribeTo("Subscription.bookAdded", lib.added),

		graphql.Get("Author.initials", (*author).initials),
		graphql.Batch("Author.books", lib.booksOf, graphql.Cost(5)),
		graphql.Batch("Book.author", lib.authorsOf),
	}
}
