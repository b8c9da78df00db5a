package limit_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/anasamu/comm/internal/limit"
)

func rate(t testing.TB, events int, per time.Duration, burst int) limit.Rate {
	t.Helper()
	r, err := limit.NewRate(events, per, burst)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func limiter[K comparable](t testing.TB, r limit.Rate, keys int) *limit.Limiter[K] {
	t.Helper()
	l, err := limit.NewLimiter[K](r, keys)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRates(t *testing.T) {
	t.Parallel()
	type step struct {
		at   time.Duration
		n    int
		wait time.Duration // 0: allowed
	}
	for _, test := range []struct {
		name   string
		events int
		per    time.Duration
		burst  int
		steps  []step
	}{
		{"even", 10, time.Second, 1, []step{
			{0, 1, 0},
			{0, 1, 100 * time.Millisecond},
			{40 * time.Millisecond, 1, 60 * time.Millisecond},
			{100 * time.Millisecond, 1, 0},
			{time.Hour, 1, 0},
			{time.Hour, 1, 100 * time.Millisecond},
		}},
		{"burst", 1, time.Second, 3, []step{
			{0, 2, 0},
			{0, 2, time.Second},
			{0, 1, 0},
			{0, 1, time.Second},
			{2 * time.Second, 2, 0},
			{2 * time.Second, 1, time.Second},
			{time.Minute, 3, 0},
		}},
		{"more than the burst", 1, time.Second, 3, []step{{0, 4, limit.Never}, {0, 3, 0}, {time.Hour, 4, limit.Never}}},
		{"refused counts nothing", 1, time.Second, 1, []step{{0, 1, 0}, {0, 1, time.Second}, {0, 1, time.Second}, {time.Second, 1, 0}}},
		{"clock set back", 1, time.Second, 2, []step{{time.Hour, 2, 0}, {0, 1, time.Second}, {time.Second, 1, 0}}},
		{"nothing", 1, time.Second, 1, []step{{0, 1, 0}, {0, 0, 0}, {0, -1, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := rate(t, test.events, test.per, test.burst)
			if r.Burst() != test.burst {
				t.Errorf("burst %d", r.Burst())
			}
			l := limiter[string](t, r, 100)
			g := limit.NewGate(&r)
			for i, s := range test.steps {
				now := start.Add(s.at)
				if ok, wait := l.Ready("key", s.n, now); ok != (s.wait == 0) || wait != s.wait {
					t.Errorf("step %d: ready %v, %v, want wait %v", i, ok, wait, s.wait)
				}
				if ok, wait := l.Allow("key", s.n, now); ok != (s.wait == 0) || wait != s.wait {
					t.Errorf("step %d: limiter %v, %v, want wait %v", i, ok, wait, s.wait)
				}
				if ok, wait := g.Allow(s.n, now); ok != (s.wait == 0) || wait != s.wait {
					t.Errorf("step %d: gate %v, %v, want wait %v", i, ok, wait, s.wait)
				}
			}
		})
	}
}

func TestZeroAllowsEverything(t *testing.T) {
	t.Parallel()
	l := limiter[int](t, limit.Rate{}, 1)
	var g, none limit.Gate
	none = limit.NewGate(&limit.Rate{})
	for range 100 {
		if ok, _ := l.Allow(1, 1000, start); !ok || l.Len() != 0 {
			t.Fatal("limiter")
		}
		if ok, _ := g.Allow(1000, start); !ok {
			t.Fatal("gate")
		}
		if ok, _ := none.Allow(1000, start); !ok {
			t.Fatal("gate of no rate")
		}
	}
	if (limit.Rate{}).Burst() != 0 || unsafe.Sizeof(g) != 16 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("size %d", unsafe.Sizeof(g))
	}
}

func TestBadRates(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		events int
		per    time.Duration
		burst  int
	}{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {-1, time.Second, 1}, {2, 1, 1}, {1, 1 << 62, 100}} {
		if _, err := limit.NewRate(bad.events, bad.per, bad.burst); !errors.Is(err, limit.ErrRate) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := limit.NewLimiter[int](limit.Rate{}, 0); !errors.Is(err, limit.ErrRate) {
		t.Errorf("no room: %v", err)
	}
}

func TestKeysAreApart(t *testing.T) {
	t.Parallel()
	l := limiter[int](t, rate(t, 1, time.Second, 1), 1000)
	for key := range 100 {
		if ok, _ := l.Allow(key, 1, start); !ok {
			t.Errorf("key %d pays for another", key)
		}
		if ok, _ := l.Allow(key, 1, start); ok {
			t.Errorf("key %d is not limited", key)
		}
	}
}

func TestRefund(t *testing.T) {
	t.Parallel()
	l := limiter[string](t, rate(t, 1, time.Second, 2), 10)
	l.Refund("unknown", 5)
	for range 10 {
		if ok, _ := l.Allow("key", 2, start); !ok {
			t.Fatal("refund lost")
		}
		l.Refund("key", 2)
	}
	l.Refund("key", 1000) // no credit beyond the burst
	for _, want := range []bool{true, false} {
		if ok, _ := l.Allow("key", 2, start); ok != want {
			t.Errorf("allowed %v, want %v", ok, want)
		}
	}
}

// The number of keys is bounded; who has recovered goes first, then who is near it; the worst offender stays.
func TestEviction(t *testing.T) {
	t.Parallel()
	const room = 8 // one shard
	r := rate(t, 1, time.Second, 100)
	l := limiter[int](t, r, room)
	now := start
	l.Allow(-1, 100, now) // the offender: recovers in 100 s
	for key := range 1000 {
		if ok, _ := l.Allow(key, 1, now); !ok {
			t.Fatal("a newcomer was refused")
		}
		if l.Len() > room {
			t.Fatalf("%d keys", l.Len())
		}
	}
	if ok, _ := l.Ready(-1, 1, now); ok {
		t.Error("the worst offender was evicted")
	}
	now = now.Add(50 * time.Second) // all but the offender have recovered
	l.Allow(2000, 1, now)
	if n := l.Len(); n != 2 {
		t.Errorf("%d keys after a sweep, want the offender and the newcomer", n)
	}
	if ok, _ := l.Ready(-1, 51, now); ok {
		t.Error("the offender was forgiven")
	}
}

func TestBoundHoldsAcrossShards(t *testing.T) {
	t.Parallel()
	l := limiter[int](t, rate(t, 1, time.Hour, 1), 5000)
	for key := range 50_000 {
		l.Allow(key, 1, start)
	}
	if n := l.Len(); n > 5000+64 || n < 4000 {
		t.Errorf("%d keys", n)
	}
}

// What is allowed in all never exceeds burst and rate, however many goroutines ask.
func TestConcurrentAllow(t *testing.T) {
	t.Parallel()
	l := limiter[int](t, rate(t, 1000, time.Second, 50), 64)
	var allowed [4]atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				key := i % len(allowed)
				if ok, _ := l.Allow(key, 1, start.Add(time.Duration(i)*10*time.Microsecond)); ok {
					allowed[key].Add(1)
				}
				l.Allow(100+i, 1, start)
			}
		})
	}
	wg.Wait()
	for key := range allowed { // 10 ms at 1 a ms
		if n := allowed[key].Load(); n < 50 || n > 60 {
			t.Errorf("key %d: %d allowed", key, n)
		}
	}
}

