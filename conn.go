package comm

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/facts"
	"github.com/anasamu/comm/internal/lazy"
)

// Conn is one client, whatever its protocol. A client that comes back is a new Conn with a new ID
// and the same session. All methods are safe for concurrent use, after the end too, when those
// that act return ErrClosed.
type Conn struct {
	// The end of stats, the beginning of out and what is between share a cache line (TestConnLayout): nothing else of
	// a connection is touched when a message to many finds it with nothing to do.
	stats     connCounters
	transport Transport
	provider  *providerState
	manager   *Manager
	out       outbox

	in    inbox
	joins joins
	hooks hooks
	calls waiters

	upward   atomic.Pointer[upwardTurn] // nil before the first request that carries frames upward
	identity atomic.Pointer[bearer]     // nil: the user with the labels
	expiry   *time.Timer                // under joins; nil without an expiring identity

	id        string
	session   *session
	user      string
	address   string // of the user, or of the connection without one
	labels    facts.Facts
	metadata  facts.Facts
	remote    net.Addr
	since     time.Duration // of the manager's life; negative if it never was admitted
	ctx       context.Context
	cancel    context.CancelCauseFunc
	done      lazy.Signal // OnDisconnect has returned
	resumed   bool
	inProcess bool        // it counts for no address
	refreshes atomic.Bool // a token refresh is under way
	excess    int32       // owned by the reader: frames refused by stats.gate, less those that were not
}

// ID returns the connection's id, unique among all that ever were.
func (c *Conn) ID() string { return c.id }

// Provider returns the name of the provider that carries the connection.
func (c *Conn) Provider() string { return c.provider.name }

// User returns the name by which ToUser finds the connection, or "" for an anonymous client.
func (c *Conn) User() string { return c.user }

// Address returns where an answer would reach the client: "user:NAME", or "conn:ID" without a user.
func (c *Conn) Address() string {
	switch {
	case c.address != "":
		return c.address
	case c.user != "": // of a caller, which few ask for its address
		return kindPrefix[targetUser] + c.user
	}
	return kindPrefix[targetConn] + c.id
}

// Session returns the secret with which the client resumes. It must not be shown to others.
func (c *Conn) Session() string { return c.session.secret }

// SessionID returns the public name of the session. It stays the same across resumes.
func (c *Conn) SessionID() string { return c.session.id }

// Resumed reports whether the connection continued an earlier session.
func (c *Conn) Resumed() bool { return c.resumed }

// Label returns the label of that name, or "".
func (c *Conn) Label(key string) string {
	v, _ := c.labels.Get(key)
	return v
}

// Labels returns a copy of all labels.
func (c *Conn) Labels() map[string]string { return c.labels.Map() }

// Metadata returns a copy of the metadata that the client and OnConnect gave.
func (c *Conn) Metadata() map[string]string { return c.metadata.Map() }

// Identity returns who the client is, as the authenticator last said, in a copy.
func (c *Conn) Identity() Identity {
	b := c.identity.Load()
	if b == nil {
		return Identity{User: c.user, Labels: c.labels.Map()}
	}
	id := b.Identity
	id.Labels = b.labels.Map()
	return id
}

// identify keeps id, whose map is the authenticator's: in nothing if it says no more than the connection
// knows anyway, as most do.
func (c *Conn) identify(id *Identity) {
	b := &bearer{Identity: *id, labels: facts.Of(id.Labels)}
	b.Labels = nil
	if b.labels == c.labels {
		b.labels = c.labels // kept once
		if id.User == c.user && id.Expires.IsZero() && id.Claims == nil {
			b = nil
		}
	}
	c.identity.Store(b)
}

