// Package jsonscan reads the members of one JSON object without building a tree, and appends
// JSON strings. It exists because frames embed content of any shape that is passed on as bytes,
// and because encoding/json (v1) matches names without regard to case and keeps duplicates.
package jsonscan

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrNotObject means that the text is JSON, but no object.
var ErrNotObject = errors.New("not a JSON object")

// ErrSyntax means that the text is not JSON, or not UTF-8.
var ErrSyntax = errors.New("not valid JSON")

// Object calls f for each member of the one JSON object in data, in order, with the raw name
// (without quotes, escapes as they are) and the raw value. An error of f ends the walk.
func Object(data []byte, f func(name, value []byte) error) error {
	if !utf8.Valid(data) || !json.Valid(data) {
		return ErrSyntax
	}
	i := space(data, 0)
	if data[i] != '{' {
		return ErrNotObject
	}
	i = space(data, i+1)
	for data[i] != '}' {
		end := value(data, i)
		name := data[i+1 : end-1]
		i = space(data, space(data, end)+1) // past the colon
		end = value(data, i)
		if err := f(name, data[i:end]); err != nil {
			return err
		}
		i = space(data, end)
		if data[i] == ',' {
			i = space(data, i+1)
		}
	}
	return nil
}

// Array calls f for each raw element of the one JSON array in data.
func Array(data []byte, f func(value []byte) error) error {
	if !utf8.Valid(data) || !json.Valid(data) {
		return ErrSyntax
	}
	i := space(data, 0)
	if data[i] != '[' {
		return fmt.Errorf("not a JSON array")
	}
	i = space(data, i+1)
	for data[i] != ']' {
		end := value(data, i)
		if err := f(data[i:end]); err != nil {
			return err
		}
		i = space(data, end)
		if data[i] == ',' {
			i = space(data, i+1)
		}
	}
	return nil
}

// space returns the index of the first byte at or after i that is no white space. data is valid JSON.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// value returns the index behind the value that starts at i. data is valid JSON.
func value(data []byte, i int) int {
	switch data[i] {
	case '"':
		return str(data, i)
	case '{', '[':
		return nested(data, i)
	}
	for i < len(data) {
		switch data[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

func str(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func nested(data []byte, i int) int {
	depth := 0
	for {
		switch data[i] {
		case '"':
			i = str(data, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// String returns the value of a raw JSON string. ok is false if raw is not a string.
func String(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c == '\\' {
			err := json.Unmarshal(raw, &s)
			return s, err == nil
		}
	}
	return string(raw[1 : len(raw)-1]), true
}

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
// '<', '>' and '&' stay as they are; U+2028 and U+2029 are escaped, as old JavaScript wants.
func AppendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
			dst = append(dst, s[start:i]...)
			if n == 1 {
				r = utf8.RuneError
			}
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			i += n
			start = i
			continue
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
