package commquic

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// maxAddrs is how many addresses of a name are tried.
	maxAddrs = 8
	// attemptDelay is how long one address is tried alone (RFC 8305 5): a UDP port that nobody serves gives no answer.
	attemptDelay = 250 * time.Millisecond
)

// resolve finds the addresses of a name, in the order in which they are tried, in the words of the socket's network.
func resolve(ctx context.Context, socket net.PacketConn, addr string) ([]net.Addr, error) {
	local, ok := socket.LocalAddr().(*net.UDPAddr)
	if !ok {
		return []net.Addr{namedAddr{socket.LocalAddr().Network(), addr}}, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "the port must be 0 to 65535", Addr: addr}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", cmp.Or(host, "127.0.0.1"))
	if err != nil {
		return nil, err
	}
	ips = reachable(ips, local.AddrPort().Addr())
	if len(ips) == 0 {
		return nil, &net.AddrError{Err: "no address that can be reached from " + local.IP.String(), Addr: addr}
	}
	list := make([]net.Addr, len(ips))
	for i, ip := range ips {
		list[i] = net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(n)))
	}
	return list, nil
}

// reachable are the addresses that a socket bound to local can send to, the system's first choice first and the two
// families in turn (RFC 8305 4).
func reachable(ips []netip.Addr, local netip.Addr) []netip.Addr {
	local = local.Unmap()
	var families [2][]netip.Addr // the first choice's, and the other one
	for _, ip := range ips {
		ip = ip.Unmap()
		if !(local.Is6() && local.IsUnspecified()) && ip.Is4() != local.Is4() || slices.Contains(families[0], ip) || slices.Contains(families[1], ip) {
			continue
		}
		other := 0
		if len(families[0]) > 0 && families[0][0].Is4() != ip.Is4() {
			other = 1
		}
		families[other] = append(families[other], ip)
	}
	var list []netip.Addr
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	return list[:min(len(list), maxAddrs)]
}

// dialFirst tries the addresses one after the other, the next one when the last has failed or has had its time, and
// returns the connection that stands first. The other attempts are given up. If all fail, the first one's error is
// returned.
func dialFirst(ctx context.Context, addrs []net.Addr, dial func(context.Context, net.Addr) (*quic.Conn, error)) (*quic.Conn, error) {
	return firstOf(ctx, addrs, dial, func(c *quic.Conn) { _ = c.CloseWithError(0, "") })
}

// attempt is what became of one address.
type attempt[T any] struct {
	got T
	err error
}

// firstOf is dialFirst for anything that can be dialled. drop ends what came too late. It returns when no attempt is
// under way.
func firstOf[T any](ctx context.Context, addrs []net.Addr, dial func(context.Context, net.Addr) (T, error), drop func(T)) (got T, err error) {
	if len(addrs) == 1 {
		return dial(ctx, addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan attempt[T], len(addrs))
	running, won := 0, false
	next := time.NewTimer(0)
	defer next.Stop()
	for len(addrs) > 0 || running > 0 {
		select {
		case <-next.C:
			if to := addrs; len(to) > 0 {
				addrs, running = to[1:], running+1
				go func() { c, err := dial(ctx, to[0]); ended <- attempt[T]{c, err} }()
				next.Reset(attemptDelay)
			}
		case a := <-ended:
			running--
			switch {
			case a.err == nil && won:
				drop(a.got)
			case a.err == nil:
				got, won, addrs = a.got, true, nil
				cancel() // the others
			case won:
			default:
				err = cmp.Or(err, a.err)
				next.Reset(0)
			}
		}
	}
	if won {
		err = nil
	}
	return got, err
}

// namedAddr is an address of a network that is not UDP.
type namedAddr struct{ network, addr string }

func (a namedAddr) Network() string { return a.network }
func (a namedAddr) String() string  { return a.addr }
