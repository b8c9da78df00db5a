package lossy_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm/internal/leak"
	"github.com/anasamu/comm/internal/lossy"
	"github.com/anasamu/comm/internal/memnet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// bench is a client, a proxy and a server in memory.
type bench struct {
	*testing.T
	client, server net.PacketConn
	proxy          *lossy.Proxy
}

func newBench(t *testing.T, c lossy.Config) *bench {
	t.Helper()
	var n memnet.Network
	open := func() (net.PacketConn, error) { return n.ListenPacket("127.0.0.1:0") }
	b := &bench{T: t}
	var err error
	if b.server, err = open(); err != nil {
		t.Fatal(err)
	}
	if b.client, err = open(); err != nil {
		t.Fatal(err)
	}
	front, err := open()
	if err != nil {
		t.Fatal(err)
	}
	b.proxy = lossy.New(front, open, b.server.LocalAddr(), c)
	t.Cleanup(func() { b.proxy.Close(); b.client.Close(); b.server.Close() })
	return b
}

// run sends n numbered packets, a millisecond apart, and returns those that the server gets, in its order.
func (b *bench) run(n int) (got []string) {
	b.Helper()
	for i := range n {
		if _, err := b.client.WriteTo(fmt.Append(nil, i), b.proxy.Addr()); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	return b.rest(b.server)
}

// rest reads until nothing has come for a second.
func (b *bench) rest(c net.PacketConn) (got []string) {
	b.Helper()
	buf := make([]byte, 100)
	for {
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, _, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			b.Fatal(err)
		}
		got = append(got, string(buf[:n]))
	}
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestPassesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, lossy.Config{})
		if got := b.run(100); !slices.Equal(got, numbers(100)) {
			t.Errorf("got %q", got)
		}
		if s := b.proxy.Stats(); s != (lossy.Stats{Passed: 100}) {
			t.Errorf("%+v", s)
		}
	})
}

// A seed decides everything, and another one decides otherwise.
func TestSameSeedSameFate(t *testing.T) {
	run := func(seed uint64) (got []string, s lossy.Stats) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, lossy.Config{Seed: seed, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Delay: 3 * time.Millisecond})
			got, s = b.run(1000), b.proxy.Stats()
		})
		return got, s
	}
	first, s := run(1)
	again, _ := run(1)
	other, _ := run(2)
	if !slices.Equal(first, again) || slices.Equal(first, other) {
		t.Error("the seed does not decide")
	}
	for what, n := range map[string]int{"lost": s.Lost, "doubled": s.Doubled, "reordered": s.Reordered} {
		if n < 50 || n > 150 {
			t.Errorf("%d of 1000 %s, want about 100", n, what)
		}
	}
	if s.Passed+s.Lost != 1000 || len(first) != s.Passed+s.Doubled || slices.IsSortedFunc(first, byNumber) {
		t.Errorf("%+v, %d arrived", s, len(first))
	}
}

func byNumber(a, b string) int {
	var n, m int
	_, _ = fmt.Sscan(a, &n)
	_, _ = fmt.Sscan(b, &m)
	return n - m
}

// A client that is bound anew has another port at the server, and what went to the old one is lost.
func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, lossy.Config{})
		ask := func(text string) net.Addr {
			if _, err := b.client.WriteTo([]byte(text), b.proxy.Addr()); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, from, err := b.server.ReadFrom(buf)
			if err != nil || string(buf[:n]) != text {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			return from
		}
		before := ask("one")
		if err := b.proxy.Rebind(); err != nil {
			t.Fatal(err)
		}
		after := ask("two")
		if before.String() == after.String() {
			t.Fatalf("still at %v", after)
		}
		_, _ = b.server.WriteTo([]byte("old"), before)
		_, _ = b.server.WriteTo([]byte("new"), after)
		if got := b.rest(b.client); !slices.Equal(got, []string{"new"}) {
			t.Errorf("the client got %q", got)
		}
	})
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, lossy.Config{Delay: time.Millisecond})
		b.proxy.Cut(true)
		if got := b.run(10); got != nil {
			t.Errorf("got %q over a cut wire", got)
		}
		b.proxy.Cut(false)
		if got := b.run(2); !slices.Equal(got, numbers(2)) {
			t.Errorf("got %q", got)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, lossy.Config{Delay: time.Minute})
		_, _ = b.client.WriteTo([]byte("late"), b.proxy.Addr())
		synctest.Wait()
		if err := b.proxy.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.proxy.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
		if got := b.rest(b.server); got != nil {
			t.Errorf("got %q after the end", got)
		}
	})
}
