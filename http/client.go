package commhttp

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds the X-Forwarded-For entries that are looked at.
const maxHops = 32

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
			x.info.client = clientAddr(r.RemoteAddr, r.Header["X-Forwarded-For"], trusted)
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

func clientAddr(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	client := peerAddr(remote)
	if !contains(trusted, client) {
		return client
	}
	hops := 0
	for i := len(forwarded) - 1; i >= 0; i-- {
		for list, more := forwarded[i], true; more; hops++ {
			var entry string
			list, entry, more = cutLast(list)
			addr, ok := parseHop(entry)
			if !ok || hops == maxHops {
				return client
			}
			if client = addr; !contains(trusted, client) {
				return client
			}
		}
	}
	return client
}

// cutLast splits the last entry off a comma-separated list.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// parseHop reads an address with or without a port: proxies write both.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if addr, err := netip.ParseAddr(s); err == nil {
		return plain(addr), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return plain(addr), err == nil && addr.Is6()
		}
	}
	ap, err := netip.ParseAddrPort(s)
	return plain(ap.Addr()), err == nil
}

func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(ap.Addr())
}

// plain is addr in the form that prefixes match.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
