package graphql

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// A string and a comment may hold any Unicode scalar value (specification 2.1), but the parser's lexer refuses
// control characters. So each of them is another character while a document is parsed, one that does not occur in
// it; every column stays what it was. A schema, which the server's own people write, is parsed as it is.

// stand says which characters stand for the 32 control characters.
type stand rune

// stands are ranges that are hardly used: characters that are none, and the end of an area for private use.
var stands = [...]stand{0xFDD0, 0x10FFC0}

const controls = 32

// isControl reports whether a byte is a control character that the lexer refuses.
func isControl(c byte) bool { return c < controls && c != '\t' && c != '\n' && c != '\r' }

func hasControl(q string) bool {
	for i := range len(q) {
		if isControl(q[i]) {
			return true
		}
	}
	return false
}

// cover puts others in the place of control characters in strings and comments. Where there are none, or no range
// is free, the text stays as it is, and stand is 0.
func cover(q string) (string, stand) {
	if !hasControl(q) {
		return q, 0
	}
	for _, s := range stands {
		if !strings.ContainsFunc(q, s.stands) {
			return s.cover(q), s
		}
	}
	return q, 0
}

func (s stand) stands(r rune) bool { return stand(r) >= s && stand(r) < s+controls }

func (s stand) cover(q string) string {
	var b strings.Builder
	for i := 0; i < len(q); {
		end := tokenEnd(q, i)
		if end == i+1 {
			b.WriteByte(q[i])
			i = end
			continue
		}
		for ; i < end; i++ {
			if isControl(q[i]) {
				b.WriteRune(rune(s) + rune(q[i]))
			} else {
				b.WriteByte(q[i])
			}
		}
	}
	return b.String()
}

// tokenEnd is the end of the string or comment that begins at i, or of the one byte there.
func tokenEnd(q string, i int) int {
	switch {
	case q[i] == '#':
		return skipTo(q, i, "\n\r", 0)
	case strings.HasPrefix(q[i:], `"""`):
		for j := i + 3; j < len(q); j++ {
			switch {
			case strings.HasPrefix(q[j:], `\"""`):
				j += 3
			case strings.HasPrefix(q[j:], `"""`):
				return j + 3
			}
		}
		return len(q)
	case q[i] == '"':
		end := skipTo(q, i+1, "\"\n\r", '\\')
		return min(end+1, len(q))
	}
	return i + 1
}

// skipTo is the first place of one of the bytes that end something. What follows an escape is none.
func skipTo(q string, i int, ends string, escape byte) int {
	for ; i < len(q) && strings.IndexByte(ends, q[i]) < 0; i++ {
		if q[i] == escape && escape != 0 {
			i++
		}
	}
	return min(i, len(q))
}

// uncover gives the values of a document their characters back.
func (s stand) uncover(doc *ast.QueryDocument) {
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			s.value(v.DefaultValue)
			s.directives(v.Directives)
		}
		s.directives(op.Directives)
		s.selections(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		s.directives(f.Directives)
		s.selections(f.SelectionSet)
	}
}

func (s stand) selections(set ast.SelectionSet) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			s.arguments(sel.Arguments)
			s.directives(sel.Directives)
			s.selections(sel.SelectionSet)
		case *ast.InlineFragment:
			s.directives(sel.Directives)
			s.selections(sel.SelectionSet)
		case *ast.FragmentSpread:
			s.directives(sel.Directives)
		}
	}
}

func (s stand) directives(list ast.DirectiveList) {
	for _, d := range list {
		s.arguments(d.Arguments)
	}
}

func (s stand) arguments(list ast.ArgumentList) {
	for _, a := range list {
		s.value(a.Value)
	}
}

func (s stand) value(v *ast.Value) {
	if v == nil {
		return
	}
	if v.Kind == ast.StringValue || v.Kind == ast.BlockValue {
		v.Raw = s.plain(v.Raw)
	}
	for _, c := range v.Children {
		s.value(c.Value)
	}
}

// plain is a text with its control characters.
func (s stand) plain(text string) string {
	return strings.Map(func(r rune) rune {
		if s.stands(r) {
			return r - rune(s)
		}
		return r
	}, text)
}
