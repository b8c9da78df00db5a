package gqlschema

import "sync"

// Source is what all subscriptions take their events from. Its zero value is ready.
type Source struct {
	mu   sync.Mutex // guards subs
	subs map[chan *Tick]struct{}
}

// Join adds a subscriber. Its channel has room for one event.
func (s *Source) Join() chan *Tick {
	c := make(chan *Tick, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = make(map[chan *Tick]struct{})
	}
	s.subs[c] = struct{}{}
	return c
}

// Leave takes a subscriber out.
func (s *Source) Leave(c chan *Tick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subs, c)
}

// Publish sends an event to all. It waits for a subscriber that has not taken the last one.
func (s *Source) Publish(t *Tick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.subs {
		c <- t
	}
}

// Subscribers is how many there are.
func (s *Source) Subscribers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs)
}
