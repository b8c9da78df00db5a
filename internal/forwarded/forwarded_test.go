package forwarded_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/forwarded"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, remote string
		headers      []string
		want         string
	}{
		{"no proxy", "203.0.113.9:1234", nil, "203.0.113.9"},
		{"untrusted peer lies", "203.0.113.9:1234", []string{"1.1.1.1"}, "203.0.113.9"},
		{"one proxy", "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"client lies to a proxy", "10.0.0.1:1", []string{"127.0.0.1, 10.0.0.7, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"two lines", "10.0.0.1:1", []string{"203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"with port", "10.0.0.1:1", []string{"203.0.113.9:5555"}, "203.0.113.9"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "[fd00::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with port", "[fd00::1]:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"mapped peer", "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"mapped hop", "10.0.0.1:1", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
		{"zone", "[fd00::1%eth0]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"all trusted", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage stops", "10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty stops", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"too many hops", "10.0.0.1:1", []string{"203.0.113.9" + strings.Repeat(", 10.0.0.2", 40)}, "10.0.0.2"},
		{"no address", "@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		if got := forwarded.Client(tt.remote, tt.headers, proxies).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzClient(f *testing.F) {
	for _, s := range []string{"203.0.113.9", "203.0.113.9, 10.0.0.2", "[2001:db8::1]:443,10.0.0.1:80", "unknown, _hidden", ",,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := forwarded.Client("10.0.0.1:1", []string{s}, proxies)
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%q: %v is not a plain address", s, got)
		}
		// Whatever a client puts to the left of what the proxy saw changes nothing.
		if got := forwarded.Client("10.0.0.1:1", []string{s + ", 203.0.113.9"}, proxies); got.String() != "203.0.113.9" {
			t.Fatalf("%q: a client made itself %v", s, got)
		}
		if got := forwarded.Client("203.0.113.9:1", []string{s}, proxies); got.String() != "203.0.113.9" {
			t.Fatalf("%q: an untrusted peer made itself %v", s, got)
		}
	})
}

func BenchmarkHostile(b *testing.B) {
	hostile := strings.Repeat("10.0.0.2,", 7000)
	b.ReportAllocs()
	for b.Loop() {
		forwarded.Client("10.0.0.1:1", []string{hostile}, proxies)
	}
}
