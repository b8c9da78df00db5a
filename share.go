package comm

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// sharing is what the owners of an endpoint want beside their routes.
type sharing struct {
	routes   bool // of the manager's address, where they have none
	alt      []AltServicer
	requests []*requestClaim
}

// requestClaim is the requests that a provider wants, whatever their path. It ends with the provider.
type requestClaim struct {
	owner   *providerState
	match   func(*http.Request) bool
	handler http.Handler
}

// claimRequests adds a claim.
func (e *endpoint) claimRequests(owner *providerState, match func(*http.Request) bool, h http.Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, &requestClaim{owner, match, owner.guard(h)})
	e.share()
}

// share gathers what the owners want. e.mu is held.
func (e *endpoint) share() {
	s := sharing{requests: slices.Clone(e.requests)}
	for p := range e.owners {
		if o, ok := p.impl.(RouteSharer); ok && o.SharesRoutes() {
			s.routes = true
		}
		if o, ok := p.impl.(AltServicer); ok {
			s.alt = append(s.alt, o)
		}
	}
	if !s.routes && s.alt == nil && len(s.requests) == 0 {
		e.others.Store(nil)
		return
	}
	e.others.Store(&s)
}

// announce tells clients under TLS of other protocols that lead to the same routes. HTTP/3 has its own
// connection to say so on.
func (s *sharing) announce(h http.Header, r *http.Request, bound net.Addr) {
	if r.TLS == nil || r.ProtoMajor > 2 {
		return
	}
	for _, o := range s.alt {
		if v := o.AltService(bound); v != "" {
			h.Add("Alt-Svc", v)
		}
	}
}

// router is what answers a request: the endpoint's own routes, who has claimed it, or what answers at the manager's
// address where it shares its routes and has none.
func (e *endpoint) router(r *http.Request) http.Handler {
	mux, s := e.mux.Load(), e.others.Load()
	if s == nil {
		return mux
	}
	claimed := s.claimed(r)
	if claimed == nil && !s.routes {
		return mux
	}
	_, pattern := mux.Handler(r)
	switch {
	case claimed != nil && (pattern == "" || everyPath(pattern)):
		return claimed
	case pattern != "" || !s.routes:
		return mux
	}
	if main := e.manager.book.peek(e.manager, e.manager.addr()); main != nil && main != e {
		return main.router(r)
	}
	return mux
}

// claimed is the handler of who has claimed a request, or nil.
func (s *sharing) claimed(r *http.Request) http.Handler {
	for _, c := range s.requests {
		if c.match(r) {
			return c.handler
		}
	}
	return nil
}

// everyPath reports whether a pattern of ServeMux matches every path: [METHOD ][HOST]/, or the same by a wildcard.
func everyPath(pattern string) bool {
	_, path, _ := strings.Cut(pattern, "/")
	return path == "" || strings.HasPrefix(path, "{") && strings.HasSuffix(path, "...}") && !strings.Contains(path, "/")
}
