package graphql

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// repair goes over a text before it is parsed, because of what the parser's lexer takes otherwise than
// specification 2.1 says. What it takes too easily is the error: escapes that are half of a UTF-16 pair,
// and numbers with letters or a dot at their end. Block strings that it reads otherwise are written so
// that it reads them right; every other token keeps its line and column.
func repair(q string) (string, *Error) {
	l := &lexical{q: q}
	for l.i < len(q) && l.err == nil {
		l.token()
	}
	if l.out == nil {
		return q, l.err
	}
	return string(append(l.out, q[l.copied:]...)), l.err
}

// lexical is a walk over a text.
type lexical struct {
	q      string
	i      int
	out    []byte // q as it is repaired, up to copied; nil as long as nothing is
	copied int
	err    *Error
}

// token goes over a token, or over what is none.
func (l *lexical) token() (is bool) {
	switch c := l.q[l.i]; {
	case c == '#':
		l.skip(func(c byte) bool { return c != '\n' && c != '\r' })
		return false
	case c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ',':
		l.i++
		return false
	case strings.HasPrefix(l.q[l.i:], `"""`):
		l.block()
	case strings.HasPrefix(l.q[l.i:], `...`):
		l.i += 3
	case c == '"':
		l.text()
	case isDigit(c):
		l.number()
	case isNameStart(c):
		l.skip(func(c byte) bool { return isNameStart(c) || isDigit(c) })
	default:
		l.i++
	}
	return true
}

// tokens counts the tokens of a text, up to what is wrong in it.
func tokens(q string) (n int) {
	l := &lexical{q: q}
	for l.i < len(q) && l.err == nil {
		if l.token() {
			n++
		}
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameStart(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }

func (l *lexical) skip(in func(byte) bool) {
	for l.i < len(l.q) && in(l.q[l.i]) {
		l.i++
	}
}

func (l *lexical) fail(at int, format string, args ...any) {
	line := 1 + strings.Count(l.q[:at], "\n")
	col := at - strings.LastIndexByte(l.q[:at], '\n')
	l.err = &Error{Message: "Syntax Error: " + fmt.Sprintf(format, args...), Locations: []Location{{line, col}}}
}

// number goes over a number, after which no name and no dot may stand (specification 2.9.1).
func (l *lexical) number() {
	l.skip(isDigit)
	if l.i+1 < len(l.q) && l.q[l.i] == '.' && isDigit(l.q[l.i+1]) {
		l.i++
		l.skip(isDigit)
	}
	if l.i < len(l.q) && l.q[l.i]|0x20 == 'e' {
		l.i++
		l.skip(func(c byte) bool { return c == '+' || c == '-' })
		l.skip(isDigit)
	}
	if l.i < len(l.q) && (isNameStart(l.q[l.i]) || l.q[l.i] == '.') {
		l.fail(l.i, "Invalid number, expected digit but got: %q.", l.q[l.i])
	}
}

// text goes over a string in single quotes.
func (l *lexical) text() {
	for l.i++; l.i < len(l.q) && l.q[l.i] != '"' && l.q[l.i] != '\n' && l.q[l.i] != '\r'; {
		if l.q[l.i] != '\\' {
			l.i++
			continue
		}
		r, ok := escape(l.q[l.i:])
		switch {
		case !ok:
			l.i += 2
		case !utf16.IsSurrogate(r):
			l.i += 6
		default:
			low, ok := escape(l.q[l.i+6:])
			if !ok || r >= 0xDC00 || low < 0xDC00 || low > 0xDFFF {
				l.fail(l.i, "Invalid Unicode escape sequence: %q.", l.q[l.i:l.i+6])
				return
			}
			l.i += 12
		}
	}
	l.i++
}

func escape(q string) (rune, bool) {
	if len(q) < 6 || q[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(q[2:6], 16, 32)
	return rune(n), err == nil
}

// block goes over a block string. The lexer counts the indentation of the first line too, which is not
// counted (specification 2.9.4, BlockStringValue), and takes a fourth quote at the end into the string.
func (l *lexical) block() {
	begin := l.i + 3
	end := begin
	for end < len(l.q) && !strings.HasPrefix(l.q[end:], `"""`) {
		if strings.HasPrefix(l.q[end:], `\"""`) {
			end += 3
		}
		end++
	}
	if end >= len(l.q) {
		l.i = len(l.q)
		return
	}
	l.i = end + 3
	cut := l.outdent(begin, end)
	if cut > 0 || l.i < len(l.q) && l.q[l.i] == '"' {
		l.replace(end, l.i, `"""`+strings.Repeat(" ", max(cut, 1)))
	}
}

// outdent takes the common indentation off the lines of a block string that begins on its first line.
// It gives what the last line has lost, which the caller makes up for after the string.
func (l *lexical) outdent(begin, end int) (last int) {
	first, lines := l.lines(begin, end)
	if blank(first) || len(lines) == 0 {
		return 0
	}
	common := -1
	for _, line := range lines {
		text := l.q[line[0]:line[1]]
		if n := indent(text); n < len(text) && (common < 0 || n < common) {
			common = n
		}
	}
	for _, line := range lines {
		if last = min(max(common, 0), line[1]-line[0]); last > 0 {
			l.replace(line[0], line[0]+last, "")
		}
	}
	return last
}

// lines splits a block string; those after the first by their places.
func (l *lexical) lines(begin, end int) (first string, rest [][2]int) {
	from := begin
	for i := begin; i <= end; i++ {
		if i < end && l.q[i] != '\n' && l.q[i] != '\r' {
			continue
		}
		if from == begin {
			first = l.q[begin:i]
		} else {
			rest = append(rest, [2]int{from, i})
		}
		if i+1 < end && l.q[i] == '\r' && l.q[i+1] == '\n' {
			i++
		}
		from = i + 1
	}
	return first, rest
}

func blank(s string) bool { return indent(s) == len(s) }

func indent(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }

// replace has the repaired text differ between two places.
func (l *lexical) replace(from, to int, text string) {
	l.out = append(append(l.out, l.q[l.copied:from]...), text...)
	l.copied = to
}
