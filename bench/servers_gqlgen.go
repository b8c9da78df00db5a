package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/anasamu/comm/bench/internal/gqlgen"
)

// gqlgenSubject is gqlgen: what its transport for POST does, without net/http.
type gqlgenSubject struct{}

func init() { register(gqlgenSubject{}) }

func (gqlgenSubject) Name() string   { return "gqlgen" }
func (gqlgenSubject) Module() string { return "github.com/99designs/gqlgen" }
func (gqlgenSubject) Config() string {
	return "GraphQL: generated code, its executor with the query cache of handler.NewDefaultServer (LRU of 1,000; none where every text is new), a batch resolver for graphqlbatch; transport.Websocket with its defaults"
}

// gqlgenServer decodes and encodes as gqlgen's transports do.
type gqlgenServer struct {
	exec      *executor.Executor
	resolvers gqlgen.Resolvers
}

func (gqlgenSubject) GraphQL(s *spec) (answerer, error)          { return newGqlgenServer(s), nil }
func (gqlgenSubject) GraphQLSource(s *spec) (eventServer, error) { return newGqlgenServer(s), nil }

func newGqlgenServer(s *spec) *gqlgenServer {
	g := &gqlgenServer{}
	g.exec = executor.New(gqlgen.NewExecutableSchema(gqlgen.Config{Resolvers: &g.resolvers}))
	if s.Variant != "graphqluncached" {
		g.exec.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	}
	return g
}

func (g *gqlgenServer) begin(ctx context.Context, request []byte) (graphql.ResponseHandler, context.Context, error) {
	params := &graphql.RawParams{}
	dec := json.NewDecoder(bytes.NewReader(request))
	dec.UseNumber()
	if err := dec.Decode(params); err != nil {
		return nil, nil, err
	}
	ctx = graphql.StartOperationTrace(ctx)
	params.ReadTime = graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}
	op, errs := g.exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	responses, ctx := g.exec.DispatchOperation(ctx, op)
	return responses, ctx, nil
}

func (g *gqlgenServer) Answer(dst, request []byte) ([]byte, error) {
	responses, ctx, err := g.begin(graphQLContext, request)
	if err != nil {
		return dst, err
	}
	doc, err := json.Marshal(responses(ctx))
	return append(dst, doc...), err
}

func (g *gqlgenServer) Source() eventSource { return &g.resolvers.Source }

func (g *gqlgenServer) Subscribe(ctx context.Context, request []byte, each func([]byte), done func(error)) {
	done(g.loop(ctx, request, each))
}

func (g *gqlgenServer) loop(ctx context.Context, request []byte, each func([]byte)) error {
	responses, ctx, err := g.begin(ctx, request)
	if err != nil {
		return err
	}
	for {
		response := responses(ctx)
		if response == nil {
			return nil
		}
		doc, err := json.Marshal(response)
		if err != nil {
			return err
		}
		each(doc)
	}
}

// errorsOf is the error of a response that is one.
func errorsOf(response []byte) error { return errors.New("refused: " + string(response)) }

func (gqlgenSubject) GraphQLHub(s *spec) (hub, error) {
	r := &gqlgen.Resolvers{}
	h := handler.New(gqlgen.NewExecutableSchema(gqlgen.Config{Resolvers: r}))
	h.AddTransport(transport.Websocket{})
	h.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	return serveGraphQL(s, h, &r.Source)
}
