package commquic_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

func ips(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// Addresses of both families take turns, and those that the socket cannot reach are left out.
func TestReachable(t *testing.T) {
	t.Parallel()
	const v6, w6, x6, v4, w4 = "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"
	for _, test := range []struct {
		local      string
		ips, wants []netip.Addr
	}{
		{"::", ips(v6, w6, x6, v4, w4), ips(v6, v4, w6, w4, x6)},
		{"::", ips(v4, v6, w6), ips(v4, v6, w6)},
		{"::", ips(v4, "::ffff:"+v4, v6, v6), ips(v4, v6)},
		{"0.0.0.0", ips(v6, v4, w6, w4), ips(v4, w4)},
		{"127.0.0.1", ips(v6, "::ffff:"+v4), ips(v4)},
		{"::1", ips(v4, v6), ips(v6)},
		{"::1", ips(v4), nil},
		{"::", nil, nil},
	} {
		if got := commquic.Reachable(test.ips, netip.MustParseAddr(test.local)); !slices.Equal(got, test.wants) {
			t.Errorf("%v from %s: %v, want %v", test.ips, test.local, got, test.wants)
		}
	}
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	if got := commquic.Reachable(many, netip.IPv6Unspecified()); !slices.Equal(got, many[:commquic.MaxAddrs]) {
		t.Errorf("%d addresses are tried", len(got))
	}
}

// An address that gives no answer does not keep a client from the next one.
func TestFirstOf(t *testing.T) {
	t.Parallel()
	const never = time.Hour
	failed := func(n int) error { return fmt.Errorf("address %d", n) }
	for _, test := range []struct {
		name  string
		takes []time.Duration // of each address until it answers; a negative one fails
		got   int             // which one wins; -1: none
		after time.Duration
		tried int
		drops int
	}{
		{"one", []time.Duration{time.Second}, 0, time.Second, 1, 0},
		{"one fails", []time.Duration{-time.Second}, -1, time.Second, 1, 0},
		{"the first is quick", []time.Duration{10 * time.Millisecond, 0}, 0, 10 * time.Millisecond, 1, 0},
		{"the first is silent", []time.Duration{never, 10 * time.Millisecond}, 1, commquic.AttemptDelay + 10*time.Millisecond, 2, 0},
		{"the first is slow", []time.Duration{300 * time.Millisecond, time.Second}, 0, 300 * time.Millisecond, 2, 0},
		{"the first fails", []time.Duration{-time.Millisecond, time.Millisecond, 0}, 1, 2 * time.Millisecond, 2, 0},
		{"all fail", []time.Duration{-400 * time.Millisecond, -time.Millisecond, -2 * time.Millisecond}, -1, 400 * time.Millisecond, 3, 0},
		{"two at once", []time.Duration{commquic.AttemptDelay + time.Second, time.Second}, -2, commquic.AttemptDelay + time.Second, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var addrs []net.Addr
				for i := range test.takes {
					addrs = append(addrs, &net.UDPAddr{Port: i})
				}
				tried, drops := make(chan int, len(addrs)), 0
				began := time.Now()
				got, err := commquic.FirstOf(t.Context(), addrs, func(ctx context.Context, a net.Addr) (string, error) {
					n := a.(*net.UDPAddr).Port
					tried <- n
					d := test.takes[n]
					timer := time.NewTimer(max(d, -d))
					select {
					case <-timer.C:
					case <-ctx.Done():
						if test.got != -2 { // one that is too far to be given up
							return "", context.Cause(ctx)
						}
					}
					if d < 0 {
						return "", failed(n)
					}
					return fmt.Sprint(n), nil
				}, func(string) { drops++ })
				switch {
				case test.got == -2 && err != nil:
					t.Error(err)
				case test.got == -1 && (err == nil || got != ""):
					t.Errorf("got %q, %v", got, err)
				case test.got >= 0 && (err != nil || got != fmt.Sprint(test.got)):
					t.Errorf("got %q, %v", got, err)
				}
				if took := time.Since(began); took != test.after || len(tried) != test.tried || drops != test.drops {
					t.Errorf("%d tried and %d dropped in %v, want %d, %d in %v", len(tried), drops, took, test.tried, test.drops, test.after)
				}
			})
		})
	}
}

// When all fail it is the first choice's error that is told, and the end of ctx ends every attempt.
func TestFirstOfFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		addrs := []net.Addr{&net.UDPAddr{Port: 0}, &net.UDPAddr{Port: 1}}
		wrong := []error{errors.New("first"), errors.New("second")}
		_, err := commquic.FirstOf(t.Context(), addrs, func(_ context.Context, a net.Addr) (string, error) {
			return "", wrong[a.(*net.UDPAddr).Port]
		}, nil)
		if err != wrong[0] {
			t.Errorf("got %v", err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, enough)
		defer cancel()
		_, err = commquic.FirstOf(ctx, addrs, func(ctx context.Context, _ net.Addr) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}, nil)
		if err != enough {
			t.Errorf("got %v", err)
		}
	})
}

// A client whose dialer could never work ends at once, and says what is wrong, instead of trying for ever.
func TestDialerThatCannotWork(t *testing.T) {
	t.Parallel()
	for part, d := range map[string]comm.Dialer{
		"host:port":     commquic.Dialer("127.0.0.1"),
		"WithReadLimit": commquic.Dialer("127.0.0.1:1", commquic.WithReadLimit(0)),
		"https://host":  commquic.WebTransportDialer("http://127.0.0.1:1/wt"),
		"WithReadLimi":  commquic.WebTransportDialer("https://127.0.0.1:1/wt", commquic.WithReadLimit(0)),
	} {
		c, err := comm.NewClient([]comm.Dialer{d})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); comm.ReasonOf(err) != comm.ReasonProtocol || !strings.Contains(err.Error(), part) {
			t.Errorf("Run: %v, want one with %s", err, part)
		}
	}
	if c, err := commquic.Dial(t.Context(), "127.0.0.1"); err == nil || c != nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("Dial: %v", err)
	}
}
