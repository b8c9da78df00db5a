package comm

import (
	"sync"

	"github.com/anasamu/comm/internal/queue"
)

// feed holds what a topic published lately, once for all members whose writers are at work: its
// followers. A publish does not touch them; each one's writer takes what is its own from the feed.
// That is the policy Disconnect: all others, and messages that are not for everybody alike, go through
// the queue of each connection.
//
// Members and places stand in step: the first len(at) members of the topic are its followers.
type feed struct {
	ring  queue.Ring[fed]
	bytes uint64  // of everything that was ever in the ring
	at    []place // how far each follower has come
}

// fed is one publication. Sequence numbers count all that a manager publishes, so that a connection can
// be sent what comes from several topics in the order in which it was sent.
type fed struct {
	e   *envelope
	seq uint64
}

// place is what a follower is sent next, and the bytes before it.
type place struct{ next, bytes uint64 }

// feedPool: feeds are used again: topics with few members are followed for a moment at a time.
var feedPool = sync.Pool{New: func() any { return new(feed) }}

// followers returns how many members follow.
func (t *topic) followers() int {
	if t.feed == nil {
		return 0
	}
	return len(t.feed.at)
}

// free gives back a feed that nobody follows.
func (f *feed) free() {
	f.ring.Drain()
	if cap(f.at) <= keepFollowers {
		feedPool.Put(f)
	}
}

// keepFollowers is the largest feed that is kept to be used again.
const keepFollowers = 1024

func (f *feed) add(e *envelope, seq uint64) {
	f.ring.Push(fed{e, seq})
	f.bytes += uint64(e.size)
}

// behind returns how much waits for a follower.
func (f *feed) behind(p place) (messages, bytes int) {
	return int(f.ring.Put() - p.next), int(f.bytes - p.bytes)
}

// forget drops what all followers have passed.
func (f *feed) forget(oldest uint64) {
	for f.ring.Taken() < oldest {
		f.ring.Pop()
	}
}

// feeds reports whether a publication may go through the feed: with the priority of the topic, and not
// as one of several targets, which may share members.
func (t *topic) feeds(p *publication, e *envelope) bool {
	return p.manager.cfg.Overflow == Disconnect && p.seen == nil && e.priority == t.priority
}

// publishFed gives e to the followers. Those that are too far behind for it are to be killed, except
// where most of what they have before them is not for them: such become members like others, which the
// caller goes on with.
func (t *topic) publishFed(p *publication, e *envelope) {
	f := t.feed
	if f == nil {
		return
	}
	oldest := f.ring.Put()
	for i := 0; i < len(f.at); {
		if n, bytes := f.behind(f.at[i]); p.tooFar(n, bytes+e.size) {
			t.overrun(p, i, e)
			continue
		}
		oldest = min(oldest, f.at[i].next)
		i++
	}
	if t.feed == nil { // the last one was too far behind
		return
	}
	f.forget(oldest)
	n := len(f.at)
	f.add(e, p.seq)
	if p.only != nil || p.delivery.Pending != nil {
		n = p.expectAll(t.members[:n])
	}
	p.delivery.Matched += n
	p.delivery.Queued += n
}

// tooFar reports whether a connection with that much waiting may not be given more.
func (p *publication) tooFar(messages, bytes int) bool {
	return messages > 0 && (messages >= p.manager.cfg.QueueMessages || bytes > p.manager.cfg.QueueBytes)
}

// overrun takes follower i out of the feed, and kills it if it has too much before it for e.
func (t *topic) overrun(p *publication, i int, e *envelope) {
	c := t.members[i].conn
	rest := t.detach(i)
	bytes := e.size
	for _, v := range rest {
		bytes += v.e.size
	}
	if p.only.match(c) && p.tooFar(len(rest), bytes) {
		p.delivery.Matched++
		p.delivery.Closed++
		p.kill = append(p.kill, c)
	}
}

// expectAll counts the members that the publication is for.
func (p *publication) expectAll(members []seat) (n int) {
	for _, s := range members {
		if p.only.match(s.conn) {
			p.expect(s.conn)
			n++
		}
	}
	return n
}

// follow makes members[i] a follower, to be sent e first.
func (t *topic) follow(i int, e *envelope, seq uint64) {
	if t.feed == nil {
		t.feed = feedPool.Get().(*feed)
	}
	f := t.feed
	if last := f.ring.At(f.ring.Put() - 1); last == nil || last.seq != seq {
		f.add(e, seq)
	}
	t.swap(i, len(f.at))
	f.at = append(f.at, place{f.ring.Put() - 1, f.bytes - uint64(e.size)})
}

// unfollow makes follower i a member like others.
func (t *topic) unfollow(i int) {
	f := t.feed
	last := len(f.at) - 1
	t.swap(i, last)
	f.at[i] = f.at[last]
	f.at = f.at[:last]
	if last == 0 {
		t.feed = nil
		f.free()
	}
}

// detach is unfollow for one that is behind: what waits for it becomes its connection's own.
func (t *topic) detach(i int) (rest []fed) {
	m := t.members[i].m
	rest = t.unread(i)
	m.conn.out.keep(m, rest)
	t.unfollow(i)
	return rest
}

// unread returns what waits for follower i.
func (t *topic) unread(i int) (rest []fed) {
	f := t.feed
	for n := f.at[i].next; n < f.ring.Put(); n++ {
		if v := f.ring.At(n); v.e.filter.match(t.members[i].conn) {
			rest = append(rest, *v)
		}
	}
	return rest
}

// swap exchanges two members. Places are the caller's.
func (t *topic) swap(i, j int) {
	t.members[i], t.members[j] = t.members[j], t.members[i]
	t.members[i].m.index, t.members[j].m.index = int32(i), int32(j)
}

// following returns m's place among the followers.
func (t *topic) following(m *member) (i int, ok bool) {
	i = int(m.index)
	return i, i < t.followers() && t.members[i].m == m
}

// let detaches a member whose connection is to take no more.
func (t *topic) let(m *member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.following(m); ok {
		t.detach(i)
	}
}

// backlog is what waits for a follower.
func (t *topic) backlog(m *member) (messages, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.following(m); ok {
		return t.feed.behind(t.feed.at[i])
	}
	return 0, 0
}

// head returns the sequence number of what m is sent next.
func (t *topic) head(m *member) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.headLocked(m)
}

func (t *topic) headLocked(m *member) uint64 {
	if i, ok := t.following(m); ok {
		if v := t.feed.ring.At(t.feed.at[i].next); v != nil {
			return v.seq
		}
	}
	return m.conn.out.restHead(m)
}

// take moves what m is sent next to dst, up to a sequence number: at most n messages, and none more once
// they have maxBytes. A follower that has come to the end is a follower no longer.
func (t *topic) take(m *member, dst []*envelope, upTo uint64, n, maxBytes int) (out []*envelope, bytes int, head uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.following(m)
	if !ok {
		dst, bytes = m.conn.out.takeRest(m, dst, upTo, n, maxBytes)
		return dst, bytes, t.headLocked(m)
	}
	at := &t.feed.at[i]
	for n > 0 && bytes < maxBytes {
		v := t.feed.ring.At(at.next)
		if v == nil || v.seq > upTo {
			break
		}
		at.next++
		at.bytes += uint64(v.e.size)
		if v.e.filter.match(m.conn) {
			dst = append(dst, v.e)
			bytes += v.e.size
			n--
		}
	}
	if at.next == t.feed.ring.Put() {
		m.conn.out.unfollow(m)
		t.unfollow(i)
		return dst, bytes, noHead
	}
	return dst, bytes, t.feed.ring.At(at.next).seq
}
