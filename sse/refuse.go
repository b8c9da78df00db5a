package sse

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

// The headers of this carrier, beside those of HTTP.
const (
	headerConnection = "Comm-Connection"
	headerSession    = "Comm-Session"

	allowedMethods = "GET, POST, DELETE, OPTIONS"
	allowedHeaders = headerConnection + ", " + headerSession + ", Authorization, Content-Type, Last-Event-ID, traceparent, tracestate"
)

// refuse answers a request with what err means to a client: a status, and an error frame as the body.
func refuse(w http.ResponseWriter, id string, err error) {
	h := w.Header()
	if le, ok := errors.AsType[*comm.LimitError](err); ok {
		h.Set("Retry-After", strconv.FormatInt(max(1, int64((le.Retry+time.Second-1)/time.Second)), 10))
	}
	status := comm.HTTPStatus(err)
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="comm"`) // RFC 9110 11.6.1
	}
	answer(w, status, comm.RefusalFrame(id, err))
}

// badRequest is the error frame for a request that HTTP alone finds fault with.
func badRequest(text string) *comm.Frame {
	return &comm.Frame{Op: comm.OpError, Code: comm.CodeBadFrame, Text: text}
}

func answer(w http.ResponseWriter, status int, f *comm.Frame) {
	body, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, status, body)
}

func answerJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
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
