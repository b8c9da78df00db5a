package limit

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"time"
)

const (
	maxShards = 64
	perShard  = 16 // no more shards than make this many keys each
	sample    = 8  // keys looked at to find one to evict
)

// Limiter holds a Rate for each key, and never more than a fixed number of keys. It is safe for concurrent use.
//
// When it is full, a new key takes the place of one that has fully recovered, which costs nothing: such a key and an
// unknown one are treated alike. If no key has, the one evicted is that nearest to recovery among a few at random, so
// that the worst offenders stay. To evict none would be the bypass: the keys that do not fit would go uncounted (or,
// refused, would shut everyone out). Who has more keys than fit has as many bursts as keys anyway.
type Limiter[K comparable] struct {
	rate   Rate
	seed   maphash.Seed
	shards []shard[K]
	max    int // keys of one shard
}

type shard[K comparable] struct {
	mu      sync.Mutex
	tats    map[K]int64
	sweepAt int64 // no key of this shard recovers before
	_       [40]byte
}

// NewLimiter keeps at most maxKeys keys, rounded up to a multiple of the number of shards (at most 64); a key costs
// its size and 8 bytes, about twice that with the map around it.
func NewLimiter[K comparable](rate Rate, maxKeys int) (*Limiter[K], error) {
	if maxKeys <= 0 {
		return nil, fmt.Errorf("%w: room for %d keys: allowed is 1 or more", ErrRate, maxKeys)
	}
	shards := shardCount(maxKeys)
	l := &Limiter[K]{rate: rate, seed: maphash.MakeSeed(), shards: make([]shard[K], shards), max: (maxKeys + shards - 1) / shards}
	for i := range l.shards {
		l.shards[i].tats = make(map[K]int64)
	}
	return l, nil
}

// shardCount is a power of two.
func shardCount(maxKeys int) int {
	return min(maxShards, 1<<(bits.Len(uint(max(1, maxKeys/perShard)))-1))
}

func (l *Limiter[K]) shard(key K) *shard[K] {
	return &l.shards[maphash.Comparable(l.seed, key)&uint64(len(l.shards)-1)]
}

// Allow counts n events of key at now if its rate has room for all of them, else it counts none and tells the wait
// until it would have: [Never] if n is more than the burst.
func (l *Limiter[K]) Allow(key K, n int, now time.Time) (ok bool, retryAfter time.Duration) {
	if l.rate.interval == 0 || n <= 0 {
		return true, 0
	}
	at := now.UnixNano()
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	tat, known := s.tats[key]
	next, wait := l.rate.take(tat, n, at)
	if wait != 0 {
		if known {
			s.tats[key] = next // differs if the clock was set back
		}
		return false, wait
	}
	if !known && len(s.tats) >= l.max {
		s.evict(at)
	}
	s.tats[key] = next
	s.sweepAt = min(s.sweepAt, next)
	return true, 0
}

// Ready tells what Allow would, and counts nothing.
func (l *Limiter[K]) Ready(key K, n int, now time.Time) (ok bool, retryAfter time.Duration) {
	s := l.shard(key)
	s.mu.Lock()
	tat := s.tats[key]
	s.mu.Unlock()
	_, retryAfter = l.rate.take(tat, n, now.UnixNano())
	return retryAfter == 0, retryAfter
}

// Refund takes back n events that Allow counted: an attempt to log in is counted before it is known to fail, so that
// many at once cannot pass together, and given back if it did not.
func (l *Limiter[K]) Refund(key K, n int) {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if tat, known := s.tats[key]; known {
		s.tats[key] = l.rate.refund(tat, n)
		s.sweepAt = min(s.sweepAt, s.tats[key])
	}
}

// Len is the number of keys held.
func (l *Limiter[K]) Len() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.tats)
		s.mu.Unlock()
	}
	return n
}

// evict makes room for one key. A sweep frees all that have recovered and learns when the next one will, so that a
// shard full of debtors is not swept again for each newcomer.
func (s *shard[K]) evict(now int64) {
	if now >= s.sweepAt {
		before := len(s.tats)
		s.sweep(now)
		if len(s.tats) < before {
			return
		}
	}
	var (
		victim K
		least  int64
		seen   int
	)
	for key, tat := range s.tats { // begins at a random place
		if seen == 0 || tat < least {
			victim, least = key, tat
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(s.tats, victim)
}

func (s *shard[K]) sweep(now int64) {
	s.sweepAt = 1<<63 - 1
	for key, tat := range s.tats {
		if tat <= now {
			delete(s.tats, key)
		} else {
			s.sweepAt = min(s.sweepAt, tat)
		}
	}
}
