package graphql

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

const (
	servedMethods  = "GET, POST, PUT, DELETE"
	allowedMethods = servedMethods + ", OPTIONS"
	allowedHeaders = "Accept, Authorization, Content-Type, X-GraphQL-Event-Stream-Token, traceparent, tracestate"
)

// refuseRequest answers a request that is not admitted with what err means to a client.
func refuseRequest(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	if le, ok := errors.AsType[*comm.LimitError](err); ok {
		h.Set("Retry-After", strconv.FormatInt(max(1, int64((le.Retry+time.Second-1)/time.Second)), 10))
	}
	status := comm.HTTPStatus(err)
	if errors.Is(err, comm.ErrStopped) {
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="comm"`) // RFC 9110 11.6.1
	}
	x := &exchange{w: w, r: r, media: mediaJSON}
	if media, ok := accepted(r.Header.Values("Accept")); ok {
		x.media = media
	}
	x.refuse(status, comm.RefusalFrame("", err).Text)
}

// allowOrigin applies the manager's policy and gives pages of allowed origins the response (Fetch
// standard, 3.2). Cookies count only where the policy names origins: with "*" any page could use them.
func (s *server) allowOrigin(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if err := s.host.CheckOrigin(r); err != nil {
		return err
	}
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if s.anyOrigin {
		h.Set("Access-Control-Allow-Origin", "*")
		return nil
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	return nil
}

// preflight answers what a page's browser asks before the request itself.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Allow", allowedMethods)
	if r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Add("Vary", "Access-Control-Request-Method")
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
