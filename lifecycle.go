package comm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Start starts the named providers, or all. One that fails is tried again with backoff, up to the
// retry attempts; ctx bounds it all. Starting one that runs does nothing. The error joins a
// *ProviderError for each that did not start.
func (m *Manager) Start(ctx context.Context, names ...string) error {
	if m.closed.Load() {
		return ErrClosed
	}
	if err := errors.Join(m.handlers.errors()...); err != nil {
		return err
	}
	states, err := m.named(names...)
	if err != nil {
		return err
	}
	m.startTicking()
	if m.backplane != nil {
		if err := m.backplane.start(ctx); err != nil {
			return fmt.Errorf("comm: backplane: %w", err)
		}
	}
	var errs []error
	for _, p := range states {
		errs = append(errs, p.start(ctx))
	}
	return errors.Join(errs...)
}

// Stop stops the named providers, or all: their clients are told to return elsewhere, requests
// under way finish, and what is left when ctx ends is cut. A stopped provider can start again.
func (m *Manager) Stop(ctx context.Context, names ...string) error {
	states, err := m.named(names...)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(states))
	for i, p := range states {
		wg.Go(func() { errs[i] = p.stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run starts every provider, serves until ctx ends or a provider is given up, drains, closes the
// manager and returns: nil after a clean drain.
func (m *Manager) Run(ctx context.Context) error {
	err := m.Start(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-m.fatal:
		}
	} else if ctx.Err() != nil {
		err = nil
	}
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.DrainTimeout+m.cfg.DrainDelay)
	defer cancel()
	return errors.Join(err, m.Drain(drainCtx), m.Close())
}

// Close cuts everything that is still there and ends the manager. Drain first to end in good order.
// Closing twice does nothing.
func (m *Manager) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	err := m.Stop(cut)
	m.conns.closed.Store(true)
	m.cutAll(CloseReason{Kind: ReasonDrain, Text: "the server is closing"})
	m.cancel()
	m.presence.close()
	if m.backplane != nil {
		err = errors.Join(err, m.backplane.stop())
	}
	m.work.Wait()
	if errors.Is(err, context.Canceled) {
		return nil // cut is what was asked for
	}
	return err
}

// cutAll ends every connection at once and waits for the hooks.
func (m *Manager) cutAll(r CloseReason) {
	var list []*Conn
	for c := range m.conns.all {
		c.kill(r)
		list = append(list, c)
	}
	for _, c := range list {
		<-c.done
	}
}

// start runs the provider's Start with retries.
func (p *providerState) start(ctx context.Context) error {
	p.life.Lock()
	defer p.life.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.status == statusRunning {
		p.mu.Unlock()
		return nil
	}
	p.starting = cancel
	p.mu.Unlock()
	err := p.startRetrying(ctx)
	p.mu.Lock()
	p.starting = nil
	p.mu.Unlock()
	return err
}

func (p *providerState) startRetrying(ctx context.Context) error {
	m := p.manager
	backoff := Backoff{Base: m.cfg.RetryDelay, Max: max(m.cfg.RetryDelay, time.Minute)}
	for attempt := 0; ; attempt++ {
		err := p.startOnce(ctx)
		if err == nil {
			return nil
		}
		perr := &ProviderError{Provider: p.name, Op: "start", Err: err}
		if attempt >= m.cfg.RetryAttempts || ctx.Err() != nil || permanent(err) {
			return perr
		}
		wait := backoff.Delay(attempt)
		m.log.Warn("provider did not start", "provider", p.name, "error", err, "attempt", attempt+1, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return perr
		case <-m.ctx.Done():
			return perr
		}
	}
}

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	_, route := errors.AsType[*RouteError](err)
	_, option := errors.AsType[*OptionError](err)
	return route || option
}

func (p *providerState) startOnce(ctx context.Context) error {
	h := newHost(p)
	p.mu.Lock()
	p.status, p.host, p.endpoint, p.health = statusStarting, h, nil, nil
	p.ctx = p.manager.ctx
	p.mu.Unlock()
	err := p.impl.Start(ctx, h)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cut, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.impl.Stop(cut)
		p.leave(cut, statusFailed)
		return err
	}
	p.mu.Lock()
	p.status = statusRunning
	p.mu.Unlock()
	p.manager.log.Info("provider started", "provider", p.name, "addrs", p.addrs())
	p.manager.observe(Event{Kind: EventStart, Provider: p.name})
	return nil
}

// stop ends the provider in good order.
func (p *providerState) stop(ctx context.Context) error {
	p.mu.Lock()
	if p.starting != nil {
		p.starting()
	}
	p.mu.Unlock()
	p.life.Lock()
	defer p.life.Unlock()
	p.mu.Lock()
	if p.status != statusRunning && p.status != statusFailed || p.host == nil {
		p.status = statusStopped
		p.mu.Unlock()
		return nil
	}
	p.status = statusStopping
	p.mu.Unlock()
	p.closeConns(ctx)
	err := p.impl.Stop(ctx)
	err = errors.Join(err, p.waitRequests(ctx), p.leave(ctx, statusStopped))
	p.manager.log.Info("provider stopped", "provider", p.name)
	p.manager.observe(Event{Kind: EventStop, Provider: p.name, Err: err})
	if err != nil {
		return &ProviderError{Provider: p.name, Op: "stop", Err: err}
	}
	return nil
}

