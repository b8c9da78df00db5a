package commhttp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"

	"github.com/anasamu/comm/internal/forwarded"
	"github.com/anasamu/comm/internal/listen"
)

// maxRequestID is the longest inbound request id that is kept.
const maxRequestID = 128

// RequestID gives each request an id: in its context ([RequestIDFrom]), in the
// X-Request-Id header of its response, in the access log and in problem documents.
//
// An X-Request-Id that comes with the request is kept if the peer's address is in
// trusted, as a proxy's that gave the id, and it is 1 to 128 letters, digits and
// "-_.:/+=@"; so nobody outside can write into your logs. Other ids are replaced.
// Ids are random (100 bits) but not secret.
func RequestID(trusted ...netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			in := x.info
			in.id = inboundID(r, trusted)
			if in.id == "" {
				in.id = newRequestID()
			}
			in.idValue[0] = in.id
			w.Header()["X-Request-Id"] = in.idValue[:]
			serve(next, w, r, orig)
		})
	}
}

// RequestIDFrom returns the id that [RequestID] gave the request of ctx, or "".
func RequestIDFrom(ctx context.Context) string {
	if in := infoOf(ctx); in != nil {
		return in.id
	}
	return ""
}

func inboundID(r *http.Request, trusted []netip.Prefix) string {
	if len(trusted) == 0 {
		return ""
	}
	id := r.Header.Get("X-Request-Id")
	if !validRequestID(id) || !forwarded.Contains(trusted, connectedPeer(r)) {
		return ""
	}
	return id
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=', c == '@':
		default:
			return false
		}
	}
	return true
}

func newRequestID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz" // 32, without letters that look like others
	var id [20]byte
	for half := range 2 {
		bits := rand.Uint64()
		for i := range 10 {
			id[10*half+i] = alphabet[bits&31]
			bits >>= 5
		}
	}
	return string(id[:])
}

// connectedPeer is who has connected: a manager with trusted proxies of its own has put the client into RemoteAddr.
func connectedPeer(r *http.Request) netip.Addr {
	if c := listen.AcceptedConn(r.Context()); c != nil {
		return forwarded.Peer(c.RemoteAddr().String())
	}
	return forwarded.Peer(r.RemoteAddr)
}
