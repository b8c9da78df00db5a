package conf

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxSize is the largest document that [Parse] reads, in bytes.
	MaxSize = 1 << 20
	// MaxDepth is how deep objects and arrays of a document may nest.
	MaxDepth = 32
)

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "a string", "a list", "an object"}[k]
}

// pos is a place in a document, both from 1; Column counts characters, not bytes.
type pos struct{ line, column int }

// node is one value of a document with its place.
type node struct {
	kind    kind
	pos     pos
	text    string // what a string says; a number or boolean as written
	items   []*node
	members []member
}

type member struct {
	key   string
	pos   pos
	value *node
}

// parser reads RFC 8259 strictly. It is our own because encoding/json takes the last of two equal keys, ignores case
// and what follows the document, and reports no line.
type parser struct {
	source string
	data   string
	off    int
	depth  int

	// place of off
	line      int
	lineStart int
	wide      int // continuation bytes since lineStart: the column counts characters

	problems *problems
	failed   bool // a syntax error was reported: unwind with what was read
}

func (p *parser) pos() pos { return pos{p.line, p.off - p.lineStart - p.wide + 1} }

func (p *parser) report(path string, at pos, err error) {
	p.problems.add(&Error{Source: p.source, Path: path, Line: at.line, Column: at.column, Err: err})
}

// fail reports the one syntax error of a document; nothing after it could be trusted.
func (p *parser) fail(path, format string, args ...any) {
	if !p.failed {
		p.failed = true
		p.report(path, p.pos(), causef(ErrSyntax, "not valid JSON: "+format, args...))
	}
}

func (p *parser) space() {
	for ; p.off < len(p.data); p.off++ {
		switch p.data[p.off] {
		case ' ', '\t', '\r':
		case '\n':
			p.line++
			p.lineStart, p.wide = p.off+1, 0
		default:
			return
		}
	}
}

// peek gives the next byte, 0 at the end (a real NUL is no JSON either).
func (p *parser) peek() byte {
	if p.off < len(p.data) {
		return p.data[p.off]
	}
	return 0
}

// found names what stands at the cursor, for messages.
func (p *parser) found() string {
	if p.off >= len(p.data) {
		return "the end"
	}
	r, n := utf8.DecodeRuneInString(p.data[p.off:])
	if r == utf8.RuneError && n == 1 {
		return "invalid UTF-8"
	}
	return fmt.Sprintf("%q", r)
}

// document reads the whole text: one object and nothing after it.
func (p *parser) document() *node {
	p.data = strings.TrimPrefix(p.data, "\ufeff") // editors write it, RFC 8259 section 8.1 lets us skip it
	p.space()
	n := p.value("")
	if p.failed {
		return n
	}
	if n.kind != object {
		p.report("", n.pos, causef(ErrType, "want an object, found %v", n.kind))
	}
	if p.space(); p.off < len(p.data) {
		p.fail("", "want nothing after the document, found %s", p.found())
	}
	return n
}

// value reads one value. After a failure it returns what there is, never nil.
func (p *parser) value(path string) *node {
	n := &node{pos: p.pos()}
	switch c := p.peek(); {
	case c == '{':
		n.kind = object
		p.nest(path, func() { p.object(n, path) })
	case c == '[':
		n.kind = array
		p.nest(path, func() { p.array(n, path) })
	case c == '"':
		n.kind = text
		n.text = p.str(path)
	case c == '-' || digit(c):
		n.kind = number
		n.text = p.number(path)
	default:
		p.word(n, path)
	}
	return n
}

// nest bounds recursion.
func (p *parser) nest(path string, read func()) {
	if p.depth == MaxDepth {
		p.fail(path, "nested deeper than %d", MaxDepth)
		return
	}
	p.depth++
	p.off++
	read()
	p.depth--
}

func (p *parser) word(n *node, path string) {
	for _, w := range []struct {
		text string
		kind kind
	}{{"true", boolean}, {"false", boolean}, {"null", null}} {
		if strings.HasPrefix(p.data[p.off:], w.text) {
			n.kind, n.text = w.kind, w.text
			p.off += len(w.text)
			return
		}
	}
	p.fail(path, "want a value, found %s", p.found())
}

