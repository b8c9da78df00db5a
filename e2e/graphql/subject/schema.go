package main

import (
	"context"
	"iter"
	"strings"

	"github.com/anasamu/comm/graphql"
)

// description is a schema as the tests send it: its SDL, and what of its types the resolvers need.
type description struct {
	SDL   string      `json:"sdl"`
	Types []*typeInfo `json:"types"`
	Rates rates       `json:"rates"`
	// Incremental serves @defer and @stream.
	Incremental bool `json:"incremental"`
}

type typeInfo struct {
	Name     string       `json:"name"`
	Kind     string       `json:"kind"` // as introspection says it, or SUBSCRIPTION
	Fields   []*fieldInfo `json:"fields"`
	Possible []string     `json:"possible"` // of an interface or a union
	Values   []string     `json:"values"`   // of an enum
}

type fieldInfo struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Args int    `json:"args"`
	ref  *ref
}

// ref is a use of a type.
type ref struct {
	nonNull bool
	elem    *ref
	name    string
}

// root tells whether the type is one of those that operations begin with.
func (r *ref) root() bool {
	for r.elem != nil {
		r = r.elem
	}
	return r.name == "Query" || r.name == "Mutation" || r.name == "Subscription"
}

func parseRef(s string) *ref {
	inner, nonNull := strings.CutSuffix(s, "!")
	if strings.HasPrefix(inner, "[") {
		return &ref{nonNull: nonNull, elem: parseRef(inner[1 : len(inner)-1])}
	}
	return &ref{nonNull: nonNull, name: inner}
}

// unlimited keeps the limits out of the comparison.
var unlimited = graphql.Limits{
	Tokens: -1, Depth: -1, Aliases: -1, Selections: -1, Cost: -1, OverlapBudget: -1, Errors: -1, ResponseBytes: -1, Pending: -1, Parts: -1,
}

// options registers a resolver for every field. Which kind it is follows from the coordinate.
func (d *description) options() []graphql.SchemaOption {
	opts := []graphql.SchemaOption{graphql.SDL(d.SDL), graphql.WithLimits(unlimited), graphql.WithUnmaskedErrors()}
	if d.Incremental {
		opts = append(opts, graphql.WithIncremental())
	}
	dt := &data{rates: d.Rates, types: make(map[string]*typeInfo)}
	for _, t := range d.Types {
		dt.types[t.Name] = t
	}
	for _, t := range d.Types {
		switch t.Kind {
		case "OBJECT", "SUBSCRIPTION":
			for _, f := range t.Fields {
				f.ref = parseRef(f.Type)
				opts = append(opts, dt.resolver(t, f))
			}
		case "INTERFACE", "UNION":
			opts = append(opts, graphql.TypeOf(t.Name, func(o *object) string { return o.typ }))
		case "ENUM":
			values := make(map[string]enumValue)
			for _, v := range t.Values {
				values[v] = enumValue(v)
			}
			opts = append(opts, graphql.Enum(t.Name, values))
		}
	}
	return opts
}

func (d *data) resolver(t *typeInfo, f *fieldInfo) graphql.SchemaOption {
	coord := t.Name + "." + f.Name
	if t.Kind == "SUBSCRIPTION" {
		return graphql.Subscribe(coord, func(_ context.Context, args map[string]any) (iter.Seq2[any, error], error) {
			return d.source(f, args)
		})
	}
	kind := hash(coord) % 6
	switch kind {
	case 0: // pure: written by the second pass; it can fail only by a panic
		return graphql.GetWith(coord, func(parent any, args map[string]any) any { return must(d.field(parent, f, args)) })
	case 1:
		return graphql.Batch(coord, func(_ context.Context, parents []any, args map[string]any) ([]graphql.Result[any], error) {
			results := make([]graphql.Result[any], len(parents))
			for i, p := range parents {
				results[i].Value, results[i].Err = d.field(p, f, args)
			}
			return results, nil
		})
	case 2, 3:
		if o := d.typed(coord, f, kind); o != nil {
			return o
		}
	}
	return graphql.Resolve(coord, func(_ context.Context, parent any, args map[string]any) (any, error) {
		return d.field(parent, f, args)
	})
}

// source is a subscription's: it fails, or has up to three events, of which some are errors.
func (d *data) source(f *fieldInfo, args map[string]any) (iter.Seq2[any, error], error) {
	given := canonical(nil, args)
	h := hash("source." + f.Name + string(given))
	if pick(h, 1, 100) < 3*d.rates.Error {
		return nil, errInjected
	}
	return func(yield func(any, error) bool) {
		for i := range pick(h, 8, 4) {
			h := mix(h + i + 1)
			var v any
			var err error = errInjected
			if pick(h, 1, 100) >= d.rates.Error {
				v, err = d.value(h, f.ref, given), nil
			}
			if !yield(v, err) {
				return
			}
		}
	}, nil
}

// must panics with an error, which is how a pure function fails.
func must[R any](v R, err error) R {
	if err != nil {
		panic(err)
	}
	return v
}
