package ws

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
	if in.heard == 0 {
		in.heard = now()
		in.watch.arm(c, in.heard.add(c.set.beat))
	}
	if in.pinged && now() > in.watch.until {
		in.pinged = false
	}
}

// beat is called when the read's deadline fired.
func (c *Conn) beat() error {
	in := &c.in
	at := now()
	next := in.heard.add(c.set.beat)
	switch {
	case c.set.beat == 0:
		next = 0 // a deadline from before the connection was ours
	case in.pinged:
		c.shut(&CloseError{Code: StatusAbnormal, Local: true, Cause: ErrHeartbeat})
		return c.Err()
	case next <= at:
		c.pinger().beat(c)
		in.pinged = true
		next = at.add(c.set.wait)
	}
	in.watch.arm(c, next)
	return nil
}
