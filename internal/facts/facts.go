// Package facts keeps a few names and values in little memory.
package facts

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// Facts are a small map of strings that never changes, in one string: each name and value with its length
// before it, sorted by name. Most connections have one or two labels, and a map takes ten times the memory.
// The zero value is empty.
type Facts string

// Of returns what is in m.
func Of(m map[string]string) Facts {
	if len(m) == 0 {
		return ""
	}
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(m)) {
		for _, s := range [...]string{k, m[k]} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return Facts(b)
}

// Get returns the value of that name.
func (f Facts) Get(name string) (value string, ok bool) {
	for k, v := range f.All() {
		if k == name {
			return v, true
		}
	}
	return "", false
}

// All yields names and values in the order of the names.
func (f Facts) All() iter.Seq2[string, string] {
	return func(yield func(k, v string) bool) {
		for rest := string(f); rest != ""; {
			var k, v string
			k, rest = cutText(rest)
			v, rest = cutText(rest)
			if !yield(k, v) {
				return
			}
		}
	}
}

// cutText returns the first text of s and what follows it.
func cutText(s string) (first, rest string) {
	n, size := uint64(0), 0
	for {
		c := s[size]
		n |= uint64(c&0x7f) << (7 * size)
		size++
		if c < 0x80 {
			break
		}
	}
	return s[size : size+int(n)], s[size+int(n):]
}

// Map returns a map of its own, nil if there are none.
func (f Facts) Map() map[string]string {
	if f == "" {
		return nil
	}
	return maps.Collect(f.All())
}
