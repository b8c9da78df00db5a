package comm

import (
	"context"
	"errors"
	"fmt"
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
	if len(states) == 0 {
		m.log.Warn("no provider is registered: nothing is served (WithProvider, Register)")
	}
	if first := m.startTicking(); first {
		m.starting.Store(true)
		defer m.starting.Store(false)
	}
	if m.backplane != nil {
		if err := m.backplane.start(ctx); err != nil {
			return fmt.Errorf("comm: backplane: %w", err)
		}
	}
	return m.startAll(ctx, states)
}

// startAll starts the providers in their order. One that does not start at once is tried again while
// the others go on.
func (m *Manager) startAll(ctx context.Context, states []*providerState) error {
	errs := make([]error, len(states))
	var wg sync.WaitGroup
	for i, p := range states {
		tried := make(chan struct{})
		wg.Go(func() { errs[i] = p.start(ctx, m.cfg.RetryAttempts, sync.OnceFunc(func() { close(tried) })) })
		<-tried
	}
	m.starting.Store(false)
	wg.Wait()
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

// Run starts every provider that does not run yet, serves until ctx ends or a provider is given up, drains within the
// drain timeout (WithDrainTimeout), closes the manager and returns: nil after a clean drain, else the *ProviderError
// of the provider, or what was cut. Call it once; it does not watch for signals (signal.NotifyContext does).
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
	m.mu.Lock()
	again := m.closed.Swap(true)
	m.mu.Unlock()
	if again {
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
	m.warm.Close()
	if errors.Is(err, context.Canceled) {
		return nil // cut is what was asked for
	}
	return err
}

// spawn runs f on a goroutine that Close waits for, unless the manager is closed.
func (m *Manager) spawn(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed.Load() {
		m.work.Go(f)
	}
}

// cutAll ends every connection at once and waits for the hooks.
func (m *Manager) cutAll(r CloseReason) {
	var list []*Conn
	for c := range m.conns.all {
		c.kill(r)
		list = append(list, c)
	}
	for _, c := range list {
		<-c.done.C()
	}
}

// start runs the provider's Start, and again up to retries times. It calls tried after the first time.
func (p *providerState) start(ctx context.Context, retries int, tried func()) error {
	defer tried()
	p.life.take()
	defer p.life.give()
	if ctx.Err() != nil {
		return &ProviderError{Provider: p.name, Op: "start", Err: context.Cause(ctx)}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.status == statusRunning {
		p.mu.Unlock()
		return nil
	}
	p.starting = cancel
	p.mu.Unlock()
	err := p.attempts(ctx, retries, tried)
	p.mu.Lock()
	p.starting = nil
	p.mu.Unlock()
	return err
}

// retryBackoff is the waits between attempts to start a provider.
func (m *Manager) retryBackoff() Backoff {
	return Backoff{Base: m.cfg.RetryDelay, Max: max(m.cfg.RetryDelay, time.Minute)}
}

func (p *providerState) attempts(ctx context.Context, retries int, tried func()) error {
	m := p.manager
	for n := 0; ; n++ {
		err := p.attempt(ctx)
		tried()
		if err == nil || n >= retries || ctx.Err() != nil || permanent(err) {
			return err
		}
		wait := m.retryBackoff().Delay(n)
		m.log.Warn("provider did not start", "provider", p.name, "error", err, "attempt", n+1, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		case <-m.ctx.Done():
			return err
		}
	}
}

func (p *providerState) attempt(ctx context.Context) error {
	if err := p.startOnce(ctx); err != nil {
		return &ProviderError{Provider: p.name, Op: "start", Err: err}
	}
	return nil
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
	p.early = nil
	p.mu.Unlock()
	err := p.impl.Start(ctx, h)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = p.nowRunning()
	}
	if err != nil {
		cut, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.impl.Stop(cut)
		p.leave(cut, statusFailed)
		return err
	}
	where := "addrs"
	if p.manager.cfg.InMemory {
		where = "addrs_in_memory" // no socket is open there
	}
	p.manager.log.Info("provider started", "provider", p.name, where, p.addrs())
	p.manager.observe(Event{Kind: EventStart, Provider: p.name})
	return nil
}

// nowRunning ends the start, unless the provider has failed in the meantime.
func (p *providerState) nowRunning() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.early == nil {
		p.status, p.since = statusRunning, time.Now()
		p.healthAt = p.since
	}
	return p.early
}

// stop ends the provider in good order, and a start or restart that is under way.
func (p *providerState) stop(ctx context.Context) error {
	p.mu.Lock()
	for _, cancel := range []context.CancelFunc{p.restarting, p.starting} {
		if cancel != nil {
			cancel()
		}
	}
	p.mu.Unlock()
	return p.halt(ctx)
}

func (p *providerState) halt(ctx context.Context) error {
	p.life.take()
	defer p.life.give()
	p.mu.Lock()
	if p.status != statusRunning && p.status != statusFailed || p.host == nil {
		p.status = statusStopped
		p.mu.Unlock()
		return nil
	}
	p.status, p.farewell = statusStopping, true
	p.mu.Unlock()
	p.closeConns(ctx)
	p.mu.Lock()
	p.farewell = false
	p.mu.Unlock()
	err := p.impl.Stop(ctx)
	err = errors.Join(err, p.requests.Wait(ctx), p.leave(ctx, statusStopped))
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
	if p.status == statusStarting {
		p.early = err
	}
	if p.status != statusRunning || m.closed.Load() || m.draining.Load() {
		p.mu.Unlock()
		return
	}
	if (Backoff{}).Stable(time.Since(p.since)) {
		p.failures = 0
	}
	ctx, cancel := context.WithCancel(m.ctx)
	p.status, p.health, p.restarting = statusFailed, err, cancel
	p.mu.Unlock()
	m.log.Error("provider failed", "provider", p.name, "error", err)
	m.observe(Event{Kind: EventFail, Provider: p.name, Err: err})
	m.spawn(func() {
		defer cancel()
		p.restart(ctx, err)
	})
}

// restart stops what is left of the provider and starts it again, until that succeeds, the attempts
// are used up, or ctx ends. Attempts count from the last time that the provider ran for long enough,
// so that one that dies right after each start is given up too.
func (p *providerState) restart(ctx context.Context, cause error) {
	m := p.manager
	stopCtx, cancel := context.WithTimeout(ctx, m.cfg.WriteTimeout)
	_ = p.halt(stopCtx)
	cancel()
	for attempt := p.nextAttempt(); attempt < m.cfg.RetryAttempts && !permanent(cause); attempt = p.nextAttempt() {
		wait := m.retryBackoff().Delay(attempt)
		m.log.Info("provider restarts", "provider", p.name, "attempt", attempt+1, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		err := p.start(ctx, 0, func() {})
		if err == nil || ctx.Err() != nil {
			return
		}
		cause = err
	}
	p.mu.Lock()
	p.status, p.health = statusFailed, cause
	p.mu.Unlock()
	select {
	case m.fatal <- &ProviderError{Provider: p.name, Op: "serve", Err: cause}:
	default:
	}
}

// nextAttempt counts the failures since the provider last ran for long enough, from 0.
func (p *providerState) nextAttempt() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	return p.failures - 1
}

// startTicking runs the manager's own clock once: it forgets what has expired and checks health. first reports whether
// this was the first start.
func (m *Manager) startTicking() (first bool) {
	m.mu.Lock()
	before := m.ticking
	m.ticking = true
	m.mu.Unlock()
	if before {
		return false
	}
	m.spawn(func() {
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
	return true
}
