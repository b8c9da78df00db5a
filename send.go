package comm

import (
	"fmt"
	"slices"
	"strings"
)

// Priority orders messages that wait for one client. Within a log, order never changes.
type Priority uint8

// The priorities. Of a full queue, 8 high messages leave for 4 normal and 1 low, so none starves.
const (
	PriorityNormal Priority = iota
	PriorityHigh
	PriorityLow
)

// queueLane is the lane of the outbound queue: 0 is high.
func (p Priority) queueLane() int {
	switch p {
	case PriorityHigh:
		return 0
	case PriorityLow:
		return 2
	}
	return 1
}

type targetKind uint8

const (
	targetNone targetKind = iota
	targetConn
	targetUser
	targetGroup
	targetAll
)

var kindPrefix = [...]string{targetConn: "conn:", targetUser: "user:", targetGroup: "group:"}

// Target says who receives a message. It is a value: every method returns a narrowed copy.
// The zero Target, and one with an empty name, is ErrTarget; it never means everyone.
// However many names of a plural target a connection matches, it receives one delivery.
type Target struct {
	kind  targetKind
	first string   // the address of the first name, which is also the key of its topic
	more  []string // further names
	only  *filter
	where func(*Conn) bool
}

// filter is the part of a target that travels with a logged message, so that replay honours it.
type filter struct {
	providers []string
	conns     []string
	users     []string
	sessions  []string
	labels    map[string]string
}

// ToConn is one connection. A send to an id that is not connected is ErrNotFound.
func ToConn(id string) Target { return one(targetConn, id) }

// ToConns is several connections.
func ToConns(ids ...string) Target { return plural(targetConn, ids) }

// ToUser is every connection of a user.
func ToUser(user string) Target { return one(targetUser, user) }

// ToUsers is every connection of several users.
func ToUsers(users ...string) Target { return plural(targetUser, users) }

// ToGroup is every member of a group.
func ToGroup(group string) Target { return one(targetGroup, group) }

// ToGroups is every member of at least one of several groups.
func ToGroups(groups ...string) Target { return plural(targetGroup, groups) }

// ToAll is every connection.
func ToAll() Target { return Target{kind: targetAll} }

func one(k targetKind, name string) Target { return Target{kind: k, first: kindPrefix[k] + name} }

func plural(k targetKind, names []string) Target {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return one(k, "")
	}
	t := one(k, names[0])
	t.more = names[1:]
	return t
}

// ParseTarget parses an address as it stands in a message's to: conn:ID, user:NAME, group:NAME or all.
func ParseTarget(s string) (Target, error) {
	if s == "all" {
		return ToAll(), nil
	}
	for k := targetConn; k < targetAll; k++ {
		if name, ok := strings.CutPrefix(s, kindPrefix[k]); ok && name != "" {
			return Target{kind: k, first: s}, nil
		}
	}
	return Target{}, fmt.Errorf("%w: %q: allowed is conn:ID, user:NAME, group:NAME or all", ErrTarget, shorten(s))
}

// String returns the address: the one that ParseTarget reads, or names joined by commas. Narrowing
// is not part of it.
func (t Target) String() string {
	switch t.kind {
	case targetNone:
		return ""
	case targetAll:
		return "all"
	}
	if len(t.more) == 0 {
		return t.first
	}
	var b strings.Builder
	for name := range t.names {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(kindPrefix[t.kind])
		b.WriteString(name)
	}
	return b.String()
}

// InProvider narrows t to connections of the named providers.
func (t Target) InProvider(names ...string) Target {
	return t.narrow(func(f *filter) { f.providers = append(f.providers, names...) })
}

// Except leaves out connections by id.
func (t Target) Except(ids ...string) Target {
	return t.narrow(func(f *filter) { f.conns = append(f.conns, ids...) })
}

// ExceptUser leaves out users.
func (t Target) ExceptUser(users ...string) Target {
	return t.narrow(func(f *filter) { f.users = append(f.users, users...) })
}

// ExceptSession leaves out sessions by their public id (Conn.SessionID), across reconnects.
func (t Target) ExceptSession(ids ...string) Target {
	return t.narrow(func(f *filter) { f.sessions = append(f.sessions, ids...) })
}

// Label narrows t to connections with this label. Several labels must all match.
func (t Target) Label(key, value string) Target {
	return t.narrow(func(f *filter) {
		if f.labels == nil {
			f.labels = make(map[string]string)
		}
		f.labels[key] = value
	})
}

// Where narrows t to connections for which keep answers true. It is called without a lock on the
// sender's goroutine, once a connection. A send with Where is never logged, and reaches the
// connections of this node only.
func (t Target) Where(keep func(*Conn) bool) Target {
	if before := t.where; before != nil {
		t.where = func(c *Conn) bool { return before(c) && keep(c) }
		return t
	}
	t.where = keep
	return t
}

func (t Target) narrow(change func(*filter)) Target {
	var f filter
	if t.only != nil {
		f = t.only.clone()
	}
	change(&f)
	t.only = &f
	return t
}

