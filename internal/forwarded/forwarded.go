// Package forwarded finds the address of a client that comes through proxies.
package forwarded

import (
	"net/netip"
	"strings"
)

// maxHops bounds the X-Forwarded-For entries that are looked at.
const maxHops = 32

// Client returns the client's address. If the peer at remote ("ip:port") is in trusted, the entries of
// its X-Forwarded-For headers are walked from right to left, each vouched for by the one after it: the
// first that is not in trusted is the client. An entry that is no address ends the walk at the proxy that
// sent it, as do more than 32 hops. The zero Addr means that the peer has no IP address.
func Client(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	client := Peer(remote)
	if !Contains(trusted, client) {
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
			if client = addr; !Contains(trusted, client) {
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
		return Plain(addr), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return Plain(addr), err == nil && addr.Is6()
		}
	}
	ap, err := netip.ParseAddrPort(s)
	return Plain(ap.Addr()), err == nil
}

// Peer returns the address of "ip:port", without zone and with IPv4 as such.
func Peer(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return Plain(ap.Addr())
}

// Plain is addr in the form that prefixes match.
func Plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// Contains reports whether one of the prefixes holds addr.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
