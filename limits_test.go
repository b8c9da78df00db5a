package comm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// at is the handshake of a user at an address.
func at(user, ip string) comm.Handshake {
	hs := from(ip)
	hs.Token = user
	return hs
}

// hangUp lets a connection's transport end and waits for its end.
func hangUp(f *fake, c *comm.Conn) {
	f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
	<-c.Done()
}

// The bounds on connections name themselves when they refuse, and a place that is free again is given
// to whoever comes first, whether its connection was lost or closed.
func TestConnectionLimitsAreGivenBack(t *testing.T) {
	for name, row := range map[string]struct {
		opt   comm.Option
		limit string
		fits  []comm.Handshake // all that fit, of which the first will end
		more  comm.Handshake   // does not fit until then
		other comm.Handshake   // is not concerned; its Token is "" where there is none
	}{
		"in all": {
			comm.WithMaxConnections(2), "connections",
			[]comm.Handshake{at("ann", "192.0.2.1"), at("ben", "192.0.2.2")},
			at("cal", "192.0.2.3"),
			comm.Handshake{},
		},
		"per user": {
			comm.WithMaxConnectionsPerUser(2), "connections per user",
			[]comm.Handshake{at("ann", "192.0.2.1"), at("ann", "192.0.2.2")},
			at("ann", "192.0.2.3"), at("ben", "192.0.2.1"),
		},
		"per IPv4 address, mapped or not": {
			comm.WithMaxConnectionsPerAddr(2), "connections per address",
			[]comm.Handshake{at("ann", "192.0.2.1"), at("ben", "::ffff:192.0.2.1")},
			at("cal", "192.0.2.1"), at("cal", "192.0.2.2"),
		},
		"per IPv6 network": {
			comm.WithMaxConnectionsPerAddr(2), "connections per address",
			[]comm.Handshake{at("ann", "2001:db8::1"), at("ben", "2001:db8::ffff:0:0:1")},
			at("cal", "2001:db8::2"), at("cal", "2001:db8:0:1::1"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, row.opt, tokenIsUser())
				var first *comm.Conn
				for _, hs := range row.fits {
					c, _ := f.attach(t, hs)
					if first == nil {
						first = c
					}
				}
				for round := range 3 {
					_, _, err := f.try(t, row.more)
					if le := refusedAt(t, err, row.limit, 2); le.Retry <= 0 {
						t.Errorf("retry after %v", le.Retry)
					}
					contains(t, err, row.limit, "at most 2")
					if row.other.Token != "" {
						c, _ := f.attach(t, row.other)
						hangUp(f, c)
					}
					if round%2 == 0 {
						hangUp(f, first)
					} else if err := first.Close(t.Context(), "bye"); err != nil {
						t.Fatal(err)
					}
					first, _ = f.attach(t, row.more)
				}
				same(t, "connections", m.ConnectionCount(comm.ToAll()), 2)
			})
		})
	}
}

// Refusals of any step take no place for themselves.
func TestRefusalsTakeNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithMaxConnections(3), comm.WithMaxConnectionsPerUser(2), comm.WithMaxConnectionsPerAddr(2),
			comm.WithFailedAuthBurst(1000), tokenIsUser(), comm.WithOnConnect(func(_ context.Context, hs *comm.Handshake, _ *comm.Admission) error {
				if hs.Token == "unwanted" {
					return errors.New("not you")
				}
				return nil
			}))
		a, _ := f.attach(t, at("ann", "192.0.2.1"))
		b, _ := f.attach(t, at("ann", "192.0.2.1"))
		for range 10 {
			for _, hs := range []comm.Handshake{
				at("ann", "192.0.2.9"), at("ben", "192.0.2.1"), at("unwanted", "192.0.2.9"), at("bad", "192.0.2.9"),
			} {
				if _, _, err := f.try(t, hs); err == nil {
					t.Fatalf("%s at %v was admitted", hs.Token, hs.RemoteAddr)
				}
			}
		}
		c, _ := f.attach(t, at("ben", "192.0.2.9")) // the last place in all
		for _, c := range []*comm.Conn{a, b, c} {
			hangUp(f, c)
		}
		for _, hs := range []comm.Handshake{at("ann", "192.0.2.1"), at("ann", "192.0.2.9"), at("ben", "192.0.2.1")} {
			f.attach(t, hs)
		}
		same(t, "connections", m.ConnectionCount(comm.ToAll()), 3)
	})
}

