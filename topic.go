package comm

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// topic is a set of connections that are reached together: a group, a user or everyone, with its
// log where one is kept.
//
// Lock order: Conn.joins before topic.mu before Conn.out. User code, encoding and waking are never
// under topic.mu, so the time it is held is members x one enqueue.
type topic struct {
	key  string // the address and the log's name: "group:lobby"
	kind targetKind

	mu       sync.Mutex
	members  []seat // those that follow the feed come first
	feed     *feed  // nil while nobody follows
	log      Log    // nil without history
	dead     bool   // removed from the directory: look it up again
	priority Priority
	replays  int32        // how many members are replaying
	keep     int64        // Unix nanoseconds until when then a client that was lost may come back for the log
	busy     atomic.Int64 // Unix nanoseconds when something was last published
	// again are the ids of joins by members that are being replayed already; pull answers them.
	again map[*member][]string
	// joined and left are the frames that many members were told last, to be told to others.
	joined, left *envelope
}

// seat is a member's place in the topic, beside its connection: what is published live looks at no member.
type seat struct {
	conn *Conn
	m    *member
}

// member is one connection in one topic. Its fields are guarded by topic.mu.
type member struct {
	conn     *Conn
	topic    *topic
	index    int32 // in topic.members
	byClient bool
	// replaying members are given the log by their writer, from cursor on, once everything that
	// stood in the lane at the barrier has left. Publishes only append to the log.
	replaying bool
	// start is the first offset that the client has seen or will be given, across resumes.
	start   uint64
	cursor  uint64
	barrier uint64
}

// add makes c a member, live from now on or, with a position, replaying from there. It queues the
// joined frame, and the gap frame of another epoch, in the lane of the log, before anything that
// the topic publishes afterwards. ok is false for a dead topic.
func (t *topic) add(m *member, id string, pos LogPosition, resume bool, start uint64) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return false
	}
	m.topic, m.index = t, int32(len(t.members))
	t.members = append(t.members, seat{m.conn, m})
	if t.log == nil {
		if t.kind == targetGroup {
			m.conn.pushOrdered(t.told(&t.joined, Frame{Op: OpJoined, ID: id, Group: t.group()}), t.priority)
		}
		return true
	}
	lost := m.place(pos, resume, start)
	at := LogPosition{Log: t.key, Epoch: t.log.Epoch(), Offset: m.cursor - 1}
	m.conn.pushOrdered(t.told(&t.joined, Frame{Op: OpJoined, ID: id, Group: t.group(), Log: at}), t.priority)
	if lost != nil {
		m.conn.pushOrdered(newControl(lost), t.priority)
	}
	if m.replaying {
		m.conn.startReplay(m)
	}
	return true
}

// toldMembers is with how many members a topic keeps the frames that it tells them: few are not worth
// the memory.
const toldMembers = 16

// told returns a joined or left frame to be queued, where that is possible the one before.
func (t *topic) told(last **envelope, f Frame) *envelope {
	if f.ID != "" || len(t.members) < toldMembers {
		return newControl(&f)
	}
	if *last == nil || (*last).frame.Log != f.Log {
		*last = newControl(&f)
	}
	return *last
}

// place decides where a new member begins. lost is the gap frame for a position of another epoch.
func (m *member) place(pos LogPosition, resume bool, start uint64) (lost *Frame) {
	t := m.topic
	first, next := t.log.Bounds()
	m.cursor = next
	if resume {
		switch {
		case pos.Epoch == epochBeginning:
			m.cursor = first
		case pos.Epoch != t.log.Epoch():
			m.cursor = 1
			lost = &Frame{Op: OpGap, Log: LogPosition{Log: t.key, Epoch: pos.Epoch}, GapFrom: pos.Offset + 1}
		case pos.Offset < next:
			m.cursor = pos.Offset + 1
		}
	}
	m.start = m.cursor
	if start > 0 && start < m.start {
		m.start = start
	}
	m.setReplaying(m.cursor < next)
	return lost
}

// remove ends the membership and queues the left frame. It reports whether the topic is empty.
func (t *topic) remove(m *member, id string, tell bool) (empty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.following(m); ok {
		if tell { // what was published before still leaves, in front of the frame
			t.detach(i)
		} else {
			t.unfollow(i)
		}
	}
	last := int32(len(t.members) - 1)
	if m.index <= last && t.members[m.index].m == m {
		t.members[m.index] = t.members[last]
		t.members[m.index].m.index = m.index
		t.members[last] = seat{}
		t.members = t.members[:last]
		if cap(t.members) > 64 && len(t.members) < cap(t.members)/4 {
			t.members = slices.Clip(slices.Clone(t.members))
		}
	}
	if m.replaying { // what it was not given yet, it will not be
		m.conn.calls.failLog(t.key, m.cursor, math.MaxUint64, ErrDropped)
	}
	m.setReplaying(false)
	delete(t.again, m)
	if !tell && t.log != nil {
		t.keep = nanosAfter(time.Now(), m.conn.manager.cfg.ResumeWindow)
	}
	if tell {
		left := Frame{Op: OpLeft, ID: id, Group: t.group()}
		if t.log != nil {
			left.Log.Log, left.Log.Epoch = t.key, t.log.Epoch()
		}
		m.conn.pushOrdered(t.told(&t.left, left), t.priority)
	}
	return len(t.members) == 0
}

// replayFrom turns a member back to the log, behind what stands before the barrier.
func (m *member) replayFrom(offset, barrier uint64) {
	m.setReplaying(true)
	m.cursor, m.barrier = offset, barrier
}

