package commhttp

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// What may wait for the next poll of one connection, besides a single larger frame.
const (
	maxPendingFrames = 256
	maxPendingBytes  = 256 << 10
	// While the gateway drains, everything that is left must fit into one answer.
	leavingFactor = 16
)

// goodbyeWait is how long after its last poll a client may still be about to make the next.
const goodbyeWait = 2 * time.Second

// pollFormat is a frame as it stands in an answer. Polling clients share the bytes of a message.
type pollFormat struct{ codec comm.Codec }

// Append implements comm.Format.
func (f pollFormat) Append(dst []byte, frame *comm.Frame) ([]byte, error) {
	return f.codec.AppendFrame(dst, frame)
}

// pollConn is the transport of one polling client. Frames go from pending into an answer, which is
// kept until the client's next cursor confirms it. While nobody polls it is only memory and a timer.
type pollConn struct {
	server *pollServer
	conn   atomic.Pointer[comm.Conn] // nil until attached

	mu       sync.Mutex // guards the fields below
	pending  [][]byte   // encoded frames for the next answer
	bytes    int        // of pending
	answer   [][]byte   // the last answer, until it is confirmed; nil if it is
	cursor   uint64     // of the last answer; 0 before the first
	waiter   *waiter    // the poll that waits for frames
	active   int        // polls under way
	left     time.Time  // when the last of them ended
	room     chan struct{}
	fetched  chan struct{} // closed when the frames of the end have been put into an answer
	idle     *time.Timer
	ended    bool // Close has been called: no more frames
	stopped  bool
	lingered bool // the server counts it as lingering
	over     bool // forget has run
}

// waiter is one poll that waits. wake is closed when it should look again.
type waiter struct {
	wake chan struct{}
	gone bool // a later poll has taken its place
}

func newPollConn(s *pollServer) *pollConn {
	return &pollConn{server: s}
}

// Forgets implements comm.Forgetter: what waits for a poll is bytes.
func (c *pollConn) Forgets() {}

// Write implements comm.Transport. It takes what there is room for, and waits for a poll to make
// room for the first. A client that does not poll until the deadline is slow.
func (c *pollConn) Write(batch []comm.Outbound, deadline time.Time) (n int, err error) {
	n, room, err := c.take(batch)
	if room == nil {
		return n, err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for room != nil {
		select {
		case <-room:
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
		n, room, err = c.take(batch)
	}
	return n, err
}

// take appends frames to pending. A channel to wait on is returned when there is no room at all.
func (c *pollConn) take(batch []comm.Outbound) (n int, room <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, nil, comm.ErrClosed
	}
	frames, bytes, leaving := maxPendingFrames, maxPendingBytes, c.server.leaving()
	if leaving {
		frames, bytes = leavingFactor*frames, leavingFactor*bytes
	}
	full := false
	for _, o := range batch {
		b, err := o.Bytes(c.server.format)
		if err != nil {
			return n, nil, err
		}
		if full = len(c.pending) > 0 && (len(c.pending) >= frames || c.bytes+len(b) > bytes); full {
			break
		}
		c.pending = append(c.pending, b)
		c.bytes += len(b)
		n++
	}
	if full || !leaving {
		c.wake()
	}
	if n == 0 && len(batch) > 0 {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		return 0, c.room, nil
	}
	return n, nil, nil
}

// wake has the waiting poll look again.
func (c *pollConn) wake() {
	if c.waiter != nil {
		close(c.waiter.wake)
		c.waiter = nil
	}
}

// Close implements comm.Transport. The closing frame is the last of the pending ones. Where the end
// was not the client's doing, Close gives it until deadline to fetch it, so that a drain does not
// outrun the answers; one that has not polled for some seconds already gets no more time.
func (c *pollConn) Close(r comm.CloseReason, deadline time.Time) error {
	b, err := c.server.codec.AppendFrame(nil, r.Frame())
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil
	}
	c.ended = true
	if err == nil {
		c.pending = append(c.pending, b)
		c.bytes += len(b)
	}
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	fetched := make(chan struct{})
	c.fetched = fetched
	c.wake()
	if until := c.left.Add(goodbyeWait); c.active == 0 && until.Before(deadline) {
		deadline = until
	}
	c.mu.Unlock()
	if awaitsGoodbye(r.Kind) {
		wait(fetched, time.Until(deadline))
	}
	c.linger()
	return err
}

// awaitsGoodbye reports whether a client that is still there is to hear why it was closed before the
// end is complete. One that is superseded has come back already, and the others have gone.
func awaitsGoodbye(k comm.ReasonKind) bool {
	switch k {
	case comm.ReasonLost, comm.ReasonHeartbeat, comm.ReasonClient, comm.ReasonSuperseded, comm.ReasonSlow:
		return false
	}
	return true
}

func wait(done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// linger keeps the last answer for a while, for a client that has not heard it.
func (c *pollConn) linger() {
	lingers := c.server.linger()
	c.mu.Lock()
	c.lingered = lingers
	if !c.stopped && lingers {
		if c.idle != nil {
			c.idle.Stop()
		}
		c.idle = time.AfterFunc(pollLinger, c.forget)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.forget()
}

// forget lets go of a connection that has ended.
func (c *pollConn) forget() {
	c.mu.Lock()
	lingered := c.lingered
	c.lingered, c.over = false, true
	c.mu.Unlock()
	id := ""
	if conn := c.conn.Load(); conn != nil {
		id = conn.ID()
	}
	c.server.forget(id, lingered)
}

// stop ends what the provider's end leaves behind.
func (c *pollConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.idle != nil {
		c.idle.Stop()
	}
	c.wake()
}

// attached makes the connection one that can be polled. It may have ended already.
func (c *pollConn) attached(conn *comm.Conn) {
	c.conn.Store(conn)
	c.server.add(conn.ID(), c)
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		c.forget()
	}
}

// enter counts a poll, which stops the idle timer; leave starts it when no poll is left.
func (c *pollConn) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active++
	if c.idle != nil && !c.ended {
		c.idle.Stop()
	}
}

func (c *pollConn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = time.Now()
	if c.active--; c.active > 0 || c.ended || c.stopped {
		return
	}
	if c.idle == nil {
		c.idle = time.AfterFunc(pollIdle, c.expire)
		return
	}
	c.idle.Reset(pollIdle)
}

// expire ends a connection that nobody has polled for too long.
func (c *pollConn) expire() {
	c.mu.Lock()
	live := c.active > 0 || c.ended || c.stopped
	c.mu.Unlock()
	if conn := c.conn.Load(); !live && conn != nil {
		c.server.host.Detach(conn, comm.CloseReason{Kind: comm.ReasonLost, Text: "not polled for " + pollIdle.String()})
	}
}
