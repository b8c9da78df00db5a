package commquic_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/internal/memnet"
	commquic "github.com/anasamu/comm/quic"
)

// connectionRefused reports whether a connection was refused before its handshake.
func connectionRefused(err error) bool {
	te, ok := errors.AsType[*quic.TransportError](err)
	return ok && te.Remote && te.ErrorCode == quic.ConnectionRefused
}

// comes waits until a connection is let in.
func comes(t *testing.T, addr string, protocol string) {
	t.Helper()
	eventually(t, "a place", func() bool {
		_, err := bare(t, addr, protocol)
		if err != nil && !connectionRefused(err) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// Connections of one address are bounded, also those that never say a word of HTTP/3. One that ends makes room, and so
// does a handshake that fails.
func TestConnectionsPerAddr(t *testing.T) {
	t.Parallel()
	// The silent ones outlive the test, and a close that is lost is said again to a server that asks.
	m := gateway(t, commquic.New(commquic.WithMaxConnectionsPerAddr(3), commquic.WithKeepAlivePeriod(time.Second)), comm.WithHandshakeTimeout(patience))
	addr := addrOf(t, m)
	for range 8 {
		if _, err := bare(t, addr, "no such protocol"); err == nil {
			t.Fatal("the protocol is known")
		}
	}
	var silent *quic.Conn
	eventually(t, "the places of failed handshakes", func() (ok bool) {
		c, err := bare(t, addr, "h3")
		silent = c
		return err == nil
	})
	comes(t, addr, "h3")
	comes(t, addr, commquic.Protocol)
	for _, protocol := range []string{"h3", commquic.Protocol} {
		if _, err := bare(t, addr, protocol); !connectionRefused(err) {
			t.Errorf("%s: %v, want CONNECTION_REFUSED", protocol, err)
		}
	}
	_, err := commquic.Dialer(addr, trusting()...).Dial(t.Context(), helloFrame())
	if le, ok := errors.AsType[*comm.LimitError](err); !ok || le.Retry == 0 {
		t.Errorf("got %v, want a *LimitError", err)
	}
	if m.ConnectionCount(comm.ToAll()) != 0 {
		t.Error("the manager counts connections that have said nothing")
	}
	_ = silent.CloseWithError(0, "")
	comes(t, addr, "h3")
	if _, err := bare(t, addr, "h3"); !connectionRefused(err) {
		t.Errorf("one place was given back: %v", err)
	}
}

// Without a bound of its own the provider has twice the manager's.
func TestConnectionsOfTheManager(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]comm.Option{
		"per address": comm.WithMaxConnectionsPerAddr(1), "in all": comm.WithMaxConnections(1),
	} {
		addr := addrOf(t, gateway(t, commquic.New(), o))
		for range 2 {
			if _, err := bare(t, addr, "h3"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if _, err := bare(t, addr, "h3"); !connectionRefused(err) {
			t.Errorf("%s: %v, want CONNECTION_REFUSED", name, err)
		}
	}
}

// Beyond the limits of the manager a handshake is refused, and the client told to come back later.
func TestHandshakeLimit(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithHandshakeRate(1, 1))
	dial(t, addrOf(t, m), nil)
	_, err := commquic.Dialer(addrOf(t, m), trusting()...).Dial(t.Context(), helloFrame())
	if le, ok := errors.AsType[*comm.LimitError](err); !ok || le.Retry == 0 {
		t.Errorf("got %v, want a *LimitError", err)
	}
}

// Under load clients prove their address first: the first connection does without, the next ones get a Retry.
func TestRetry(t *testing.T) {
	t.Parallel()
	for rate, want := range map[int]bool{0: true, 1000: false} {
		dir := t.TempDir()
		m := gateway(t, commquic.New(commquic.WithRetryRate(rate)))
		p := dial(t, addrOf(t, m), nil, commquic.WithQlog(dir))
		_ = p.Close(t.Context())
		if got := strings.Contains(traces(t, dir), `"packet_type":"retry"`); got != want {
			t.Errorf("rate %d: a Retry packet is %v, want %v", rate, got, want)
		}
	}
}

// Who holds half of what an address may proves that it is there before it gets more. What is counted is forgotten when
// nobody holds anything, and a client that is refused holds nothing.
func TestCrowdedAddress(t *testing.T) {
	t.Parallel()
	conf := commquic.DefaultConfig()
	conf.MaxConnectionsPerAddr, conf.RetryRate = 4, 1_000_000
	a := commquic.NewAdmission(t, commtest.NewHost(t, "quic"), conf)
	one, other := udpAddr("192.0.2.1:1"), udpAddr("192.0.2.2:1")
	var ends []func()
	for n := range 4 {
		if got := a.MustProve(one); got != (n >= 2) {
			t.Errorf("with %d connections: must prove %v", n, got)
		}
		end, err := a.Admit(udpAddr(fmt.Sprintf("192.0.2.1:%d", n)))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	for range 3 {
		if _, err := a.Admit(one); err == nil {
			t.Error("a fifth connection is let in")
		} else if le, ok := errors.AsType[*comm.LimitError](err); !ok || le.Max != 4 || !strings.Contains(le.Limit, "address") {
			t.Errorf("got %v", err)
		}
	}
	if a.MustProve(other) {
		t.Error("another address pays for it")
	}
	end, err := a.Admit(other)
	if err != nil {
		t.Fatal(err)
	}
	if open, keys := a.Held(); open != 5 || keys != 2 {
		t.Errorf("%d connections of %d addresses are counted", open, keys)
	}
	for _, end := range append(ends, end) {
		end()
	}
	eventually(t, "the places", func() bool { open, keys := a.Held(); return open == 0 && keys == 0 })
}

// Packets that only pretend to come from an address can neither use up what it may have of handshakes under way, nor the
// places of all: the rest is for who proves the address.
func TestPretendedAddresses(t *testing.T) {
	t.Parallel()
	conf := commquic.DefaultConfig()
	conf.RetryRate = 1_000_000
	host := commtest.NewHost(t, "quic", comm.WithConfigJSON("test", []byte(`{"communication":{"max_handshakes_per_addr":8}}`)))
	a := commquic.NewAdmission(t, host, conf)
	unproven := func(from net.Addr) (n int) {
		for ; !a.MustProve(from) && n < 100; n++ {
			end, err := a.Admit(from)
			if err != nil {
				t.Fatal(n, err)
			}
			t.Cleanup(end)
		}
		return n
	}
	if n := unproven(udpAddr("192.0.2.1:1")); n != 4 {
		t.Errorf("%d of 8 handshakes of one address needed no proof", n)
	}
	a = commquic.NewAdmission(t, commtest.NewHost(t, "quic", comm.WithMaxConnections(10)), conf)
	all := 0
	for i := range 5 {
		all += unproven(udpAddr(fmt.Sprintf("198.51.100.%d:1", i)))
	}
	if all != 10 {
		t.Errorf("%d of 20 places needed no proof", all)
	}
}

// Addresses of one /64 are one client, and what is no address has no bound of its own.
func TestAdmissionKeys(t *testing.T) {
	t.Parallel()
	conf := commquic.DefaultConfig()
	conf.MaxConnectionsPerAddr, conf.RetryRate = 1, 0
	a := commquic.NewAdmission(t, commtest.NewHost(t, "quic"), conf)
	if !a.MustProve(udpAddr("192.0.2.1:1")) {
		t.Error("with a rate of 0 a client need not prove its address")
	}
	for _, test := range []struct {
		addr net.Addr
		in   bool
	}{
		{udpAddr("[2001:db8::1]:1"), true},
		{udpAddr("[2001:db8::2]:1"), false},
		{udpAddr("[2001:db8:0:1::1]:1"), true},
		{udpAddr("192.0.2.1:1"), true},
		{udpAddr("[::ffff:192.0.2.1]:1"), false},
		{memnet.Addr("one"), true},
		{memnet.Addr("one"), true},
	} {
		if _, err := a.Admit(test.addr); (err == nil) != test.in {
			t.Errorf("%v: %v", test.addr, err)
		}
	}
}

func udpAddr(s string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
