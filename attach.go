package comm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/anasamu/comm/internal/facts"
	"github.com/anasamu/comm/internal/limit"
)

type addrKey = netip.Prefix

// Admission is what OnConnect decides about a connection. It comes filled with what the
// authenticator and the client said.
type Admission struct {
	User     string
	Labels   map[string]string
	Metadata map[string]string
	Groups   []string // joined by the server, in this order, before those of the client's hello
}

// attach runs the handshake's steps in the order of their cost, and registers the connection.
func (m *Manager) attach(ctx context.Context, p *providerState, t Transport, hs *Handshake) (*Conn, error) {
	c, err := m.handshake(ctx, p, t, hs)
	if err != nil {
		m.refused(p, hs, err)
		if t := trustedFrom(ctx, hs); t != nil {
			t.refuse(err)
		}
	}
	return c, err
}

// refused tells the service of a handshake that was refused, with the hooks' own words.
func (m *Manager) refused(p *providerState, hs *Handshake, err error) {
	m.log.Debug("refused", "provider", p.name, "addr", hs.RemoteAddr, "error", err)
	m.observe(Event{Kind: EventRefused, Provider: p.name, Err: err})
}

func (m *Manager) handshake(ctx context.Context, p *providerState, t Transport, hs *Handshake) (*Conn, error) {
	hs.provider = p.name
	if hs.Hello == nil {
		hs.Hello = &Hello{}
	}
	if v := hs.Hello.Version; v != 0 && v != ProtocolVersion {
		return nil, errVersion(v)
	}
	if err := checkMetadata(hs.Hello.Metadata); err != nil {
		return nil, err
	}
	if hs.identity == nil {
		if err := m.authenticate(ctx, p, hs); err != nil {
			return nil, err
		}
	}
	return m.admit(ctx, p, t, hs)
}

// authenticate finds out who a client of a provider is.
func (m *Manager) authenticate(ctx context.Context, p *providerState, hs *Handshake) error {
	hs.provider = p.name
	return m.whoIs(ctx, hs)
}

// whoIs finds out who a client is.
func (m *Manager) whoIs(ctx context.Context, hs *Handshake) error {
	hs.trusted = trustedFrom(ctx, hs)
	if hs.Header == nil {
		hs.Header = make(http.Header)
	}
	if hs.trusted != nil {
		hs.identity = &Identity{User: hs.trusted.user}
		return nil
	}
	id := Identity{}
	if auth := m.cfg.Authenticator; auth != nil {
		var err error
		if id, err = m.identify(ctx, hs); err != nil {
			return err
		}
	}
	if err := checkUser(id.User); err != nil {
		return err
	}
	if !id.Expires.IsZero() && !id.Expires.After(time.Now()) {
		return fmt.Errorf("%w: the identity has expired", ErrUnauthenticated)
	}
	hs.identity = &id
	return nil
}

// identify asks the authenticator, unless the address has failed too often. One that cannot decide says
// nothing about the client, so that is no failure of its address.
func (m *Manager) identify(ctx context.Context, hs *Handshake) (Identity, error) {
	key, now := limit.NetAddrKey(hs.RemoteAddr), time.Now()
	if ok, retry := m.limits.failedAuth.Ready(key, 1, now); !ok {
		return Identity{}, &LimitError{Limit: "failed authentications per address", Max: m.cfg.FailedAuthBurst, Retry: retry}
	}
	id, err := m.askAuthenticator(ctx, hs)
	if err == nil || errors.Is(err, errPanic) {
		return id, err
	}
	if later := undecided(err); later != nil {
		return id, later
	}
	m.limits.failedAuth.Allow(key, 1, now)
	return id, unauthenticated(err)
}

func (m *Manager) askAuthenticator(ctx context.Context, hs *Handshake) (id Identity, err error) {
	defer m.recoverAs(&err, "authenticator", nil)
	ctx, cancel := context.WithTimeout(ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	return m.cfg.Authenticator(ctx, hs)
}

// unauthenticated makes every refusal match ErrUnauthenticated, and keeps what a *PeerError says.
func unauthenticated(err error) error {
	if errors.Is(err, ErrUnauthenticated) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnauthenticated, err)
}

// undecided is what a client is told about whom the authenticator or OnConnect could not decide, now or in
// time: to come again. It is nil for every other error.
func undecided(err error) error {
	if _, said := errors.AsType[*PeerError](err); said {
		return nil
	}
	if _, later := errors.AsType[*LimitError](err); later {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", &LimitError{Limit: "time for admission", Retry: time.Second}, err)
	}
	return nil
}

const (
	maxMetadata     = 16
	maxMetadataSize = 2 << 10
)

func checkMetadata(md map[string]string) error {
	size := 0
	for k, v := range md {
		size += len(k) + len(v)
		if !plain(k) || !plain(v) {
			return &MessageError{"metadata", shorten(k), "names and values of UTF-8 without control characters"}
		}
	}
	if len(md) > maxMetadata || size > maxMetadataSize {
		return &MessageError{"metadata", fmt.Sprint(len(md)), "16 members and 2 KiB"}
	}
	return nil
}

