package comm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// void is a transport that takes everything and does nothing with it. One that is held keeps its
// writer busy with the first write until it is let go.
type void struct {
	held    <-chan struct{} // nil: nothing waits
	written *atomic.Int64
}

func (v *void) Write(batch []comm.Outbound, _ time.Time) (int, error) {
	if v.held != nil {
		<-v.held
	}
	v.written.Add(int64(len(batch)))
	return len(batch), nil
}

func (v *void) Close(comm.CloseReason, time.Time) error { return nil }

// swift is a void that never waits, and says so: the manager's shared writers serve it.
type swift struct{ void }

func (*swift) TellWaiting(comm.Waiter) bool { return true }

// immediate is a swift that is written to by whoever sends.
type immediate struct{ swift }

func (*immediate) WritesDirectly() bool { return true }

func (*immediate) TryWriteMany(o comm.Outbound, all []comm.Attempt) { tryEach(o, all) }

func (v *immediate) TryWrite(o comm.Outbound) (bool, error) {
	v.written.Add(1)
	return true, nil
}

// crowd is a gateway without logs and n connections of no-op transports: user i%users, label color
// red for every second one, all in group "everyone" and each in one of ten others.
func crowd(b testing.TB, n, users int, held <-chan struct{}, opts ...comm.Option) (*comm.Manager, []*comm.Conn, *atomic.Int64) {
	b.Helper()
	written := new(atomic.Int64)
	m, conns := crowdOf(b, n, users, func() comm.Transport { return &void{held, written} }, opts...)
	return m, conns, written
}

// crowdOf is a crowd with the transports that it is given.
func crowdOf(b testing.TB, n, users int, transport func() comm.Transport, opts ...comm.Option) (*comm.Manager, []*comm.Conn) {
	b.Helper()
	count := 0
	m, f := gateway(b, append(opts, comm.WithMaxConnections(n), comm.WithMaxConnectionsPerUser(n), comm.WithLogs(false, false, false),
		comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
			a.User, a.Groups = fmt.Sprint("user ", count%users), []string{"everyone", fmt.Sprint("group ", count%10)}
			a.Labels["color"] = []string{"red", "blue"}[count%2]
			count++
			return nil
		}))...)
	conns := make([]*comm.Conn, n)
	for i := range conns {
		c, err := f.host().Attach(b.Context(), transport(), &comm.Handshake{})
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
	}
	return m, conns
}

// settled waits until so many frames have been written.
func settled(written *atomic.Int64, n int64) {
	for written.Load() < n {
		runtime.Gosched()
	}
}

// A send to many costs a few allocations, none for each receiver: no connection has a standing writer,
// and starting one must stay free.
func TestPublishAllocatesNothingPerReceiver(t *testing.T) {
	const n = 1000
	m, _, written := crowd(t, n, n, nil)
	settled(written, 3*n)
	msg, want := message(t, "n", "hello"), written.Load()
	allocs := testing.AllocsPerRun(20, func() {
		send(t, m, comm.ToGroup("everyone"), msg)
		want += n
		settled(written, want)
	})
	if allocs >= n { // about 5; many more under the race detector, which empties pools
		t.Errorf("%v allocations for %d receivers", allocs, n)
	}
}

// BenchmarkPublish sends one message to all members of a group and waits until each transport has it: by
// the shared writers, as over WebSocket, by a goroutine for each connection, as over the other carriers, and by the
// sender itself, as over gRPC.
func BenchmarkPublish(b *testing.B) {
	written := new(atomic.Int64)
	for _, writers := range []struct {
		name      string
		transport func() comm.Transport
	}{
		{"shared", func() comm.Transport { return &swift{void{nil, written}} }},
		{"own", func() comm.Transport { return &void{nil, written} }},
		{"none", func() comm.Transport { return &immediate{swift{void{nil, written}}} }},
	} {
		for _, n := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("writers=%s/members=%d", writers.name, n), func(b *testing.B) {
				written.Store(0)
				m, _ := crowdOf(b, n, n, writers.transport)
				settled(written, int64(3*n)) // welcome and two joined
				msg, to := message(b, "n", "hello"), comm.ToGroup("everyone")
				want := written.Load()
				b.ReportAllocs()
				for b.Loop() {
					if d, err := m.Send(b.Context(), to, msg); err != nil || d.Queued != n {
						b.Fatalf("%+v, %v", d, err)
					}
					want += int64(n)
					settled(written, want)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/receiver")
			})
		}
	}
}

// BenchmarkEnqueue sends to one of 10,000 connections whose writer is busy: the price of finding it and
// of its queue, which drops its oldest message for the new one.
func BenchmarkEnqueue(b *testing.B) {
	const n = 10_000
	held := make(chan struct{})
	m, conns, _ := crowd(b, n, n, held, comm.WithOverflow(comm.DropOldest))
	b.Cleanup(func() { close(held) })
	msg := message(b, "n", "hello")
	targets := make([]comm.Target, n)
	for i, c := range conns {
		targets[i] = comm.ToConn(c.ID())
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if d, err := m.Send(b.Context(), targets[i%n], msg); err != nil || d.Queued != 1 {
			b.Fatalf("%+v, %v", d, err)
		}
		i += 7919
	}
}

// BenchmarkTargets resolves each kind of target among 10,000 connections.
func BenchmarkTargets(b *testing.B) {
	const n = 10_000
	m, conns, _ := crowd(b, n, n/10, nil)
	for _, row := range []struct {
		name  string
		to    comm.Target
		count int
	}{
		{"to=conn", comm.ToConn(conns[n/2].ID()), 1},
		{"to=user/conns=10", comm.ToUser("user 7"), 10},
		{"to=group/conns=1000", comm.ToGroup("group 7"), n / 10},
		{"to=all/conns=10000", comm.ToAll(), n},
		{"to=group-except-one/conns=999", comm.ToGroup("group 7").Except(conns[7].ID()), n/10 - 1},
		{"to=group-by-label/conns=5000", comm.ToGroup("everyone").Label("color", "red"), n / 2},
		{"to=2-groups/conns=2000", comm.ToGroups("group 1", "group 2"), n / 5},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got := 0
				for range m.Connections(row.to) {
					got++
				}
				if got != row.count {
					b.Fatalf("%d connections, want %d", got, row.count)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(row.count), "ns/conn")
		})
	}
}

// BenchmarkJoinLeave takes a random one of 100,000 members out of their group and in again.
func BenchmarkJoinLeave(b *testing.B) {
	const n = 100_000
	m, conns, _ := crowd(b, n, n, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		c := conns[rng.IntN(n)]
		if err := c.Leave("everyone"); err != nil {
			b.Fatal(err)
		}
		if err := c.Join("everyone"); err != nil {
			b.Fatal(err)
		}
	}
	if got := m.ConnectionCount(comm.ToGroup("everyone")); got != n {
		b.Fatalf("%d members", got)
	}
}
