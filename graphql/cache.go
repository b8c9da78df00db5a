package graphql

import "sync"

// documentCache keeps operations by text and name, the least recently used going first once their
// estimated size is over the bound.
type documentCache struct {
	most int

	mu      sync.Mutex // guards the fields below
	entries map[cacheKey]*cacheEntry
	bytes   int
	ring    cacheEntry // ring.next is the most recently used
}

type cacheKey struct{ query, name string }

type cacheEntry struct {
	key        cacheKey
	op         *operation
	bytes      int
	prev, next *cacheEntry // nil once it has been forgotten
}

// What an operation occupies beside its plans, which count for themselves, about. A document's tree depends on how many
// tokens its text has, and hardly on how long they are: of the text of people it is some 20 times the size, and of one
// that is all short tokens 100 times and more. TestCacheEstimate holds it against the heap.
const (
	perEntry      = 1 << 10
	perToken      = 208
	cacheOverhead = 256
)

// documentBytes is about what a document occupies, with its text.
func documentBytes(query string) int { return perEntry + len(query) + perToken*tokens(query) }

func newDocumentCache(most int) *documentCache {
	c := &documentCache{most: most, entries: make(map[cacheKey]*cacheEntry)}
	c.ring.next, c.ring.prev = &c.ring, &c.ring
	return c
}

func (c *documentCache) get(query, name string) *operation {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[cacheKey{query, name}]
	if e == nil {
		return nil
	}
	if c.ring.next != e {
		e.unlink()
		c.front(e)
	}
	return e.op
}

func (e *cacheEntry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (c *documentCache) front(e *cacheEntry) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

// put keeps op, unless another request was first or it is larger than the whole cache.
func (c *documentCache) put(query, name string, op *operation) {
	bytes := cacheOverhead + documentBytes(query)
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey{query, name}
	if c.entries[key] != nil || bytes > c.most {
		return
	}
	e := &cacheEntry{key: key, op: op, bytes: bytes}
	op.entry = e
	c.entries[key] = e
	c.bytes += bytes
	c.front(e)
	c.shrink()
}

// grow counts what an entry's plans have come to occupy.
func (c *documentCache) grow(e *cacheEntry, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.next == nil {
		return
	}
	e.bytes += bytes
	c.bytes += bytes
	c.shrink()
}

func (c *documentCache) shrink() {
	for c.bytes > c.most {
		e := c.ring.prev
		e.unlink()
		e.prev, e.next = nil, nil // its operation may run for long, and would keep all that went after it
		c.bytes -= e.bytes
		delete(c.entries, e.key)
	}
}

// size is how many entries there are, and their bytes.
func (c *documentCache) size() (entries, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.bytes
}
