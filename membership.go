package comm

import (
	"slices"
	"strings"
	"sync"
)

// joins is the topics that a connection is in.
type joins struct {
	mu       sync.Mutex
	list     []*member
	groups   int32 // of those, groups
	position int32 // the longest text form of the position over the logs
	closed   bool
}

func (j *joins) find(key string) *member {
	for _, m := range j.list {
		if m.topic.key == key {
			return m
		}
	}
	return nil
}

// joinRequest is one join, by the server or by the client.
type joinRequest struct {
	group    string
	id       string // of the client's frame
	position Position
	byClient bool
}

// join adds the connection to a group and calls the hooks.
func (c *Conn) join(r joinRequest) error {
	err := c.joinQuietly(r)
	c.announce()
	return err
}

// joinQuietly leaves it to the caller to announce.
func (c *Conn) joinQuietly(r joinRequest) error {
	if err := checkGroup(r.group); err != nil {
		return err
	}
	return c.enter(targetGroup, kindPrefix[targetGroup]+r.group, r)
}

// enter makes the connection a member of a topic. If it is one already, a client's request is
// answered by its place as it is. It keeps no key that it is given, so that the caller's needs no memory.
func (c *Conn) enter(kind targetKind, key string, r joinRequest) error {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	if c.joins.closed {
		return ErrClosed
	}
	if m := c.joins.find(key); m != nil {
		if r.id != "" {
			return m.topic.tellAgain(m, r.id)
		}
		return nil
	}
	if kind == targetGroup && int(c.joins.groups) >= c.manager.cfg.MaxGroups {
		return &LimitError{Limit: "groups per connection", Max: c.manager.cfg.MaxGroups}
	}
	length := c.positionLength(key)
	if c.joins.position+length > MaxPositionLength {
		return ErrTooManyLogs
	}
	pos, resume := r.position.Get(key)
	m := &member{conn: c, byClient: r.byClient}
	for {
		t := c.manager.dir.find(key)
		if t == nil {
			t = c.openTopic(kind, r.group)
		}
		if t.add(m, r.id, pos, resume, c.session.start(key, pos)) {
			break
		}
	}
	c.joins.list = append(c.joins.list, m)
	c.joins.position += length
	c.session.joined(m)
	if kind == targetGroup {
		c.joins.groups++
		c.manager.presence.joined(c.user, r.group)
		c.note(hookEvent{kind: hookJoin, group: r.group})
	}
	return nil
}

// openTopic returns the topic of a kind that the connection enters.
func (c *Conn) openTopic(kind targetKind, group string) *topic {
	switch kind {
	case targetGroup:
		return c.manager.topic(kind, kindPrefix[kind]+group)
	case targetUser:
		return c.manager.topic(kind, c.Address())
	}
	return c.manager.topic(kind, "all")
}

// positionLength is the longest text form of a place in a log.
func (c *Conn) positionLength(key string) int32 {
	return int32(placeLength(key, len(c.manager.node)+len(".zzzzzzzz")))
}

// maxAgain is how many joins of one member may wait for their answer while it is replayed.
const maxAgain = 16

// tellAgain repeats the joined frame for a member that joins once more: in its place between the
// messages, which for a member that is being replayed only its writer knows.
func (t *topic) tellAgain(m *member, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.replaying {
		if len(t.again[m]) >= maxAgain {
			return &LimitError{Limit: "joins of one group at once", Max: maxAgain}
		}
		if t.again == nil {
			t.again = make(map[*member][]string)
		}
		t.again[m] = append(t.again[m], id)
		return nil
	}
	f := &Frame{Op: OpJoined, ID: id, Group: t.group()}
	if t.log != nil {
		_, next := t.log.Bounds()
		f.Log = LogPosition{Log: t.key, Epoch: t.log.Epoch(), Offset: next - 1}
	}
	m.conn.pushOrdered(newControl(f), t.priority)
	return nil
}

// leave removes the connection from a group.
func (c *Conn) leave(group, id string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	if c.Err() != nil {
		return ErrClosed
	}
	key := kindPrefix[targetGroup] + group
	if !c.exit(key, id) && id != "" {
		c.control(&Frame{Op: OpLeft, ID: id, Group: group, Log: LogPosition{Log: strings.Clone(key)}})
	}
	c.announce()
	return nil
}

func (c *Conn) exit(key, id string) bool {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	m := c.joins.find(key)
	if m == nil {
		return false
	}
	i := slices.Index(c.joins.list, m)
	c.joins.list = slices.Delete(c.joins.list, i, i+1)
	c.joins.groups--
	c.joins.position -= c.positionLength(key)
	c.session.left(key)
	if m.topic.remove(m, id, true) {
		c.manager.release(m.topic)
	}
	c.manager.presence.left(c.user, m.topic.group(), false)
	c.note(hookEvent{kind: hookLeave, group: m.topic.group()})
	return true
}

// leaveAll takes a connection that has ended out of every topic. Its session keeps the groups.
func (c *Conn) leaveAll() {
	c.joins.mu.Lock()
	list := c.joins.list
	c.joins.list, c.joins.closed = nil, true
	c.joins.mu.Unlock()
	for _, m := range list {
		if m.topic.remove(m, "", false) {
			c.manager.release(m.topic)
		}
		if m.topic.kind == targetGroup {
			c.manager.presence.left(c.user, m.topic.group(), true)
			c.note(hookEvent{kind: hookLeave, group: m.topic.group()})
		}
	}
}

// coveredBy returns the test whether an entry of m's log has reached, or will reach, the client
// through an earlier log of the same send.
func (c *Conn) coveredBy(m *member) func(*envelope) bool {
	return func(e *envelope) bool {
		for _, p := range e.earlier {
			if c.session.covers(p) {
				return true
			}
		}
		return false
	}
}
