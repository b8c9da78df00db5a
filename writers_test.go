package comm_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// sharing is a transport whose Write tells that it waits.
type sharing struct {
	*peer
	waiter comm.Waiter
	mu     sync.Mutex
	inside int // Writes under way
}

func (s *sharing) TellWaiting(w comm.Waiter) bool {
	s.waiter = w
	return true
}

func (s *sharing) Write(batch []comm.Outbound, deadline time.Time) (int, error) {
	s.mu.Lock()
	s.inside++
	if s.inside > 1 {
		panic("two Writes of one transport at once")
	}
	s.mu.Unlock()
	s.peer.mu.Lock()
	stalled := s.stall != nil
	s.peer.mu.Unlock()
	if stalled {
		s.waiter.Waiting()
	}
	n, err := s.peer.Write(batch, deadline)
	s.mu.Lock()
	s.inside--
	s.mu.Unlock()
	return n, err
}

// Transports that tell when they wait share goroutines: those that wait hold up nobody, and what came for
// them meanwhile follows in order.
func TestSharedWritersPassTheStalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		const clients, stalled, messages = 40, 30, 20 // far more stalled than there are processors
		var peers []*sharing
		for range clients {
			s := &sharing{peer: newPeer()}
			c, err := f.host().Attach(t.Context(), s, &comm.Handshake{Header: map[string][]string{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Join("lobby"); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, s)
		}
		synctest.Wait()
		for _, s := range peers[:stalled] {
			s.halt()
		}
		for i := range messages {
			d := send(t, m, comm.ToGroup("lobby"), message(t, "n", i))
			same(t, "queued", d.Queued, clients)
			synctest.Wait()
		}
		for i, s := range peers[stalled:] {
			if n := len(s.got(comm.OpMessage)); n != messages {
				t.Errorf("client %d, which reads, got %d of %d messages", i, n, messages)
			}
		}
		for _, s := range peers[:stalled] {
			s.peer.mu.Lock()
			close(s.stall)
			s.stall = nil
			s.peer.mu.Unlock()
		}
		synctest.Wait()
		for i, s := range peers {
			list := s.got(comm.OpMessage)
			if len(list) != messages {
				t.Fatalf("client %d got %d of %d messages", i, len(list), messages)
			}
			for n, fr := range list {
				if fr.Log.Offset != uint64(n+1) {
					t.Fatalf("client %d got offset %d at place %d", i, fr.Log.Offset, n+1)
				}
			}
		}
	})
}
