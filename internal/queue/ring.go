// Package queue holds the bounded, growable buffers behind every connection: rings that cost
// nothing while they are empty, and the lanes of the outbound queue.
// Nothing here locks: the owner of a queue guards it with the owner's mutex.
package queue

// Ring is a growable first-in first-out buffer. The zero value is empty and holds no memory;
// an emptied ring that had grown gives its memory back.
type Ring[T any] struct {
	buf   []T
	taken uint64 // how many items ever left
	put   uint64 // how many items ever came
}

const (
	minRing  = 2  // most connections never have more waiting
	keepRing = 16 // an empty ring keeps a buffer of at most this many items
)

// Len returns the number of items in the ring.
func (r *Ring[T]) Len() int { return int(r.put - r.taken) }

// Put returns the sequence number that the next pushed item will get.
func (r *Ring[T]) Put() uint64 { return r.put }

// Taken returns the sequence number of the oldest item, or Put when the ring is empty.
func (r *Ring[T]) Taken() uint64 { return r.taken }

// Push appends v, growing the buffer when it is full.
func (r *Ring[T]) Push(v T) {
	if r.Len() == len(r.buf) {
		r.grow()
	}
	r.buf[r.put&uint64(len(r.buf)-1)] = v
	r.put++
}

// Pop removes and returns the oldest item.
func (r *Ring[T]) Pop() (v T, ok bool) {
	if r.Len() == 0 {
		return v, false
	}
	p := &r.buf[r.taken&uint64(len(r.buf)-1)]
	v = *p
	var zero T
	*p = zero
	r.taken++
	if r.taken == r.put && len(r.buf) > keepRing {
		r.buf = nil
	}
	return v, true
}

// At returns a pointer to the item with sequence number seq, or nil if it is not in the ring.
// The pointer is valid until the next Push or Pop.
func (r *Ring[T]) At(seq uint64) *T {
	if seq < r.taken || seq >= r.put {
		return nil
	}
	return &r.buf[seq&uint64(len(r.buf)-1)]
}

// Drain drops every item, and keeps a small buffer.
func (r *Ring[T]) Drain() {
	for {
		if _, ok := r.Pop(); !ok {
			return
		}
	}
}

// Clear drops every item and the buffer.
func (r *Ring[T]) Clear() {
	r.buf = nil
	r.taken = r.put
}

func (r *Ring[T]) grow() {
	bigger := make([]T, max(minRing, 2*len(r.buf)))
	for seq := r.taken; seq < r.put; seq++ {
		bigger[seq&uint64(len(bigger)-1)] = r.buf[seq&uint64(len(r.buf)-1)]
	}
	r.buf = bigger
}
