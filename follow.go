package comm

import (
	"math"
	"slices"

	"github.com/anasamu/comm/internal/queue"
)

// follow is a topic that a connection follows (see feed), or what is left of one that it was detached from.
type follow struct {
	m    *member
	rest []fed
}

// Where a method of outbox in this file takes o.mu, its caller may hold the topic's lock.

// mayFollow adds m to what the writer looks at, if that is at work.
func (o *outbox) mayFollow(m *member) bool {
	if !o.writing || o.find(m) >= 0 {
		return false
	}
	o.more = true
	o.follows = append(o.follows, follow{m: m})
	return true
}

func (o *outbox) find(m *member) int {
	return slices.IndexFunc(o.follows, func(f follow) bool { return f.m == m })
}

// keep stores what is left for a member that follows no longer.
func (o *outbox) keep(m *member, rest []fed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.find(m)
	switch {
	case i < 0:
	case len(rest) == 0:
		o.drop(i)
	default:
		o.follows[i].rest = rest
	}
}

func (o *outbox) unfollow(m *member) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := o.find(m); i >= 0 {
		o.drop(i)
	}
}

func (o *outbox) drop(i int) { o.follows = slices.Delete(o.follows, i, i+1) }

func (o *outbox) restHead(m *member) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := o.find(m); i >= 0 && len(o.follows[i].rest) > 0 {
		return o.follows[i].rest[0].seq
	}
	return noHead
}

func (o *outbox) takeRest(m *member, dst []*envelope, upTo uint64, n, maxBytes int) (out []*envelope, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.find(m)
	if i < 0 {
		return dst, 0
	}
	rest := o.follows[i].rest
	for ; len(rest) > 0 && n > 0 && bytes < maxBytes && rest[0].seq <= upTo; rest = rest[1:] {
		dst = append(dst, rest[0].e)
		bytes += rest[0].e.size
		n--
	}
	if o.follows[i].rest = rest; len(rest) == 0 {
		o.drop(i)
	}
	o.release()
	return dst, bytes
}

// held is what is queued and what is left of former feeds. It is called under o.mu.
func (o *outbox) held() (messages, bytes int) {
	messages, bytes = o.q.Len(), o.q.Bytes()
	for _, f := range o.follows {
		messages += len(f.rest)
		for _, v := range f.rest {
			bytes += v.e.size
		}
	}
	return messages, bytes
}

// crowded reports whether that is too much for one message more.
func (o *outbox) crowded(cfg *Config, size int) bool {
	n, bytes := o.held()
	return n > 0 && (n >= cfg.QueueMessages || bytes+size > cfg.QueueBytes)
}

// waiting is everything that waits for the connection, in the feeds too.
func (c *Conn) waiting() (messages, bytes int) {
	c.out.mu.Lock()
	messages, bytes = c.out.held()
	follows := slices.Clone(c.out.follows)
	c.out.mu.Unlock()
	for _, f := range follows {
		n, size := f.m.topic.backlog(f.m)
		messages, bytes = messages+n, bytes+size
	}
	return messages, bytes
}

// letGo detaches the connection from every feed: nothing more comes from there.
func (c *Conn) letGo() {
	c.out.mu.Lock()
	follows := slices.Clone(c.out.follows)
	c.out.mu.Unlock()
	for _, f := range follows {
		f.m.topic.let(f.m)
	}
}

// forsake forgets what is left of former feeds, and returns how many messages that is.
func (o *outbox) forsake() (lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.follows {
		lost += len(f.rest)
	}
	o.follows = nil
	return lost
}

// source is one of the places where messages wait for a connection: a topic that it follows, or a lane
// of its queue.
type source struct {
	m    *member // nil for the lane
	lane int
	head uint64 // the sequence number of its first message
}

// noHead is the head of an empty source.
const noHead = math.MaxUint64

// sources lists the lanes and the feeds. It is called under o.mu; the heads of the feeds are not known yet.
func (o *outbox) sources(dst []source) []source {
	for lane := range queue.Lanes {
		if seq, ok := o.q.Head(lane); ok {
			dst = append(dst, source{lane: lane, head: seq})
		}
	}
	for _, f := range o.follows {
		dst = append(dst, source{m: f.m, lane: f.m.topic.priority.queueLane()})
	}
	return dst
}

// merge appends what waits in all sources to the batch: lanes in rounds, and in a lane in the order of the
// sequence numbers, which is that in which a sender sent them. Nothing that was published after upTo is
// taken: a source that was looked at already may have something older meanwhile.
func (c *Conn) merge(s *scratch, upTo uint64) {
	for i := range s.sources {
		if m := s.sources[i].m; m != nil {
			s.sources[i].head = m.topic.head(m)
		}
	}
	var rounds queue.Rounds
	for size := 0; len(s.envelopes) < batchMessages && size < batchBytes; {
		lane, n := rounds.Next(waiting(s.sources, upTo))
		if n == 0 {
			return
		}
		before := len(s.envelopes)
		first, until := earliest(s.sources, lane)
		size += c.takeFrom(s, first, min(until, upTo), min(n, batchMessages-before), batchBytes-size)
		rounds.Spend(len(s.envelopes) - before)
	}
}

// waiting tells the lanes that have something up to upTo.
func waiting(sources []source, upTo uint64) (w [queue.Lanes]bool) {
	for _, src := range sources {
		if src.head <= upTo {
			w[src.lane] = true
		}
	}
	return w
}

// earliest returns the source of a lane whose head is first, and until where it may be taken before
// another has its turn.
func earliest(sources []source, lane int) (first *source, until uint64) {
	until = noHead - 1
	for i := range sources {
		src := &sources[i]
		switch {
		case src.lane != lane:
		case first == nil:
			first = src
		case src.head < first.head:
			first, until = src, first.head
		default:
			until = min(until, src.head)
		}
	}
	return first, until
}

// takeFrom moves messages of one source to the batch.
func (c *Conn) takeFrom(s *scratch, src *source, upTo uint64, n, maxBytes int) (bytes int) {
	if src.m != nil {
		s.envelopes, bytes, src.head = src.m.topic.take(src.m, s.envelopes, upTo, n, maxBytes)
		return bytes
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	s.envelopes, bytes = o.q.TakeLane(s.envelopes, src.lane, upTo, n, maxBytes)
	o.release()
	src.head = noHead
	if seq, ok := o.q.Head(src.lane); ok {
		src.head = seq
	}
	return bytes
}
