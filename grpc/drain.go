package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// follow keeps health up to date, and begins the native server's end as soon as the gateway takes nobody new: its
// clients then have all the time of the drain to finish their calls and go elsewhere.
func (s *server) follow() {
	m := s.host.Manager()
	for {
		h, changed := m.Readiness()
		s.p.health.follow(h, s.p.Name())
		if m.Leaving() {
			s.leave()
		}
		select {
		case <-changed:
		case <-s.over:
			return
		}
	}
}

// leave sends the clients of the native transport GOAWAY and ends the streams that would not end by themselves. It
// does not wait; a second call does nothing.
func (s *server) leave() {
	s.once.Do(func() {
		s.ending()
		go func() { // ends with the last handler, for which nobody can wait for ever
			defer close(s.left)
			s.native.GracefulStop()
		}()
	})
}

// stop ends a start in good order, and cuts what is left when ctx ends.
func (s *server) stop(ctx context.Context) error {
	close(s.over)
	s.p.health.stop()
	s.calls.Close()
	s.leave()
	err := errors.Join(s.hub.end(ctx), s.awaitNative(ctx), s.calls.Wait(ctx))
	s.web.Stop()
	s.work.Wait()
	return err
}

// cutGrace is how long handlers whose calls were cut may take to notice.
const cutGrace = time.Second

// awaitNative waits for the calls of the native transport, and cuts them when ctx ends.
func (s *server) awaitNative(ctx context.Context) error {
	select {
	case <-s.left:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-s.left: // nothing was left to cut
		return nil
	default:
	}
	s.native.Stop()
	err := fmt.Errorf("commgrpc: calls were cut: %w", context.Cause(ctx))
	grace := time.NewTimer(cutGrace)
	defer grace.Stop()
	select {
	case <-s.left:
	case <-grace.C:
		err = errors.Join(err, errors.New("commgrpc: a handler goes on after its call was cut"))
	}
	return err
}
