package commquic_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// collect keeps the messages of each type that a manager is sent.
type collect struct {
	mu  sync.Mutex
	got map[string][]string
}

func collecting(m *comm.Manager, types ...string) *collect {
	c := &collect{got: make(map[string][]string)}
	for _, typ := range types {
		comm.On(m, typ, func(_ context.Context, _ *comm.Conn, s string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.got[typ] = append(c.got[typ], s)
			return nil
		})
	}
	return c
}

func (c *collect) of(typ string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got[typ])
}

// The messages of each lane and priority are in order, whatever the others do.
func TestLanesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(commquic.WithMaxLanes(3)), comm.WithQueue(10_000, 64<<20), comm.WithMessageRate(100_000, 100_000))
	p := dial(t, addrOf(t, m), nil, commquic.WithMaxLanes(3))
	ways := map[string][]comm.SendOption{"default": nil, "high": {comm.WithPriority(comm.PriorityHigh)}, "low": {comm.WithPriority(comm.PriorityLow)}}
	for i := range 6 { // more names than lanes: some share
		ways[fmt.Sprint("lane", i)] = []comm.SendOption{comm.WithLane(fmt.Sprint("lane", i))}
	}
	const each = 200
	for i := range each {
		for typ, opts := range ways {
			if _, err := m.Send(t.Context(), comm.ToConn(p.welcome.Conn), message(t, typ, fmt.Sprint(i)), opts...); err != nil {
				t.Fatal(err)
			}
		}
	}
	next := make(map[string]int)
	for range each * len(ways) {
		f := p.next()
		if f.Op != comm.OpMessage || string(f.Message.Content()) != fmt.Sprintf("%q", fmt.Sprint(next[f.Message.Type()])) {
			t.Fatalf("got %s, want number %d of its lane", canonical(t, f), next[f.Message.Type()])
		}
		next[f.Message.Type()]++
	}
	upward(t, m, p, each)
}

// upward sends on lanes in the other direction.
func upward(t *testing.T, m *comm.Manager, p *peer, each int) {
	t.Helper()
	routes := map[string]*comm.Route{"a": nil, "b": {Lane: "b"}, "c": {Lane: "c"}, "h": {Priority: comm.PriorityHigh}, "l": {Priority: comm.PriorityLow}}
	got := collecting(m, "a", "b", "c", "h", "l")
	for i := range each {
		for typ, r := range routes {
			msg := message(t, typ, fmt.Sprint(i))
			if err := p.Send(t.Context(), &comm.Frame{ID: msg.ID(), Message: msg, Route: r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for typ := range routes {
		eventually(t, "all of "+typ, func() bool { return len(got.of(typ)) == each })
		if !slices.Equal(got.of(typ), sequence(each)) {
			t.Errorf("%s came as %q", typ, got.of(typ))
		}
	}
}

// A large message on a lane delays no small one: all of them are there before it is, while the client has taken
// hardly a part of it.
func TestLargeMessageDelaysNothing(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithQueue(10_000, 256<<20), comm.WithWriteTimeout(patience))
	large := message(t, "large", bytes.Repeat([]byte("x"), 32<<20), comm.WithContentType("application/octet-stream"))
	for _, c := range []struct {
		name  string
		opts  []comm.SendOption
		first string // what arrives first
	}{
		{"on a lane", []comm.SendOption{comm.WithLane("files")}, "small"},
		{"on the default lane", nil, "large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dial(t, addrOf(t, m), nil)
			to := comm.ToConn(p.welcome.Conn)
			if _, err := m.Send(t.Context(), to, large, c.opts...); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				if _, err := m.Send(t.Context(), to, message(t, "small", i)); err != nil {
					t.Fatal(err)
				}
			}
			if f := p.next(); f.Message.Type() != c.first {
				t.Errorf("%s came first", f.Message.Type())
			}
			for range 20 {
				p.next()
			}
		})
	}
}

// WithLargeMessages gives large messages a lane by their size, but those of a log stay where their order is.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(commquic.WithLargeMessages(1<<20)), comm.WithQueue(10_000, 256<<20), comm.WithWriteTimeout(patience),
		comm.WithLogs(true, false, false), comm.WithHistory(&comm.MemoryStore{Bytes: 256 << 20}))
	p := dial(t, addrOf(t, m), []string{"g"})
	large := message(t, "large", bytes.Repeat([]byte("x"), 16<<20), comm.WithContentType("application/octet-stream"))
	for _, c := range []struct {
		to    comm.Target
		first string
	}{{comm.ToConn(p.welcome.Conn), "small"}, {comm.ToGroup("g"), "large"}} {
		for _, msg := range []*comm.Message{large, message(t, "small", 1)} {
			if _, err := m.Send(t.Context(), c.to, msg); err != nil {
				t.Fatal(err)
			}
		}
		if f := p.next(); f.Message.Type() != c.first {
			t.Errorf("to %v: %s came first", c.to, f.Message.Type())
		}
		p.next()
	}
}

