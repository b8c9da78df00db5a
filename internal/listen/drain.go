package listen

import (
	"context"
	"net/http"
	"time"
)

const (
	// drainPollMin and drainPollMax are how often a drain looks at what is left.
	drainPollMin = time.Millisecond
	drainPollMax = 50 * time.Millisecond
)

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// StartDrain stops accepting and asks clients to go: from now on every response says
// "Connection: close" on HTTP/1.x, and sends GOAWAY on HTTP/2. Requests are still served.
// It returns when the listener is closed, within milliseconds. Calling it again changes nothing.
//
// Connections the kernel had completed are accepted first. What dials later is refused, so
// no request can have been sent on it.
func (s *Server) StartDrain() {
	// The listener goes first: clients that are told to close dial anew, and must find the
	// door shut rather than one that shuts on them.
	s.stopAccepting(true)
	s.draining.CompareAndSwap(0, time.Now().UnixNano())
}

// AnnounceDrain tells the client to go, on a response that is about to be written, if the
// server of the request with context ctx is draining. Responses that begin during a drain
// say so by themselves; a wrapper that calls this before it writes a header has those say so
// too that began before, and so spares their connections the wait for one more request. A handler
// whose client has to come once more, because the answer is not all, sets "Connection: keep-alive".
func AnnounceDrain(ctx context.Context, h http.Header) {
	if info := infoOf(ctx); info != nil && info.server.draining.Load() != 0 && h.Get("Connection") == "" {
		info.server.announce(info, h)
	}
}

// announce is "Connection: close" (RFC 9112, section 9.6), which net/http turns into a
// GOAWAY on HTTP/2.
func (s *Server) announce(info *connInfo, h http.Header) {
	if info != nil && info.major.Load() == 2 {
		s.hold(info)
	}
	h.Set("Connection", "close")
}

// Shutdown drains the server: StartDrain, then wait until every connection has ended. It
// returns a *BusyError if ctx ends first; Close cuts the rest. Handlers that stream must be
// told to end by their owner. Hijacked and claimed connections are their owners' affair.
//
// No request that a client could send before it learned of the drain is lost. HTTP/2 names
// the last request it takes in GOAWAY (RFC 9113, section 6.8), and clients repeat later
// ones elsewhere. On HTTP/1.x a connection is kept until it has carried a response with
// "Connection: close", or no request has come for DrainIdle, be it before the drain or in it: one
// that was idle so long already ends at once, for it is no likelier to be used in the next
// moment than it would be after a wait. What then remains is the race
// that RFC 9112, section 9.5, leaves open, of a request sent in the very round trip in which
// an idle connection is closed. net/http's own Shutdown closes idle connections at once
// and drops requests that it reads after it began, so it only comes when HTTP/1.x is done.
//
// Nor is an answer lost that a client is slow to read. An HTTP/2 connection that carried a request in the last 30 s
// before stays until its client closes it, but no longer than nothing comes from there for 5 s, or DrainIdle if that
// is more, and 30 s in all (see holds). Beyond that, what the client has not read may be lost.
func (s *Server) Shutdown(ctx context.Context) error {
	s.StartDrain()
	// Neither HTTP/1.x connections nor ones of unknown protocol may be left for net/http.
	if err := s.await(ctx, func() int { return s.sweep(time.Now()) }); err != nil {
		return err
	}
	s.holdAll(time.Now())
	if err := s.http.Shutdown(ctx); err != nil {
		return &BusyError{Conns: int(s.counts.open.Load()), Err: err}
	}
	// It has closed the connections; their goroutines may not have noticed yet.
	if err := s.await(ctx, func() int { return int(s.counts.open.Load()) }); err != nil {
		return err
	}
	s.feed.Close()
	s.cancel()
	return nil
}

// await returns when nothing is left.
func (s *Server) await(ctx context.Context, left func() int) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := drainPollMin; ; wait = min(2*wait, drainPollMax) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return &BusyError{Conns: int(s.counts.open.Load()) + s.gate.len(), Err: context.Cause(ctx)}
		}
		if left() == 0 {
			return nil
		}
		timer.Reset(wait)
	}
}

// sweep ends the connections that have waited for a request long enough, and returns how
// many may still carry HTTP/1.x requests.
//
// It ends them through the read deadline, not by closing: if a request has woken the reader
// in the meantime, the request wins.
func (s *Server) sweep(now time.Time) (left int) {
	left = s.gate.len()
	s.conns.all(func(info *connInfo) {
		if info.major.Load() == 2 {
			return
		}
		left++
		since := info.waiting.Load()
		if since != 0 && now.Sub(time.Unix(0, since)) >= s.cfg.DrainIdle {
			info.conn.SetReadDeadline(past)
		}
	})
	return left
}

// Close cuts everything at once: the listener, handshakes, claims and all connections that
// net/http serves, whose requests' contexts end. Hijacked and claimed connections stay.
func (s *Server) Close() error {
	s.gate.close()
	s.feed.Close()
	s.stopAccepting(false)
	s.holds.close()
	err := s.http.Close()
	// net/http misses a connection that it was just taking over.
	s.conns.all(func(info *connInfo) { info.conn.Close() })
	// Last, so that no handler takes the end of its context for a reason to answer well.
	s.cancel()
	return err
}
