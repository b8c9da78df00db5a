package ws

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Serve reads messages and calls f with each, in order, until ctx or the
// connection ends or f returns an error, which it then returns. p is valid
// during f only. f may call any method of c but the reading ones.
//
// While it waits on a TCP or unix socket it holds no buffer and its stack stays
// small; Start does not even hold a goroutine. What f writes is coalesced: all
// that answers the messages of one read leaves in one write, when they are all
// answered, at 64 KiB, or, if f takes its time, as soon as another goroutine is
// free to write. Most messages cost no allocation.
//
// f keeps the connection from reading, and with that from hearing pongs: the
// heartbeat's verdict waits as long as f does. Serve does not close c.
func (c *Conn) Serve(ctx context.Context, f func(t Type, p []byte) error) error {
	if err := c.beginRead(ctx); err != nil {
		return err
	}
	s := &blocking{serving: serving{c: c, ctx: ctx, f: f}}
	s.worker = s.work
	c.in.serving = true
	defer s.end()
	for {
		if s.hot() {
			s.turn()
		} else {
			s.elsewhere()
		}
		if s.err != nil {
			return s.err
		}
		if c.raw != nil { // called from here, to park as high on the stack as can be
			s.waitErr = c.raw.wait()
		} else {
			s.n, s.waitErr = c.fillOnce()
		}
		s.waited = true
	}
}

// serving is what Serve and Start have in common.
type serving struct {
	c   *Conn
	ctx context.Context
	f   func(Type, []byte) error

	err error

	// What the last wait brought.
	waited  bool
	n       int
	waitErr error

	woke   instant
	streak int
}

// blocking is one run of Serve.
type blocking struct {
	serving

	worker   func() // work, stored: a method value costs an allocation
	working  sync.WaitGroup
	returned bool
	panicked *PanicError
}

// PanicError is what Serve panics with, and what ends Start, when the function
// given to it panics: the function may run on another goroutine, whose stack
// would be lost otherwise.
type PanicError struct {
	Value any    // what the function panicked with
	Stack []byte // of the goroutine it ran on
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("%v\n\n%s", e.Value, e.Stack) }

// A connection that is woken this often in a row, each time this soon, is
// served on the goroutine that waits. For any other the messages are handled
// on a goroutine of their own, so that the stack of the one that waits does
// not grow: with many connections, most are idle, and stacks are their cost.
const (
	hotStreak = 8
	hotGap    = 100 * time.Millisecond
)

func (s *blocking) hot() bool { return s.streak >= hotStreak }

// count keeps the streak.
func (s *serving) count() {
	heard := s.c.in.heard
	if heard.since(s.woke) < hotGap {
		s.streak++
	} else {
		s.streak = 0
	}
	s.woke = heard
}

// elsewhere runs turn on another goroutine, with its panic or Goexit passed
// on to this one.
func (s *blocking) elsewhere() {
	s.returned = false
	s.working.Add(1)
	go s.worker()
	s.working.Wait()
	if s.panicked != nil {
		panic(s.panicked)
	}
	if !s.returned {
		runtime.Goexit()
	}
}

func (s *blocking) work() {
	defer s.working.Done()
	defer func() {
		if v := recover(); v != nil {
			s.panicked = &PanicError{v, debug.Stack()}
		}
	}()
	s.turn()
	s.returned = true
}

// end gives everything back, also when f panics.
func (s *serving) end() {
	c := s.c
	c.in.lent.Store(0)
	c.in.serving = false
	if s.err == nil || c.Err() == nil {
		if err := c.flush(context.Background()); s.err == nil {
			s.err = err
		}
	}
	c.endRead()
}

// turn handles what a wait brought and prepares the next one.
func (s *blocking) turn() {
	c := s.c
	if s.waited && c.raw != nil {
		s.n, s.waitErr = c.filled(s.waitErr)
	}
	s.handle()
	switch {
	case s.err != nil || c.raw == nil:
	case s.hot():
		c.shelve()
		c.raw.prepare(nil, c.bufferSize())
	default:
		c.shelve()
		c.raw.prepareSmall()
	}
}

// handle judges what a wait brought, answers it, and sets what can end the next one. again is true if it
// brought nothing.
func (s *serving) handle() (again bool) {
	c := s.c
	if s.waited {
		again, s.err = c.afterWait(s.ctx, s.n, s.waitErr)
	}
	if !again && s.err == nil {
		s.count()
		s.batch()
	}
	if s.err == nil {
		s.err = c.beforeWait(s.ctx)
	}
	return again
}

// batch handles every message that the bytes at hand begin.
func (s *serving) batch() {
	c := s.c
	c.setCork(true)
	if c.in.typ != 0 { // left by a read before Serve
		if _, s.err = c.nextMessage(s.ctx); s.err == nil {
			s.err = s.message()
		}
	}
	for s.err == nil {
		got, err := c.parse()
		if err != nil || got == nothing {
			s.err = err
			break
		}
		if got == dataFrame {
			s.err = s.message()
		}
	}
	if s.err == nil {
		s.err = c.settle(s.ctx)
	}
}

// message reads the open message and gives it to f.
func (s *serving) message() error {
	c, t := s.c, s.c.in.typ
	if !c.in.deflated {
		if p := c.whole(); p != nil {
			return s.deliver(t, p, c.complete())
		}
	}
	c.in.scratch = getBuffer(heldBuffer)
	p, err := c.body(s.ctx, c.in.scratch.b)
	scratch := c.in.scratch
	c.in.scratch = nil
	if p != nil {
		scratch.b = p
	}
	err = s.deliver(t, p, err)
	putBuffer(scratch)
	return err
}

// deliver gives a message to f, unless reading it failed or this end closes.
func (s *serving) deliver(t Type, p []byte, err error) error {
	c := s.c
	if err != nil || c.leaving.Load() {
		return err
	}
	c.setCork(len(c.unread()) > 0) // a last answer goes out at once, with the others
	return s.lend(t, p)
}

// The values of input.lent.
const (
	notLent = iota
	lent    // f runs, and the input is at rest
	taken   // Close reads now
)

// lend calls f. Meanwhile a Close may take the input over, since f, which may
// be what called it, keeps Serve from reading the peer's close frame.
func (s *serving) lend(t Type, p []byte) error {
	c := s.c
	held := c.in.buf
	c.in.lent.Store(lent)
	var err error
	if !c.leaving.Load() { // or Close has missed that the input is lent
		err = s.f(t, p)
	}
	if c.in.lent.CompareAndSwap(lent, notLent) {
		return err
	}
	<-c.done.C()
	putBuffer(held)
	return c.cause
}

// borrow takes over the input that Serve has lent. What Serve's function was
// given stays where it is.
func (c *Conn) borrow() bool {
	if !c.in.lent.CompareAndSwap(lent, taken) {
		return false
	}
	in := &c.in
	in.serving = false
	b := getBuffer(max(c.bufferSize(), len(c.unread())))
	b.b = append(b.b, c.unread()...)
	in.buf, in.r, in.w = b, 0, len(b.b)
	return true
}
