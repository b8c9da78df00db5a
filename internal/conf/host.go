package conf

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is the address to listen on that a host and a port give, or "" without both: then a provider is served
// where the others are.
func Address(host string, port int) string {
	if host == "" && port == 0 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// checkHost refuses what can never stand before a port in an address to listen on: a value with brackets, a port or a
// space would pass as a name, and fail only when it is looked up.
func checkHost(s string) error {
	if s == "" || isAddr(s) || isHostName(s) {
		return nil
	}
	return causef(ErrValue, `%s: allowed are a host name and an IP address, without port and brackets, such as "localhost", "127.0.0.1" and "::1"`, show(s))
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isHostName goes by RFC 1123 2.1, with the underscore that the names of services often have. A name whose last label
// is a number would be an IPv4 address that is spelled wrong.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	last := ""
	for last = range strings.SplitSeq(s, ".") {
		if !isLabel(last) {
			return false
		}
	}
	return strings.Trim(last, "0123456789") != ""
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
}
