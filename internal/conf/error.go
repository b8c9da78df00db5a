package conf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Causes to tell apart with errors.Is. They carry no package prefix because they are read inside an [Error], behind
// its source and path.
var (
	// ErrSyntax is a document that is not strict JSON (RFC 8259) in valid UTF-8.
	ErrSyntax = errors.New("not valid JSON")
	// ErrUnknown is a key or variable that nothing reads.
	ErrUnknown = errors.New("unknown")
	// ErrDuplicate is a key that stands twice in one object.
	ErrDuplicate = errors.New("duplicate key")
	// ErrType is a value of another JSON type than the key takes.
	ErrType = errors.New("wrong type")
	// ErrValue is a value of the right type that cannot be read or is not allowed.
	ErrValue = errors.New("value refused")
	// ErrStruct is a Config struct that conf cannot fill: a mistake in the program, not in its configuration.
	ErrStruct = errors.New("bad config struct")
)

// Error is one problem of one key.
type Error struct {
	Source  string // file name, "environment", or what the caller named
	Path    string // "providers.http.port", or the variable's name; empty for the document as a whole
	Line    int    // from 1; 0 where the source has no lines
	Column  int    // from 1, in characters
	Nearest string // a known name close to an unknown one; empty if none is
	Err     error  // what is wrong; matches one of the Err values above unless a type's own method refused the text
}

// Error is one line: `config.json:7:12: providers.http.prot: unknown key (did you mean "port"?)`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(oneLine(e.Source))
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	b.WriteString(": " + oneLine(e.Err.Error()))
	if e.Nearest != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Nearest)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors lists every [*Error] inside err, in order, through any nesting of joined and wrapped errors.
func Errors(err error) []*Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return []*Error{e}
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return Errors(u.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, e := range u.Unwrap() {
			all = append(all, Errors(e)...)
		}
		return all
	}
	return nil
}

// cause is a sentence that matches a sentinel without repeating its text.
type cause struct {
	kind error
	text string
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.kind }

func causef(kind error, format string, args ...any) error {
	return &cause{kind, fmt.Sprintf(format, args...)}
}

// maxProblems bounds one report: past it a reader learns nothing more from a file that is plainly another format.
const maxProblems = 100

// problems collects the errors of one call.
type problems struct {
	errs []error
	more int
}

func (p *problems) add(err error) {
	if err == nil {
		return
	}
	if len(p.errs) >= maxProblems {
		p.more++
		return
	}
	p.errs = append(p.errs, err)
}

func (p *problems) full() bool { return len(p.errs) >= maxProblems }

func (p *problems) err() error {
	if p.more > 0 {
		return errors.Join(append(p.errs[:len(p.errs):len(p.errs)], fmt.Errorf("and %d more problems", p.more))...)
	}
	return errors.Join(p.errs...)
}

// oneLine keeps a message that quotes foreign text on its line.
func oneLine(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// maxShown bounds how much of a refused value is repeated.
const maxShown = 40

// show quotes a value for a message.
func show(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(strings.ToValidUTF8(s[:maxShown], "")) + "..."
	}
	return strconv.Quote(s)
}

// join extends a path by a key, which is quoted where it would read as more than one.
func join(path, key string) string {
	plain := key != "" && len(key) <= 64 && strings.IndexFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0
	if !plain {
		key = show(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
