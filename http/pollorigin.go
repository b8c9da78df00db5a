package commhttp

import (
	"net/http"

	"github.com/anasamu/comm"
)

// Headers of a cross-origin client, as PROTOCOL.md lists them.
const (
	crossOriginHeaders = "Comm-Connection, Comm-Session, Authorization, Content-Type, Last-Event-ID, traceparent, tracestate"
	crossOriginMaxAge  = "600"
)

// allowOrigin applies the manager's origin policy, and lets a page of another origin that it allows
// have the answer (Fetch standard, 3.2).
func (s *pollServer) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	addVary(h, "Origin")
	if err := s.host.CheckOrigin(r); err != nil {
		s.refuse(w, http.StatusForbidden, errorFrame(comm.CodeForbidden, err.Error()))
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		if s.credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	return true
}

// preflight answers OPTIONS of an origin that is allowed.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Allow", allowedMethods)
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", crossOriginHeaders)
	h.Set("Access-Control-Max-Age", crossOriginMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// anyOrigin reports whether the policy allows every origin. Credentials are then for none: any page
// would have its visitor's rights.
func anyOrigin(h comm.Host) bool {
	nobody := &http.Request{Host: "host.invalid", Header: http.Header{"Origin": {"null://nobody.invalid"}}}
	return h.CheckOrigin(nobody) == nil
}
