// Package crossorigin lets pages of other origins have the answers of a route, where a policy allows the
// page's origin (Fetch standard, 3.2).
package crossorigin

import (
	"net/http"
	"strings"
)

// maxAge is for how many seconds a browser may keep the answer to a preflight.
const maxAge = "600"

// AnyHeader as a route's request headers allows whatever a page asks for.
const AnyHeader = "*"

// maxAsked bounds the list of headers that a page asks for, in bytes.
const maxAsked = 4 << 10

// Policy is the policy of one route. Its methods are safe for concurrent use.
type Policy struct {
	methods, headers string
	check            func(*http.Request) error
	any              bool // every page is allowed: none gets to use a visitor's cookies
}

// New makes the policy of a route with the methods and request headers it takes, each a list for a header
// field. check refuses a request by its Origin header.
func New(check func(*http.Request) error, methods, headers string) Policy {
	nobody := &http.Request{Host: "host.invalid", Header: http.Header{"Origin": {"https://any.invalid"}}} // names that cannot exist, RFC 6761 6.4
	return Policy{methods: methods, headers: headers, check: check, any: check(nobody) == nil}
}

// Allow gives pages of allowed origins the answer, and returns the error of the check. Cookies count only
// where the policy names origins: with every origin allowed any page could use them.
func (p *Policy) Allow(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if err := p.check(r); err != nil {
		return err
	}
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if p.any {
		h.Set("Access-Control-Allow-Origin", "*")
		return nil
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	return nil
}

// Preflight answers OPTIONS: what a browser asks before the request of a page, or what anybody asks.
func (p *Policy) Preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Allow", p.methods)
	if r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Add("Vary", "Access-Control-Request-Method")
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", p.methods)
		h.Set("Access-Control-Allow-Headers", p.allowed(r))
		h.Set("Access-Control-Max-Age", maxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowed are the request headers that a page may send. A browser takes "*" for a name where cookies count,
// so the page is told the names that it asks for.
func (p *Policy) allowed(r *http.Request) string {
	asked := strings.Join(r.Header["Access-Control-Request-Headers"], ", ")
	if p.headers != AnyHeader || len(asked) > maxAsked || strings.ContainsFunc(asked, notOfList) {
		return p.headers
	}
	return asked
}

// notOfList reports what is in no list of header names (RFC 9110 5.6.1 and 5.6.2).
func notOfList(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~, \t", c)
}
