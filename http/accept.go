package commhttp

import (
	"net/http"
	"strings"
)

// coding is what a client's Accept-Encoding leaves a server with gzip.
type coding int

const (
	codingIdentity coding = iota // gzip is not wanted
	codingEither                 // gzip, or plain where gzip does not pay
	codingGzip                   // gzip only: plain is refused
)

// negotiate reads Accept-Encoding (RFC 9110 12.5.3): gzip is taken where the client
// wants it at least as much as the plain answer. A weight that is not one, and
// whatever is not understood, counts for nothing. If neither is acceptable, plain is.
func negotiate(accept []string) coding {
	gzip, identity, other := -1, -1, -1
	for _, list := range accept {
		for element := range strings.SplitSeq(list, ",") {
			name, params, _ := strings.Cut(element, ";")
			q, ok := weight(params)
			if !ok {
				continue
			}
			switch name = trimOWS(name); {
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				gzip = q
			case strings.EqualFold(name, "identity"):
				identity = q
			case name == "*":
				other = q
			}
		}
	}
	if gzip < 0 {
		gzip = other
	}
	refused := identity == 0 || identity < 0 && other == 0
	switch {
	case gzip <= 0:
		return codingIdentity
	case refused:
		return codingGzip
	case gzip >= identity:
		return codingEither
	}
	return codingIdentity
}

// weight reads the parameters of an element, of which only q has a meaning, in
// thousandths (RFC 9110 12.4.2). Without one the weight is 1.
func weight(params string) (q int, ok bool) {
	if params == "" {
		return 1000, true
	}
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(trimOWS(name), "q") {
		return 0, false
	}
	value = trimOWS(value)
	whole, fraction, _ := strings.Cut(value, ".")
	if len(fraction) > 3 || whole != "0" && whole != "1" {
		return 0, false
	}
	for i := range 3 {
		digit := 0
		if i < len(fraction) {
			if digit = int(fraction[i] - '0'); digit > 9 || digit < 0 {
				return 0, false
			}
		}
		q = 10*q + digit
	}
	if whole == "1" {
		return 1000, q == 0
	}
	return q, true
}

// addVary adds name to the Vary list of h, unless it is there.
func addVary(h http.Header, name string) {
	for _, list := range h["Vary"] {
		for element := range strings.SplitSeq(list, ",") {
			if element = trimOWS(element); element == "*" || strings.EqualFold(element, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}
