package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// sinkProvider is a carrier that sends nowhere: what is measured is the hub.
type sinkProvider struct{ host comm.Host }

func (*sinkProvider) Name() string                 { return "sink" }
func (*sinkProvider) Features() []comm.Feature     { return nil }
func (*sinkProvider) Stop(context.Context) error   { return nil }
func (*sinkProvider) Health(context.Context) error { return nil }

func (p *sinkProvider) Start(_ context.Context, h comm.Host) error {
	p.host = h
	return nil
}

// gate holds every write back while it is shut.
type gate struct {
	mu     sync.RWMutex
	held   atomic.Int64 // writers that wait, or have passed
	passed atomic.Int64 // messages
}

// sink is one client. As the transports of sockets do, it tells when a write is about to wait.
type sink struct {
	gate   *gate
	waiter comm.Waiter
}

// TellWaiting implements comm.WaitTeller.
func (s *sink) TellWaiting(w comm.Waiter) bool {
	s.waiter = w
	return true
}

func (s *sink) Write(batch []comm.Outbound, _ time.Time) (int, error) {
	s.gate.held.Add(1)
	if !s.gate.mu.TryRLock() {
		s.waiter.Waiting()
		s.gate.mu.RLock()
	}
	defer s.gate.mu.RUnlock()
	for _, o := range batch {
		if o.Frame().Op == comm.OpMessage {
			s.gate.passed.Add(1)
		}
	}
	return len(batch), nil
}

func (*sink) Close(comm.CloseReason, time.Time) error { return nil }

const probeGroup = "everyone"

// crowd is a manager with many members of one group.
type crowd struct {
	m     *comm.Manager
	conns []*comm.Conn
	gate  gate
}

func (c commHubs) crowd(n int) (*crowd, error) {
	p := &sinkProvider{}
	m, err := comm.New(comm.WithInMemory(), comm.WithProvider(p), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithMaxConnections(plenty), comm.WithMaxConnectionsPerAddr(plenty), comm.WithHandshakeRate(plenty, plenty),
		comm.WithLogs(!c.noLogs, false, false))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err := m.Start(ctx); err != nil {
		return nil, err
	}
	w := &crowd{m: m}
	for range n {
		conn, err := p.host.Attach(ctx, &sink{gate: &w.gate}, &comm.Handshake{Header: http.Header{}, RemoteAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
		if err == nil {
			err = conn.Join(probeGroup)
		}
		if err != nil {
			return nil, err
		}
		w.conns = append(w.conns, conn)
	}
	return w, nil
}

// Probe measures the hub's own two hot calls.
func (c commHubs) Probe(s *spec) (metrics, error) {
	w, err := c.crowd(s.Conns)
	if err != nil {
		return nil, err
	}
	defer w.m.Close()
	time.Sleep(100 * time.Millisecond) // the welcomes leave
	if s.Scenario == "joinleave" {
		return w.joinLeave(s.Messages)
	}
	var ns, allocs float64
	for range s.Rounds {
		t, a, err := w.enqueue(s.Messages)
		if err != nil {
			return nil, err
		}
		ns, allocs = ns+t/float64(s.Rounds), allocs+a/float64(s.Rounds)
	}
	return metrics{"ns": ns, "allocs": allocs}, nil
}

// enqueue sends n messages to all while no writer gets anywhere. A first
// message, which is not measured, starts the writers.
func (w *crowd) enqueue(n int) (ns, allocs float64, err error) {
	msg, err := comm.NewMessage("event", json.RawMessage(message(0, time.Now(), 128)))
	if err != nil {
		return 0, 0, err
	}
	w.gate.mu.Lock()
	w.gate.held.Store(0)
	w.gate.passed.Store(0)
	send := func() error {
		return delivered(w.m.Send(context.Background(), comm.ToGroup(probeGroup), msg))
	}
	if err := send(); err != nil {
		return 0, 0, err
	}
	if err := eventually(func() bool { return w.gate.held.Load() == int64(len(w.conns)) }); err != nil {
		return 0, 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range n {
		if err := send(); err != nil {
			return 0, 0, err
		}
	}
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	w.gate.mu.Unlock()
	total := float64(n * len(w.conns))
	err = eventually(func() bool { return w.gate.passed.Load() == int64((n+1)*len(w.conns)) })
	return float64(elapsed.Nanoseconds()) / total, float64(after.Mallocs-before.Mallocs) / total, err
}

// joinLeave takes random members out and in again.
func (w *crowd) joinLeave(n int) (metrics, error) {
	random := rand.New(rand.NewSource(1))
	order := make([]*comm.Conn, n)
	for i := range order {
		order[i] = w.conns[random.Intn(len(w.conns))]
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for _, c := range order {
		if err := errors.Join(c.Leave(probeGroup), c.Join(probeGroup)); err != nil {
			return nil, err
		}
	}
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	if got := w.m.ConnectionCount(comm.ToGroup(probeGroup)); got != len(w.conns) {
		return nil, errors.New("members were lost")
	}
	return metrics{"ns": float64(elapsed.Nanoseconds()) / float64(n), "allocs": float64(after.Mallocs-before.Mallocs) / float64(n)}, nil
}

func eventually(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the writers did not get there in time")
		}
	}
	return nil
}