func (f *filter) clone() filter {
	c := filter{
		providers: slices.Clone(f.providers), conns: slices.Clone(f.conns),
		users: slices.Clone(f.users), sessions: slices.Clone(f.sessions),
	}
	for k, v := range f.labels {
		if c.labels == nil {
			c.labels = make(map[string]string, len(f.labels))
		}
		c.labels[k] = v
	}
	return c
}

// match reports whether c may receive what the filter narrows. A nil filter matches all.
func (f *filter) match(c *Conn) bool {
	if f == nil {
		return true
	}
	if len(f.providers) > 0 && !slices.Contains(f.providers, c.provider.name) ||
		slices.Contains(f.conns, c.id) ||
		c.user != "" && slices.Contains(f.users, c.user) ||
		slices.Contains(f.sessions, c.session.id) {
		return false
	}
	for k, v := range f.labels {
		if got, ok := c.labels.Get(k); !ok || got != v {
			return false
		}
	}
	return true
}

// oneConn reports whether t is one connection by its id.
func (t *Target) oneConn() bool { return t.kind == targetConn && len(t.more) == 0 }

// name returns the first name.
func (t Target) name() string { return t.first[len(kindPrefix[t.kind]):] }

// names yields every name of the target.
func (t Target) names(yield func(string) bool) {
	if t.kind == targetNone || t.kind == targetAll || !yield(t.name()) {
		return
	}
	for _, n := range t.more {
		if !yield(n) {
			return
		}
	}
}

// check returns ErrTarget for a target that names nothing, and a *MessageError for a name that
// breaks the rules.
func (t Target) check() error {
	if t.kind == targetAll {
		return nil
	}
	if t.kind == targetNone {
		return fmt.Errorf("%w: the target is zero", ErrTarget)
	}
	for n := range t.names {
		if n == "" {
			return fmt.Errorf("%w: the name after %s is empty", ErrTarget, kindPrefix[t.kind])
		}
		if t.kind == targetGroup {
			if err := checkGroup(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkGroup(name string) error {
	if name == "" || len(name) > MaxNameLength || !plain(name) {
		return &MessageError{"group", shorten(name), "1 to 128 bytes of UTF-8 without control characters"}
	}
	return nil
}

func checkUser(name string) error {
	if len(name) > MaxUserLength || !plain(name) {
		return &MessageError{"user", shorten(name), "at most 256 bytes of UTF-8 without control characters"}
	}
	return nil
}

// Delivery says what became of a send. Matched = Queued + Dropped + Closed.
//
// Queued means that a message waits for its connection, or stands in a log from which the
// connection is being replayed. It does not mean received: WithAck tells that.
type Delivery struct {
	ID       string      // of the message
	Matched  int         // connections that the target names
	Queued   int         // of those, waiting to be written
	Dropped  int         // of those, refused by the overflow policy
	Closed   int         // of those, closed before or by this send
	Position LogPosition // where the message stands, for a send to one log
	Remote   bool        // other nodes were told too; the counts are those of this node
	Pending  *Pending    // with WithAck: what to wait on
}

// SendOption changes one send.
type SendOption func(*sendOptions)

type sendOptions struct {
	priority    Priority
	priorityset bool
	lane        string
	unreliable  bool
	key         string
	ack         bool
	block       bool
	unlogged    bool
}

func (o *sendOptions) apply(opts []SendOption) error {
	for _, opt := range opts {
		if opt == nil {
			return &OptionError{Option: "Send", Value: nil, Allowed: "options"}
		}
		opt(o)
	}
	return nil
}

// WithPriority sets the priority. On a send to a log it must be that of the log (ErrOrdered).
func WithPriority(p Priority) SendOption {
	return func(o *sendOptions) { o.priority, o.priorityset = p, true }
}

// WithLane names the lane on carriers that have several ordered streams; other carriers keep one
// order. A logged message has no lane (ErrOrdered).
func WithLane(name string) SendOption { return func(o *sendOptions) { o.lane = name } }

// WithUnreliable lets carriers with datagrams lose the message rather than delay others; other
// carriers deliver it as usual. A logged message is never unreliable (ErrOrdered).
func WithUnreliable() SendOption { return func(o *sendOptions) { o.unreliable = true } }

// WithKey names what the message is the latest state of: under the LatestByKey policy it replaces
// a waiting message with the same key.
func WithKey(key string) SendOption { return func(o *sendOptions) { o.key = key } }

// WithAck asks every receiver to acknowledge, and makes Delivery.Pending the way to wait for them.
func WithAck() SendOption { return func(o *sendOptions) { o.ack = true } }

// WithBlock makes a send to one connection wait for room in its queue, until the context ends,
// whatever the overflow policy. On any other target it is ErrBlocked.
func WithBlock() SendOption { return func(o *sendOptions) { o.block = true } }

// WithoutHistory keeps the message out of the log: whoever is away misses it.
func WithoutHistory() SendOption { return func(o *sendOptions) { o.unlogged = true } }
