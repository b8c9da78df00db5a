package ws

import (
	"context"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/places"
)

// service is one start of a provider.
type service struct {
	p        *Provider
	host     comm.Host
	acceptor *Acceptor
	ctx      context.Context // ends handshakes under way
	cancel   context.CancelFunc

	places places.Places // of connections that are open or opening
}

// errStopping refuses a handshake that the end of its service has overtaken.
var errStopping = &comm.LimitError{Limit: "connections while stopping", Retry: time.Second}

// enter takes a place for a connection, unless the service ends or the gateway drains.
func (s *service) enter() error {
	if m := s.host.Manager(); m != nil && m.Leaving() || s.places.Enter(0) != nil {
		return errStopping
	}
	return nil
}

// stop ends handshakes under way and waits until every place is free.
func (s *service) stop(ctx context.Context) error {
	s.cancel()
	s.places.Close()
	return s.places.Wait(ctx)
}
