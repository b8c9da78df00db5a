package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// part is a piece of the hub whose cost is measured in process, in the bytes
// that stay behind a collection.
type part struct {
	name    string
	bounds  string // what bounds how many there are
	measure func(n int) (float64, error)
}

var hubParts = []part{
	{"a connection and its session, without its carrier", "`max_connections`, `max_connections_per_user`, `max_connections_per_addr`", connectionCost},
	{"a user, besides the connection", "`max_connections`", userCost},
	{"a session that waits to be resumed", "`max_connections` of them, each for `resume_window`", sessionCost},
	{"a membership in a group", "`max_groups` for each connection", membershipCost},
	{"a group of one member with a history, its membership included", "`max_groups` x `max_connections`; of those with a history `MemoryStore.Logs`", groupCost},
	{"a message of 128 B in a history, with the form in which it has just left", "`MemoryStore.Messages`, `.Bytes`, `.Age`; `.TotalBytes` for all", func(n int) (float64, error) { return historyCost(n, 128, never) }},
	{"a message of 128 B in a history, after the next check", "the same", func(n int) (float64, error) { return historyCost(n, 128, often) }},
	{"a message of 1 KiB in a history, with the form in which it has just left", "the same", func(n int) (float64, error) { return historyCost(n, 1024, never) }},
	{"a message of 1 KiB in a history, after the next check", "the same", func(n int) (float64, error) { return historyCost(n, 1024, often) }},
	{"a message that waits for a connection, sent to many", "`queue_messages`, `queue_bytes`", func(n int) (float64, error) { return queueCost(n, true) }},
	{"a message of 128 B that waits for a connection, sent to it alone", "`queue_messages`, `queue_bytes`", func(n int) (float64, error) { return queueCost(n, false) }},
}

// partCount is how many of each are made; the smoke test makes few.
const partCount = 20000

// parts is a manager without sockets.
type parts struct {
	m     *comm.Manager
	host  comm.Host
	gate  gate
	conns []*comm.Conn

	written atomic.Int64 // frames
}

func newParts(opts ...comm.Option) (*parts, error) {
	p := &sinkProvider{}
	m, err := comm.New(append(opts, comm.WithInMemory(), comm.WithProvider(p), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithMaxConnections(plenty), comm.WithMaxConnectionsPerUser(plenty), comm.WithMaxConnectionsPerAddr(plenty),
		comm.WithHandshakeRate(plenty, plenty), comm.WithMaxGroups(plenty), comm.WithPresenceGrace(0))...)
	if err != nil {
		return nil, err
	}
	if err := m.Start(context.Background()); err != nil {
		return nil, err
	}
	return &parts{m: m, host: p.host}, nil
}

// named is an OnConnect that gives each connection a user of its own, or all
// of them the same.
func named(own bool) comm.Option {
	n := 0
	return comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
		a.User = "somebody-000000"
		if n++; own {
			a.User = fmt.Sprintf("somebody-%06d", n)
		}
		return nil
	})
}

// plainFormat is the codec's bytes without a carrier's framing.
type plainFormat struct{}

func (plainFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	return comm.JSON().AppendFrame(dst, f)
}

// writer is a sink that has each message encoded once, as a carrier does.
type writer struct {
	sink
	written *atomic.Int64
}

func (w *writer) Write(batch []comm.Outbound, deadline time.Time) (int, error) {
	for _, o := range batch {
		if _, err := o.Bytes(plainFormat{}); err != nil {
			return 0, err
		}
	}
	n, err := w.sink.Write(batch, deadline)
	w.written.Add(int64(n))
	return n, err
}

// connect attaches n clients and waits until their welcomes have left.
func (p *parts) connect(n int) error {
	for i := range n {
		addr := &net.TCPAddr{IP: net.IPv4(127, byte(i>>16), byte(i>>8), byte(i)), Port: 1}
		c, err := p.host.Attach(context.Background(), &writer{sink{gate: &p.gate}, &p.written}, &comm.Handshake{Header: http.Header{}, RemoteAddr: addr})
		if err != nil {
			return err
		}
		p.conns = append(p.conns, c)
	}
	return p.settle()
}

// settle waits until nothing waits for any connection and nothing is written
// any more.
func (p *parts) settle() error {
	before := int64(-1)
	return eventually(func() bool {
		now := p.written.Load()
		if now != before {
			before = now
			time.Sleep(5 * time.Millisecond)
			return false
		}
		for _, c := range p.conns {
			if c.Stats().QueueMessages > 0 {
				return false
			}
		}
		return true
	})
}

func (p *parts) joinAll(group string) error {
	for _, c := range p.conns {
		if err := c.Join(group); err != nil {
			return err
		}
	}
	return p.settle()
}