func (p *parser) object(n *node, path string) {
	seen := map[string]pos{}
	for p.space(); p.peek() != '}' || len(n.members) > 0; p.space() {
		if p.peek() != '"' {
			p.fail(path, "want a key in quotes, found %s", p.found())
			return
		}
		m := member{pos: p.pos()}
		m.key = p.str(path)
		at := join(path, m.key)
		if first, twice := seen[m.key]; twice && !p.failed {
			p.report(at, m.pos, causef(ErrDuplicate, "duplicate key, first at line %d", first.line))
		} else {
			seen[m.key] = m.pos
		}
		if p.space(); !p.failed && p.peek() != ':' {
			p.fail(at, "want ':' after the key, found %s", p.found())
		}
		if p.failed {
			return
		}
		p.off++
		p.space()
		if m.value = p.value(at); p.failed && m.value.kind != object {
			return
		}
		n.members = append(n.members, m)
		if p.failed || p.next(path, '}') {
			return
		}
	}
	p.off++
}

func (p *parser) array(n *node, path string) {
	for p.space(); p.peek() != ']' || len(n.items) > 0; p.space() {
		item := p.value(fmt.Sprintf("%s[%d]", path, len(n.items)))
		if p.failed {
			return
		}
		n.items = append(n.items, item)
		if p.next(path, ']') {
			return
		}
	}
	p.off++
}

// next reads what follows a member or item: a comma, or the end, for which it reports true (as after a failure).
func (p *parser) next(path string, end byte) bool {
	p.space()
	switch p.peek() {
	case ',':
		p.off++
		return false
	case end:
		p.off++
	default:
		p.fail(path, "want ',' or '%c', found %s", end, p.found())
	}
	return true
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// number reads RFC 8259 section 6 and keeps the literal.
func (p *parser) number(path string) string {
	start := p.off
	if p.peek() == '-' {
		p.off++
	}
	zero := p.peek() == '0'
	whole := p.digits(path)
	if zero && whole > 1 {
		p.fail(path, "want a number without leading zeros")
	}
	if p.peek() == '.' {
		p.off++
		p.digits(path)
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.off++
		if c := p.peek(); c == '+' || c == '-' {
			p.off++
		}
		p.digits(path)
	}
	return p.data[start:p.off]
}

func (p *parser) digits(path string) int {
	start := p.off
	for digit(p.peek()) {
		p.off++
	}
	if p.off == start {
		p.fail(path, "want a digit, found %s", p.found())
	}
	return p.off - start
}

// str reads a string in quotes and gives what it says.
func (p *parser) str(path string) string {
	p.off++
	var b strings.Builder
	for !p.failed {
		r, n := utf8.DecodeRuneInString(p.data[p.off:])
		switch {
		case n == 0:
			p.fail(path, "want '\"' at the end of the string, found the end")
		case r == '"':
			p.off++
			return b.String()
		case r == '\\':
			b.WriteRune(p.escape(path))
		case r == utf8.RuneError && n == 1:
			p.fail(path, "invalid UTF-8 in a string")
		case r < 0x20:
			p.fail(path, "control character in a string, want \\u%04x", r)
		default:
			b.WriteRune(r)
			p.off += n
			p.wide += n - 1
		}
	}
	return b.String()
}

// escape reads one escape; the cursor is on the backslash.
func (p *parser) escape(path string) rune {
	const plain, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	p.off++
	c := p.peek()
	if c == 'u' {
		return p.unicode(path)
	}
	i := strings.IndexByte(plain, c)
	if i < 0 || c == 0 {
		p.fail(path, "want an escape, found %s", p.found())
		return 0
	}
	p.off++
	return rune(means[i])
}

// unicode reads uXXXX, and a second one after a leading surrogate. encoding/json lets half a pair pass as U+FFFD;
// here it is an error, as the value would not be what was written.
func (p *parser) unicode(path string) rune {
	r := p.hex(path)
	if !utf16.IsSurrogate(r) || p.failed {
		return r
	}
	if strings.HasPrefix(p.data[p.off:], `\u`) {
		p.off++
		if r = utf16.DecodeRune(r, p.hex(path)); r != utf8.RuneError {
			return r
		}
	}
	p.fail(path, "half a surrogate pair in a string")
	return r
}

func (p *parser) hex(path string) rune {
	var r rune
	p.off++
	for range 4 {
		c := p.peek()
		switch {
		case digit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			p.fail(path, "want four hexadecimal digits, found %s", p.found())
			return 0
		}
		p.off++
	}
	return r
}
