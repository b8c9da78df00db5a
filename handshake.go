package comm

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// NewHandshake makes the handshake of a client that comes with an HTTP request and has said no
// hello: what a hello would say is taken from the query (group, position, access_token) and the
// headers (Authorization, Last-Event-ID). hello, where there is one, is what the client said; it
// takes the place of the query. The error is a *PeerError or *MessageError for the client.
func NewHandshake(r *http.Request, hello *Frame) (*Handshake, error) {
	hs := &Handshake{
		Request: r, Header: r.Header, RemoteAddr: remoteAddr(r), TLS: r.TLS,
		Token: BearerToken(r.Header.Get("Authorization")),
	}
	if hello != nil {
		hs.Hello, hs.Position, hs.ID = hello.Hello, hello.Position, hello.ID
		if hello.Token != "" {
			hs.Token = hello.Token
		}
		return hs, nil
	}
	q := r.URL.Query()
	if hs.Token == "" {
		hs.Token = q.Get("access_token")
	}
	hs.Hello = &Hello{Groups: q["group"]}
	pos := r.Header.Get("Last-Event-ID")
	if pos == "" {
		pos = q.Get("position")
	}
	var err error
	if hs.Position, err = ParsePosition(pos); err != nil {
		return nil, &PeerError{Code: CodeBadPosition, Message: err.Error()}
	}
	return hs, nil
}

// remoteAddr is the request's peer as an address.
func remoteAddr(r *http.Request) net.Addr { return parseRemote(r.RemoteAddr) }

func parseRemote(addr string) net.Addr {
	if a, err := net.ResolveTCPAddr("tcp", addr); err == nil && addr != "" {
		return a
	}
	return &net.UnixAddr{Name: addr, Net: "unix"}
}

// HTTPStatus is the status with which a carrier on HTTP refuses what err says, before a stream has
// begun: 400, 401, 403, 404, 413, 429, 500, 503 or 504.
func HTTPStatus(err error) int {
	code, _ := codeOf(err)
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusForbidden
}

// SetRefusal is HTTPStatus with the headers that the refusal wants: how long to wait before another try
// (Retry-After), and how to authenticate (WWW-Authenticate, RFC 9110 11.6.1).
func SetRefusal(h http.Header, err error) (status int) {
	if le, ok := errors.AsType[*LimitError](err); ok {
		h.Set("Retry-After", strconv.FormatInt(max(1, int64((le.Retry+time.Second-1)/time.Second)), 10))
	}
	status = HTTPStatus(err)
	if errors.Is(err, ErrStopped) {
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="comm"`)
	}
	return status
}

// WriteRefusal answers a request that a carrier refuses for err: with SetRefusal's status and headers, and as the
// body an error frame in JSON, by which a client tells the gateway's word from that of something in between. id is
// that of the refused frame, or "".
func WriteRefusal(w http.ResponseWriter, id string, err error) {
	h := w.Header()
	status := SetRefusal(h, err)
	body, err := JSON().AppendFrame(nil, RefusalFrame(id, err))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

var statuses = map[Code]int{
	CodeBadFrame: 400, CodeUnknownOp: 400, CodeBadMessage: 400, CodeUnknownType: 400, CodeBadPosition: 400,
	CodeUnsupportedVersion: 400, CodeUnexpectedHello: 400, CodeUnauthenticated: 401, CodeForbidden: 403,
	CodeSessionRevoked: 403, CodeNotFound: 404, CodeTooLarge: 413, CodeRateLimited: 429, CodeLimit: 503,
	CodeClosing: 503, CodeInternal: 500, CodeTimeout: 504,
}

// RefusalReason is the reason with which a carrier closes a connection that was not admitted; its After is the Retry of
// a *LimitError.
func RefusalReason(err error) CloseReason {
	code, text := codeOf(err)
	r := CloseReason{Kind: ReasonUnauthorized, Text: text, Err: err}
	switch code {
	case CodeLimit, CodeClosing:
		r.Kind = ReasonTryLater
		if le, ok := errors.AsType[*LimitError](err); ok {
			r.After = le.Retry
		}
	case CodeUnsupportedVersion, CodeBadFrame, CodeBadMessage, CodeBadPosition, CodeUnknownOp:
		r.Kind = ReasonProtocol
	case CodeTooLarge:
		r.Kind = ReasonTooLarge
	case CodeRateLimited:
		r.Kind = ReasonRateLimited
	case CodeInternal: // the service's own failure, such as a panic in a hook
		r.Kind = ReasonInternal
	case CodeTimeout:
		if errors.Is(err, context.DeadlineExceeded) { // the service's, not the client's
			r.Kind = ReasonInternal
		}
	}
	return r
}

// RefusalFrame is the error frame for a handshake that was not admitted; id is the hello's.
func RefusalFrame(id string, err error) *Frame {
	f := rejection(err)
	if f.ID == "" {
		f.ID = id
	}
	return f
}