// publish sends n messages of size bytes of content, each of its own.
func (p *parts) publish(n, size int, to comm.Target) error {
	for i := range n {
		msg, err := comm.NewMessage("event", json.RawMessage(message(uint64(i), time.Now(), size)))
		if err == nil {
			err = delivered(p.m.Send(context.Background(), to, msg))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// used is what is in use behind a collection.
func used() int64 {
	time.Sleep(20 * time.Millisecond) // what still runs ends
	u := liveUsage()
	return u.Live + u.Stacks
}

// cost is what each of n things costs that f makes.
func (p *parts) cost(n int, f func() error) (float64, error) {
	before := used()
	err := f()
	after := used()
	runtime.KeepAlive(p)
	return float64(after-before) / float64(max(1, n)), err
}

// with measures in a manager that it closes.
func with(opts []comm.Option, f func(*parts) (float64, error)) (float64, error) {
	p, err := newParts(opts...)
	if err != nil {
		return 0, err
	}
	v, err := f(p)
	return v, cmp.Or(err, p.m.Close())
}

func attachCost(n int, own bool) (float64, error) {
	return with([]comm.Option{named(own)}, func(p *parts) (float64, error) {
		p.conns = make([]*comm.Conn, 0, n)
		return p.cost(n, func() error { return p.connect(n) })
	})
}

func connectionCost(n int) (float64, error) { return attachCost(n, false) }

func userCost(n int) (float64, error) {
	own, err := attachCost(n, true)
	if err != nil {
		return 0, err
	}
	same, err := attachCost(n, false)
	return own - same, err
}

func sessionCost(n int) (float64, error) {
	return with([]comm.Option{named(false)}, func(p *parts) (float64, error) {
		return p.cost(n, func() error {
			if err := p.connect(n); err != nil {
				return err
			}
			for _, c := range p.conns {
				p.host.Detach(c, comm.CloseReason{Kind: comm.ReasonLost})
				<-c.Done()
			}
			p.conns = nil
			return eventually(func() bool { return p.m.ConnectionCount(comm.ToAll()) == 0 })
		})
	})
}

func membershipCost(n int) (float64, error) {
	return with(nil, func(p *parts) (float64, error) {
		if err := p.connect(n); err != nil {
			return 0, err
		}
		return p.cost(n, func() error { return p.joinAll(probeGroup) })
	})
}

func groupCost(n int) (float64, error) {
	return with(nil, func(p *parts) (float64, error) {
		if err := p.connect(n); err != nil {
			return 0, err
		}
		return p.cost(n, func() error {
			for i, c := range p.conns {
				if err := c.Join(fmt.Sprintf("room-%06d", i)); err != nil {
					return err
				}
			}
			return p.settle()
		})
	})
}

// How often a manager checks, whereupon histories forget the forms in which messages have left.
const (
	never = time.Hour
	often = 10 * time.Millisecond
)

// Histories are full when they are measured: 1,000 messages, or less than the
// 1 MiB that also bounds them.
func historyCost(n, size int, check time.Duration) (float64, error) {
	each := 1000
	if size > 500 {
		each = 500
	}
	logs := max(1, n/each)
	return with([]comm.Option{comm.WithHealthInterval(check)}, func(p *parts) (float64, error) {
		if err := p.connect(1); err != nil {
			return 0, err
		}
		for i := range logs {
			if err := p.conns[0].Join(groupName(i)); err != nil {
				return 0, err
			}
		}
		return p.cost(logs*each, func() error {
			for i := range logs {
				for range each / 100 { // so that nothing overflows
					if err := p.publish(100, size, comm.ToGroup(groupName(i))); err != nil {
						return err
					}
					if err := p.settle(); err != nil {
						return err
					}
				}
			}
			if check == often {
				time.Sleep(10 * often)
			}
			return nil
		})
	})
}

// Queues are measured while every writer is held back with one message.
func queueCost(n int, shared bool) (float64, error) {
	each, conns := 1000, max(1, n/1000)
	if shared {
		each, conns = 100, max(1, n/20) // so many that the message itself costs next to nothing
	}
	return with([]comm.Option{comm.WithLogs(false, false, false)}, func(p *parts) (float64, error) {
		if err := p.connect(conns); err != nil {
			return 0, err
		}
		if err := p.joinAll(probeGroup); err != nil {
			return 0, err
		}
		p.gate.mu.Lock()
		p.gate.held.Store(0)
		defer p.gate.mu.Unlock()
		if err := p.publish(1, 128, comm.ToGroup(probeGroup)); err != nil {
			return 0, err
		}
		if err := eventually(func() bool { return p.gate.held.Load() == int64(conns) }); err != nil {
			return 0, err
		}
		return p.cost(conns*each, func() error {
			if shared {
				return p.publish(each, 128, comm.ToGroup(probeGroup))
			}
			for _, c := range p.conns {
				if err := p.publish(each, 128, comm.ToConn(c.ID())); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
