package commquic

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
)

// admission decides which clients may begin a QUIC connection. It counts the connections that stand, whatever is
// spoken on them: HTTP/3 without a client of comm on it has no place in the manager's registry, whose limits would
// never see it.
type admission struct {
	host       comm.Host
	most       int // connections in all
	perAddr    int // of one address
	handshakes int // of one address, under way, which Host.Admit counts with those of other providers

	open    atomic.Int64
	byAddr  *limit.Counter[netip.Prefix] // has no more keys than there are connections
	pending *limit.Counter[netip.Prefix] // of them, those whose handshake is under way

	mu   sync.Mutex // guards rate
	rate limit.Gate // handshakes that begin without a proof of the address
	each bool       // every client proves its address
}

// slack is how many times the manager's bounds of its connections the QUIC connections may be: one outlives its place
// in the registry by its last round trips, in which its client may already be back, and others are of HTTP/3 alone.
const slack = 2

func newAdmission(h comm.Host, c *Config) (*admission, error) {
	set := h.Settings()
	a := &admission{
		host: h, most: slack * set.MaxConnections, perAddr: c.MaxConnectionsPerAddr, handshakes: set.MaxHandshakesPerAddr,
		byAddr: limit.NewCounter[netip.Prefix](), pending: limit.NewCounter[netip.Prefix](), each: c.RetryRate == 0,
	}
	if a.perAddr == 0 {
		a.perAddr = slack * set.MaxConnectionsPerAddr
	}
	if a.each {
		return a, nil
	}
	rate, err := limit.NewRate(c.RetryRate, time.Second, c.RetryRate)
	a.rate = limit.NewGate(&rate)
	return a, err
}

// mustProve is quic-go's question whether a client must prove its address first, by a Retry (RFC 9000 8.1.2): while
// many handshakes come, and where half of what there may be is taken. Packets that only pretend to come from an address
// can then not use up the rest.
func (a *admission) mustProve(from net.Addr) bool {
	if a.each || atLeastHalf(int(a.open.Load()), a.most) {
		return true
	}
	if key := limit.NetAddrKey(from); key.IsValid() &&
		(atLeastHalf(a.byAddr.Count(key), a.perAddr) || atLeastHalf(a.pending.Count(key), a.handshakes)) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ok, _ := a.rate.Allow(1, time.Now())
	return !ok
}

// atLeastHalf reports whether half of most, rounded down, is held; a most of 0 is no bound.
func atLeastHalf(held, most int) bool { return most > 0 && held >= most/2 }

// admittedKey is the context key of what ends a handshake's share of the manager's limits.
type admittedKey struct{}

// admit takes a client's places before anything is spent on it. One that is refused is answered CONNECTION_REFUSED
// (RFC 9000 20.1). The places are given back when the connection has ended, or its handshake has failed.
func (a *admission) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	key := limit.NetAddrKey(info.RemoteAddr)
	if err := a.enter(key); err != nil {
		return nil, err
	}
	done, err := a.host.Admit(info.RemoteAddr)
	if err != nil {
		a.leave(key)
		return nil, err
	}
	ended := a.begin(key, done)
	context.AfterFunc(ctx, func() {
		ended()
		a.leave(key)
	})
	return context.WithValue(ctx, admittedKey{}, ended), nil
}

// begin counts a handshake until the function that it returns is called, which calls done too.
func (a *admission) begin(key netip.Prefix, done func()) func() {
	if !key.IsValid() {
		return done
	}
	a.pending.Acquire(key, 0) // Host.Admit bounds them
	return sync.OnceFunc(func() {
		a.pending.Release(key)
		done()
	})
}

// enter takes a place in all, and one of the address; what has no address (a network in memory) has no bound of its
// own.
func (a *admission) enter(key netip.Prefix) error {
	if n := a.open.Add(1); a.most > 0 && n > int64(a.most) {
		a.open.Add(-1)
		return &comm.LimitError{Limit: "QUIC connections", Max: a.most, Retry: time.Second}
	}
	if key.IsValid() && !a.byAddr.Acquire(key, a.perAddr) {
		a.open.Add(-1)
		return &comm.LimitError{Limit: "QUIC connections per address", Max: a.perAddr, Retry: time.Second}
	}
	return nil
}

func (a *admission) leave(key netip.Prefix) {
	a.open.Add(-1)
	if key.IsValid() {
		a.byAddr.Release(key)
	}
}
