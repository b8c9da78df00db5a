package comm_test

import (
	"fmt"
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

// holdable is one of many transports that share a hold.
type holdable struct {
	*hold
	waiter  comm.Waiter
	written int // messages; under hold.mu
}

// hold lets one Write of a message stay.
type hold struct {
	mu    sync.Mutex
	all   []*holdable
	turn  int  // which Write stays: 1 is the next
	tells bool // that it waits
	goOn  chan struct{}
}

func (h *hold) transport() comm.Transport {
	t := &holdable{hold: h}
	h.all = append(h.all, t)
	return t
}

func (t *holdable) TellWaiting(w comm.Waiter) bool {
	t.waiter = w
	return true
}

func (t *holdable) Write(batch []comm.Outbound, _ time.Time) (int, error) {
	for _, o := range batch {
		if o.Frame().Op == comm.OpMessage {
			t.message()
		}
	}
	return len(batch), nil
}

func (t *holdable) message() {
	t.mu.Lock()
	t.turn--
	stays := t.turn == 0
	t.mu.Unlock()
	if stays {
		if t.tells {
			t.waiter.Waiting()
		}
		<-t.goOn
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written++
}

func (t *holdable) Close(comm.CloseReason, time.Time) error { return nil }

// begin has a Write to come stay, until end is called.
func (h *hold) begin(turn int, tells bool) (end func()) {
	h.turn, h.tells, h.goOn = turn, tells, make(chan struct{})
	return func() { close(h.goOn) }
}

// behind counts the connections that were not written so many messages.
func (h *hold) behind(messages int) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.all {
		if t.written != messages {
			n++
		}
	}
	return n
}

// holding is a gateway with so many writers for n connections that share a hold, and sends to all of them.
func holding(t *testing.T, n, writers int) (h *hold, sendAll func()) {
	h = new(hold)
	m, _ := crowdOf(t, n, n, h.transport)
	synctest.Wait()
	comm.SetWriters(m, writers)
	return h, func() {
		same(t, "queued", send(t, m, comm.ToAll(), message(t, "n", nil)).Queued, n)
		synctest.Wait()
	}
}

// A writer takes up to 32 connections, and of few it leaves some for the others: as many wait behind a Write that
// does not tell of it.
func TestWriterTakesNeighbours(t *testing.T) {
	const writers = 2
	for _, row := range []struct{ conns, taken int }{ // whichever of the writers is first to take
		{2, 1}, {7, 1}, {11, 2}, {15, 3}, {160, 32}, {1000, 32},
	} {
		t.Run(fmt.Sprint(row.conns), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h, sendAll := holding(t, row.conns, writers)
				end := h.begin(1, false)
				sendAll()
				same(t, "connections behind one that is held", h.behind(1), row.taken)
				end()
				synctest.Wait()
				same(t, "connections behind in the end", h.behind(1), 0)
			})
		})
	}
}

// What it has taken and not begun it gives back when a Write tells that it waits, and another writer takes its
// place: here there may be but one.
func TestWriterGivesBack(t *testing.T) {
	for _, turn := range []int{1, 2, 32, 33, 100} { // of 100 it takes 32, and 32 of the next 68
		t.Run(fmt.Sprint(turn), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h, sendAll := holding(t, 100, 1)
				end := h.begin(turn, true)
				sendAll()
				same(t, "connections behind at the first message", h.behind(1), 1)
				sendAll()
				same(t, "connections behind at the second", h.behind(2), 1)
				end()
				synctest.Wait()
				same(t, "connections behind in the end", h.behind(2), 0)
				sendAll()
				same(t, "connections behind at the third", h.behind(3), 0)
			})
		})
	}
}