func TestCounter(t *testing.T) {
	t.Parallel()
	c := limit.NewCounter[string]()
	for i, want := range []bool{true, true, false} {
		if got := c.Acquire("user", 2); got != want {
			t.Errorf("acquire %d: %v", i, got)
		}
	}
	if !c.Acquire("other", 1) || !c.Acquire("user", 0) || c.Count("user") != 3 || c.Len() != 2 {
		t.Errorf("count %d, len %d", c.Count("user"), c.Len())
	}
	for i, want := range []bool{true, true, true, false} {
		if got := c.Release("user"); got != want {
			t.Errorf("release %d: %v", i, got)
		}
	}
	if c.Count("user") != 0 || c.Len() != 1 || !c.Acquire("user", 1) {
		t.Errorf("count %d, len %d", c.Count("user"), c.Len())
	}
	for key := range 20_000 {
		c.Acquire(fmt.Sprint(key), 1)
	}
	for key := range 20_000 {
		c.Release(fmt.Sprint(key))
	}
	if c.Len() != 2 {
		t.Errorf("%d keys hold something", c.Len())
	}
}

func TestConcurrentCounter(t *testing.T) {
	t.Parallel()
	c := limit.NewCounter[int]()
	var held, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if !c.Acquire(1, 3) {
					continue
				}
				n := held.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				held.Add(-1)
				c.Release(1)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 || c.Len() != 0 {
		t.Errorf("%d held at once, %d keys left", most.Load(), c.Len())
	}
}

