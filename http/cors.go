package commhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds on the list of header names that a preflight may ask for. Browsers send a few
// dozen bytes; without a bound a hostile list costs far more than it does to send.
const (
	maxCORSHeaderBytes = 4 << 10
	maxCORSHeaderNames = 128
)

// maxCORSAge is a day: no browser keeps a preflight's answer for longer.
const maxCORSAge = 24 * time.Hour

// CORSPolicy says which pages of other origins may use the answers, and how (Fetch
// standard, 3.2). The zero value allows none.
type CORSPolicy struct {
	// Origins are exact ("https://app.example.com"), all subdomains of a host
	// ("https://*.example.com"), or, alone, "*" for every page.
	Origins []string `json:"origins"`
	// Methods allowed besides GET, HEAD and POST with a simple content type, which
	// need no asking; none is GET, HEAD, POST, PUT, PATCH and DELETE.
	Methods []string `json:"methods"`
	// Headers that pages may send; none is Authorization, Content-Type, Last-Event-ID
	// and X-Request-Id. "*", alone, is every header.
	Headers []string `json:"headers"`
	// ExposedHeaders are those of the response that pages may read, besides the
	// harmless ones.
	ExposedHeaders []string `json:"exposed_headers"`
	// Credentials lets pages send cookies. Not together with origin "*".
	Credentials bool `json:"credentials"`
	// MaxAge is how long a browser may remember the answer to a preflight, in whole
	// seconds up to a day; 0 leaves it to the browser (5 s).
	MaxAge time.Duration `json:"max_age" min:"0s" max:"24h"`
}

// CORS lets pages of other origins use the answers, as p says. Preflights are answered
// 204, or refused with 403 and the reason, and do not reach the handler. Other requests
// always do; without its header in the response the browser keeps it from the page. Responses
// have Vary: Origin unless every origin has the same.
func CORS(p CORSPolicy) (Middleware, error) {
	c, err := newCORS(p)
	if err != nil {
		return nil, err
	}
	return c.middleware, nil
}

// cors is a policy made ready.
type cors struct {
	origins     origins
	methods     []string // sorted
	headers     []string // sorted, lower case
	anyHeader   bool
	credentials bool

	allowMethods, exposed, maxAge string // header values
}

func newCORS(p CORSPolicy) (*cors, error) {
	set, err := parseOrigins(p.Origins)
	errs := []error{err}
	if set.any && p.Credentials {
		errs = append(errs, errors.New(`commhttp: CORS origin "*" with credentials: would give every page the user's rights; name the origins`))
	}
	if p.MaxAge < 0 || p.MaxAge > maxCORSAge || p.MaxAge%time.Second != 0 {
		errs = append(errs, fmt.Errorf("commhttp: CORS max age %v: must be whole seconds from 0 to %v", p.MaxAge, maxCORSAge))
	}
	c := &cors{origins: set, credentials: p.Credentials, methods: slices.Clone(p.Methods), headers: slices.Clone(p.Headers)}
	if len(c.methods) == 0 {
		c.methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	if len(c.headers) == 0 {
		c.headers = []string{"Authorization", "Content-Type", "Last-Event-ID", "X-Request-Id"}
	}
	if slices.Contains(c.headers, "*") {
		if c.anyHeader = true; len(c.headers) > 1 {
			errs = append(errs, errors.New(`commhttp: CORS header "*" beside others: it allows all of them`))
		}
		c.headers = nil
	}
	errs = append(errs, checkTokens("CORS method", c.methods), checkTokens("CORS header", c.headers), checkTokens("CORS exposed header", p.ExposedHeaders))
	for i, name := range c.headers {
		c.headers[i] = strings.ToLower(name)
	}
	slices.Sort(c.headers)
	slices.Sort(c.methods)
	c.allowMethods = strings.Join(c.methods, ", ")
	c.exposed = strings.Join(p.ExposedHeaders, ", ")
	if p.MaxAge > 0 {
		c.maxAge = strconv.Itoa(int(p.MaxAge / time.Second))
	}
	return c, errors.Join(errs...)
}

func checkTokens(what string, names []string) error {
	var errs []error
	for _, name := range names {
		if !isToken(name) {
			errs = append(errs, fmt.Errorf("commhttp: %s %q: is not a name (RFC 9110 5.6.2)", what, name))
		}
	}
	return errors.Join(errs...)
}

func (c *cors) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
			c.preflight(w, r)
			return
		}
		if c.allowOrigin(w.Header(), r) && c.exposed != "" {
			w.Header().Set("Access-Control-Expose-Headers", c.exposed)
		}
		next.ServeHTTP(w, r)
	})
}

// allowOrigin sets the header that lets the page have the response.
func (c *cors) allowOrigin(h http.Header, r *http.Request) bool {
	if c.origins.any {
		h.Set("Access-Control-Allow-Origin", "*")
		return true
	}
	addVary(h, "Origin")
	origin := r.Header.Get("Origin")
	if !c.origins.has(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

func (c *cors) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	addVary(h, "Access-Control-Request-Method")
	addVary(h, "Access-Control-Request-Headers")
	method, asked := r.Header.Get("Access-Control-Request-Method"), r.Header["Access-Control-Request-Headers"]
	switch {
	case !c.allowOrigin(h, r):
		Refuse(w, r, http.StatusForbidden, "CORS: this origin is not allowed")
	case !slices.Contains(c.methods, method) && method != "GET" && method != "HEAD" && method != "POST":
		Refuse(w, r, http.StatusForbidden, "CORS: this method is not allowed; allowed are "+c.allowMethods)
	case !c.allowsHeaders(asked):
		Refuse(w, r, http.StatusForbidden, "CORS: a header in Access-Control-Request-Headers is not allowed")
	default:
		h.Set("Access-Control-Allow-Methods", c.allowMethods)
		if len(asked) > 0 {
			h["Access-Control-Allow-Headers"] = slices.Clone(asked)
		}
		if c.maxAge != "" {
			h.Set("Access-Control-Max-Age", c.maxAge)
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// allowsHeaders checks the names a preflight asks for. Browsers send them in lower case,
// in one line; a proxy may have split it.
func (c *cors) allowsHeaders(lines []string) bool {
	size, names := 0, 0
	for _, line := range lines {
		if size += len(line) + 1; size > maxCORSHeaderBytes {
			return false
		}
		for name := range strings.SplitSeq(line, ",") {
			if names++; names > maxCORSHeaderNames {
				return false
			}
			if name = trimOWS(name); name != "" && !c.allowsHeader(name) {
				return false
			}
		}
	}
	return true
}

func (c *cors) allowsHeader(name string) bool {
	if c.anyHeader {
		return isToken(name)
	}
	_, ok := slices.BinarySearch(c.headers, strings.ToLower(name))
	return ok
}
