package comm

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Drain ends the service in good order, while the manager stays usable for nothing but Close:
// /readyz answers 503, after the drain delay nothing new is accepted, every client is told when to
// return, handlers finish and queues leave, requests under way are answered. What is left when ctx
// ends is cut; the error then says so. A second call waits for the first.
//
// Handlers have half of the time until ctx ends: the connection of one that is at work then is told to close, which ends
// the handler's context, and a warning says for how many that was so. The other half is for what is queued to leave.
// Without a deadline on ctx handlers have all the time they take.
//
// An HTTP/1.1 connection that a client keeps alive is given 2 s for a request that may be on its way (RFC 9112 9.5),
// so a drain takes that long where there is one. Close does not wait.
func (m *Manager) Drain(ctx context.Context) error {
	if m.draining.Swap(true) {
		select {
		case <-m.drained:
			return m.drainErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(m.drained)
	m.drainErr = m.drain(ctx)
	return m.drainErr
}

func (m *Manager) drain(ctx context.Context) error {
	m.log.Info("draining", "connections", m.conns.count.Load())
	m.observe(Event{Kind: EventDrain})
	m.taps.end()
	if d := m.cfg.DrainDelay; d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	m.refusing.Store(true)
	m.ready.change()
	for _, e := range m.book.list() {
		for _, s := range e.servers() {
			s.StartDrain()
		}
	}
	var list []*Conn
	for c := range m.conns.all {
		list = append(list, c)
	}
	m.sendAway(ctx, list, m.cfg.DrainSpread)
	return errors.Join(m.finishRequests(ctx), m.Stop(ctx))
}

// finishRequests lets every address answer what clients have sent, while the providers still run.
func (m *Manager) finishRequests(ctx context.Context) error {
	list := m.book.list()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, e := range list {
		wg.Go(func() { errs[i] = e.shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sendAway takes no more requests of the clients, tells each to return after a random part of spread
// as soon as its own handlers have finished, and waits until all have gone; who has not when ctx ends
// is cut.
func (m *Manager) sendAway(ctx context.Context, list []*Conn, spread time.Duration) {
	for _, c := range list {
		c.in.refuse()
	}
	shut := func(c *Conn) {
		r := CloseReason{Kind: ReasonDrain, Text: "the server is going away"}
		if spread > 0 {
			r.After = rand.N(spread) + time.Millisecond
		}
		c.shut(r)
	}
	busy := m.shutIdle(ctx, slices.Clone(list), shut)
	if len(busy) > 0 {
		m.log.Warn("connections are closed before their handlers have returned: half of the time to drain is over", "connections", len(busy))
	}
	for _, c := range busy {
		shut(c)
	}
	for _, c := range list {
		select {
		case <-c.done.C():
		case <-ctx.Done():
			c.kill(CloseReason{Kind: ReasonDrain, Text: "the time to drain is over"})
			<-c.done.C()
		}
	}
}

// shutIdle calls shut with every connection that has no frame under way, one after the other as they
// come to rest, and returns those that did not within half of the time that is left.
func (m *Manager) shutIdle(ctx context.Context, list []*Conn, shut func(*Conn)) (busy []*Conn) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		list = slices.DeleteFunc(list, func(c *Conn) bool {
			if !c.in.idle() && c.ctx.Err() == nil {
				return false
			}
			shut(c)
			return true
		})
		if len(list) == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return list
		}
	}
}