// Clients without an IP address and without a name share no bound but the one on all.
func TestNamelessClientsShareNoBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMaxConnectionsPerAddr(1), comm.WithMaxConnectionsPerUser(1), comm.WithHandshakeRate(1, 1))
		for range 5 {
			f.attach(t, comm.Handshake{})
			done, err := f.host().Admit(nil)
			if err != nil {
				t.Fatal(err)
			}
			done()
		}
	})
}

// Handshakes that have ended make room for others, each once; the rate comes back with time, up to
// the burst and no further.
func TestHandshakesAreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithConfigJSON("c", []byte(`{"communication":{"max_handshakes_per_addr":2,"max_connections":1}}`)),
			comm.WithHandshakeRate(10, 5))
		host, addr := f.host(), from("2001:db8::1").RemoteAddr
		admit := func() (func(), error) { return host.Admit(addr) }
		first, _ := admit()
		second, err := admit()
		if err != nil {
			t.Fatal(err)
		}
		_, err = host.Admit(from("2001:db8::2").RemoteAddr) // the same /64
		refusedAt(t, err, "handshakes at once per address", 2)
		first()
		first() // changes nothing
		third, err := admit()
		if err != nil {
			t.Fatal(err)
		}
		_, err = admit()
		refusedAt(t, err, "handshakes at once per address", 2)
		_, err = admit()
		le := refusedAt(t, err, "handshakes per second and address", 10)
		same(t, "retry", le.Retry, 100*time.Millisecond)
		second()
		third()
		time.Sleep(le.Retry)
		if done, err := admit(); err != nil {
			t.Errorf("after the time named: %v", err)
		} else {
			done()
		}
		time.Sleep(time.Hour)
		for range 5 {
			done, err := admit()
			if err != nil {
				t.Fatal(err)
			}
			done()
		}
		_, err = admit()
		refusedAt(t, err, "handshakes per second and address", 10)
		f.attach(t, comm.Handshake{})
		_, err = host.Admit(from("192.0.2.1").RemoteAddr)
		refusedAt(t, err, "connections", 1) // before anything is spent on it
		same(t, "connections", m.ConnectionCount(comm.ToAll()), 1)
	})
}

// An address that failed too often is not even heard with a good token until its time has passed;
// successes and other addresses do not count.
func TestFailedAuthentications(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithFailedAuthBurst(3), tokenIsUser())
		for range 10 {
			f.attach(t, at("ann", "192.0.2.1"))
		}
		for range 3 {
			if _, _, err := f.try(t, at("bad", "192.0.2.1")); !errors.Is(err, comm.ErrUnauthenticated) {
				t.Fatalf("bad token: %v", err)
			}
		}
		hs := at("ann", "192.0.2.1")
		le := refusedAt(t, f.host().Authenticate(t.Context(), &hs), "failed authentications per address", 3)
		same(t, "retry", le.Retry, 6*time.Second)
		f.attach(t, at("ann", "192.0.2.2"))
		time.Sleep(le.Retry)
		f.attach(t, at("ann", "192.0.2.1"))
		if _, _, err := f.try(t, at("bad", "192.0.2.1")); !errors.Is(err, comm.ErrUnauthenticated) {
			t.Errorf("one more attempt: %v", err)
		}
		_, _, err := f.try(t, at("bad", "192.0.2.1"))
		refusedAt(t, err, "failed authentications per address", 3)
	})
}

