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
	// TryWriteMany does with every transport what its TryWrite does, and tells the bytes that were written instead of
	// counting them by Host.Traffic. All are of the receiver's provider and write directly, and it is one of them.
	TryWriteMany(o Outbound, all []Attempt)
}

// Attempt is a transport to which a frame is to be written, and what came of it.
type Attempt struct {
	Transport Transport
	Bytes     int   // written; 0 where it would have to wait, or where Write is the better way
	Err       error // the connection is dead
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

// claim makes the caller the writer of a connection to which nothing is being written, if it writes directly.
func (o *outbox) claim() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.direct || o.writing || o.closing {
		return false
	}
	o.writing = true
	return true
}

// claimed notes that the sender is c's writer.
func (p *publication) claimed(c *Conn) {
	p.expect(c)
	p.delivery.Queued++
	p.direct = append(p.direct, c)
	p.attempts = append(p.attempts, Attempt{Transport: c.transport})
}

// writeDirect writes to the connections whose writer the sender is, to those of one provider at once. It holds no
// lock.
func (p *publication) writeDirect() {
	if len(p.direct) == 0 {
		return
	}
	for from := 0; from < len(p.direct); {
		to := from + 1
		for to < len(p.direct) && p.direct[to].provider == p.direct[from].provider {
			to++
		}
		p.writeMany(p.direct[from:to], p.attempts[from:to])
		from = to
	}
	p.topic.busy.Store(time.Now().UnixNano())
}

// writeMany writes to connections of one provider. What is to be noted of each is left for behind: writes that follow
// one another closely meet fewer goroutines that have gone to sleep meanwhile.
func (p *publication) writeMany(list []*Conn, attempts []Attempt) {
	open := p.manager.taps.open()
	p.tryMany(list, attempts)
	var messages, bytes int64
	for i, c := range list {
		switch a := &attempts[i]; {
		case a.Err != nil:
			c.kill(c.writeReason(a.Err))
		case a.Bytes == 0:
			p.writeLater(c)
		default:
			messages++
			if !c.out.metered {
				bytes += int64(a.Bytes)
			}
			p.wrote(c, a.Bytes, open)
		}
	}
	stats := &list[0].provider.stats
	stats.messagesOut.Add(messages)
	stats.bytesOut.Add(bytes)
}

// tryMany fails all attempts where a transport panics: which of them have been written to, nobody knows.
func (p *publication) tryMany(list []*Conn, attempts []Attempt) {
	var err error
	defer func() {
		if err != nil {
			for i := range attempts {
				attempts[i].Err = err
			}
		}
	}()
	defer list[0].recoverWrite(&err)
	attempts[0].Transport.(DirectWriter).TryWriteMany(Outbound{p.e}, attempts)
}

// wrote takes note of what c has been sent, and leaves the rest to a writer.
func (p *publication) wrote(c *Conn, bytes int, open *[]*Tap) {
	c.stats.messagesOut.Add(1)
	c.stats.bytesOut.Add(int64(bytes))
	c.tapOut([]Outbound{{p.e}}, open)
	if !c.out.rest() {
		c.startWriter()
	}
}

// writeLater leaves it to a goroutine of its own to wait for c.
func (p *publication) writeLater(c *Conn) {
	s := batches.Get().(*scratch)
	s.envelopes = append(s.envelopes[:0], p.e)
	rest := s.batch()
	p.manager.warm.Go(func() { c.writeRest(s, rest) })
}
