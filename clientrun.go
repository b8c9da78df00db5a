package comm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// clientInbox is how much may wait for the client's handlers before it stops reading.
var clientInbox = inboxBounds{64, 1 << 20, 4096, 16 << 20}

func (c *Client) inboxBounds() *inboxBounds { return &clientInbox }
func (c *Client) asks() bool                { return c.held.any() }
func (c *Client) goHandle(run func())       { goIn(&c.handling, run) }

// carrierKey is the key, in the context of a client's handlers, of the carrier whose messages they
// hold up.
type carrierKey struct{}

// handlerKey is what a handler waits by for joined and left: it is told at once. All others are told
// when the position says so too, which is behind the handler.
func handlerKey(id string) string { return "\x01" + id }

// requests counts those that handlers have made and wait for.
type requests struct{ atomic.Int32 }

func (r *requests) any() bool { return r.Load() > 0 }

// Run connects and stays connected until ctx ends (it says goodbye and returns nil) or the server
// says not to return (it returns an error that holds the CloseReason, or the *PeerError of a refused hello, by whichever
// the carrier says it). It returns when every handler has, or else with another error after the time of
// WithCloseTimeout. A Client runs once; a second Run is ErrRunning.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running || c.state == ClientClosed {
		c.mu.Unlock()
		return ErrRunning
	}
	c.running = true
	c.mu.Unlock()
	running, end := context.WithCancel(ctx)
	defer c.bound(running)()
	err := c.loop(running)
	end()
	if ctx.Err() != nil {
		err = nil
	}
	return c.close(err)
}

// loop is the state machine: connect, serve, wait. attempt counts failures since a stable connection.
func (c *Client) loop(ctx context.Context) error {
	dialer, refused := 0, 0
	for attempt := 0; ctx.Err() == nil; attempt++ {
		start := time.Now()
		welcomed, err := c.connection(ctx, c.dialers[dialer])
		switch {
		case ctx.Err() != nil:
			return err
		case !final(err):
			refused = 0
		default: // for good, unless it was no gateway that said so, but something on the way of one carrier
			if refused++; welcomed || refused == len(c.dialers) {
				return err
			}
		}
		switch {
		case !welcomed:
			dialer = (dialer + 1) % len(c.dialers)
			if dialer != 0 && attempt < len(c.dialers) {
				continue // the first round over all dialers does not wait
			}
		case c.opts.backoff.Stable(time.Since(start)):
			attempt = 0
		}
		if err := c.wait(ctx, attempt, err); err != nil {
			return err
		}
	}
	return nil
}

// final reports whether the server does not want the client back.
func final(err error) bool {
	if r, ok := errors.AsType[CloseReason](err); ok {
		return !r.Reconnect()
	}
	if pe, ok := errors.AsType[*PeerError](err); ok {
		return pe.Code == CodeSessionRevoked || pe.Code == CodeUnsupportedVersion || pe.Code == CodeForbidden ||
			pe.Code == CodeUnauthenticated
	}
	return false
}