// The message rate is one connection's own, refused frames are counted, and it comes back with time.
func TestMessageRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMessageRate(10, 3))
		c, p := f.attach(t, comm.Handshake{})
		other, q := f.attach(t, comm.Handshake{})
		ping := func(c *comm.Conn, n int) {
			for i := range n {
				if err := f.host().Receive(c, &comm.Frame{Op: comm.OpPing, ID: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		ping(c, 5)
		ping(other, 3)
		refused := p.got(comm.OpError)
		same(t, "answered and refused", []int{len(p.got(comm.OpPong)), len(refused), len(q.got(comm.OpPong))}, []int{3, 2, 3})
		same(t, "told", []any{refused[0].ID, refused[0].Code}, []any{"3", comm.CodeRateLimited})
		time.Sleep(200 * time.Millisecond)
		ping(c, 2)
		same(t, "answered later", len(p.got(comm.OpPong)), 5)
		time.Sleep(time.Hour)
		ping(c, 4)
		same(t, "answered after long", len(p.got(comm.OpPong)), 8)
	})
}

// Leaving a group makes room for another; a client's own join is refused by name of the limit.
func TestGroupsAreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithMaxGroups(2), comm.WithOpenAccess())
		c, p := f.attach(t, comm.Handshake{Hello: &comm.Hello{Groups: []string{"a", "b", "c"}}, ID: "h1"})
		synctest.Wait()
		same(t, "groups", c.Groups(), []string{"a", "b"})
		e := p.got(comm.OpError)[0]
		same(t, "the hello's third", []any{e.ID, e.Code, e.Group, e.Text}, []any{"h1", comm.CodeLimit, "c", "groups per connection: at most 2"})
		for range 3 {
			refusedAt(t, c.Join("c"), "groups per connection", 2)
			if err := errors.Join(c.Leave("a"), c.Leave("a"), c.Join("c"), c.Leave("c"), c.Join("a")); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "groups", c.Groups(), []string{"a", "b"})
	})
}

// What a client reads makes room for the next: the bound is on what waits, not on what was ever sent.
func TestQueueIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithQueue(1000, 6000), comm.WithOverflow(comm.DropNewest))
		c, p := f.attach(t, comm.Handshake{})
		synctest.Wait()
		for round := range 3 {
			p.halt()
			stall := p.stall
			send(t, m, comm.ToConn(c.ID()), message(t, "taken", nil))
			synctest.Wait() // the writer has it, and is stuck
			queued := 0
			for range 20 {
				queued += send(t, m, comm.ToConn(c.ID()), message(t, "waits", make([]byte, 700))).Queued
			}
			s := c.Stats()
			same(t, "queued", queued, 4) // each counts for its bytes and something more
			if s.QueueMessages != 4 || s.QueueBytes < 2800 || s.QueueBytes > 6000 || s.Drops != int64(16*(round+1)) {
				t.Errorf("round %d: %+v", round, s)
			}
			p.mu.Lock()
			p.stall = nil
			p.mu.Unlock()
			close(stall)
			synctest.Wait()
			s = c.Stats()
			same(t, "waiting", []int{s.QueueMessages, s.QueueBytes}, []int{0, 0})
		}
		same(t, "delivered", len(p.types()), 15)
		total, _ := m.Stats("")
		same(t, "drops", total.Drops, map[string]int64{"overflow": 48})
	})
}

// A client that never answers holds 1,024 calls and no more; each that ends makes room.
func TestPendingCallsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithTimeout(time.Minute))
		c, _ := f.attach(t, comm.Handshake{})
		call := func() error { _, err := m.Call(t.Context(), c.ID(), message(t, "ask", nil)); return err }
		ended := make(chan error, 1024)
		for range 1024 {
			go func() { ended <- call() }()
		}
		synctest.Wait()
		refusedAt(t, call(), "pending calls and acks per connection", 1024)
		for range 1024 {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
