package comm

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Store keeps the recent messages of logs. MemoryStore is the default.
// Its methods are called under locks and must not block.
type Store interface {
	// Open returns the log of that name, new or as the store still has it. A nil Log means that
	// the store has no room; the group then goes without history.
	Open(name string) Log
	// Close drops a log that nobody needs any more.
	Close(name string)
}

// Log is the recent history of one group, user or everyone. Offsets are consecutive from 1.
// The caller serialises all calls on one Log.
type Log interface {
	// Epoch identifies this life of the log: 1 to 32 characters of [0-9a-z.].
	Epoch() string
	// Bounds returns the oldest retained offset and the one that the next entry gets; they are
	// equal when nothing is retained.
	Bounds() (first, next uint64)
	// Append adds an entry, whose offset is next, and forgets the oldest past the store's bounds.
	Append(e Outbound, now time.Time)
	// Read appends the retained entries from offset from on to dst: at most n.
	Read(dst []Outbound, from uint64, n int) []Outbound
	// Expire forgets entries older than the store's bound and reports whether the log is empty.
	Expire(now time.Time) bool
}

// MemoryStore keeps logs in memory, bounded in each log and in all. A bound of zero means its
// default.
type MemoryStore struct {
	// Messages is the most messages of one log. The default is 1,000.
	Messages int
	// Bytes is the most counted bytes of one log. The default is 1 MiB.
	Bytes int
	// Age is how long a message is kept; it is forgotten with the next check (WithHealthInterval). The default is 5 minutes.
	Age time.Duration
	// Logs is the most logs. The default is 100,000.
	Logs int
	// TotalBytes is the most counted bytes of all logs. The default is 256 MiB. Past it, a log
	// that grows forgets its own oldest messages, up to the one that it was given.
	TotalBytes int64

	mu    sync.Mutex
	open  map[string]*memoryLog
	total atomic.Int64
	born  uint64
	node  string
}

func (s *MemoryStore) limits() (messages, bytes int, age time.Duration, logs int, total int64) {
	return orDefault(s.Messages, 1000), orDefault(s.Bytes, 1<<20), orDefault(s.Age, 5*time.Minute),
		orDefault(s.Logs, 100_000), orDefault(s.TotalBytes, 256<<20)
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Open returns the log of that name, or nil when there are as many as allowed.
func (s *MemoryStore) Open(name string) Log {
	messages, bytes, age, logs, total := s.limits()
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.open[name]; l != nil {
		return l
	}
	if len(s.open) >= logs {
		return nil
	}
	if s.open == nil {
		s.open = make(map[string]*memoryLog)
		s.node = newNode()
	}
	s.born++
	l := &memoryLog{
		store: s, epoch: s.node + "." + strconv.FormatUint(s.born, 36), first: 1, next: 1, encoded: 1, opened: time.Now(),
		maxMessages: messages, maxBytes: bytes, maxAge: age, maxTotal: total,
	}
	s.open[name] = l
	return l
}

// Close drops the log of that name.
func (s *MemoryStore) Close(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.open[name]; l != nil {
		for l.first < l.next {
			l.forget()
		}
		delete(s.open, name)
	}
}

// Size returns the number of logs and the counted bytes in them.
func (s *MemoryStore) Size() (logs int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), s.total.Load()
}

// memoryLog is a growable ring: entry n stands at n modulo the ring's length, a power of two.
type memoryLog struct {
	store       *MemoryStore
	epoch       string
	ring        []logEntry
	first, next uint64
	encoded     uint64 // entries before it have no encodings that the last check has not taken away
	bytes       int
	opened      time.Time

	maxMessages, maxBytes int
	maxAge                time.Duration
	maxTotal              int64
}

// logEntry has one pointer, since the collector looks at each, and beside it what forget asks: nobody has touched the
// message's own memory for long by then.
type logEntry struct {
	out  Outbound
	at   time.Duration // since the log was opened
	size int
}

func (l *memoryLog) Epoch() string { return l.epoch }

func (l *memoryLog) Bounds() (first, next uint64) { return l.first, l.next }

func (l *memoryLog) Append(e Outbound, now time.Time) {
	if int(l.next-l.first) == len(l.ring) {
		l.grow()
	}
	size := e.Size()
	*l.at(l.next) = logEntry{e, now.Sub(l.opened), size}
	l.next++
	l.bytes += size
	total := l.store.total.Add(int64(size))
	for n := int(l.next - l.first); n > l.maxMessages || n > 1 && l.bytes > l.maxBytes || n > 0 && total > l.maxTotal; n-- {
		total = l.forget()
	}
}

func (l *memoryLog) Read(dst []Outbound, from uint64, n int) []Outbound {
	l.encoded = min(l.encoded, from)
	for o := max(from, l.first); o < l.next && n > 0; o++ {
		dst = append(dst, l.at(o).out)
		n--
	}
	return dst
}

func (l *memoryLog) Expire(now time.Time) bool {
	for l.first < l.next && now.Sub(l.opened)-l.at(l.first).at > l.maxAge {
		l.forget()
	}
	l.strip()
	return l.first == l.next
}

// strip takes the bytes away in which entries have left: with them they would weigh twice as much. Who is given one
// later encodes it once more, for all until the next check.
func (l *memoryLog) strip() {
	for o := max(l.encoded, l.first); o < l.next; o++ {
		l.at(o).out.e.strip()
	}
	l.encoded = l.next
}

func (l *memoryLog) at(offset uint64) *logEntry { return &l.ring[offset&uint64(len(l.ring)-1)] }

// forget drops the oldest entry and returns the bytes that all logs still hold.
func (l *memoryLog) forget() int64 {
	e := l.at(l.first)
	size := e.size
	*e = logEntry{}
	l.first++
	l.bytes -= size
	if l.first == l.next {
		l.ring = nil
	}
	return l.store.total.Add(-int64(size))
}

func (l *memoryLog) grow() {
	bigger := make([]logEntry, max(4, 2*len(l.ring)))
	for o := l.first; o < l.next; o++ {
		bigger[o&uint64(len(bigger)-1)] = *l.at(o)
	}
	l.ring = bigger
}
