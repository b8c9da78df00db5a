// Command testgraphql executes operations on schemas that come on its input, for a comparison with another
// implementation: one JSON object a line in, one response a line out.
//
// A schema's objects are maps, told apart by the key __typename. A value {"__error": text} makes its field
// fail. How a field is registered depends on its name: one that ends in R blocks, one that ends in B is
// fetched in batches, one that ends in A has arguments and answers with them, all others are read.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/anasamu/comm/graphql"
)

type task struct {
	SDL       string          `json:"sdl"`
	Data      map[string]any  `json:"data"`
	Query     string          `json:"query"`
	Variables json.RawMessage `json:"variables"`
}

type object = map[string]any

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		var t task
		if err := json.Unmarshal(in.Bytes(), &t); err != nil {
			log.Fatal(err)
		}
		body, err := t.run()
		if err != nil {
			body, _ = json.Marshal(object{"refused": err.Error()})
		}
		fmt.Fprintf(out, "%s\n", body)
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
}

func (t *task) run() ([]byte, error) {
	doc, err := parser.ParseSchema(&ast.Source{Input: t.SDL})
	if err != nil {
		return nil, err
	}
	s, err := graphql.NewSchema(append(t.options(doc), graphql.SDL(t.SDL), graphql.WithUnmaskedErrors(), graphql.WithLimits(graphql.Limits{Aliases: -1, Depth: -1, Cost: -1, Errors: -1}))...)
	if err != nil {
		return nil, err
	}
	body, _ := s.Append(context.Background(), nil, &graphql.Request{Query: t.Query, Variables: t.Variables})
	return body, nil
}

func (t *task) options(doc *ast.SchemaDocument) (opts []graphql.SchemaOption) {
	for _, d := range doc.Definitions {
		switch d.Kind {
		case ast.Interface, ast.Union:
			opts = append(opts, graphql.TypeOf(d.Name, func(v object) string { name, _ := v["__typename"].(string); return name }))
		case ast.Object:
			root := d.Name == "Query" || d.Name == "Mutation"
			if !root {
				opts = append(opts, graphql.Bind[object](d.Name))
			}
			for _, f := range d.Fields {
				opts = append(opts, t.field(d.Name+"."+f.Name, f.Name, root)...)
			}
		}
	}
	return opts
}

// field registers one field as its name says.
func (t *task) field(coord, name string, root bool) []graphql.SchemaOption {
	read := func(parent any) (any, error) {
		o, ok := parent.(object)
		if root || !ok {
			o = t.Data
		}
		if fail, ok := o[name].(object); ok && fail["__error"] != nil {
			return nil, graphql.Errorf("%v", fail["__error"])
		}
		return o[name], nil
	}
	switch name[len(name)-1] {
	case 'A':
		return []graphql.SchemaOption{graphql.Resolve(coord, func(_ context.Context, _ any, args map[string]any) (any, error) {
			text, err := json.Marshal(args)
			return string(text), err
		})}
	case 'R':
		return []graphql.SchemaOption{graphql.Resolve(coord, func(_ context.Context, p any, _ graphql.NoArgs) (any, error) { return read(p) })}
	case 'B':
		return []graphql.SchemaOption{graphql.Batch(coord, func(_ context.Context, ps []any, _ graphql.NoArgs) ([]graphql.Result[any], error) {
			out := make([]graphql.Result[any], len(ps))
			for i, p := range ps {
				out[i].Value, out[i].Err = read(p)
			}
			return out, nil
		})}
	}
	if root {
		return []graphql.SchemaOption{graphql.Get(coord, func(any) any { v, _ := read(nil); return v })}
	}
	return nil
}