// wait waits before the next attempt: the backoff's delay, and at least what the server asked for.
func (c *Client) wait(ctx context.Context, attempt int, cause error) error {
	d := c.opts.backoff.Delay(attempt)
	if r, ok := errors.AsType[CloseReason](cause); ok {
		d = max(d, r.After)
	}
	if le, ok := errors.AsType[*LimitError](cause); ok {
		d = max(d, le.Retry)
	}
	c.turn(ClientWaiting, StateChange{Wait: d, Err: cause})
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connection is one connection from dialling to its end. welcomed tells whether it ever stood.
func (c *Client) connection(ctx context.Context, d Dialer) (welcomed bool, err error) {
	c.turn(ClientConnecting, StateChange{Carrier: d.Name()})
	dialCtx, cancel := context.WithTimeout(ctx, c.opts.timeout)
	defer cancel()
	hello, err := c.hello(dialCtx)
	if err != nil {
		return false, err
	}
	carrier, err := d.Dial(dialCtx, hello)
	if err != nil {
		return false, err
	}
	hangUp := sync.OnceFunc(func() { c.hangUp(ctx, carrier) })
	defer hangUp()
	expires, err := c.await(dialCtx, carrier)
	if err != nil {
		return false, err
	}
	return true, c.serve(ctx, d, carrier, expires, hangUp)
}

// hello says who the client is and where it was.
func (c *Client) hello(ctx context.Context) (*Frame, error) {
	token := ""
	if c.opts.token != nil {
		var err error
		if token, err = c.opts.token(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Frame{
		Op: OpHello, Token: token, Position: c.position.Clone(),
		Hello: &Hello{
			Version: ProtocolVersion, Session: c.session, Metadata: c.opts.metadata,
			Groups: slices.Sorted(maps.Keys(c.groups)),
		},
	}, nil
}

// await reads until welcome.
func (c *Client) await(ctx context.Context, carrier Carrier) (expires time.Time, err error) {
	for {
		f, err := carrier.Receive(ctx)
		if err != nil {
			return expires, err
		}
		switch f.Op {
		case OpWelcome:
			c.mu.Lock()
			c.welcome, c.session = *f.Welcome, f.Welcome.Session
			c.mu.Unlock()
			return f.Expires, nil
		case OpError:
			return expires, c.end(ctx, carrier, &PeerError{Code: f.Code, Message: f.Text})
		case OpClosing:
			return expires, closingReason(f)
		}
	}
}

// end returns why a hello was refused. Where that alone does not say that the client must stay away, the end of the
// carrier, which comes next, says whether to return, and when.
func (c *Client) end(ctx context.Context, carrier Carrier, refusal *PeerError) error {
	if final(refusal) {
		return refusal
	}
	ctx, cancel := context.WithTimeout(ctx, refusalTime)
	defer cancel()
	for {
		f, err := carrier.Receive(ctx)
		if err == nil && f.Op == OpClosing {
			err = closingReason(f)
		}
		if r, ok := errors.AsType[CloseReason](err); ok {
			r.Err = refusal
			return r
		}
		if err != nil {
			return refusal
		}
	}
}

// refusalTime is how long the end of a carrier is waited for whose hello was refused.
const refusalTime = time.Second

func closingReason(f *Frame) CloseReason {
	r := CloseReason{Kind: ReasonOfCode(f.Code), Text: f.Text}
	if f.Closing != nil {
		r.After = f.Closing.After
	}
	return r
}

// serve runs a connection that stands: this goroutine reads, another handles, in order. When the
// connection ends, what was read is handled first, so that the position is true.
func (c *Client) serve(ctx context.Context, d Dialer, carrier Carrier, expires time.Time, hangUp func()) error {
	live, lost := context.WithCancel(ctx)
	handlerCtx, handled := context.WithCancel(context.WithValue(ctx, carrierKey{}, carrier))
	defer handled()
	renewed := make(chan time.Time, 1)
	c.in.run = func() {
		for f, _ := c.in.take(); f != nil; f, _ = c.in.take() {
			switch {
			case c.over.Err() != nil: // Run has returned without what is left
			case f.Op == OpCall:
				c.startCall(live, carrier, f)
			default:
				c.handle(handlerCtx, carrier, f)
			}
		}
	}
	c.up(d, carrier)
	goIn(&c.helping, func() { c.keepFresh(live, expires, renewed) })
	err := c.read(live, carrier, renewed)
	c.down()
	lost()
	c.settle(ctx, hangUp)
	return err
}

// read takes frames from the carrier until it ends.
func (c *Client) read(ctx context.Context, carrier Carrier, renewed chan<- time.Time) error {
	for {
		f, err := carrier.Receive(ctx)
		if err != nil {
			return err
		}
		switch f.Op {
		case OpClosing:
			return closingReason(f)
		case OpPing:
			if err := carrier.Send(ctx, &Frame{Op: OpPong, ID: f.ID}); err != nil {
				return err
			}
		case OpReply:
			c.waits.resolve(f.ID, f.Message, nil)
		case OpAck:
			c.answer(f.ID, nil)
		case OpAuthed:
			select {
			case renewed <- f.Expires:
			default:
			}
			c.waits.resolve(f.ID, nil, nil)
		case OpError:
			c.answer(f.ID, &PeerError{Code: f.Code, Message: f.Text})
			c.refused(f)
		case OpMessage, OpCall, OpGap, OpJoined, OpLeft:
			if err := c.queue(ctx, f); err != nil {
				return err
			}
		}
	}
}

// queue gives f to the handlers. It waits while too much is there, but not for a handler that itself
// waits for an answer behind f: then the connection is given up, and the next one resumes.
func (c *Client) queue(ctx context.Context, f *Frame) error {
	if f.Op == OpJoined || f.Op == OpLeft {
		c.waits.resolve(handlerKey(f.ID), nil, nil)
	}
	for {
		wait, err := c.in.put(f, frameSize(f), 1)
		switch {
		case wait == nil:
			return err
		case c.held.any():
			return CloseReason{Kind: ReasonSlow, Text: "a handler waits for an answer behind too many messages"}
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// answer resolves what waits for id, as an ack or as a reply.
func (c *Client) answer(id string, err error) {
	if id == "" {
		return
	}
	_ = c.waits.resolve(ackKey(id), nil, err) || c.waits.resolve(id, nil, err) || c.waits.resolve(handlerKey(id), nil, err)
}

// refused forgets a group whose join was refused with the hello.
func (c *Client) refused(f *Frame) {
	if f.Group == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, f.Group)
	c.position.Remove(kindPrefix[targetGroup] + f.Group)
}

// handle runs one frame that has its place in the order.
func (c *Client) handle(ctx context.Context, carrier Carrier, f *Frame) {
	switch f.Op {
	case OpMessage:
		c.handleMessage(ctx, carrier, f)
	case OpGap:
		if c.opts.onGap != nil {
			c.opts.onGap(Gap{Log: f.Log.Log, Epoch: f.Log.Epoch, From: f.GapFrom, To: f.Log.Offset})
		}
	}
	c.mu.Lock()
	c.position.Observe(f)
	c.mu.Unlock()
	if f.Op == OpJoined || f.Op == OpLeft {
		c.waits.resolve(f.ID, nil, nil)
	}
}

func (c *Client) find(typ string) clientHandler {
	for _, t := range []string{typ, "*"} {
		if h, ok := c.handlers.Load(t); ok {
			return h.(clientHandler)
		}
	}
	return nil
}

func (c *Client) handleMessage(ctx context.Context, carrier Carrier, f *Frame) {
	h := c.find(f.Message.typ)
	var err error = &PeerError{Code: CodeUnknownType, Message: "no handler for " + shorten(f.Message.typ)}
	if h != nil {
		_, err = h(traceContext(ctx, f.Message), f.Message)
	}
	if err != nil {
		c.opts.log.Warn("client handler failed", "type", f.Message.typ, "id", f.Message.id, "error", err)
	}
	if !f.Ack {
		return
	}
	answer := &Frame{Op: OpAck, ID: f.ID}
	if err != nil {
		code, text := codeOf(err)
		answer = errorFrame(f.ID, code, text)
	}
	_ = carrier.Send(ctx, answer)
}

// keepFresh renews the token before the identity ends, again and again. renewed brings each new end.
func (c *Client) keepFresh(ctx context.Context, expires time.Time, renewed <-chan time.Time) {
	if c.opts.token == nil {
		return
	}
	for !expires.IsZero() {
		left := time.Until(expires)
		timer := time.NewTimer(max(left-max(left/5, time.Second), 0))
		select {
		case <-timer.C:
		case expires = <-renewed: // by Refresh
			timer.Stop()
			continue
		case <-ctx.Done():
			timer.Stop()
			return
		}
		token, err := c.opts.token(ctx)
		if ctx.Err() != nil { // the next connection has a token of its own
			return
		}
		if err == nil {
			err = c.Refresh(ctx, token)
		}
		if err != nil {
			if ctx.Err() == nil {
				c.opts.log.Warn("token refresh failed", "error", err)
			}
			return // the server ends the connection, and the next one gets a fresh token
		}
		select {
		case expires = <-renewed:
		case <-ctx.Done():
			return
		}
	}
}

// up and down open and close the gate for requests.
func (c *Client) up(d Dialer, carrier Carrier) {
	c.mu.Lock()
	c.carrier, c.state = carrier, ClientConnected
	resumed := c.welcome.Resumed
	close(c.ready)
	c.mu.Unlock()
	c.tell(StateChange{State: ClientConnected, Carrier: d.Name(), Resumed: resumed})
}

func (c *Client) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carrier, c.state = nil, ClientConnecting
	close(c.lost)
	c.ready, c.lost = make(chan struct{}), make(chan struct{})
}

func (c *Client) turn(s ClientState, ch StateChange) {
	c.mu.Lock()
	c.state = s
	c.mu.Unlock()
	ch.State = s
	c.tell(ch)
}

func (c *Client) tell(ch StateChange) {
	c.opts.log.Debug("client state", "state", ch.State.String(), "carrier", ch.Carrier, "wait", ch.Wait, "error", ch.Err)
	if c.opts.onState != nil {
		c.opts.onState(ch)
	}
}
