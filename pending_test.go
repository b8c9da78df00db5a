package comm_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// waited is what Wait, with no end of its own, returns, and fails where it does not within a minute.
func waited(t *testing.T, d comm.Delivery) (acked int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	acked, err = d.Pending.Wait(ctx)
	if ctx.Err() != nil {
		t.Fatalf("nothing ended the wait: %d, %v", acked, err)
	}
	return acked, err
}

// endsWith expects that nobody has acknowledged, for that reason.
func endsWith(t *testing.T, what string, d comm.Delivery, want error) {
	t.Helper()
	if acked, err := waited(t, d); acked != 0 || !errors.Is(err, want) {
		t.Errorf("%s: %d acknowledged, %v, want %v", what, acked, err, want)
	}
}

// stuck is a gateway with one client whose writer is stuck in a message, so that what follows waits in the queue.
func stuck(t *testing.T, opts ...comm.Option) (*comm.Manager, *fake, *comm.Conn, *peer) {
	t.Helper()
	m, f := gateway(t, append([]comm.Option{comm.WithTimeout(time.Hour)}, opts...)...)
	c, p := f.attach(t, as("ann"))
	synctest.Wait()
	p.halt()
	send(t, m, comm.ToConn(c.ID()), message(t, "first", nil))
	synctest.Wait()
	return m, f, c, p
}

func ackOf(t *testing.T, m *comm.Manager, to comm.Target, opts ...comm.SendOption) comm.Delivery {
	t.Helper()
	return send(t, m, to, message(t, "n", nil), append(opts, comm.WithAck())...)
}

// However a connection ends, whoever waits for its acks and replies learns it at once.
func TestPendingEndsWithTheConnection(t *testing.T) {
	for name, end := range map[string]func(m *comm.Manager, f *fake, c *comm.Conn){
		"lost":         func(_ *comm.Manager, f *fake, c *comm.Conn) { hangUp(f, c) },
		"closed":       func(_ *comm.Manager, _ *fake, c *comm.Conn) { _ = c.Close(context.Background(), "bye") },
		"kicked":       func(m *comm.Manager, _ *fake, c *comm.Conn) { _ = m.CloseConnection(context.Background(), c.ID(), "") },
		"drained":      func(m *comm.Manager, _ *fake, _ *comm.Conn) { _ = m.Drain(context.Background()) },
		"the provider": func(m *comm.Manager, _ *fake, _ *comm.Conn) { _ = m.Stop(context.Background(), "fake") },
		"superseded": func(_ *comm.Manager, f *fake, c *comm.Conn) {
			hs := as("ann")
			hs.Hello = &comm.Hello{Session: c.Session()}
			_, _ = f.host().Attach(context.Background(), newPeer(), &hs)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, tokenIsUser(), comm.WithTimeout(time.Hour))
				c, _ := f.attach(t, as("ann"))
				called := make(chan error, 1)
				go func() { _, err := m.Call(context.Background(), c.ID(), message(t, "ask", nil)); called <- err }()
				d := ackOf(t, m, comm.ToUser("ann"))
				synctest.Wait()
				start := time.Now()
				end(m, f, c)
				endsWith(t, "ack", d, comm.ErrDisconnected)
				if err := <-called; !errors.Is(err, comm.ErrDisconnected) {
					t.Errorf("call: %v", err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A message that the overflow policy takes out of the queue, or does not let in, is not waited for any more.
func TestPendingEndsWithTheMessage(t *testing.T) {
	t.Run("the oldest", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, _, c, _ := stuck(t, comm.WithQueue(2, 1<<20), comm.WithOverflow(comm.DropOldest))
			called := make(chan error, 1)
			go func() { _, err := m.Call(context.Background(), c.ID(), message(t, "ask", nil)); called <- err }()
			synctest.Wait()
			d := ackOf(t, m, comm.ToConn(c.ID()))
			for range 2 {
				send(t, m, comm.ToAll(), message(t, "later", nil))
			}
			endsWith(t, "the oldest", d, comm.ErrDropped)
			if err := <-called; !errors.Is(err, comm.ErrDropped) {
				t.Errorf("call: %v", err)
			}
		})
	})
	t.Run("the newest", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, _, c, _ := stuck(t, comm.WithQueue(1, 1<<20), comm.WithOverflow(comm.DropNewest))
			send(t, m, comm.ToConn(c.ID()), message(t, "waits", nil))
			endsWith(t, "the newest", ackOf(t, m, comm.ToConn(c.ID())), comm.ErrDropped)
		})
	})
	t.Run("not the latest", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, _, c, _ := stuck(t, comm.WithOverflow(comm.LatestByKey))
			d := ackOf(t, m, comm.ToConn(c.ID()), comm.WithKey("k"))
			kept := ackOf(t, m, comm.ToConn(c.ID()), comm.WithKey("other"))
			send(t, m, comm.ToConn(c.ID()), message(t, "later", nil), comm.WithKey("k"))
			endsWith(t, "one that is not the latest", d, comm.ErrDropped)
			short, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if acked, err := kept.Pending.Wait(short); acked != 0 || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, comm.ErrDropped) {
				t.Errorf("one that waits: %d, %v", acked, err)
			}
		})
	})
	t.Run("the queue is full", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, _, c, _ := stuck(t, comm.WithQueue(1, 1<<20))
			send(t, m, comm.ToConn(c.ID()), message(t, "waits", nil))
			endsWith(t, "one that closes a slow client", ackOf(t, m, comm.ToConn(c.ID())), comm.ErrDisconnected)
		})
	})
}

