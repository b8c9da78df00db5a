package commhttp

import "strings"

// isToken reports whether s is a token (RFC 9110 5.6.2), as method and header names are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// trimOWS trims optional white space (RFC 9110 5.6.3).
func trimOWS(s string) string { return strings.Trim(s, " \t") }
