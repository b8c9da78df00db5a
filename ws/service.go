package ws

import (
	"context"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// service is one start of a provider.
type service struct {
	p        *Provider
	host     comm.Host
	acceptor *Acceptor
	ctx      context.Context // ends handshakes under way
	cancel   context.CancelFunc

	mu       sync.Mutex // guards the fields below
	stopping bool
	places   int           // connections that are open or opening
	idle     chan struct{} // closed when places is 0; nil while nobody waits
}

// errStopping refuses a handshake that the end of its service has overtaken.
var errStopping = &comm.LimitError{Limit: "connections while stopping", Retry: time.Second}

// enter takes a place for a connection, unless the service ends.
func (s *service) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	s.places++
	return nil
}

// leave gives a place back.
func (s *service) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places--; s.places == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// stop ends handshakes under way and waits until every place is free.
func (s *service) stop(ctx context.Context) error {
	s.cancel()
	s.mu.Lock()
	s.stopping = true
	if s.places == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
