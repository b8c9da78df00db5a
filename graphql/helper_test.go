package graphql_test

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

// schema makes a schema whose masked errors are not logged.
func schema(tb testing.TB, opts ...graphql.SchemaOption) *graphql.Schema {
	tb.Helper()
	s, err := graphql.NewSchema(append([]graphql.SchemaOption{graphql.WithSchemaLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// ask executes a query and returns the response, which must be JSON.
func ask(tb testing.TB, s *graphql.Schema, query string, variables ...string) string {
	tb.Helper()
	req := &graphql.Request{Query: query}
	if len(variables) > 0 {
		req.Variables = json.RawMessage(variables[0])
	}
	b, _ := s.Append(tb.Context(), nil, req)
	if !json.Valid(b) {
		tb.Fatalf("not JSON: %s", b)
	}
	return string(b)
}

// expect executes a query and compares the whole response.
func expect(t *testing.T, s *graphql.Schema, query, want string, variables ...string) {
	t.Helper()
	if got := ask(t, s, query, variables...); got != want {
		t.Errorf("%s %s\n got %s\nwant %s", query, strings.Join(variables, ""), got, want)
	}
}

// refused expects a request error with each of parts.
func refused(t *testing.T, s *graphql.Schema, query, variables string, parts ...string) {
	t.Helper()
	got := ask(t, s, query, variables)
	if strings.Contains(got, `"data"`) {
		t.Errorf("%s %s: executed: %s", query, variables, got)
	}
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s %s: %q is not in %s", query, variables, part, got)
		}
	}
}

// problems are the problems of a schema that is refused.
func problems(t *testing.T, opts ...graphql.SchemaOption) string {
	t.Helper()
	_, err := graphql.NewSchema(opts...)
	if err == nil {
		t.Error("the schema is accepted")
		return ""
	}
	return err.Error()
}

type m = map[string]any

// dynamic binds every given object to a map, whose key __typename tells it apart.
func dynamic(abstract []string, objects ...string) (opts []graphql.SchemaOption) {
	for _, o := range objects {
		opts = append(opts, graphql.Bind[m](o))
	}
	for _, a := range abstract {
		opts = append(opts, graphql.TypeOf(a, func(v m) string { name, _ := v["__typename"].(string); return name }))
	}
	return opts
}

// value resolves a field of a root type to a value.
func value(coord string, v any) graphql.SchemaOption {
	return graphql.Resolve(coord, func(context.Context, graphql.Root, graphql.NoArgs) (any, error) { return v, nil })
}

// source yields values.
func source[R any](values ...R) func(context.Context, graphql.NoArgs) (iter.Seq2[R, error], error) {
	return func(context.Context, graphql.NoArgs) (iter.Seq2[R, error], error) {
		return func(yield func(R, error) bool) {
			for _, v := range values {
				if !yield(v, nil) {
					return
				}
			}
		}, nil
	}
}
