package sse

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/anasamu/comm/internal/park"
	"github.com/anasamu/comm/internal/rawconn"
)

// maxStray is how many bytes a client may send after its request before the stream ends: nothing is
// expected of it, and what comes is thrown away.
const maxStray = 64 << 10

// errStray ends a stream whose client sends more after its request than anyone could mean.
var errStray = errors.New("sse: client sent data on its event stream")

// watch returns what waits for the client of a hijacked stream to go, and ends the stream then. Everything else
// that ends the stream closes the connection, which ends the wait. allowed is how much the client may still send.
func (s *Stream) watch(c *connCarrier, allowed int) (wait func()) {
	if c.sys == nil || !park.Available() {
		return func() { s.departed(awaitClose(c.conn, allowed)) }
	}
	c.gone = &departure{stream: s, conn: c, allowed: allowed}
	c.gone.waiter.Init(c.gone.look)
	return c.gone.look
}

// departed ends the stream whose client has gone; err is nil for an orderly end.
func (s *Stream) departed(err error) {
	s.stop(errors.Join(ErrGone, err), time.Now())
	s.callOnEnd()
}

// departure waits for the end of a connection without a goroutine.
type departure struct {
	stream  *Stream
	conn    *connCarrier
	waiter  park.Waiter
	allowed int
}

// look reads what is there and parks, until the connection has ended.
func (d *departure) look() {
	for {
		ended, err := d.drain()
		if ended || d.stream.ctx.Err() != nil {
			d.stream.departed(err)
			return
		}
		d.waiter.Prepare()
		parked, err := d.waiter.Park(d.conn.sys, 0)
		switch {
		case parked:
			return
		case err != nil: // the system refuses: wait here
			d.stream.departed(awaitClose(d.conn.conn, d.allowed))
			return
		}
	}
}

// drain throws away what the client has sent, and reports whether it has gone.
func (d *departure) drain() (ended bool, err error) {
	scratch := getScratch()
	defer putScratch(scratch)
	for {
		n, err := rawconn.Read(d.conn.sys, (*scratch)[:cap(*scratch)])
		switch {
		case err == rawconn.ErrAgain:
			return false, nil
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return true, nil
		case err != nil:
			return true, err
		}
		if d.allowed -= n; d.allowed < 0 {
			return true, errStray
		}
	}
}
