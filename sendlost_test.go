package comm_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// What a Where that panics has let through before is written all the same: it is not those connections' fault.
func TestWherePanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		var peers []*peer
		for range 3 {
			_, p := f.attach(t, comm.Handshake{})
			peers = append(peers, p)
		}
		synctest.Wait()
		asked := 0
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			send(t, m, comm.ToAll().Where(func(*comm.Conn) bool {
				if asked++; asked == 3 {
					panic("where")
				}
				return true
			}), message(t, "a", nil))
		}()
		send(t, m, comm.ToAll(), message(t, "b", nil))
		synctest.Wait()
		var a, b int
		for _, p := range peers {
			for _, typ := range p.types() {
				if typ == "a" {
					a++
				} else {
					b++
				}
			}
		}
		same(t, "messages before the panic", a, 2)
		same(t, "messages after it", b, 3)
	})
}

// ToConn means one connection with Where as well: an id that is not there is told, and WithBlock waits.
func TestWhereOfOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithQueue(1, 1<<20))
		all := func(*comm.Conn) bool { return true }
		if _, err := m.Send(t.Context(), comm.ToConn("nobody").Where(all), message(t, "a", nil)); !errors.Is(err, comm.ErrNotFound) {
			t.Errorf("to nobody: %v", err)
		}
		c, p := busy(t, f, comm.Handshake{})
		to := comm.ToConn(c.ID())
		d := send(t, m, to.Where(func(*comm.Conn) bool { return false }), message(t, "unwanted", nil))
		same(t, "matched by a Where that is false", d.Matched, 0)
		same(t, "queued", send(t, m, to.Where(all), message(t, "a", nil)).Queued, 1)
		time.AfterFunc(time.Second, p.resume)
		same(t, "queued with WithBlock", send(t, m, to.Where(all), message(t, "b", nil), comm.WithBlock()).Queued, 1)
		synctest.Wait()
		same(t, "messages", p.types(), []string{"first", "a", "b"})
	})
}

// What has not left by the deadline of a good end counts as dropped, wherever it waited.
func TestWhatAnEndLeavesBehindIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithWriteTimeout(time.Second))
		c, p := busy(t, f, comm.Handshake{}, "a")
		for range 3 {
			send(t, m, comm.ToGroup("a"), message(t, "a", nil))
			send(t, m, comm.ToConn(c.ID()), message(t, "b", nil))
		}
		time.AfterFunc(2*time.Second, p.resume)
		if err := c.Close(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		same(t, "messages", p.types(), []string{"first"})
		same(t, "drops", c.Stats().Drops, int64(6))
		same(t, "waiting", c.Stats().QueueMessages, 0)
	})
}