// leave gives up the address and the host.
func (p *providerState) leave(ctx context.Context, s status) error {
	p.mu.Lock()
	h, e := p.host, p.endpoint
	p.host, p.endpoint, p.status = nil, nil, s
	p.mu.Unlock()
	var err error
	if e != nil {
		err = p.manager.book.release(ctx, e, p)
	}
	if h != nil {
		h.cancel()
	}
	return err
}

// closeConns sends the provider's clients away and waits until they have gone; what is left when
// ctx ends is cut.
func (p *providerState) closeConns(ctx context.Context) {
	var list []*Conn
	for c := range p.manager.conns.all {
		if c.provider == p {
			list = append(list, c)
		}
	}
	p.manager.sendAway(ctx, list, 0)
}

// fail is called when the provider or its listener has died: it is restarted with backoff, on a
// goroutine of the manager, and when that fails Run ends.
func (p *providerState) fail(err error) {
	m := p.manager
	p.mu.Lock()
	if p.status != statusRunning || p.retrying || m.closed.Load() || m.draining.Load() {
		p.mu.Unlock()
		return
	}
	p.status, p.health, p.retrying = statusFailed, err, true
	p.mu.Unlock()
	m.log.Error("provider failed", "provider", p.name, "error", err)
	m.observe(Event{Kind: EventFail, Provider: p.name, Err: err})
	m.work.Go(func() {
		defer func() {
			p.mu.Lock()
			p.retrying = false
			p.mu.Unlock()
		}()
		p.restart(err)
	})
}

func (p *providerState) restart(cause error) {
	m := p.manager
	stopCtx, cancel := context.WithTimeout(m.ctx, m.cfg.WriteTimeout)
	_ = p.stop(stopCtx)
	cancel()
	if m.cfg.RetryAttempts > 0 {
		select {
		case <-time.After(Backoff{Base: m.cfg.RetryDelay}.Delay(0)):
		case <-m.ctx.Done():
			return
		}
		err := p.start(m.ctx)
		if err == nil || m.ctx.Err() != nil {
			return
		}
		cause = errors.Join(cause, err)
	}
	p.mu.Lock()
	p.status, p.health = statusFailed, cause
	p.mu.Unlock()
	select {
	case m.fatal <- &ProviderError{Provider: p.name, Op: "serve", Err: cause}:
	default:
	}
}

// startTicking runs the manager's own clock once: it forgets what has expired and checks health.
func (m *Manager) startTicking() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ticking {
		return
	}
	m.ticking = true
	m.work.Go(func() {
		tick := time.NewTicker(m.cfg.HealthInterval)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				m.checkHealth(m.ctx)
				m.sessions.sweep(now)
				m.dir.sweep(m.cfg.Store, now)
			case <-m.ctx.Done():
				return
			}
		}
	})
}

// Drain ends the service in good order, while the manager stays usable for nothing but Close:
// /readyz answers 503, after the drain delay nothing new is accepted, every client is told when to
// return, handlers finish and queues leave, requests under way are answered. What is left when ctx
// ends is cut; the error then says so.
func (m *Manager) Drain(ctx context.Context) error {
	if m.draining.Swap(true) {
		return nil
	}
	m.log.Info("draining", "connections", m.conns.count.Load())
	m.observe(Event{Kind: EventDrain})
	if d := m.cfg.DrainDelay; d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
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

// sendAway waits for the handlers of each connection, tells the client to return after a random
// part of spread, and waits until all have gone; who has not when ctx ends is cut.
func (m *Manager) sendAway(ctx context.Context, list []*Conn, spread time.Duration) {
	m.waitHandlers(ctx, list)
	for _, c := range list {
		r := CloseReason{Kind: ReasonDrain, Text: "the server is going away"}
		if spread > 0 {
			r.After = rand.N(spread) + time.Millisecond
		}
		c.shut(r)
	}
	for _, c := range list {
		select {
		case <-c.done:
		case <-ctx.Done():
			c.kill(CloseReason{Kind: ReasonDrain, Text: "the time to drain is over"})
			<-c.done
		}
	}
}

// waitHandlers waits until no connection has a message that is not handled, for at most half of
// the time that is left.
func (m *Manager) waitHandlers(ctx context.Context, list []*Conn) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	for _, c := range list {
		for wait := time.Millisecond; !c.in.idle() && c.ctx.Err() == nil; wait = min(2*wait, 50*time.Millisecond) {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
	}
}
