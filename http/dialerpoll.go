package commhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/anasamu/comm"
)

// pollTimeout is how long a poll may take: what it waits, and time for the answer.
const pollTimeout = maxPollWait + 10*time.Second

// Receive implements comm.Carrier.
func (c *polled) Receive(ctx context.Context) (*comm.Frame, error) {
	for len(c.frames) == 0 {
		select {
		case frames, ok := <-c.answers:
			if !ok {
				return nil, c.err
			}
			c.frames = frames
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

// run polls until the connection's end, one answer ahead of the receiver: that bounds what waits
// here, and lets the closing frame come while the receiver is busy.
func (c *polled) run() {
	defer close(c.answers)
	for c.err == nil {
		var frames []*comm.Frame
		if frames, c.err = c.next(); len(frames) == 0 {
			continue
		}
		select {
		case c.answers <- frames:
		case <-c.ctx.Done():
			c.err = context.Cause(c.ctx)
		}
		if last := frames[len(frames)-1]; last.Op == comm.OpClosing && c.err == nil {
			c.err = comm.CloseReason{Kind: comm.ReasonOfCode(last.Code), Text: last.Text}
		}
	}
}

// next is the answer to one poll. A poll that fails on the way is made again with the same cursor, as
// long as there is patience.
func (c *polled) next() ([]*comm.Frame, error) {
	for failures := 0; ; failures++ {
		frames, err := c.poll()
		switch {
		case err == nil:
			return frames, nil
		case c.ctx.Err() != nil:
			return nil, context.Cause(c.ctx)
		case final(err):
			return nil, err
		}
		left := c.dialer.patience - time.Since(c.heard)
		if left <= 0 {
			return nil, comm.CloseReason{Kind: comm.ReasonLost, Text: "the gateway cannot be reached", Err: err}
		}
		if err := c.pause(min(pollBackoff.Delay(failures), left)); err != nil {
			return nil, err
		}
	}
}

// poll makes one poll.
func (c *polled) poll() ([]*comm.Frame, error) {
	ctx, cancel := context.WithTimeout(c.ctx, pollTimeout)
	defer cancel()
	u := *c.url
	q := u.Query()
	q.Set("conn", c.id)
	q.Set("cursor", c.cursor)
	u.RawQuery = q.Encode()
	resp, err := c.do(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.take(resp)
}

// final reports whether the same poll must not be made again: the gateway itself has said something.
// A status that is a proxy's, a cut answer and a gateway that is busy are worth another.
func final(err error) bool {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.code < 500
	}
	if _, busy := errors.AsType[*comm.LimitError](err); busy {
		return false
	}
	_, closed := errors.AsType[comm.CloseReason](err)
	_, peer := errors.AsType[*comm.PeerError](err)
	return closed || peer
}

// pollBackoff is short: nothing is lost only while the connection is reached within its idle time.
var pollBackoff = comm.Backoff{Base: 250 * time.Millisecond, Max: 5 * time.Second}

func (c *polled) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// Close implements comm.Carrier: it says goodbye, and ends every request under way.
func (c *polled) Close(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return nil
	}
	resp, err := c.do(ctx, http.MethodDelete, c.dialer.url, nil)
	c.cancel(comm.CloseReason{Kind: comm.ReasonClient})
	c.out.Close()
	c.polling.Wait()
	if err != nil {
		return fmt.Errorf("commhttp: goodbye: %w", err)
	}
	drain(resp) // gone is what was wanted
	return nil
}
