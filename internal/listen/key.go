package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lookupTimeout bounds the resolution of a host name to listen on.
const lookupTimeout = 5 * time.Second

// Relation says how two listening addresses stand to each other.
type Relation int

// The relations. Same means that one listener serves both; Overlap that each would take
// clients, or the port itself, from the other, though they are not the same.
const (
	Distinct Relation = iota
	Overlap
	Same
)

func (r Relation) String() string {
	return [...]string{"distinct", "overlap", "same"}[r]
}

// Key is a listening address in a form that can be compared, whatever its spelling. Use
// Relation or Find, not ==. The zero Key is distinct from everything.
type Key struct {
	text      string
	transport string // "tcp", "udp", "unix" or another network's name
	path      string // of a network without ports
	port      int
	v4, v6    bool         // with no hosts: the families whose every address is meant
	hosts     []netip.Addr // the first one is bound, the others answer to the same name
}

// NewKey reads an address as net.Listen and net.ListenPacket do. "", "0.0.0.0" and "::"
// all mean every address of the network's families, because that is what Go binds for
// them; "localhost" means 127.0.0.1, which Go binds, and overlaps ::1. Other names are
// looked up.
func NewKey(network, addr string) (Key, error) {
	k := Key{text: addr}
	k.transport = strings.TrimRight(network, "46")
	switch k.transport {
	case "tcp", "udp":
	case "unix", "unixgram", "unixpacket":
		k.path = filepath.Clean(addr)
		return k, nil
	default:
		k.transport, k.path = network, addr
		return k, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return Key{}, fmt.Errorf("listen: address %q: want host:port or :port: %w", addr, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	if k.port, err = net.DefaultResolver.LookupPort(ctx, k.transport, service); err != nil {
		return Key{}, fmt.Errorf("listen: address %q: port %q: want 0 to 65535: %w", addr, service, err)
	}
	return k, k.setHost(ctx, network, host)
}

func (k *Key) setHost(ctx context.Context, network, host string) error {
	only4, only6 := strings.HasSuffix(network, "4"), strings.HasSuffix(network, "6")
	fits := func(a netip.Addr) bool { return a.Is4() && !only6 || a.Is6() && !only4 }
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if !ip.IsUnspecified() {
			if !fits(ip) {
				return fmt.Errorf("listen: address %q is not of network %s", k.text, network)
			}
			k.hosts = []netip.Addr{ip}
			return nil
		}
		host = ""
	}
	switch host {
	case "":
		k.v4, k.v6 = !only6, !only4
		return nil
	case "localhost":
		k.hosts = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	default:
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return fmt.Errorf("listen: address %q: %w", k.text, err)
		}
		for _, a := range addrs {
			k.hosts = append(k.hosts, a.Unmap())
		}
		// Go binds the first IPv4 address of a name, or the first one if it has none.
		slices.SortStableFunc(k.hosts, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	}
	k.hosts = slices.DeleteFunc(k.hosts, func(a netip.Addr) bool { return !fits(a) })
	if len(k.hosts) == 0 {
		return fmt.Errorf("listen: address %q has no address of network %s", k.text, network)
	}
	return nil
}

// String returns the address as it was given to NewKey.
func (k Key) String() string { return k.text }

// Port returns the port number, 0 for a free one and for networks without ports.
func (k Key) Port() int { return k.port }

// Relation compares two keys. Port 0 asks for a port of one's own, so it is distinct from
// everything, itself included: who wants to share such a listener must share the listener.
func (k Key) Relation(o Key) Relation {
	switch {
	case k.transport == "" || k.transport != o.transport:
		return Distinct
	case k.path != "" || o.path != "":
		if k.path == o.path {
			return Same
		}
		return Distinct
	case k.port == 0 || k.port != o.port:
		return Distinct
	case len(k.hosts) == 0 && len(o.hosts) == 0:
		if k.v4 == o.v4 && k.v6 == o.v6 {
			return Same
		}
		if k.v4 && o.v4 || k.v6 && o.v6 {
			return Overlap
		}
		return Distinct
	case len(k.hosts) == 0:
		return k.covers(o.hosts)
	case len(o.hosts) == 0:
		return o.covers(k.hosts)
	case k.hosts[0] == o.hosts[0]:
		return Same
	}
	for _, a := range k.hosts {
		if slices.Contains(o.hosts, a) {
			return Overlap
		}
	}
	return Distinct
}

// covers relates a key for every address with single addresses.
func (k Key) covers(hosts []netip.Addr) Relation {
	for _, a := range hosts {
		if a.Is4() && k.v4 || a.Is6() && k.v6 {
			return Overlap
		}
	}
	return Distinct
}

// Find returns the index of the key in keys that is the same as k, or -1 if k is distinct
// from all of them. A key that overlaps one without being the same as any is an *OverlapError.
func (k Key) Find(keys []Key) (int, error) {
	overlap := -1
	for i, o := range keys {
		switch k.Relation(o) {
		case Same:
			return i, nil
		case Overlap:
			overlap = i
		}
	}
	if overlap >= 0 {
		return -1, &OverlapError{k, keys[overlap]}
	}
	return -1, nil
}