func TestAddrKey(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:80":                       "192.0.2.1/32",
		"192.0.2.1":                          "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":              "192.0.2.1/32",
		"::ffff:192.0.2.1":                   "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:443":         "2001:db8:1:2::/64",
		"2001:db8:1:2::9":                    "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":                  "fe80::/64",
		"[::1]:1":                            "::/64",
		"pipe":                               "invalid Prefix",
		"":                                   "invalid Prefix",
		"host.example:80":                    "invalid Prefix",
		"192.0.2.1:80:90, 203.0.113.7":       "invalid Prefix",
		"[2001:db8::1]":                      "invalid Prefix",
		"999.0.0.1:80":                       "invalid Prefix",
		"[2001:db8:1:2:ffff:ffff:ffff:1]:80": "2001:db8:1:2::/64",
	} {
		if got := limit.RemoteKey(remote).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	ip := net.ParseIP("192.0.2.1") // 16 bytes, mapped
	for _, test := range []struct {
		addr net.Addr
		want netip.Prefix
	}{
		{nil, netip.Prefix{}},
		{pipe.RemoteAddr(), netip.Prefix{}},
		{&net.TCPAddr{IP: ip, Port: 1}, netip.MustParsePrefix("192.0.2.1/32")},
		{&net.UDPAddr{IP: ip, Port: 1}, netip.MustParsePrefix("192.0.2.1/32")},
		{&net.IPAddr{IP: ip}, netip.MustParsePrefix("192.0.2.1/32")},
		{(*net.TCPAddr)(nil), netip.Prefix{}},
		{&net.UnixAddr{Name: "@", Net: "unix"}, netip.Prefix{}},
	} {
		if got := limit.NetAddrKey(test.addr); got != test.want {
			t.Errorf("%v: %v, want %v", test.addr, got, test.want)
		}
	}
}

func ExampleLimiter() {
	perMinute, err := limit.NewRate(60, time.Minute, 2)
	if err != nil {
		panic(err)
	}
	handshakes, err := limit.NewLimiter[netip.Prefix](perMinute, 10_000)
	if err != nil {
		panic(err)
	}
	key := limit.RemoteKey("[2001:db8::1]:5000")
	for range 3 {
		fmt.Println(handshakes.Allow(key, 1, start))
	}
	// Output:
	// true 0s
	// true 0s
	// false 1s
}

func BenchmarkLimiter(b *testing.B) {
	keys := make([]netip.Prefix, 1024)
	for i := range keys {
		keys[i] = limit.AddrKey(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	for _, room := range []struct {
		name string
		keys int
	}{{"fits", 10_000}, {"evicts", 256}} {
		b.Run(room.name, func(b *testing.B) {
			l := limiter[netip.Prefix](b, rate(b, 1, time.Second, 1<<20), room.keys)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Allow(keys[i%len(keys)], 1, start)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		l := limiter[netip.Prefix](b, rate(b, 1, time.Second, 1<<20), 10_000)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				l.Allow(keys[i%len(keys)], 1, start)
			}
		})
	})
}

func BenchmarkGate(b *testing.B) {
	r := rate(b, 1000, time.Second, 100)
	g := limit.NewGate(&r)
	b.ReportAllocs()
	for b.Loop() {
		g.Allow(1, start)
	}
}

func BenchmarkCounter(b *testing.B) {
	c := limit.NewCounter[string]()
	b.ReportAllocs()
	for b.Loop() {
		c.Acquire("user", 10)
		c.Release("user")
	}
}