// setReplaying keeps the topic's count.
func (m *member) setReplaying(on bool) {
	switch {
	case on && !m.replaying:
		m.topic.replays++
	case !on && m.replaying:
		m.topic.replays--
	}
	m.replaying = on
}

func (t *topic) group() string {
	if t.kind == targetGroup {
		return t.key[len(kindPrefix[targetGroup]):]
	}
	return ""
}

// publish appends e to the log and queues it for every member that it is for. ok is false for a
// dead topic.
func (t *topic) publish(p *publication, e *envelope) (ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		return false
	}
	p.seq = p.manager.order.Add(1)
	logged := t.log != nil && !p.options.unlogged
	if logged {
		_, next := t.log.Bounds()
		e.frame.Log = LogPosition{Log: t.key, Epoch: t.log.Epoch(), Offset: next}
		t.log.Append(Outbound{e}, p.now)
	}
	if p.delivery.Pending != nil {
		p.delivery.Pending.standsAt(e.frame.Log)
	}
	followers, killed, feeds, direct := 0, 0, t.feeds(p, e), t.direct(p, e)
	if feeds {
		t.publishFed(p, e)
		followers, killed = t.followers(), len(p.kill)
	}
	for i := followers; i < len(t.members); i++ { // one that becomes a follower changes places with one that was looked at
		c, m := t.members[i].conn, t.members[i].m
		if !p.wants(c) || killed > 0 && slices.Contains(p.kill[:killed], c) {
			continue
		}
		p.delivery.Matched++
		replaying := t.replays > 0 && m.replaying
		switch {
		case logged && replaying:
			p.expect(c)
			p.delivery.Queued++
		case direct && c.out.claim():
			p.claimed(c)
		case p.push(c, queued{e: e, seq: p.seq, of: m, logged: logged, feeds: feeds && !replaying}) == pushFollows:
			t.follow(i, e, p.seq)
		}
	}
	return true
}

// pull hands a replaying member's writer the next entries of the log, or the gap where the log no
// longer reaches, and makes the member live when it has caught up. done is true when the member
// needs no more pulling.
func (t *topic) pull(m *member, dst []*envelope, n, maxBytes int, covered func(*envelope) bool) (out []*envelope, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !m.replaying {
		return dst, true
	}
	for _, id := range t.again[m] {
		at := LogPosition{Log: t.key, Epoch: t.log.Epoch(), Offset: m.cursor - 1}
		dst = append(dst, newControl(&Frame{Op: OpJoined, ID: id, Group: t.group(), Log: at}))
	}
	delete(t.again, m)
	first, next := t.log.Bounds()
	if m.cursor < first {
		gap := &Frame{Op: OpGap, Log: LogPosition{Log: t.key, Epoch: t.log.Epoch(), Offset: first - 1}, GapFrom: m.cursor}
		dst = append(dst, newControl(gap))
		m.conn.calls.failLog(t.key, m.cursor, first, ErrDropped)
		m.cursor = first
	}
	var page [replayPage]Outbound
	size := 0
	for _, o := range t.log.Read(page[:0], m.cursor, min(n, replayPage)) {
		if size >= maxBytes {
			break
		}
		m.cursor++
		if o.e.filter.match(m.conn) && !covered(o.e) {
			dst = append(dst, o.e)
			size += o.e.size
		}
	}
	if m.cursor >= next {
		m.setReplaying(false)
	}
	return dst, !m.replaying
}

// epochBeginning is the epoch of no log: a position in it asks for all that is retained.
const epochBeginning = "0"

// replayPage is how many entries one pull looks at, which bounds how long it holds the topic.
const replayPage = 64

// directory finds topics by key. Topics are created on first use and removed when nobody is in
// them and their log has expired.
type directory struct {
	seed   maphash.Seed
	shards [64]struct {
		mu     sync.RWMutex
		topics map[string]*topic
	}
}

func (d *directory) shard(key string) *struct {
	mu     sync.RWMutex
	topics map[string]*topic
} {
	return &d.shards[maphash.String(d.seed, key)%uint64(len(d.shards))]
}

// find returns the topic, or nil.
func (d *directory) find(key string) *topic {
	s := d.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[key]
}

// open returns the topic, creating it by create.
func (d *directory) open(key string, create func() *topic) *topic {
	if t := d.find(key); t != nil {
		return t
	}
	s := d.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[key]; t != nil {
		return t
	}
	if s.topics == nil {
		s.topics = make(map[string]*topic)
	}
	t := create()
	s.topics[key] = t
	return t
}

// release removes an empty topic; with a log only once that has expired, and nobody can resume in
// it: a new log has a new epoch, which would tell a returning client of a gap where there is none.
func (d *directory) release(t *topic, store Store, now time.Time) {
	s := d.shard(t.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead || len(t.members) > 0 || t.kind == targetAll {
		return
	}
	if t.log != nil && (!t.log.Expire(now) || now.UnixNano() < t.keep) {
		return
	}
	t.dead = true
	delete(s.topics, t.key)
	if t.log != nil {
		store.Close(t.key)
	}
}

// sweep releases every topic that can go, and trims the logs of the others.
func (d *directory) sweep(store Store, now time.Time) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.RLock()
		all := make([]*topic, 0, len(s.topics))
		for _, t := range s.topics {
			all = append(all, t)
		}
		s.mu.RUnlock()
		for _, t := range all {
			t.mu.Lock()
			if t.log != nil {
				t.log.Expire(now)
			}
			t.mu.Unlock()
			d.release(t, store, now)
		}
	}
}
