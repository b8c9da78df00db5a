package park

import "time"

// Wheel is a wheel for tests, of waiters that have nothing else.
type Wheel struct{ wheel }

// Add adds a waiter that is due at tick t.
func (h *Wheel) Add(t int64) *Waiter {
	w := &Waiter{due: tick(t)}
	h.add(w)
	return w
}

// Remove removes a waiter.
func (h *Wheel) Remove(w *Waiter) { h.remove(w) }

// Expire returns the waiters that are due at tick t.
func (h *Wheel) Expire(t int64) (due []*Waiter) {
	h.expire(tick(t), func(w *Waiter) {
		h.remove(w)
		due = append(due, w)
	})
	return due
}

// Soonest is the tick at which the wheel is to be looked at.
func (h *Wheel) Soonest() int64 { return int64(h.soonest()) }

// Step is how exact deadlines are.
const Step = step * time.Nanosecond
