package ws

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// originPolicy decides who may connect from a browser. Without an Origin
// header the client is no browser, and the check has nothing to protect.
type originPolicy struct {
	any      bool
	patterns []string
	check    func(*http.Request) error
}

// WithOrigins allows pages of other origins than the server's own. A pattern
// is a host, "app.example.com", or an origin, "https://app.example.com:8443";
// * stands for any run of characters within it except "/". "null" is the
// origin of sandboxed pages and files. Repeated use adds up.
func WithOrigins(patterns ...string) AcceptOption {
	return acceptOnly(func(c *acceptConfig) error {
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return refuse("WithOrigins", fmt.Sprintf("%q", p), "a host or an origin, with * as in path.Match")
			}
		}
		c.origin.patterns = append(c.origin.patterns, patterns...)
		return nil
	})
}

// WithAnyOrigin lets every page on the web connect with its visitors' cookies.
// It is for servers that authenticate otherwise.
func WithAnyOrigin() AcceptOption {
	return acceptOnly(func(c *acceptConfig) error {
		c.origin.any = true
		return nil
	})
}

// WithOriginCheck replaces the same-origin rule and its patterns; an error
// refuses the request with 403 and is told to the client.
func WithOriginCheck(check func(*http.Request) error) AcceptOption {
	return acceptOnly(func(c *acceptConfig) error {
		if check == nil {
			return refuse("WithOriginCheck", "nil", "a function")
		}
		c.origin.check = check
		return nil
	})
}

// validate refuses rules that exclude each other.
func (p *originPolicy) validate() error {
	n := 0
	for _, set := range []bool{p.any, len(p.patterns) > 0, p.check != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		return fmt.Errorf("ws: WithOrigins, WithAnyOrigin and WithOriginCheck exclude each other")
	}
	return nil
}

// allow returns nil if r may connect (RFC 6455 10.2).
func (p *originPolicy) allow(r *http.Request) error {
	if p.check != nil {
		return p.check(r)
	}
	origins := r.Header["Origin"]
	if p.any || len(origins) == 0 {
		return nil
	}
	if len(origins) > 1 {
		return fmt.Errorf("more than one Origin header")
	}
	origin := strings.ToLower(origins[0])
	if p.matches(origin, origin) {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return fmt.Errorf("origin %q is not allowed", origins[0])
	}
	if bareHost(u.Scheme, u.Host) == bareHost(u.Scheme, strings.ToLower(r.Host)) || p.matches(u.Host, u.Hostname()) {
		return nil
	}
	return fmt.Errorf("origin %q is not allowed", origins[0])
}

func (p *originPolicy) matches(full, short string) bool {
	for _, pattern := range p.patterns {
		pattern = strings.ToLower(pattern)
		for _, s := range []string{full, short} {
			if ok, _ := path.Match(pattern, s); ok {
				return true
			}
		}
	}
	return false
}

// bareHost takes the scheme's own port off.
func bareHost(scheme, host string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
