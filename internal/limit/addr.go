package limit

import (
	"net"
	"net/netip"
)

// v6Bits is what one customer of a provider has at least (RFC 6177): to count by single IPv6 addresses would give
// everyone 2^64 keys.
const v6Bits = 64

// AddrKey is the network that limits count as one peer: an IPv4 address alone (also when it comes mapped into IPv6),
// an IPv6 address with its /64; the zone of a link-local one does not count. All invalid addresses are one peer, the
// zero Prefix.
func AddrKey(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := v6Bits
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// NetAddrKey is AddrKey of a connection's remote address; one that is not of IP (a pipe, a Unix socket) is invalid.
func NetAddrKey(a net.Addr) netip.Prefix {
	switch a := a.(type) {
	case nil:
		return netip.Prefix{}
	case *net.TCPAddr:
		return AddrKey(a.AddrPort().Addr())
	case *net.UDPAddr:
		return AddrKey(a.AddrPort().Addr())
	}
	return RemoteKey(a.String())
}

// RemoteKey is AddrKey of "ip:port", as in http.Request.RemoteAddr, or of an address alone.
func RemoteKey(remote string) netip.Prefix {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return AddrKey(ap.Addr())
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Prefix{}
	}
	return AddrKey(a)
}
