package graphql

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/anasamu/comm/internal/jsonscan"
)

// The values of the extension "code" that this package sets.
const (
	// CodeLimit is the code of an operation that is over one of the [Limits].
	CodeLimit = "LIMIT_EXCEEDED"
	// CodeReadOnly is the code of a mutation or subscription in a request that must only read.
	CodeReadOnly = "READ_ONLY"
	// CodeInternal is the code of an error whose text is kept from the client.
	CodeInternal = "INTERNAL"
	// CodePersistedNotFound is the code of a hash that is not known, after which a client sends the text.
	CodePersistedNotFound = "PERSISTED_QUERY_NOT_FOUND"
	// CodePersistedUnsupported is the code of a hash where persisted queries are switched off.
	CodePersistedUnsupported = "PERSISTED_QUERY_NOT_SUPPORTED"
	// CodeUntrusted is the code of a document that is not among the trusted ones.
	CodeUntrusted = "UNTRUSTED_DOCUMENT"
)

// Error is an error of a response (specification 7.1.2). A resolver that returns one, or wraps one,
// chooses what the client is told; the text of all other errors is kept from it, see
// [WithUnmaskedErrors].
type Error struct {
	Message   string
	Locations []Location
	// Path holds a string for a field and an int for an element of a list.
	Path       []any
	Extensions map[string]any

	err error
}

// Location is a place in a document, both counted from 1.
type Location struct{ Line, Column int }

// Errorf makes an error whose text the client is told. An operand of %w is what errors.Is finds.
func Errorf(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Message: err.Error(), err: errors.Unwrap(err)}
}

// With returns a copy of e with one more entry in its extensions.
func (e *Error) With(key string, value any) *Error {
	c := *e
	c.Extensions = make(map[string]any, len(e.Extensions)+1)
	for k, v := range e.Extensions {
		c.Extensions[k] = v
	}
	c.Extensions[key] = value
	return &c
}

// Error is the message, after the path where there is one.
func (e *Error) Error() string {
	if len(e.Path) == 0 {
		return "graphql: " + e.Message
	}
	var b strings.Builder
	b.WriteString("graphql: ")
	for i, p := range e.Path {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprint(&b, p)
	}
	return b.String() + ": " + e.Message
}

// Unwrap returns what a resolver returned.
func (e *Error) Unwrap() error { return e.err }

// MarshalJSON writes the error as a response holds it.
func (e *Error) MarshalJSON() ([]byte, error) { return e.append(nil), nil }

func (e *Error) append(b []byte) []byte {
	b = append(b, `{"message":`...)
	b = jsonscan.AppendString(b, e.Message)
	if len(e.Locations) > 0 {
		b = append(b, `,"locations":[`...)
		for i, l := range e.Locations {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"line":`...)
			b = strconv.AppendInt(b, int64(l.Line), 10)
			b = append(b, `,"column":`...)
			b = strconv.AppendInt(b, int64(l.Column), 10)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if len(e.Path) > 0 {
		b = appendPath(append(b, `,"path":`...), e.Path)
	}
	if len(e.Extensions) > 0 {
		if ext, err := json.Marshal(e.Extensions); err == nil {
			b = append(append(b, `,"extensions":`...), ext...)
		}
	}
	return append(b, '}')
}

func appendPath(b []byte, path []any) []byte {
	b = append(b, '[')
	for i, p := range path {
		if i > 0 {
			b = append(b, ',')
		}
		switch p := p.(type) {
		case string:
			b = jsonscan.AppendString(b, p)
		case int:
			b = strconv.AppendInt(b, int64(p), 10)
		}
	}
	return append(b, ']')
}

// errorAt makes an error with the places of nodes.
func errorAt(message string, positions ...*ast.Position) *Error {
	e := &Error{Message: message}
	for _, p := range positions {
		if p != nil {
			e.Locations = append(e.Locations, Location{p.Line, p.Column})
		}
	}
	return e
}

// limitError says which limit an operation is over.
func limitError(what string, limit int) *Error {
	return &Error{
		Message:    fmt.Sprintf("The operation is over the limit of %d %s.", limit, what),
		Extensions: map[string]any{"code": CodeLimit},
	}
}

// ofParser turns an error of the parser or of a rule into one of ours.
func ofParser(err *gqlerror.Error) *Error {
	e := &Error{Message: shorten(err.Message)}
	for _, l := range err.Locations {
		if l.Line > 0 {
			e.Locations = append(e.Locations, Location{l.Line, l.Column})
		}
	}
	return e
}

// shorten keeps a text that quotes a document from becoming as long as that.
func shorten(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Problem is one thing that is wrong with a schema or with what is registered for it.
type Problem struct {
	// File, Line and Column are where in the SDL, or zero for what is not in it.
	File         string
	Line, Column int
	// Text says what is wrong, and what is right.
	Text string
}

// String returns file:line:column and the text, or the text alone.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// SchemaError is all that is wrong with a schema.
type SchemaError struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *SchemaError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "graphql: NewSchema: %d problems:", len(e.Problems))
	if len(e.Problems) == 1 {
		b.Reset()
		b.WriteString("graphql: NewSchema:")
	}
	for _, p := range e.Problems {
		b.WriteString("\n\t" + p.String())
	}
	return b.String()
}
