package ws

import "time"

// The heartbeat is the waiting read's own deadline: no timer object, no
// goroutine. The deadline is not moved when bytes come, for that would cost on
// every message; it is moved when it fires and bytes have come since.

// startBeat sets the first deadline, and grants a new one to a ping that
// nobody was waiting for an answer to.
func (c *Conn) startBeat() {
	in := &c.in
	if c.set.beat == 0 {
		return
	}
	if in.heard.IsZero() {
		in.heard = time.Now()
		in.watch.arm(in.heard.Add(c.set.beat))
	}
	if in.pinged && time.Now().After(in.watch.until) {
		in.pinged = false
	}
}

// beat is called when the read's deadline fired.
func (c *Conn) beat() error {
	in := &c.in
	now := time.Now()
	next := in.heard.Add(c.set.beat)
	switch {
	case c.set.beat == 0:
		next = time.Time{} // a deadline from before the connection was ours
	case in.pinged:
		c.shut(&CloseError{Code: StatusAbnormal, Local: true, Cause: ErrHeartbeat})
		return c.Err()
	case !next.After(now):
		c.pinger().beat(c)
		in.pinged = true
		next = now.Add(c.set.wait)
	}
	in.watch.arm(next)
	return nil
}