// bearer is an identity as a connection keeps it.
type bearer struct {
	Identity // without Labels
	labels   facts.Facts
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Since returns when the connection was admitted; the zero time for one that never was (see Authorizer).
func (c *Conn) Since() time.Time {
	if c.since < 0 {
		return time.Time{}
	}
	return c.manager.began.Add(c.since)
}

// Context lives until the connection ends; its cause is then the CloseReason.
func (c *Conn) Context() context.Context { return c.ctx }

// Done is closed when the connection has ended and OnDisconnect has returned.
func (c *Conn) Done() <-chan struct{} { return c.done.C() }

// Err returns nil while the connection is open, then the CloseReason.
func (c *Conn) Err() error {
	if c.ctx.Err() == nil {
		return nil
	}
	return context.Cause(c.ctx)
}

// Groups returns the groups that the connection is in, sorted.
func (c *Conn) Groups() []string {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	var groups []string
	for _, m := range c.joins.list {
		if m.topic.kind == targetGroup {
			groups = append(groups, m.topic.group())
		}
	}
	slices.Sort(groups)
	return groups
}

// InGroup reports whether the connection is in a group, by the client's wish or the server's: what an authorizer asks that
// lets members alone send.
func (c *Conn) InGroup(group string) bool {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	return slices.ContainsFunc(c.joins.list, func(m *member) bool {
		return m.topic.kind == targetGroup && m.topic.group() == group
	})
}

// Send sends to this connection alone: Manager.Send with ToConn, and ErrClosed after the end.
func (c *Conn) Send(ctx context.Context, m *Message, opts ...SendOption) (Delivery, error) {
	d, err := c.manager.Send(ctx, ToConn(c.id), m, opts...)
	if errors.Is(err, ErrNotFound) {
		return d, ErrClosed
	}
	return d, err
}

// Call sends m and waits for the client's reply. See Manager.Call.
func (c *Conn) Call(ctx context.Context, m *Message) (*Message, error) {
	return c.manager.call(ctx, c, m)
}

// Join adds the connection to a group, from now on. Joining twice does nothing. Errors: ErrClosed,
// a *MessageError for a bad name, a *LimitError, ErrTooManyLogs.
func (c *Conn) Join(group string) error {
	return c.join(joinRequest{group: group})
}

// Leave removes the connection from a group. Leaving a group it is not in does nothing.
func (c *Conn) Leave(group string) error {
	return c.leave(group, "")
}

// Close tells the client to go and not to return, after what is queued has left, and waits for the
// end or ctx. Closing twice does nothing.
func (c *Conn) Close(ctx context.Context, text string) error {
	return c.closeAndWait(ctx, CloseReason{Kind: ReasonNormal, Text: text})
}

// Kick is Close that also revokes the session: coming back with it is refused.
func (c *Conn) Kick(ctx context.Context, text string) error {
	return c.closeAndWait(ctx, CloseReason{Kind: ReasonKicked, Text: text})
}

func (c *Conn) closeAndWait(ctx context.Context, r CloseReason) error {
	c.shut(r)
	select {
	case <-c.done.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shut ends the connection in good order: nothing more is accepted, what is queued leaves, then the
// closing frame, then the transport closes.
func (c *Conn) shut(r CloseReason) {
	if r.Kind == ReasonKicked {
		c.manager.sessions.revoke(c.session)
	}
	deadline := time.Now().Add(c.manager.settings.WriteTimeout)
	c.out.finish(c, r, deadline)
	c.letGo()
}

// kill ends the connection at once: what is queued is lost.
func (c *Conn) kill(r CloseReason) {
	lost, first := c.out.kill(r)
	if !first {
		return
	}
	c.letGo()
	c.countDrops(dropClosed, lost+c.out.forsake())
	go c.end(r, time.Now().Add(killGrace))
}

// killGrace bounds the goodbye of a connection that is cut.
const killGrace = time.Second

// end runs once, on its own goroutine: it takes the connection out of everything, closes the
// transport and calls the hooks.
func (c *Conn) end(r CloseReason, deadline time.Time) {
	c.cancel(r)
	c.stopExpiry()
	err := c.transport.Close(r, deadline)
	if err != nil {
		c.manager.log.Debug("transport close", "provider", c.provider.name, "conn", c.id, "error", err)
	}
	c.in.close()
	c.calls.fail(ErrDisconnected)
	c.leaveAll()
	c.manager.unregister(c, r)
	c.hooks.add(hookEvent{kind: hookDisconnect, reason: r})
	c.announce()
}

// announce calls the hooks for what has happened, with no lock held.
func (c *Conn) announce() {
	c.manager.presence.tell()
	c.hooks.run(c)
}

// hooks calls a connection's lifecycle hooks one after the other in the order of the events, on
// whichever goroutine runs them while no other does, and never under a lock. Joins and leaves are
// added under joins.mu, so that no end overtakes a join under way.
type hooks struct {
	mu    sync.Mutex
	queue *hookQueue // nil while there is nothing to call them for
}

type hookQueue struct {
	events  []hookEvent
	running bool
}

type hookKind uint8

const (
	hookJoin hookKind = iota
	hookLeave
	hookDisconnect
)

type hookEvent struct {
	kind   hookKind
	group  string
	reason CloseReason
}

func (h *hooks) add(e hookEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queue == nil {
		h.queue = new(hookQueue)
	}
	h.queue.events = append(h.queue.events, e)
}

// note adds a join or a leave, if somebody wants to know.
func (c *Conn) note(e hookEvent) {
	cfg := &c.manager.cfg
	if cfg.Observer != nil || e.kind == hookJoin && cfg.OnJoin != nil || e.kind == hookLeave && cfg.OnLeave != nil {
		c.hooks.add(e)
	}
}

func (h *hooks) run(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.queue
	if q == nil || q.running {
		return
	}
	q.running = true
	for len(q.events) > 0 {
		e := q.events[0]
		q.events = q.events[1:]
		h.mu.Unlock()
		c.manager.callHook(c, e)
		h.mu.Lock()
	}
	h.queue = nil
}
