package graphql

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// load parses the SDL and has the parser's package check it; false means that there is nothing to go on with.
func (b *builder) load() bool {
	if len(b.sources) == 0 {
		b.problem(nil, "there is no SDL: give some with SDL or SDLFile")
		return false
	}
	doc, ok := b.parse()
	if !ok {
		return false
	}
	b.checkDocument(doc)
	schema, err := validateDocument(doc)
	if err != nil {
		b.parserProblem(err)
		return false
	}
	b.s.ast = schema
	b.declareIncremental(schema)
	modernize(schema)
	return true
}

// modernize makes of the parser's prelude what the September 2025 specification says: arguments that have a
// default and take no null (3.13.3 and 4.2).
func modernize(schema *ast.Schema) {
	if reason := schema.Directives["deprecated"].Arguments.ForName("reason"); reason != nil { // else checkDocument has told it
		reason.Type.NonNull = true
	}
	for name, t := range schema.Types {
		if !strings.HasPrefix(name, "__") {
			continue
		}
		for _, f := range t.Fields {
			if arg := f.Arguments.ForName("includeDeprecated"); arg != nil {
				arg.Type.NonNull = true
			}
		}
	}
}

// parse parses every source, so that each tells its first mistake.
func (b *builder) parse() (*ast.SchemaDocument, bool) {
	doc, ok := &ast.SchemaDocument{}, true
	var text strings.Builder
	for _, src := range append([]*ast.Source{validator.Prelude}, b.sources...) {
		input, wrong := repair(src.Input)
		d, err := parser.ParseSchema(&ast.Source{Name: src.Name, Input: input, BuiltIn: src.BuiltIn})
		if err == nil && wrong != nil {
			b.problems = append(b.problems, Problem{File: src.Name, Line: wrong.Locations[0].Line, Column: wrong.Locations[0].Column, Text: wrong.Message})
			ok = false
			continue
		}
		if err != nil {
			b.parserProblem(err)
			ok = false
			continue
		}
		doc.Merge(d)
		if !src.BuiltIn {
			text.WriteString(src.Input + "\n")
		}
	}
	b.s.sdl = text.String()
	return doc, ok
}

// validateDocument is the parser's own check. It is told bad things, so it must not take the program down.
func validateDocument(doc *ast.SchemaDocument) (s *ast.Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the schema cannot be checked: %v", r)
		}
	}()
	return validator.ValidateSchemaDocument(doc)
}

func (b *builder) parserProblem(err error) {
	var list gqlerror.List
	if !errors.As(err, &list) {
		if one, ok := errors.AsType[*gqlerror.Error](err); ok {
			list = gqlerror.List{one}
		} else {
			b.problem(nil, "%v", err)
			return
		}
	}
	for _, e := range list {
		p := Problem{Text: e.Message}
		if file, ok := e.Extensions["file"].(string); ok && len(e.Locations) > 0 {
			p.File, p.Line, p.Column = file, e.Locations[0].Line, e.Locations[0].Column
		}
		b.problems = append(b.problems, p)
	}
}

// checkDocument refuses what is lost once extensions are merged.
func (b *builder) checkDocument(doc *ast.SchemaDocument) {
	known := make(map[string]bool)
	for _, d := range doc.Definitions {
		known[d.Name] = true
	}
	for _, e := range doc.Extensions {
		if !known[e.Name] {
			b.problem(e.Position, "Cannot extend type %q because it is not defined.", e.Name)
		}
	}
	for _, d := range doc.Directives {
		if d.Position != nil && !d.Position.Src.BuiltIn && reservedDirectives[d.Name] {
			b.checkReserved(d, doc.Directives.ForName(d.Name))
		}
	}
	roots := make(map[string]ast.Operation)
	for _, sd := range append(doc.Schema, doc.SchemaExtension...) {
		for _, op := range sd.OperationTypes {
			if other, dup := roots[op.Type]; dup {
				b.problem(op.Position, "All root types must be different: type %q is the root of %s and of %s.", op.Type, other, op.Operation)
			}
			roots[op.Type] = op.Operation
		}
	}
}

// checkReserved lets a directive of the specification be declared as it is there (3.13): tools that print
// schemas do so. own is the parser's, which comes first in the document.
func (b *builder) checkReserved(d, own *ast.DirectiveDefinition) {
	same := own != nil && own != d && len(d.Arguments) == len(own.Arguments) && !d.IsRepeatable
	for _, l := range d.Locations {
		same = same && slices.Contains(own.Locations, l)
	}
	for _, l := range own.Locations {
		same = same && (l == "DIRECTIVE_DEFINITION" || slices.Contains(d.Locations, l)) // newer than the specification
	}
	for _, a := range d.Arguments {
		same = same && own.Arguments.ForName(a.Name) != nil && own.Arguments.ForName(a.Name).Type.Name() == a.Type.Name()
	}
	if !same || d.Name == "defer" || d.Name == "stream" {
		b.problem(d.Position, "The directive @%s is one of the specification and cannot be declared otherwise.", d.Name)
	}
}

// reservedDirectives are those whose meaning is the executor's.
var reservedDirectives = map[string]bool{
	"skip": true, "include": true, "deprecated": true, "specifiedBy": true, "oneOf": true, "defer": true, "stream": true,
}
