package commhttp

import (
	"context"
	"strconv"
	"time"
)

// verdict is what a poll is answered with.
type verdict uint8

const (
	answered  verdict = iota // frames, 200
	goodbye                  // the last frames, 200
	nothing                  // 204
	stale                    // the cursor is older than what has been confirmed, 410
	ahead                    // the cursor is of no answer, 400
	abandoned                // the client has gone
)

// next is one poll: it confirms the answer that cursor came with, or repeats the one after it, or
// waits for frames. A waiting poll gives way to a later one. While the gateway drains, its connection
// ends with the answer, so that waits for the closing frame.
func (c *pollConn) next(ctx context.Context, cursor uint64, patience time.Duration) (verdict, [][]byte, uint64) {
	w, v, frames, at := c.begin(cursor)
	if w == nil {
		return v, frames, at
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.wake:
		return c.finish(w, answered)
	case <-timer.C:
		return c.finish(w, nothing)
	case <-ctx.Done():
		return c.finish(w, abandoned)
	}
}

// begin answers at once, or makes the poll the one that waits.
func (c *pollConn) begin(cursor uint64) (*waiter, verdict, [][]byte, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cursor > c.cursor:
		return nil, ahead, nil, 0
	case cursor == c.cursor:
		c.answer = nil // confirmed
	case cursor+1 == c.cursor && c.answer != nil:
		c.displace()
		return nil, c.said(), c.answer, c.cursor
	default:
		return nil, stale, nil, 0
	}
	c.displace()
	if len(c.pending) > 0 && (c.ended || c.room != nil || !c.server.leaving()) {
		frames, at := c.compose()
		return nil, c.said(), frames, at
	}
	if c.ended || c.stopped {
		return nil, stale, nil, 0
	}
	c.waiter = &waiter{wake: make(chan struct{})}
	return c.waiter, 0, nil, 0
}

// displace sends the poll that waits away empty.
func (c *pollConn) displace() {
	if w := c.waiter; w != nil {
		w.gone = true
		c.wake()
	}
}

// finish ends the wait of w: with frames if there are any, whatever ended it, unless its client has
// gone or a later poll is entitled to them.
func (c *pollConn) finish(w *waiter, v verdict) (verdict, [][]byte, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter == w {
		c.waiter = nil
	}
	switch {
	case v == abandoned:
		return abandoned, nil, 0
	case w.gone:
		return nothing, nil, 0
	case len(c.pending) > 0:
		frames, at := c.compose()
		return c.said(), frames, at
	case c.ended || c.stopped:
		return stale, nil, 0
	}
	return nothing, nil, 0
}

// said is whether the answer is the last one.
func (c *pollConn) said() verdict {
	if c.ended && len(c.pending) == 0 {
		return goodbye
	}
	return answered
}

// compose makes the pending frames the answer, under a new cursor.
func (c *pollConn) compose() ([][]byte, uint64) {
	c.answer, c.pending, c.bytes = c.pending, nil, 0
	c.cursor++
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	if c.fetched != nil {
		close(c.fetched)
		c.fetched = nil
	}
	return c.answer, c.cursor
}

// pieces is the body of an answer, around the shared bytes of its frames.
func pieces(id string, cursor uint64, frames [][]byte) [][]byte {
	head := make([]byte, 0, 64)
	head = append(head, `{"conn":`...)
	head = strconv.AppendQuote(head, id)
	head = append(head, `,"cursor":"`...)
	head = strconv.AppendUint(head, cursor, 10)
	head = append(head, `","frames":[`...)
	list := make([][]byte, 0, 2*len(frames)+1)
	list = append(list, head)
	for i, f := range frames {
		if i > 0 {
			list = append(list, comma)
		}
		list = append(list, f)
	}
	return append(list, tail)
}

var comma, tail = []byte(","), []byte("]}\n")
