package wsframe

import "unicode/utf8"

// UTF8 checks text that arrives in pieces cut anywhere, also inside a
// character, and fails at the first byte that cannot be part of valid UTF-8
// (RFC 6455 8.1, RFC 3629 4). The zero value is ready for a new text.
type UTF8 struct {
	need   uint8 // continuation bytes that the open character still wants
	lo, hi byte  // bounds of the next one
}

// Write checks the next piece and reports whether the text is valid so far.
// After a false result the value must be reset.
func (u *UTF8) Write(p []byte) bool {
	for u.need > 0 && len(p) > 0 {
		if !u.step(p[0]) {
			return false
		}
		p = p[1:]
	}
	tail := openTail(p)
	if !utf8.Valid(p[:tail]) {
		return false
	}
	for _, b := range p[tail:] {
		if !u.step(b) {
			return false
		}
	}
	return true
}

// Done reports whether the text may end here: no character is open.
func (u *UTF8) Done() bool { return u.need == 0 }

// Reset makes u ready for a new text.
func (u *UTF8) Reset() { *u = UTF8{} }

// openTail returns where the character that p's end cuts begins, or len(p).
func openTail(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-3; i-- {
		b := p[i]
		if b < 0x80 {
			break
		}
		if b >= 0xC0 {
			if i+sequence(b) > len(p) {
				return i
			}
			break
		}
	}
	return len(p)
}

// sequence is the length that lead byte b announces; invalid leads count 1.
func sequence(b byte) int {
	switch {
	case b >= 0xF5 || b < 0xC2:
		return 1
	case b >= 0xF0:
		return 4
	case b >= 0xE0:
		return 3
	}
	return 2
}

// step follows the table of well-formed sequences (RFC 3629 4) by one byte.
func (u *UTF8) step(b byte) bool {
	if u.need > 0 {
		if b < u.lo || b > u.hi {
			return false
		}
		u.need--
		u.lo, u.hi = 0x80, 0xBF
		return true
	}
	u.lo, u.hi = 0x80, 0xBF
	switch {
	case b < 0x80:
		return true
	case b < 0xC2 || b > 0xF4:
		return false
	case b == 0xE0:
		u.lo = 0xA0 // shorter forms exist for less
	case b == 0xED:
		u.hi = 0x9F // above are surrogates
	case b == 0xF0:
		u.lo = 0x90
	case b == 0xF4:
		u.hi = 0x8F // above U+10FFFF
	}
	u.need = uint8(sequence(b) - 1)
	return true
}
