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
	anyFamily := local.Is6() && local.IsUnspecified()
	var families [2][]netip.Addr // the first choice's, and the other one
	for _, ip := range ips {
		ip = ip.Unmap()
		if !anyFamily && ip.Is4() != local.Is4() {
			continue
		}
		f := &families[0]
		if len(*f) > 0 && (*f)[0].Is4() != ip.Is4() {
			f = &families[1]
		}
		if !slices.Contains(*f, ip) {
			*f = append(*f, ip)
		}
	}
	list := inTurn(families)
	return list[:min(len(list), maxAddrs)]
}

// inTurn takes one of each family after the other.
func inTurn(families [2][]netip.Addr) (list []netip.Addr) {
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	return list
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

// race is what becomes of all. One goroutine uses it.
type race[T any] struct {
	dial    func(context.Context, net.Addr) (T, error)
	left    []net.Addr // not tried yet
	next    *time.Timer
	running int
	ended   chan attempt[T]
	won     bool
	first   attempt[T] // to succeed, or else to fail
}

// firstOf is dialFirst for anything that can be dialled. drop ends what came too late. It returns when no attempt is
// under way.
func firstOf[T any](
	ctx context.Context, addrs []net.Addr, dial func(context.Context, net.Addr) (T, error), drop func(T),
) (T, error) {
	if len(addrs) == 1 {
		return dial(ctx, addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := race[T]{dial: dial, left: addrs, next: time.NewTimer(0), ended: make(chan attempt[T], len(addrs))}
	defer r.next.Stop()
	for len(r.left) > 0 || r.running > 0 {
		select {
		case <-r.next.C:
			r.begin(ctx)
		case a := <-r.ended:
			r.end(a, cancel, drop)
		}
	}
	return r.first.got, r.first.err
}

// begin tries the next address, if there is one.
func (r *race[T]) begin(ctx context.Context) {
	if len(r.left) == 0 {
		return
	}
	to := r.left[0]
	r.left, r.running = r.left[1:], r.running+1
	go func() { got, err := r.dial(ctx, to); r.ended <- attempt[T]{got, err} }()
	r.next.Reset(attemptDelay)
}

// end takes what became of one: the first success gives up the others, and a failure lets the next one begin.
func (r *race[T]) end(a attempt[T], giveUp context.CancelFunc, drop func(T)) {
	r.running--
	switch {
	case r.won && a.err == nil:
		drop(a.got)
	case r.won:
	case a.err == nil:
		r.won, r.first, r.left = true, a, nil
		giveUp()
	default:
		if r.first.err == nil {
			r.first = a
		}
		r.next.Reset(0)
	}
}

// namedAddr is an address of a network that is not UDP.
type namedAddr struct{ network, addr string }

func (a namedAddr) Network() string { return a.network }
func (a namedAddr) String() string  { return a.addr }
