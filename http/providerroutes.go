package commhttp

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/anasamu/comm"
)

// userRoutes are the paths of the user's routes, each with the whole handler behind it, which looks
// at the method itself: so the chain answers preflights and 405, and a path that another provider
// has is a conflict whatever the method.
func (p *Provider) userRoutes(h comm.Host) ([]registration, error) {
	s := p.settingsAt(h)
	if len(s.routes) == 0 {
		return nil, nil
	}
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	var list []registration
	for _, path := range pathsOf(s.routes) {
		list = append(list, registration{pattern: path, handler: handler})
	}
	return list, nil
}

// settingsAt are the settings, with the manager's logger where there is no other.
func (p *Provider) settingsAt(h comm.Host) *settings {
	s := *p.settings
	if s.logger == nil {
		s.logger = h.Logger()
	}
	return &s
}

// pathsOf returns the patterns without their methods, and with them where two paths overlap in a way
// that only the methods tell apart.
func pathsOf(routes []registration) []string {
	var mux Routes
	var list []string
	for _, r := range routes {
		path := pathOf(r.pattern)
		if slices.Contains(list, path) {
			continue
		}
		if mux.Handle(path, http.NotFoundHandler()) == nil {
			list = append(list, path)
			continue
		}
		if mux.Handle(r.pattern, http.NotFoundHandler()) == nil {
			list = append(list, r.pattern)
			continue
		}
		return patternsOf(routes)
	}
	return list
}

func patternsOf(routes []registration) []string {
	list := make([]string, len(routes))
	for i, r := range routes {
		list[i] = r.pattern
	}
	return list
}

// pathOf is a pattern without its method.
func pathOf(pattern string) string {
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return strings.TrimLeft(path, " \t")
	}
	return pattern
}

// conflicts reports a route of the user's that is one of the provider's own. Between providers the
// host finds out.
func conflicts(provider string, routes, own []registration) error {
	var errs []error
	for _, o := range own {
		for _, r := range routes {
			if pathOf(r.pattern) == o.pattern {
				errs = append(errs, &comm.RouteError{
					Provider: provider, Pattern: r.pattern, Conflict: "the provider's own " + o.pattern,
					Err: errors.New("move or switch off the provider's with its option"),
				})
			}
		}
	}
	return errors.Join(errs...)
}

// fallback has the chain answer what nobody serves, so that a 404 is a problem document, in the
// access log, and a preflight is answered everywhere. Where there is no route, or "/" is taken, the
// host's own answers stand.
func (p *Provider) fallback(h comm.Host) {
	routes, err := p.userRoutes(h)
	if err != nil || len(routes) == 0 || p.adminPath == "/" ||
		slices.ContainsFunc(routes, func(r registration) bool { return r.pattern == "/" }) {
		return
	}
	_ = h.Route("/", routes[0].handler) // taken by another provider
}

// isStatic reports whether the route serves files.
func (r registration) isStatic() bool { return r.static }

// outerChain is the part of the chain that suits any answer: ids, observers, access log, recovery.
func (s *settings) outerChain() ([]Middleware, error) {
	var b chainBuilder
	b.add(RequestID(s.TrustedProxies...), nil)
	b.add(ClientAddress(s.TrustedProxies...), nil)
	for _, f := range s.observers {
		b.add(Observe(f), nil)
	}
	if s.AccessLog {
		b.add(AccessLog(s.logger, s.AccessLogHeaders...))
	}
	b.add(Recover(s.logger), nil)
	return b.chain, errors.Join(b.errs...)
}
