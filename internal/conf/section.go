package conf

import (
	"iter"
	"slices"
)

// Section is one object of a parsed document. A nil Section is an absent one: it has no keys and decodes nothing.
// It is immutable and safe for concurrent use.
type Section struct {
	source string
	path   string
	node   *node
}

// Parse reads a JSON document whose root is an object. Source names it in errors: a file name.
//
// Syntax, invalid UTF-8 and duplicate keys are reported together. The Section is never nil and holds what could be
// read before a syntax error, so that the caller can go on to decode it and report more problems at once; it must not
// be used for anything else when err is not nil.
func Parse(source string, data []byte) (*Section, error) {
	s := &Section{source: source, node: &node{kind: object, pos: pos{1, 1}}}
	if len(data) > MaxSize {
		return s, &Error{Source: source, Err: causef(ErrValue, "%d bytes, at most %d are read", len(data), MaxSize)}
	}
	p := &parser{source: source, data: string(data), line: 1, problems: new(problems)}
	if n := p.document(); n.kind == object {
		s.node = n
	}
	return s, p.problems.err()
}

// Source is the name given to [Parse].
func (s *Section) Source() string {
	if s == nil {
		return ""
	}
	return s.source
}

// Path is where the section stands: "providers.http"; empty for the root.
func (s *Section) Path() string {
	if s == nil {
		return ""
	}
	return s.path
}

// Keys lists the section's keys in the order of the document.
func (s *Section) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		if s == nil {
			return
		}
		for _, m := range s.node.members {
			if !yield(m.key) {
				return
			}
		}
	}
}

// Section gives the object under key, nil if the key is absent. Another value than an object is an error.
func (s *Section) Section(key string) (*Section, error) {
	m := s.member(key)
	if m == nil {
		return nil, nil
	}
	path := join(s.path, key)
	if m.value.kind != object {
		return nil, s.error(path, m.value.pos, causef(ErrType, "want an object, found %v", m.value.kind))
	}
	return &Section{s.source, path, m.value}, nil
}

// Only reports every key that is not among known, with the nearest of them. It is for sections of sections, whose
// keys no struct lists; [Section.Decode] does the same for a struct's.
func (s *Section) Only(known ...string) error {
	if s == nil {
		return nil
	}
	var all problems
	for _, m := range s.node.members {
		if !slices.Contains(known, m.key) && !all.full() {
			all.add(s.unknown(s.path, m, known))
		}
	}
	return all.err()
}

// Error places a problem that the caller found with a key's value ("two keys exclude each other"). Key may be a path
// below the section ("tls.cert"); an absent one is placed at the section itself.
func (s *Section) Error(key string, err error) *Error {
	if s == nil {
		return &Error{Path: key, Err: err}
	}
	path, at := s.path, s.node.pos
	sub := s
	for part := range splitPath(key) {
		path = join(path, part)
		m := sub.member(part)
		if m == nil {
			sub = nil
			continue
		}
		at = m.value.pos
		sub = &Section{s.source, path, m.value}
	}
	return s.error(path, at, err)
}

func (s *Section) error(path string, at pos, err error) *Error {
	return &Error{Source: s.source, Path: path, Line: at.line, Column: at.column, Err: err}
}

func (s *Section) unknown(path string, m member, known []string) *Error {
	e := s.error(join(path, m.key), m.pos, errUnknownKey)
	e.Nearest = nearest(m.key, known)
	return e
}

var errUnknownKey = causef(ErrUnknown, "unknown key")

func (s *Section) member(key string) *member {
	if s == nil {
		return nil
	}
	for i := range s.node.members {
		if s.node.members[i].key == key {
			return &s.node.members[i]
		}
	}
	return nil
}
