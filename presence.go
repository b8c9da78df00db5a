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
// never left; one who leaves by itself is gone at once. Changes are told in their order, by
// whichever goroutine tells while no other does.
type presence struct {
	manager *Manager
	grace   time.Duration

	mu      sync.Mutex // guards the fields below
	groups  map[string]map[string]*presenceEntry
	changes []PresenceChange // not told yet
	telling bool
}

type presenceEntry struct {
	conns int
	since int64       // Unix nanoseconds
	away  *time.Timer // runs while conns is 0
}

// joined counts one connection more of a user in a group. The caller calls tell once it holds no lock.
func (p *presence) joined(user, group string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	users := p.groups[group]
	if users == nil {
		users = make(map[string]*presenceEntry)
		p.groups[group] = users
	}
	e := users[user]
	if e == nil {
		e = &presenceEntry{since: time.Now().UnixNano()}
		users[user] = e
		p.changed(PresenceChange{Group: group, User: user, Present: true})
	}
	e.conns++
	if e.away != nil {
		e.away.Stop()
		e.away = nil
	}
}

// left counts one connection less. A lost connection keeps its user present for the grace.
func (p *presence) left(user, group string, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.groups[group][user]
	if e == nil {
		return
	}
	if e.conns--; e.conns > 0 {
		return
	}
	if lost && p.grace > 0 && user != "" && !p.manager.closed.Load() {
		e.away = time.AfterFunc(p.grace, func() {
			p.expire(group, user, e)
			p.tell()
		})
		return
	}
	p.remove(group, user)
}

func (p *presence) expire(group, user string, e *presenceEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.conns == 0 && p.groups[group][user] == e {
		p.remove(group, user)
	}
}

// remove deletes an entry. p.mu is held.
func (p *presence) remove(group, user string) {
	delete(p.groups[group], user)
	if len(p.groups[group]) == 0 {
		delete(p.groups, group)
	}
	p.changed(PresenceChange{Group: group, User: user})
}

// changed notes what is to be told. p.mu is held.
func (p *presence) changed(ch PresenceChange) {
	if p.manager.cfg.OnPresence != nil {
		p.changes = append(p.changes, ch)
	}
}

// tell calls the hook for every change that has not been told.
func (p *presence) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.telling {
		return
	}
	p.telling = true
	for len(p.changes) > 0 {
		ch := p.changes[0]
		p.changes = p.changes[1:]
		p.mu.Unlock()
		p.call(ch)
		p.mu.Lock()
	}
	p.changes, p.telling = nil, false
}

func (p *presence) call(ch PresenceChange) {
	defer p.manager.recoverHook(nil)
	p.manager.cfg.OnPresence(ch)
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
		list = append(list, Presence{User: user, Conns: e.conns, Since: time.Unix(0, e.since)})
	}
	return list
}
