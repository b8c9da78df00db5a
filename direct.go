package comm

import "time"

// A message to many is written by its sender's goroutine where that is little work, to those to whom nothing else is
// being written: what must be read of a connection is then in the processor's cache, and a writer would have to read
// it once more. Of messages that follow one another closely a writer takes some together, which is less work still.

// DirectWriter is a TryWriter whose TryWrite does no I/O, but leaves that to a goroutine that is there already.
type DirectWriter interface {
	TryWriter
	// WritesDirectly reports whether TryWrite is as cheap as that. It is called before the first Write.
	WritesDirectly() bool
}

// quietFor is for how long nothing may have been published to a topic whose next message is written directly: of
// many that follow one another, a writer takes some together.
const quietFor = 50 * time.Microsecond

// direct reports whether the sender is to write what it publishes, and notes that something is published.
func (t *topic) direct(p *publication, e *envelope) bool {
	now := p.now.UnixNano()
	quiet := now-t.busy.Swap(now) >= int64(quietFor)
	if !quiet || p.seen != nil {
		return false
	}
	p.topic, p.e = t, e
	return true
}

// writeDirect writes to the connections whose writer the sender is. It holds no lock. What is to be noted of each is
// left for behind: writes that follow one another closely meet fewer goroutines that have gone to sleep meanwhile.
func (p *publication) writeDirect() {
	if len(p.direct) == 0 {
		return
	}
	batch := [1]Outbound{{p.e}}
	written := p.direct[:0]
	for _, c := range p.direct {
		switch ok, err := c.transport.(TryWriter).TryWrite(batch[0]); {
		case err != nil:
			c.kill(c.writeReason(err))
		case ok:
			written = append(written, c)
		default:
			p.writeLater(c)
		}
	}
	for _, c := range written {
		c.written(batch[:])
	}
	p.topic.busy.Store(time.Now().UnixNano())
}

// writeLater leaves it to a goroutine of its own to wait for c.
func (p *publication) writeLater(c *Conn) {
	s := batches.Get().(*scratch)
	s.envelopes = append(s.envelopes[:0], p.e)
	rest := s.batch()
	p.manager.warm.Go(func() { c.writeRest(s, rest) })
}
