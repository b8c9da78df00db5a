package comm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/limit"
)

// limits is what bounds connections: in all, by user, by address, and handshakes by address.
type limits struct {
	total      atomic.Int64
	users      *limit.Counter[string]
	addrs      *limit.Counter[addrKey]
	pending    *limit.Counter[addrKey]
	handshakes *limit.Limiter[addrKey]
	failedAuth *limit.Limiter[addrKey]
	messages   limit.Rate
}

// maxLimited is how many addresses the rate limiters remember.
const maxLimited = 1 << 16

func newLimits(c *Config) (*limits, error) {
	shake, err := limit.NewRate(c.HandshakeRate, time.Second, c.HandshakeBurst)
	if err != nil {
		return nil, err
	}
	failed, err := limit.NewRate(10, time.Minute, c.FailedAuthBurst)
	if err != nil {
		return nil, err
	}
	messages, err := limit.NewRate(c.MessageRate, time.Second, c.MessageBurst)
	if err != nil {
		return nil, err
	}
	l := &limits{
		users: limit.NewCounter[string](), addrs: limit.NewCounter[addrKey](),
		pending: limit.NewCounter[addrKey](), messages: messages,
	}
	if l.handshakes, err = limit.NewLimiter[addrKey](shake, maxLimited); err != nil {
		return nil, err
	}
	l.failedAuth, err = limit.NewLimiter[addrKey](failed, maxLimited)
	return l, err
}

// acquire takes one place in each bound; release gives them back. An address that is none (a pipe)
// and an anonymous user have no bound of their own.
func (l *limits) acquire(c *Config, user string, key addrKey) error {
	if l.total.Add(1) > int64(c.MaxConnections) {
		l.total.Add(-1)
		return &LimitError{Limit: "connections", Max: c.MaxConnections, Retry: time.Second}
	}
	if user != "" && !l.users.Acquire(user, c.MaxConnectionsPerUser) {
		l.total.Add(-1)
		return &LimitError{Limit: "connections per user", Max: c.MaxConnectionsPerUser, Retry: time.Second}
	}
	if key.IsValid() && !l.addrs.Acquire(key, c.MaxConnectionsPerAddr) {
		l.total.Add(-1)
		if user != "" {
			l.users.Release(user)
		}
		return &LimitError{Limit: "connections per address", Max: c.MaxConnectionsPerAddr, Retry: time.Second}
	}
	return nil
}

func (l *limits) release(user string, key addrKey) {
	l.total.Add(-1)
	if user != "" {
		l.users.Release(user)
	}
	if key.IsValid() {
		l.addrs.Release(key)
	}
}

func (l *limits) messageGate() limit.Gate { return limit.NewGate(&l.messages) }

// reservation is a place in the limits that a handshake has taken before its connection stands, whose own it becomes.
type reservation struct {
	limits *limits
	user   string
	key    addrKey
	held   atomic.Bool
}

// hold takes a place for a handshake whose client is known.
func (m *Manager) hold(hs *Handshake) error {
	p := &reservation{limits: m.limits, user: hs.identity.User, key: placeOf(hs.RemoteAddr, hs.trusted != nil)}
	if err := m.limits.acquire(&m.cfg, p.user, p.key); err != nil {
		return err
	}
	p.held.Store(true)
	hs.reserved = p
	return nil
}

// release gives the place back, unless it is a connection's or was given back.
func (p *reservation) release() {
	if p != nil && p.held.Swap(false) {
		p.limits.release(p.user, p.key)
	}
}

// claim takes the place of a connection: the one that its handshake holds, if OnConnect has not made it another
// user's. That one is given back first, for a connection has one place.
func (m *Manager) claim(held *reservation, user string, key addrKey) error {
	if held != nil && held.user == user && held.key == key && held.held.Swap(false) {
		return nil
	}
	held.release()
	return m.limits.acquire(&m.cfg, user, key)
}

func (h *host) Reserve(ctx context.Context, hs *Handshake) (release func(), err error) {
	if hs.identity == nil {
		if err := h.Authenticate(ctx, hs); err != nil {
			return nil, err
		}
	}
	hs.reserved.release()
	if err := h.p.manager.hold(hs); err != nil {
		h.p.manager.refused(h.p, hs, err)
		if hs.trusted != nil {
			hs.trusted.refuse(err)
		}
		return nil, err
	}
	return hs.reserved.release, nil
}
