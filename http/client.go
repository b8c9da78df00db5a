package commhttp

import (
	"net/http"
	"net/netip"

	"github.com/anasamu/comm/internal/forwarded"
)

// ClientAddress finds the client's address behind trusted proxies, for [ClientAddr].
//
// If the peer is in trusted, the entries of X-Forwarded-For are walked from right to
// left, each vouched for by the one after it: the first that is not in trusted is the
// client. What stands to the left of it came from the client and is not believed. An
// entry that is no address ends the walk at the proxy that sent it, as do more than 32
// hops. [http.Request.RemoteAddr] stays as it is. With no prefixes the peer is the
// client.
func ClientAddress(trusted ...netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			x.info.client = forwarded.Client(r.RemoteAddr, r.Header["X-Forwarded-For"], trusted)
			serve(next, w, r, orig)
		})
	}
}

// ClientAddr returns the client's address as [ClientAddress] found it, without zone
// and with IPv4 as such; without that middleware it is the peer's. It is the zero
// Addr if the peer has no IP address (a Unix socket, an in-memory connection).
func ClientAddr(r *http.Request) netip.Addr {
	if in := infoOf(r.Context()); in != nil && in.client.IsValid() {
		return in.client
	}
	return peerAddr(r.RemoteAddr)
}

func peerAddr(remote string) netip.Addr { return forwarded.Peer(remote) }