// admit applies the limits and OnConnect, and brings the connection to life.
func (m *Manager) admit(ctx context.Context, p *providerState, t Transport, hs *Handshake) (*Conn, error) {
	a := Admission{User: hs.identity.User, Labels: copied(hs.identity.Labels), Metadata: copied(hs.Hello.Metadata)}
	if hs.trusted != nil {
		maps.Copy(a.Metadata, hs.trusted.metadata)
	}
	var notice *Frame
	sess, err := m.resumeSession(hs)
	switch {
	case errors.Is(err, errSessionUnknown):
		notice = resumeNotice(hs.ID)
	case err != nil:
		return nil, err
	}
	if m.refusing.Load() {
		return nil, &LimitError{Limit: "connections while draining", Retry: time.Second}
	}
	if err := m.callOnConnect(ctx, hs, &a); err != nil {
		return nil, err
	}
	if err := checkUser(a.User); err != nil {
		return nil, err
	}
	if sess != nil && sess.user != a.User {
		sess, notice = nil, resumeNotice(hs.ID)
	}
	return m.enroll(p, t, hs, a, sess, notice)
}

// copied is a copy that OnConnect may write into.
func copied(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	maps.Copy(c, m)
	return c
}

func (m *Manager) callOnConnect(ctx context.Context, hs *Handshake, a *Admission) (err error) {
	if m.cfg.OnConnect == nil {
		return nil
	}
	defer m.recoverAs(&err, "OnConnect", nil)
	ctx, cancel := context.WithTimeout(ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	if err := m.cfg.OnConnect(ctx, hs, a); err != nil {
		return m.unwanted(hs, err)
	}
	return nil
}

// unwanted makes an error of OnConnect one that tells the client that it is not wanted, unless it
// says something for the client itself. What does not may be a failure of the service: it is logged.
func (m *Manager) unwanted(hs *Handshake, err error) error {
	if later := undecided(err); later != nil {
		return later
	}
	if code, _ := codeOf(err); code != CodeInternal {
		return err
	}
	m.log.Warn("OnConnect failed", "provider", hs.provider, "user", hs.identity.User, "error", err)
	return fmt.Errorf("%w: %w", ErrForbidden, err)
}

// resumeSession finds the session that the client asks for; nil without an error is a new client.
// Whether it is the client's own is known only once OnConnect has named the user.
func (m *Manager) resumeSession(hs *Handshake) (*session, error) {
	if hs.Hello.Session == "" {
		return nil, nil
	}
	return m.sessions.find(hs.Hello.Session)
}

// enroll makes the Conn. From acquiring its places on, every way out gives them back.
func (m *Manager) enroll(p *providerState, t Transport, hs *Handshake, a Admission, sess *session, notice *Frame) (*Conn, error) {
	resumed := sess != nil
	if resumed {
		sess.supersede()
	}
	key := placeOf(hs.RemoteAddr, hs.trusted != nil)
	if err := m.claim(hs.reserved, a.User, key); err != nil {
		return nil, err
	}
	if !resumed {
		sess = m.sessions.open(a.User)
	}
	c := m.newConn(p, t, hs, a, sess, resumed)
	if before := sess.take(c); before != nil {
		before.kill(CloseReason{Kind: ReasonSuperseded, Text: "the session came back on another connection"})
	}
	if !m.conns.add(c) {
		m.limits.release(a.User, key)
		m.sessions.drop(sess, c, time.Now())
		return nil, ErrClosed
	}
	p.stats.opened()
	c.begin(hs, a, notice)
	if !p.serving() { // it was stopped meanwhile and has not seen this connection
		c.shut(CloseReason{Kind: ReasonDrain, Text: "the provider is stopping"})
	}
	return c, nil
}

// placeOf is the address for which a connection counts. In process all have one, and so none.
func placeOf(remote net.Addr, inProcess bool) addrKey {
	if inProcess {
		return addrKey{}
	}
	return limit.NetAddrKey(remote)
}

// supersede closes the session's earlier connection and waits until its places are free, so that
// a client at its limit can come back.
func (n *session) supersede() {
	n.mu.Lock()
	before := n.conn
	n.mu.Unlock()
	if before == nil {
		return
	}
	before.kill(CloseReason{Kind: ReasonSuperseded, Text: "the session came back on another connection"})
	select {
	case <-before.done.C():
	case <-time.After(2 * killGrace):
	}
}

func (m *Manager) newConn(p *providerState, t Transport, hs *Handshake, a Admission, s *session, resumed bool) *Conn {
	address := kindPrefix[targetConn] + newID()
	id := address[len(kindPrefix[targetConn]):]
	if a.User != "" {
		address = kindPrefix[targetUser] + a.User
	}
	c := &Conn{
		id: id, address: address, provider: p, manager: m, transport: t, session: s, user: a.User,
		labels: facts.Of(a.Labels), metadata: facts.Of(a.Metadata), remote: hs.RemoteAddr,
		since: time.Since(m.began), resumed: resumed, inProcess: hs.trusted != nil,
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background()) // Close ends every connection, and no context above would
	c.identify(hs.identity)
	c.stats.lastActivity.Store(c.Since().UnixNano())
	c.stats.gate = m.limits.messageGate()
	c.out.q.Limit(&m.queues)
	c.in.owner, c.in.run = c, c.handle
	_, c.out.tries = t.(TryWriter)
	if dw, ok := t.(DirectWriter); ok {
		c.out.direct = dw.WritesDirectly()
	}
	_, c.out.forgets = t.(Forgetter)
	if mt, ok := t.(Metered); ok {
		c.out.metered = mt.Metered()
	}
	if wt, ok := t.(WaitTeller); ok && wt.TellWaiting(&c.out) {
		c.out.shared = true
	} else {
		c.out.run = c.write
	}
	c.out.writing = true // held until begin has queued welcome and every joined frame
	return c
}

// begin queues welcome, joins everything, and lets the writer go.
func (c *Conn) begin(hs *Handshake, a Admission, notice *Frame) {
	expires := hs.identity.Expires
	c.control(&Frame{Op: OpWelcome, Expires: expires, Welcome: &Welcome{
		Version: ProtocolVersion, Conn: c.id, Session: c.session.secret, User: c.user, Node: c.manager.node,
		Heartbeat: c.manager.settings.Heartbeat, MaxMessage: c.manager.cfg.MaxMessage, Resumed: c.resumed,
	}})
	if notice != nil {
		c.control(notice)
	}
	c.watchExpiry(expires)
	c.enterAll(hs, a)
	c.startWriter()
	c.manager.observe(Event{Kind: EventConnect, Provider: c.provider.name, Conn: c.id, User: c.user})
	c.manager.log.Debug("connected", "provider", c.provider.name, "conn", c.id, "user", c.user)
	if trusted := hs.trusted; trusted != nil {
		trusted.attached(c)
	}
	c.announce()
}

// enterAll makes the connection a member of everything it begins with: everyone and its user, the
// groups of OnConnect, and those of its hello that the authorizer allows.
func (c *Conn) enterAll(hs *Handshake, a Admission) {
	c.enterStanding(hs.Position)
	enter := func(group string, err error) {
		if err == nil {
			err = c.joinQuietly(joinRequest{group: group, position: hs.Position})
		}
		if err != nil {
			c.refuse(&Frame{Group: group, ID: hs.ID}, err)
		}
	}
	for _, g := range a.Groups {
		enter(g, nil)
	}
	for _, g := range hs.Hello.Groups {
		enter(g, c.mayJoin(g))
	}
}

// enterStanding makes the connection a member of everyone and of its user.
func (c *Conn) enterStanding(pos Position) {
	c.enter(targetAll, "all", joinRequest{position: pos})
	if c.user != "" {
		c.enter(targetUser, c.Address(), joinRequest{position: pos})
	}
}

// unregister gives back what a connection held.
func (m *Manager) unregister(c *Conn, r CloseReason) {
	m.conns.remove(c)
	m.limits.release(c.user, placeOf(c.remote, c.inProcess))
	m.sessions.drop(c.session, c, time.Now())
	c.provider.stats.closed(r.Kind)
}

// callHook runs one lifecycle hook; a panic in it is logged.
func (m *Manager) callHook(c *Conn, e hookEvent) {
	defer m.recoverHook(c)
	switch e.kind {
	case hookJoin:
		m.observe(Event{Kind: EventJoin, Provider: c.provider.name, Conn: c.id, User: c.user, Group: e.group})
		if h := m.cfg.OnJoin; h != nil {
			h(c, e.group)
		}
	case hookLeave:
		m.observe(Event{Kind: EventLeave, Provider: c.provider.name, Conn: c.id, User: c.user, Group: e.group})
		if h := m.cfg.OnLeave; h != nil {
			h(c, e.group)
		}
	case hookDisconnect:
		defer c.done.Fire()
		m.log.Debug("disconnected", "provider", c.provider.name, "conn", c.id, "user", c.user, "reason", e.reason.Kind.String())
		m.observe(Event{Kind: EventDisconnect, Provider: c.provider.name, Conn: c.id, User: c.user, Reason: e.reason.Kind})
		if h := m.cfg.OnDisconnect; h != nil {
			h(c, Disconnection{Reason: e.reason, Duration: time.Since(c.Since()), Stats: c.Stats()})
		}
	}
}

// Disconnection is what OnDisconnect learns.
type Disconnection struct {
	Reason   CloseReason
	Duration time.Duration
	Stats    ConnStats
}

// BearerToken returns the token of an Authorization header "Bearer TOKEN", or "".
func BearerToken(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
