package limit

import (
	"hash/maphash"
	"sync"
)

// Counter counts what each key holds at the moment, such as the connections of a user. A key that holds nothing takes
// no memory, so that it is bounded by what its caller lets be held. It is safe for concurrent use.
type Counter[K comparable] struct {
	seed   maphash.Seed
	shards [maxShards]counterShard[K]
}

type counterShard[K comparable] struct {
	mu   sync.Mutex
	held map[K]int
	peak int // most keys since held was made: a map does not shrink by itself
	_    [40]byte
}

// NewCounter makes an empty one.
func NewCounter[K comparable]() *Counter[K] { return &Counter[K]{seed: maphash.MakeSeed()} }

func (c *Counter[K]) shard(key K) *counterShard[K] {
	return &c.shards[maphash.Comparable(c.seed, key)%maxShards]
}

// Acquire counts one more for key, unless it holds max already. A max of 0 or less is no limit.
func (c *Counter[K]) Acquire(key K, max int) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[key]
	if max > 0 && n >= max {
		return false
	}
	if s.held == nil {
		s.held = make(map[K]int)
	}
	s.held[key] = n + 1
	if len(s.held) > s.peak {
		s.peak = len(s.held)
	}
	return true
}

// Release gives back one Acquire that was true. It reports false, and does nothing, for a key that holds nothing.
func (c *Counter[K]) Release(key K) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.held[key]
	if n > 1 {
		s.held[key] = n - 1
		return true
	}
	delete(s.held, key)
	if len(s.held) == 0 && s.peak > 64 {
		s.held, s.peak = nil, 0
	}
	return ok
}

// Count is what key holds.
func (c *Counter[K]) Count(key K) int {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key]
}

// Len is the number of keys that hold anything.
func (c *Counter[K]) Len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.held)
		s.mu.Unlock()
	}
	return n
}
