package listen_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

func TestKeyRelation(t *testing.T) {
	t.Parallel()
	const (
		same     = listen.Same
		overlap  = listen.Overlap
		distinct = listen.Distinct
	)
	for _, tc := range []struct {
		a, b string // network!address, tcp by default
		want listen.Relation
	}{
		{":8080", ":8080", same},
		{":8080", "0.0.0.0:8080", same},
		{":8080", "[::]:8080", same},
		{"0.0.0.0:8080", "[::]:8080", same},
		{"[::ffff:0.0.0.0]:8080", ":8080", same},
		{":80", ":http", same},
		{":8080", ":8081", distinct},
		{":8080", "localhost:8080", overlap},
		{":8080", "127.0.0.1:8080", overlap},
		{":8080", "[::1]:8080", overlap},
		{":8080", "192.0.2.1:8080", overlap},
		{"localhost:8080", "127.0.0.1:8080", same},
		{"localhost:8080", "[::ffff:127.0.0.1]:8080", same},
		{"localhost:8080", "[::1]:8080", overlap},
		{"127.0.0.1:8080", "[::1]:8080", distinct},
		{"127.0.0.1:8080", "127.0.0.2:8080", distinct},
		{"localhost:8080", "127.0.0.2:8080", distinct},
		{"localhost:8080", "localhost:8081", distinct},
		{"[::1]:80", "[0:0:0:0:0:0:0:1]:80", same},
		{"[fe80::1%eth0]:80", "[fe80::1%eth1]:80", distinct},

		{"tcp4!:8080", "tcp6!:8080", distinct},
		{"tcp4!:8080", "tcp!:8080", overlap},
		{"tcp4!0.0.0.0:8080", "tcp4!:8080", same},
		{"tcp4!:8080", "tcp!127.0.0.1:8080", overlap},
		{"tcp6!:8080", "tcp!127.0.0.1:8080", distinct},
		{"tcp6!localhost:8080", "tcp![::1]:8080", same},
		{"tcp6!localhost:8080", "tcp4!localhost:8080", distinct},

		{":0", ":0", distinct},
		{":0", "127.0.0.1:0", distinct},
		{"127.0.0.1:0", "127.0.0.1:0", distinct},

		{"udp!:8080", "tcp!:8080", distinct},
		{"udp!:8443", "udp![::]:8443", same},
		{"unix!/run/comm.sock", "unix!/run/./comm.sock", same},
		{"unix!/run/comm.sock", "unix!/run/other.sock", distinct},
		{"unix!/run/comm.sock", "tcp!:8080", distinct},
		{"mem!gateway", "mem!gateway", same},
		{"mem!gateway", "mem!other", distinct},
	} {
		t.Run(tc.a+" "+tc.b, func(t *testing.T) {
			t.Parallel()
			a, b := key(t, tc.a), key(t, tc.b)
			if got := a.Relation(b); got != tc.want {
				t.Errorf("%v to %v: %v, want %v", a, b, got, tc.want)
			}
			if got := b.Relation(a); got != tc.want {
				t.Errorf("%v to %v: %v, want %v", b, a, got, tc.want)
			}
		})
	}
}

func key(t *testing.T, spec string) listen.Key {
	t.Helper()
	network, addr, ok := strings.Cut(spec, "!")
	if !ok {
		network, addr = "tcp", spec
	}
	k, err := listen.NewKey(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ network, addr, want string }{
		{"tcp", "8080", "want host:port"},
		{"tcp", "", "want host:port"},
		{"tcp", ":70000", `port "70000"`},
		{"tcp", ":-1", `port "-1"`},
		{"tcp", ":no-such-service", `port "no-such-service"`},
		{"tcp4", "[::1]:80", "not of network tcp4"},
		{"tcp6", "127.0.0.1:80", "not of network tcp6"},
		{"tcp", "1:2:3", "want host:port"},
	} {
		if k, err := listen.NewKey(tc.network, tc.addr); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewKey(%q, %q) = %v, %v; want an error with %q", tc.network, tc.addr, k, err, tc.want)
		}
	}
	if got := (listen.Key{}).Relation(listen.Key{}); got != listen.Distinct {
		t.Errorf("zero keys are %v", got)
	}
}

func TestKeyFind(t *testing.T) {
	t.Parallel()
	keys := []listen.Key{key(t, "localhost:9000"), key(t, ":8080"), key(t, "127.0.0.1:0")}
	for _, tc := range []struct {
		addr string
		want int
	}{{"[::]:8080", 1}, {"127.0.0.1:9000", 0}, {":7000", -1}, {"127.0.0.1:0", -1}} {
		if got, err := key(t, tc.addr).Find(keys); got != tc.want || err != nil {
			t.Errorf("Find %s = %d, %v; want %d", tc.addr, got, err, tc.want)
		}
	}
	_, err := key(t, "localhost:8080").Find(keys)
	if o, ok := errors.AsType[*listen.OverlapError](err); !ok || o.A.Port() != 8080 ||
		!strings.Contains(err.Error(), "localhost:8080 and :8080 overlap") {
		t.Errorf("overlap: %v", err)
	}
	// A key that is the same as one and overlaps another belongs to the first.
	keys = append(keys, key(t, "localhost:8080"))
	if got, err := key(t, "127.0.0.1:8080").Find(keys); got != 3 || err != nil {
		t.Errorf("Find = %d, %v; want 3", got, err)
	}
}

// TestKeyAgreesWithGo binds what the keys say about, so that the table is not just an opinion.
func TestKeyAgreesWithGo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Skipf("localhost is %v here", ip)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
		l.Close()
		t.Error("127.0.0.1 could be bound beside localhost, but the keys say it is the same")
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{":8080", "localhost:0", "[::1]:443", "0.0.0.0:http", "[fe80::1%eth0]:1"} {
		f.Add("tcp", s, ":8080")
	}
	f.Add("unix", "/run/a", "/run/b")
	f.Fuzz(func(t *testing.T, network, a, b string) {
		// Names would ask a resolver.
		for _, s := range []string{a, b} {
			host, port, err := net.SplitHostPort(s)
			if _, perr := netip.ParseAddr(host); err == nil && (perr != nil && host != "" && host != "localhost" || strings.Trim(port, "0123456789") != "") {
				t.Skip()
			}
		}
		ka, err := listen.NewKey(network, a)
		kb, err2 := listen.NewKey(network, b)
		if err != nil || err2 != nil {
			return
		}
		if ka.Relation(kb) != kb.Relation(ka) {
			t.Errorf("%q to %q: %v one way, %v the other", a, b, ka.Relation(kb), kb.Relation(ka))
		}
		if got := ka.Relation(ka); got == listen.Overlap || ka.Port() != 0 && got != listen.Same {
			t.Errorf("%q to itself: %v", a, got)
		}
	})
}

func TestAddrPrefix(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		addr net.Addr
		want string // empty for none
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1/32"},
		{&net.UDPAddr{IP: net.ParseIP("2001:db8::1:2:3:4"), Port: 1}, "2001:db8::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::/64"},
		{memnet.Addr("[::ffff:192.0.2.1]:5"), "192.0.2.1/32"},
		{memnet.Addr("gateway"), ""},
		{&net.UnixAddr{Name: "@"}, ""},
		{&net.TCPAddr{}, ""},
		{nil, ""},
	} {
		p, ok := listen.AddrPrefix(tc.addr)
		if ok != (tc.want != "") || ok && p.String() != tc.want {
			t.Errorf("AddrPrefix(%v) = %v, %v; want %q", tc.addr, p, ok, tc.want)
		}
	}
}