// Unreliable messages travel in datagrams, which a good network does not lose; one that is too large for that, and
// one to a client without datagrams, comes on the default lane.
func TestUnreliable(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	p := dial(t, addrOf(t, m), nil)
	to := comm.ToConn(p.welcome.Conn)
	want := make(map[string]int)
	for i, size := range []int{10, 500, 1000, 1400, 5000, 100_000} {
		text := strings.Repeat("x", size)
		want[fmt.Sprintf("%q", text)]++
		if _, err := m.Send(t.Context(), to, message(t, fmt.Sprint(i), text), comm.WithUnreliable()); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		delete(want, string(p.next().Message.Content()))
	}
	if len(want) > 0 {
		t.Errorf("%d did not come", len(want))
	}
	got := collecting(m, "up")
	for _, size := range []int{10, 1400, 100_000} {
		msg := message(t, "up", strings.Repeat("x", size))
		if err := p.Send(t.Context(), &comm.Frame{ID: msg.ID(), Message: msg, Route: &comm.Route{Unreliable: true}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three upward", func() bool { return len(got.of("up")) == 3 })
}

// A client that reads nothing is closed as slow, and delays nobody: neither on the default lane nor on another.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]comm.SendOption{"default": nil, "lane": {comm.WithLane("files"), comm.WithoutHistory()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A write that waits for the stalled client does so for longer than the witness is waited for.
			m := gateway(t, commquic.New(), comm.WithQueue(64, 4<<20), comm.WithWriteTimeout(2*patience))
			stalled := dial(t, addrOf(t, m), []string{"g"}, small)
			witness := dial(t, addrOf(t, m), []string{"g"})
			conn := m.Connection(stalled.welcome.Conn)
			text := strings.Repeat("x", 32<<10)
			for conn.Err() == nil {
				if _, err := m.Send(t.Context(), comm.ToGroup("g"), message(t, "n", text), opts...); err != nil {
					t.Fatal(err)
				}
				witness.next()
			}
			if kind := comm.ReasonOf(conn.Err()); kind != comm.ReasonSlow {
				t.Errorf("closed with %v", conn.Err())
			}
		})
	}
}

// What a drained connection was sent on lanes arrives before its end.
func TestLanesAreFlushed(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New(), comm.WithQueue(10_000, 64<<20), comm.WithWriteTimeout(patience))
	p := dial(t, addrOf(t, m), nil)
	const each = 100
	for i := range each {
		for _, opt := range []comm.SendOption{comm.WithLane("a"), comm.WithPriority(comm.PriorityLow), comm.WithPriority(comm.PriorityNormal)} {
			if _, err := m.Send(t.Context(), comm.ToConn(p.welcome.Conn), message(t, "n", fmt.Sprint(i, strings.Repeat("x", 2000))), opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	go func() { _ = m.Drain(context.Background()) }()
	reason, frames := p.end()
	if reason.Kind != comm.ReasonDrain || len(frames) != 3*each {
		t.Errorf("%d messages of %d, and then %v", len(frames), 3*each, reason)
	}
}

// A lane that a client stops takes nothing more, and the connection goes on.
func TestStoppedLane(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	conn, s, _ := hello(t, addrOf(t, m))
	var to comm.Target
	for c := range m.Connections(comm.ToAll()) {
		to = comm.ToConn(c.ID())
	}
	files := comm.WithLane("files")
	if _, err := m.Send(t.Context(), to, message(t, "n", 1), files); err != nil {
		t.Fatal(err)
	}
	lane, err := conn.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lane.CancelRead(7)
	time.Sleep(50 * time.Millisecond) // until the server knows
	for range 20 {
		if _, err := m.Send(t.Context(), to, message(t, "n", 2), files); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Send(t.Context(), to, message(t, "last", 3)); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	for b, buf := []byte(nil), make([]byte, 1000); !bytes.Contains(b, []byte("last")); {
		n, err := s.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, buf[:n]...)
	}
}

// A client that allows no further stream gets what is sent on lanes on the default one.
func TestNoRoomForLanes(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	p := dial(t, addrOf(t, m), nil, commquic.WithMaxStreams(1))
	next := make(map[string]int)
	for i := range 20 {
		for _, lane := range []string{"a", "b", "c"} {
			if _, err := m.Send(t.Context(), comm.ToConn(p.welcome.Conn), message(t, lane, i), comm.WithLane(lane)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 60 {
		f := p.next()
		if string(f.Message.Content()) != fmt.Sprint(next[f.Message.Type()]) {
			t.Fatalf("got %s, want number %d of its lane", canonical(t, f), next[f.Message.Type()])
		}
		next[f.Message.Type()]++
	}
}
