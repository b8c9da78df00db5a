package comm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anasamu/comm/internal/places"
)

// goIn calls f on a goroutine that p counts.
func goIn(p *places.Places, f func()) {
	_ = p.Enter(0) // nobody closes it
	go func() {
		defer p.Leave()
		f()
	}()
}

// bound has c.over end the time of WithCloseTimeout after running, or when the function that it returns is called.
func (c *Client) bound(running context.Context) (stop func()) {
	over, cancel := context.WithCancelCause(context.WithoutCancel(running))
	c.over = over
	context.AfterFunc(running, func() {
		timer := time.NewTimer(c.opts.closing)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(fmt.Errorf("comm: handlers have not returned within %v of the end (WithCloseTimeout): %w", c.opts.closing, context.DeadlineExceeded))
		case <-over.Done():
		}
	})
	return func() { cancel(nil) }
}

// settle waits until what was read of a connection that has ended is handled, and no longer than c.over allows. A server
// whom the client leaves hears of it even if a handler does not.
func (c *Client) settle(ctx context.Context, hangUp func()) {
	soon, cancel := context.WithTimeout(c.over, goodbyeTime)
	defer cancel()
	if c.handling.Wait(soon) == nil {
		return
	}
	if ctx.Err() != nil {
		hangUp()
	}
	_ = c.handling.Wait(c.over)
}

// goodbyeTime bounds the goodbye to the server, and the wait for handlers before it.
const goodbyeTime = time.Second

// hangUp ends a carrier: with a goodbye if the client itself is ending.
func (c *Client) hangUp(ctx context.Context, carrier Carrier) {
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
	defer cancel()
	_ = carrier.Close(bye)
}

// close ends all requests, waits for the handlers, and returns why Run ends.
func (c *Client) close(err error) error {
	c.mu.Lock()
	c.state, c.closed = ClientClosed, err
	if c.closed == nil {
		c.closed = context.Canceled
	}
	close(c.ready)
	c.mu.Unlock()
	c.waits.fail(ErrDisconnected)
	left := c.handling.Wait(c.over)
	if left == nil {
		left = c.helping.Wait(c.over)
	}
	if left != nil {
		err = errors.Join(err, left)
	}
	c.tell(StateChange{State: ClientClosed, Err: err})
	return err
}
