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

// Receive implements comm.Carrier. It polls when nothing is left of the last answer, and confirms
// that answer with it. A poll that fails on the way is made again with the same cursor, until the
// gateway must have given the connection up.
func (c *polled) Receive(ctx context.Context) (*comm.Frame, error) {
	for failures := 0; len(c.frames) == 0; {
		err := c.poll(ctx)
		switch {
		case err == nil:
			failures = 0
			continue
		case c.ctx.Err() != nil:
			return nil, context.Cause(c.ctx)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case final(err):
			return nil, err
		case time.Since(c.heard) > pollIdle:
			return nil, comm.CloseReason{Kind: comm.ReasonLost, Text: "the gateway cannot be reached", Err: err}
		}
		if err := c.pause(ctx, failures, err); err != nil {
			return nil, err
		}
		failures++
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

// poll makes one poll.
func (c *polled) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	u := *c.url
	q := u.Query()
	q.Set("conn", c.id)
	q.Set("cursor", c.cursor)
	u.RawQuery = q.Encode()
	resp, err := c.do(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
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

func (c *polled) pause(ctx context.Context, failures int, cause error) error {
	d := pollBackoff.Delay(failures)
	if le, ok := errors.AsType[*comm.LimitError](cause); ok {
		d = max(d, min(le.Retry, pollIdle/2))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// Close implements comm.Carrier: it says goodbye, and ends every request under way.
func (c *polled) Close(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return nil
	}
	c.out.close()
	resp, err := c.do(ctx, http.MethodDelete, c.dialer.url, nil)
	c.cancel(comm.CloseReason{Kind: comm.ReasonClient})
	if err != nil {
		return fmt.Errorf("commhttp: goodbye: %w", err)
	}
	drain(resp) // gone is what was wanted
	return nil
}