// slowMember is a client in a group whose log keeps four messages, and whose queue is full, so that it is replayed from
// the log what it is sent.
func slowMember(t *testing.T) (*comm.Manager, *fake, *comm.Conn, *peer) {
	t.Helper()
	m, f, c, p := stuck(t, comm.WithQueue(1, 1<<20), comm.WithOverflow(comm.DropOldest), comm.WithHistory(&comm.MemoryStore{Messages: 4}))
	if err := c.Join("g"); err != nil {
		t.Fatal(err)
	}
	send(t, m, comm.ToGroup("g"), message(t, "fills", nil))
	return m, f, c, p
}

// A message of a log is waited for as long as the log has it: it is replayed, and acknowledged. What the log has
// forgotten is not, nor what a client that leaves the group is not given any more.
func TestPendingEndsWithTheLog(t *testing.T) {
	t.Run("replayed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, f, c, p := slowMember(t)
			gone := ackOf(t, m, comm.ToGroup("g"))
			var kept []comm.Delivery
			for range 4 {
				kept = append(kept, ackOf(t, m, comm.ToGroup("g")))
			}
			p.resume()
			synctest.Wait()
			endsWith(t, "behind a gap", gone, comm.ErrDropped)
			if n := len(p.got(comm.OpGap)); n != 1 {
				t.Fatalf("%d gaps", n)
			}
			for _, d := range kept {
				if err := f.host().Receive(c, &comm.Frame{Op: comm.OpAck, ID: d.ID}); err != nil {
					t.Fatal(err)
				}
				if acked, err := waited(t, d); acked != 1 || err != nil {
					t.Errorf("replayed: %d, %v", acked, err)
				}
			}
		})
	})
	t.Run("left", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			m, _, c, _ := slowMember(t)
			d := ackOf(t, m, comm.ToGroup("g"))
			if err := c.Leave("g"); err != nil {
				t.Fatal(err)
			}
			endsWith(t, "left", d, comm.ErrDropped)
		})
	})
}

// A client that is there and does not answer is waited for as long as the context says. Then its place is free.
func TestPendingIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithQueue(10_000, 16<<20))
		c, _ := f.attach(t, comm.Handshake{})
		for range 3 {
			var all []comm.Delivery
			for range 1024 {
				all = append(all, ackOf(t, m, comm.ToConn(c.ID())))
			}
			_, err := waited(t, ackOf(t, m, comm.ToConn(c.ID())))
			refusedAt(t, err, "pending calls and acks per connection", 1024)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			for _, d := range all {
				if acked, err := d.Pending.Wait(ctx); acked != 0 || !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(acked, err)
				}
			}
			cancel()
		}
	})
}
