package comm

// A handler's first answer, while nothing else waits in either direction, is written by the handler's own
// goroutine where the transport can do that without waiting: an echo so takes no second goroutine. Everything
// else is left to the writer, which writes many frames together.

// TryWriter is a Transport that can write one frame without waiting.
type TryWriter interface {
	Transport
	// TryWrite writes all of a frame, or reports that it would have to wait for that, or that Write is the
	// better way for it. An error means that the connection is dead. It is never called beside Write;
	// Close may run beside it.
	TryWrite(o Outbound) (bool, error)
}

// writeNow writes what waits, after the outbox was woken by the caller, who holds no lock.
func (c *Conn) writeNow() {
	s := batches.Get().(*scratch)
	batch, last := c.next(s)
	if last != nil {
		go c.end(last.reason, last.deadline)
	}
	if len(batch) == 0 {
		s.free()
		return
	}
	if len(batch) > 1 || !c.tryWrite(batch) {
		c.manager.warm.Go(func() { c.writeRest(s, batch) })
		return
	}
	s.free()
}

// tryWrite reports whether a batch of one frame needs no further care.
func (c *Conn) tryWrite(batch []Outbound) bool {
	open := c.manager.taps.open()
	switch ok, err := c.tryOne(batch[0]); {
	case err != nil:
		c.kill(c.writeReason(err))
	case !ok:
		return false
	default:
		c.written(batch, open)
	}
	return true
}

func (c *Conn) tryOne(o Outbound) (ok bool, err error) {
	defer c.recoverWrite(&err)
	return c.transport.(TryWriter).TryWrite(o)
}

// written takes note of what TryWrite has written, and leaves the rest to a writer.
func (c *Conn) written(batch []Outbound, open *[]*Tap) {
	c.left(batch, open)
	if !c.out.rest() {
		c.startWriter()
	}
}

// writeRest is the writer, which begins with a batch that it was given.
func (c *Conn) writeRest(s *scratch, batch []Outbound) {
	defer s.free()
	for more := c.writeOut(batch, nil); more; more = c.writeBatch(s, nil) {
	}
}
