package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
)

// acceptGUID is RFC 6455 1.3's.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// acceptKey is the answer to a Sec-WebSocket-Key (RFC 6455 4.2.2). SHA-1 is
// the protocol's, and protects nothing.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// validKey reports whether key is 16 bytes in base64 (RFC 6455 4.1).
func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// hasToken reports whether a header that is a list of tokens contains token.
func hasToken(h http.Header, name, token string) bool {
	for _, t := range list(h, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// list returns the elements of a header that is a comma-separated list.
func list(h http.Header, name string) []string {
	var out []string
	for _, v := range h[name] {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.Trim(t, " \t"); t != "" {
				out = append(out, t)
			}
		}
	}
	return out
}

// validToken reports whether s is a token (RFC 9110 5.6.2).
func validToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// validProtocols checks subprotocol names given as an option.
func validProtocols(names []string) error {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if !validToken(n) {
			return refuse("WithSubprotocols", n, "a token of RFC 9110 5.6.2")
		}
		if seen[n] {
			return refuse("WithSubprotocols", n, "each name once")
		}
		seen[n] = true
	}
	return nil
}
