package commgrpc

import (
	"context"
	"errors"
)

// stop ends a start in good order, and cuts what is left when ctx ends.
func (s *server) stop(ctx context.Context) error {
	s.p.health.shut()
	s.ending()
	s.calls.Close()
	err := errors.Join(s.hub.end(ctx), s.stopNative(ctx), s.calls.Wait(ctx))
	s.web.Stop()
	s.door.Close()
	s.serving.Wait()
	return err
}

// stopNative says GOAWAY and waits for the calls under way.
func (s *server) stopNative(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.native.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.native.Stop()
	<-done
	return context.Cause(ctx)
}
