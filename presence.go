package comm

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Presence is one user in a group.
type Presence struct {
	User  string    `json:"user"`  // "" stands for all anonymous clients together
	Conns int       `json:"conns"` // 0 while a user is away for less than the grace
	Since time.Time `json:"since"`
}

// PresenceChange tells that the first connection of a user came into a group, or that its last one
// has been gone for longer than the grace.
type PresenceChange struct {
	Group   string
	User    string
	Present bool
}

// presence counts the users of each group. A user who disconnects and returns within the grace
// never left; one who leaves by itself is gone at once.
type presence struct {
	manager *Manager
	grace   time.Duration
	mu      sync.Mutex
	groups  map[string]map[string]*presenceEntry
}

type presenceEntry struct {
	conns int
	since time.Time
	away  *time.Timer // runs while conns is 0
}

func (p *presence) joined(c *Conn, group string) {
	p.mu.Lock()
	users := p.groups[group]
	if users == nil {
		users = make(map[string]*presenceEntry)
		p.groups[group] = users
	}
	e := users[c.user]
	fresh := e == nil
	if fresh {
		e = &presenceEntry{since: time.Now()}
		users[c.user] = e
	}
	e.conns++
	if e.away != nil {
		e.away.Stop()
		e.away = nil
	}
	p.mu.Unlock()
	if fresh {
		p.tell(PresenceChange{Group: group, User: c.user, Present: true})
	}
}

// left counts one connection less. A lost connection keeps its user present for the grace.
func (p *presence) left(c *Conn, group string, lost bool) {
	p.mu.Lock()
	e := p.groups[group][c.user]
	if e == nil {
		p.mu.Unlock()
		return
	}
	if e.conns--; e.conns > 0 {
		p.mu.Unlock()
		return
	}
	if lost && p.grace > 0 && c.user != "" && !p.manager.closed.Load() {
		user := c.user
		e.away = time.AfterFunc(p.grace, func() { p.expire(group, user, e) })
		p.mu.Unlock()
		return
	}
	p.remove(group, c.user)
	p.mu.Unlock()
	p.tell(PresenceChange{Group: group, User: c.user})
}

func (p *presence) expire(group, user string, e *presenceEntry) {
	p.mu.Lock()
	gone := e.conns == 0 && p.groups[group][user] == e
	if gone {
		p.remove(group, user)
	}
	p.mu.Unlock()
	if gone {
		p.tell(PresenceChange{Group: group, User: user})
	}
}

// remove deletes an entry. p.mu is held.
func (p *presence) remove(group, user string) {
	delete(p.groups[group], user)
	if len(p.groups[group]) == 0 {
		delete(p.groups, group)
	}
}

func (p *presence) tell(ch PresenceChange) {
	defer p.manager.recoverHook(nil)
	if h := p.manager.cfg.OnPresence; h != nil {
		h(ch)
	}
}

// close stops every timer.
func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, users := range p.groups {
		for _, e := range users {
			if e.away != nil {
				e.away.Stop()
			}
		}
	}
}

// Presence returns who is in a group, sorted by user. Users who disconnected less than the
// presence grace ago are still there, with 0 connections.
func (m *Manager) Presence(group string) []Presence {
	p := m.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []Presence{}
	for _, user := range slices.Sorted(maps.Keys(p.groups[group])) {
		e := p.groups[group][user]
		list = append(list, Presence{User: user, Conns: e.conns, Since: e.since})
	}
	return list
}
