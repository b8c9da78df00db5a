package ws

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"github.com/anasamu/comm/internal/park"
	"github.com/anasamu/comm/internal/rawconn"
)

// Start is Serve for servers with many connections: it returns at once, and an
// idle connection holds no goroutine. f is called with each message as Serve
// calls it, in order and never twice at a time, but on goroutines that change.
// end, unless nil, is called once, after the last call of f, with what Serve
// would have returned; it may block. What f panics with is a *PanicError then,
// and ends nothing but this connection. Start does not close c; end may.
//
// ctx must live as long as the connection is to be served: one that ends with
// an HTTP request ends Start too.
//
// On Linux a connection on a TCP or unix socket, or in TLS on one, waits in
// an epoll instance that all of them share. One whose messages come in quick
// succession keeps a goroutine as long as they do, so that it costs no more
// than with Serve. Everywhere else Start runs Serve on a goroutine.
func (c *Conn) Start(ctx context.Context, f func(t Type, p []byte) error, end func(err error)) {
	s := &started{serving: serving{c: c, ctx: ctx, f: f}, ended: end, sys: c.socket()}
	if s.sys == nil || ended(ctx) != nil || !c.in.lock.try() {
		go s.serve()
		return
	}
	if c.keepIfAlive(&c.in.lock) != nil {
		go s.serve()
		return
	}
	c.in.serving = true
	s.waiter.Init(s.woken)
	c.parking.Store(&s.waiter)
	if len(c.unread()) > 0 || c.in.typ != 0 {
		go s.run()
		return
	}
	if s.err = c.beforeWait(ctx); s.err != nil || c.raw == nil && s.probe() {
		go s.run()
		return
	}
	if parked, _ := s.park(); !parked { // why not, the first wait finds again
		go s.woken()
	}
}

// started is one run of Start. While it waits it is parked: owned by nobody,
// until its waiter is woken.
type started struct {
	serving
	ended  func(error)
	sys    park.Control // of the socket
	waiter park.Waiter
}

// A connection that is woken this often in a row, each time within hotGap,
// keeps its goroutine while it waits, until nothing comes for coolTime.
const (
	warmStreak = 2
	coolTime   = time.Second
)

// socket returns what c can be parked with, nil if it cannot.
func (c *Conn) socket() park.Control {
	switch {
	case c.set.portable || !parkable || !park.Available():
		return nil
	case c.raw != nil:
		return c.raw.sys
	}
	if sys := rawconn.UnderTLS(c.rwc); sys != nil {
		return sys
	}
	return nil
}

// serve is for connections that cannot be parked.
func (s *started) serve() {
	defer func() { s.leave(recover()) }()
	s.err = s.c.Serve(s.ctx, s.f)
}

// woken goes on with a connection that was parked.
func (s *started) woken() {
	s.attempt()
	s.run()
}

// run serves until the connection is parked, and belongs to somebody else from
// then on, or has ended.
func (s *started) run() {
	parked := false
	defer func() {
		if !parked {
			s.finish(recover())
		}
	}()
	for s.err == nil {
		if again := s.handle(); again && now().since(s.c.in.heard) >= coolTime {
			s.streak = 0
		}
		if s.err == nil && s.wait() {
			parked = true
			return
		}
	}
}

// finish gives everything back.
func (s *started) finish(panicked any) {
	s.waiter.Close()
	s.c.in.watch.shift(s.c, false)
	if panicked == nil && s.err == nil {
		s.err = errGoexit
	}
	s.end()
	s.leave(panicked)
}

// leave tells the end.
func (s *started) leave(panicked any) {
	switch v := panicked.(type) {
	case nil:
		if s.err == nil {
			s.err = errGoexit
		}
	case *PanicError: // from Serve
		s.err = v
	default:
		s.err = &PanicError{v, debug.Stack()}
	}
	if s.ended != nil {
		s.ended(s.err)
	}
}

var errGoexit = errors.New("ws: the function given to Start called runtime.Goexit")

// wait parks the connection, or waits here for what comes next.
func (s *started) wait() (parked bool) {
	if s.streak >= warmStreak {
		if s.streak == warmStreak { // from now on
			s.waiter.Leave()
		}
		s.stand(s.c.in.heard)
		return false
	}
	if s.c.raw == nil && s.probe() {
		return false
	}
	parked, err := s.park()
	switch {
	case parked:
		return true
	case err != nil: // the system refuses for now
		s.stand(now())
	default:
		s.attempt()
	}
	return false
}

// park leaves the connection to its waiter.
func (s *started) park() (parked bool, _ error) {
	c := s.c
	w := &c.in.watch
	c.shelve()
	w.shift(c, true)
	if c.set.beat != 0 && !c.in.pinged { // here moving it costs nothing
		w.arm(c, c.in.heard.add(c.set.beat))
	}
	s.waiter.Prepare()
	if w.interrupted() || c.Err() != nil { // the next read says why
		return false, nil
	}
	var most time.Duration
	if w.until != 0 {
		most = max(w.until.since(now()), 1)
	}
	return s.waiter.Park(s.sys, most)
}

// stand waits on this goroutine, from the given time on for coolTime, unless
// the heartbeat is due before.
func (s *started) stand(from instant) {
	c := s.c
	w := &c.in.watch
	w.shift(c, false)
	if !c.in.pinged && (w.until == 0 || w.until.since(from) > 2*coolTime) {
		w.arm(c, from.add(coolTime))
	}
	s.n, s.waitErr = c.fillOnce()
	s.waited = true
}

// attempt reads what is there. Over TLS that may take until a record is whole.
func (s *started) attempt() {
	c := s.c
	s.waited = true
	if c.raw == nil {
		c.in.watch.shift(c, false)
		s.n, s.waitErr = c.fillOnce()
		return
	}
	c.shelve()
	s.n, s.waitErr = c.filled(c.raw.look(c.bufferSize()))
	if s.waitErr == errAgain && c.in.watch.until != 0 && now() >= c.in.watch.until {
		s.waitErr = os.ErrDeadlineExceeded
	}
}

// probe reports whether something came that the socket does not know of any
// more: TLS reads ahead. A deadline in the past lets Read return that and
// nothing else.
func (s *started) probe() bool {
	c := s.c
	c.in.watch.shift(c, true)
	s.n, s.waitErr = c.fillOnce()
	if s.n == 0 && timeout(s.waitErr) && !c.in.watch.interrupted() {
		s.waitErr = nil // it would be kept for as long as the connection waits
		return false
	}
	s.waited = true
	return true
}
