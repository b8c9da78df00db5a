// Package deflate is permessage-deflate (RFC 7692) without a connection: the
// header's grammar, the negotiation of both sides, and compression of whole
// messages and of streams over pooled compress/flate state.
//
// Memory is the subject here. A flate writer weighs about a megabyte and a
// reader 45 KB, so both are pooled and lent for the length of one message. What
// a connection keeps between messages is its peer's window (at most 32 KB, only
// what was really received) and, if it was asked for and a [Budget] allows, a
// compressor of its own.
package deflate

import (
	"errors"
	"strings"
)

// Name is the extension's token.
const Name = "permessage-deflate"

// ErrSyntax reports a Sec-WebSocket-Extensions header outside the grammar of
// RFC 6455 9.1.
var ErrSyntax = errors.New("deflate: malformed extension list")

// Extension is one element of Sec-WebSocket-Extensions.
type Extension struct {
	Name   string
	Params []Param
}

// Param is one parameter of an extension; Set tells "name=value" from "name".
type Param struct {
	Name, Value string
	Set         bool
}

// ParseExtensions reads the header's values, which form one list.
func ParseExtensions(values []string) ([]Extension, error) {
	var list []Extension
	for _, v := range values {
		s := scanner{v}
		for {
			s.space()
			if s.rest == "" {
				break
			}
			if s.eat(',') { // empty elements are legal (RFC 9110 5.6.1)
				continue
			}
			ext, ok := s.extension()
			if !ok {
				return nil, ErrSyntax
			}
			list = append(list, ext)
		}
	}
	return list, nil
}

type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *scanner) eat(b byte) bool {
	if s.rest == "" || s.rest[0] != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// extension reads one element and its end: a comma that stays, or the end.
func (s *scanner) extension() (ext Extension, ok bool) {
	if ext.Name, ok = s.token(); !ok {
		return ext, false
	}
	for {
		s.space()
		if s.rest == "" || s.rest[0] == ',' {
			return ext, true
		}
		if !s.eat(';') {
			return ext, false
		}
		s.space()
		p, ok := s.param()
		if !ok {
			return ext, false
		}
		ext.Params = append(ext.Params, p)
	}
}

func (s *scanner) param() (p Param, ok bool) {
	if p.Name, ok = s.token(); !ok {
		return p, false
	}
	s.space()
	if !s.eat('=') {
		return p, true
	}
	p.Set = true
	s.space()
	if s.eat('"') {
		p.Value, ok = s.quoted()
	} else {
		p.Value, ok = s.token()
	}
	return p, ok
}

func (s *scanner) token() (string, bool) {
	n := 0
	for n < len(s.rest) && tokenByte(s.rest[n]) {
		n++
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	return t, n > 0
}

// quoted reads a quoted-string after its opening quote; unquoted, it must be
// a token (RFC 6455 9.1).
func (s *scanner) quoted() (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			s.rest = s.rest[i+1:]
			return b.String(), b.Len() > 0
		}
		if c == '\\' && i+1 < len(s.rest) {
			i++
			c = s.rest[i]
		}
		if !tokenByte(c) {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false
}

func tokenByte(c byte) bool {
	return c > ' ' && c < 0x7F && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, rune(c))
}
