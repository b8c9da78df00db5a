package memnet

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// backlog is how many dialled connections wait for Accept before further dials wait too.
const backlog = 128

// Listener accepts the stream connections of one address. It is safe for concurrent use.
type Listener struct {
	network *Network
	addr    Addr
	queue   chan *Conn
	done    chan struct{} // closed by Close
	close   sync.Once
	expiry  alarm
}

func newListener(n *Network, a Addr) *Listener {
	return &Listener{network: n, addr: a, queue: make(chan *Conn, backlog), done: make(chan struct{})}
}

// Accept returns the next dialled connection, a *Conn. It fails with net.ErrClosed after
// Close and with os.ErrDeadlineExceeded past the deadline; waiting connections are
// accepted up to then.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, opError("accept", nil, l.addr, net.ErrClosed)
	case <-l.expiry.wait():
		return nil, opError("accept", nil, l.addr, os.ErrDeadlineExceeded)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, opError("accept", nil, l.addr, net.ErrClosed)
	case <-l.expiry.wait():
		return nil, opError("accept", nil, l.addr, os.ErrDeadlineExceeded)
	}
}

// SetDeadline bounds Accept calls, waiting ones too. The zero time removes the bound.
func (l *Listener) SetDeadline(t time.Time) error {
	l.expiry.set(t)
	return nil
}

// Close ends listening: waiting Accept calls fail, and connections that nobody accepted
// are closed. A second Close is net.ErrClosed.
func (l *Listener) Close() error {
	err := opError("close", nil, l.addr, net.ErrClosed)
	l.close.Do(func() {
		err = nil
		l.network.forgetListener(l.addr)
		close(l.done)
		l.expiry.set(time.Time{})
		l.discard()
	})
	return err
}

// Addr returns the listener's Addr.
func (l *Listener) Addr() net.Addr { return l.addr }

func (l *Listener) enqueue(ctx context.Context, c *Conn) error {
	select {
	case l.queue <- c:
	case <-l.done:
		return errRefused
	case <-ctx.Done():
		return ctx.Err()
	}
	// Close may have emptied the queue just before the connection went in.
	select {
	case <-l.done:
		l.discard()
	default:
	}
	return nil
}

func (l *Listener) discard() {
	for {
		select {
		case c := <-l.queue:
			c.Close()
		default:
			return
		}
	}
}

// alarm is a deadline that can be waited for in a select. Its zero value never rings.
type alarm struct {
	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	ring  chan struct{} // closed at the deadline; made when first needed
	rung  bool
}

func (a *alarm) wait() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channel()
}

func (a *alarm) channel() chan struct{} {
	if a.ring == nil {
		a.ring = make(chan struct{})
	}
	return a.ring
}

func (a *alarm) set(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if a.rung {
		a.ring, a.rung = nil, false
	}
	if t.IsZero() {
		return
	}
	if d := time.Until(t); d > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(d, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			// A timer that was replaced while it fired says nothing any more.
			if a.timer == timer {
				a.now()
			}
		})
		a.timer = timer
		return
	}
	a.now()
}

// now rings; mu is held.
func (a *alarm) now() {
	close(a.channel())
	a.rung = true
}
