package listen

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// acceptRetryMin and acceptRetryMax are the waits after an accept that failed for want
	// of something, such as file descriptors, that may come back.
	acceptRetryMin = 5 * time.Millisecond
	acceptRetryMax = time.Second
	// lastCall is how long a listener that is being closed still accepts: the kernel has
	// completed handshakes that Accept has not returned yet, and closing would reset them.
	lastCall = 5 * time.Millisecond
)

// deadliner is a listener whose Accept can be interrupted without closing it.
type deadliner interface{ SetDeadline(t time.Time) error }

// accept runs until the server stops, and returns nil then, or until the listener fails
// for good. It closes the listener.
func (s *Server) accept(l net.Listener) error {
	defer l.Close()
	retry, lastCalled := time.Duration(0), false
	for {
		c, err := l.Accept()
		if err == nil {
			retry = 0
			s.lastErr.Store(nil)
			s.counts.accepted.Add(1)
			setUserTimeout(c, s.cfg.UserTimeout)
			s.take(c)
			continue
		}
		if s.isStopped() {
			if d, ok := l.(deadliner); ok && !lastCalled && errors.Is(err, os.ErrDeadlineExceeded) {
				lastCalled = true
				d.SetDeadline(time.Now().Add(lastCall))
				continue
			}
			return nil
		}
		err = fmt.Errorf("listen: accept on %v: %w", l.Addr(), err)
		s.counts.acceptErrors.Add(1)
		s.lastErr.Store(&err)
		if !temporary(err) {
			return err
		}
		retry = s.pause(retry, err)
	}
}

// pause waits before the next accept, longer each time, and returns how long it was.
func (s *Server) pause(last time.Duration, err error) time.Duration {
	wait := min(max(2*last, acceptRetryMin), acceptRetryMax)
	s.log.Warn("listen: accept failed, trying again", slog.Any("error", err), slog.Duration("wait", wait))
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	}
	return wait
}

// temporary reports whether an accept may succeed later.
func temporary(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	for _, e := range passing {
		if errors.Is(err, e) {
			return true
		}
	}
	// Temporary is deprecated for its vague meaning; for accept it is the listener's own word.
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

func (s *Server) isStopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// stopAccepting ends the accept loop and waits for its end. Politely means that
// connections the kernel holds are accepted first.
func (s *Server) stopAccepting(politely bool) {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
		if s.listener == nil {
			close(s.accepted)
		}
	}
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return
	}
	d, ok := l.(deadliner)
	if !politely || !ok || d.SetDeadline(time.Now()) != nil {
		l.Close()
	}
	<-s.accepted
}

// feed is the listener that net/http serves: it yields the connections that are ready.
type feed struct {
	ready chan net.Conn
	done  chan struct{}
	close sync.Once
}

func newFeed() *feed {
	return &feed{ready: make(chan net.Conn), done: make(chan struct{})}
}

// put hands c to net/http and reports whether it was still there to take it.
func (f *feed) put(c net.Conn) bool {
	select {
	case <-f.done:
		return false
	default:
	}
	select {
	case f.ready <- c:
		return true
	case <-f.done:
		return false
	}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.ready:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error {
	f.close.Do(func() { close(f.done) })
	return nil
}

// Addr is asked for by nobody: net/http only hands it to BaseContext.
func (f *feed) Addr() net.Addr { return &net.TCPAddr{} }
