package commhttp

import (
	"errors"
	"fmt"
	"net/http"
)

// CrossOrigin refuses, with 403, requests that change something and that a browser
// sends for a page of another origin, where cookies would give that page the user's
// rights. It is [http.CrossOriginProtection]: it needs no tokens, lets GET, HEAD and
// OPTIONS pass, and clients that are not browsers. Pages of the trusted origins pass;
// they are written as in [CORSPolicy]; "*" lets every page pass. Each origin of a CORS
// policy should be trusted here.
func CrossOrigin(trusted ...string) (Middleware, error) {
	return crossOrigin(trusted, nil)
}

// crossOrigin also takes patterns, as of ServeMux, on which nothing is refused.
func crossOrigin(trusted, bypass []string) (Middleware, error) {
	set, err := parseOrigins(trusted)
	errs := []error{err}
	protection := http.NewCrossOriginProtection()
	for _, pattern := range bypass {
		errs = append(errs, addBypass(protection, pattern))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !set.any && protection.Check(r) != nil && !set.has(r.Header.Get("Origin")) {
				Refuse(w, r, http.StatusForbidden, "a page of another origin may not send this request; its origin is in the Origin header, if any")
				return
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// addBypass turns the panic on a bad or conflicting pattern into an error.
func addBypass(p *http.CrossOriginProtection, pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("commhttp: cross-origin bypass %q: %v", pattern, v)
		}
	}()
	p.AddInsecureBypassPattern(pattern)
	return nil
}
