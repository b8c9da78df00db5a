package comm

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
)

// registry finds connections by id.
type registry struct {
	seed   maphash.Seed
	count  atomic.Int64
	closed atomic.Bool
	shards [64]struct {
		mu    sync.RWMutex
		conns map[string]*Conn
	}
}

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].conns = make(map[string]*Conn)
	}
	return r
}

func (r *registry) shard(id string) int {
	return int(maphash.String(r.seed, id) % uint64(len(r.shards)))
}

// add registers c. It is false once the registry is closed.
func (r *registry) add(c *Conn) bool {
	s := &r.shards[r.shard(c.id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.closed.Load() {
		return false
	}
	s.conns[c.id] = c
	r.count.Add(1)
	return true
}

func (r *registry) remove(c *Conn) {
	s := &r.shards[r.shard(c.id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c.id]; ok {
		delete(s.conns, c.id)
		r.count.Add(-1)
	}
}

func (r *registry) find(id string) *Conn {
	s := &r.shards[r.shard(id)]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

// all yields every connection, from a copy of one shard at a time.
func (r *registry) all(yield func(*Conn) bool) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.RLock()
		list := make([]*Conn, 0, len(s.conns))
		for _, c := range s.conns {
			list = append(list, c)
		}
		s.mu.RUnlock()
		for _, c := range list {
			if !yield(c) {
				return
			}
		}
	}
}

// Connection returns the connection of that id, or nil.
func (m *Manager) Connection(id string) *Conn { return m.conns.find(id) }

// Connections yields the connections that a target names, each once, in no order. It works on
// copies, so the loop's body may do anything. A bad target yields nothing.
func (m *Manager) Connections(t Target) iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		if t.check() != nil {
			return
		}
		var seen map[*Conn]struct{}
		if len(t.more) > 0 {
			seen = make(map[*Conn]struct{})
		}
		m.candidates(t, func(c *Conn) bool {
			if _, dup := seen[c]; dup || !t.only.match(c) || t.where != nil && !t.where(c) {
				return true
			}
			if seen != nil {
				seen[c] = struct{}{}
			}
			return yield(c)
		})
	}
}

// candidates yields the connections of every name of t, before narrowing.
func (m *Manager) candidates(t Target, yield func(*Conn) bool) {
	if t.kind == targetAll {
		m.conns.all(yield)
		return
	}
	for name := range t.names {
		if t.kind == targetConn {
			if c := m.conns.find(name); c != nil && !yield(c) {
				return
			}
			continue
		}
		tp := m.dir.find(kindPrefix[t.kind] + name)
		if tp == nil {
			continue
		}
		for _, c := range tp.conns() {
			if !yield(c) {
				return
			}
		}
	}
}

// conns returns a copy of the topic's connections.
func (t *topic) conns() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Conn, len(t.members))
	for i, s := range t.members {
		list[i] = s.conn
	}
	return list
}

// ConnectionCount counts what Connections would yield; for a plain group, user or everyone without
// walking them.
func (m *Manager) ConnectionCount(t Target) int {
	if t.only == nil && t.where == nil && len(t.more) == 0 {
		switch t.kind {
		case targetAll:
			return int(m.conns.count.Load())
		case targetGroup, targetUser:
			return m.dir.members(t.first)
		}
	}
	n := 0
	for range m.Connections(t) {
		n++
	}
	return n
}

func (d *directory) members(key string) int {
	t := d.find(key)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.members)
}
