package comm

import (
	"net"
	"net/http"
)

// sharing is what the owners of an endpoint want beside their routes.
type sharing struct {
	routes bool // of the manager's address, where they have none
	alt    []AltServicer
}

// share gathers what the owners want. e.mu is held.
func (e *endpoint) share() {
	var s sharing
	for p := range e.owners {
		if o, ok := p.impl.(RouteSharer); ok && o.SharesRoutes() {
			s.routes = true
		}
		if o, ok := p.impl.(AltServicer); ok {
			s.alt = append(s.alt, o)
		}
	}
	if !s.routes && s.alt == nil {
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

// router is what answers a request: the endpoint's own routes, or those of the manager's address where it
// shares them and has none.
func (e *endpoint) router(r *http.Request) http.Handler {
	mux, s := e.mux.Load(), e.others.Load()
	if s == nil || !s.routes {
		return mux
	}
	if _, pattern := mux.Handler(r); pattern != "" {
		return mux
	}
	if main := e.manager.book.peek(e.manager, e.manager.addr()); main != nil && main != e {
		return main.mux.Load()
	}
	return mux
}
