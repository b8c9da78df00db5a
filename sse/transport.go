package sse

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
)

// transport carries the frames of one connection. The manager may write before the response has begun,
// because a client is admitted while its request can still be refused: writes wait for the stream.
type transport struct {
	server *server
	direct bool          // the stream will know when a write would wait
	waiter waiter        // with direct: is told
	opened chan struct{} // closed when stream or failed is set
	stream *Stream
	failed error

	position comm.Position // of the client; the writer's own
	named    bool          // the client holds an event id of ours; the writer's own
	writing  atomic.Bool

	mu        sync.Mutex // guards the fields below
	conn      *comm.Conn // nil until the manager has made it
	counted   int64      // bytes that Traffic was told
	abandoned bool       // Close has come and gone before the stream was open
}

func newTransport(s *server, r *http.Request) *transport {
	direct := s.conf.Hijack && r.ProtoMajor == 1 && r.TLS == nil && !s.settings.InMemory
	return &transport{server: s, direct: direct, opened: make(chan struct{})}
}

// TellWaiting implements comm.WaitTeller. Only a stream that is hijacked, and not over TLS, writes to a socket itself.
func (t *transport) TellWaiting(w comm.Waiter) bool {
	if t.direct {
		t.waiter = w
	}
	return t.direct
}

// open lets the writers go, or fails them.
func (t *transport) open(s *Stream, err error) {
	t.stream, t.failed = s, err
	close(t.opened)
}

// wait returns the stream once it is open, and tells w, unless nil, if that is not yet.
func (t *transport) wait(deadline time.Time, w waiter) (*Stream, error) {
	select {
	case <-t.opened:
		return t.stream, t.failed
	default:
	}
	if w != nil {
		w.Waiting()
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-t.opened:
		return t.stream, t.failed
	case <-timer.C:
		return nil, os.ErrDeadlineExceeded
	}
}

// parts is a writer's scratch: an id line and the shared event for each frame of a batch.
type parts struct {
	list [][]byte
	ids  []byte
}

var partsPool = sync.Pool{New: func() any { return new(parts) }}

func (p *parts) free() {
	clear(p.list)
	p.list, p.ids = p.list[:0], p.ids[:0]
	if cap(p.ids) <= keepScratch {
		partsPool.Put(p)
	}
}

// Forgets implements comm.Forgetter: the stream is given bytes.
func (t *transport) Forgets() {}

// Write implements comm.Transport: the whole batch leaves in one write and one flush.
func (t *transport) Write(batch []comm.Outbound, deadline time.Time) (n int, err error) {
	stream, err := t.wait(deadline, t.waiter)
	if err != nil {
		return 0, err
	}
	p := partsPool.Get().(*parts)
	defer p.free()
	for _, o := range batch {
		if err := t.add(p, o); err != nil {
			return 0, err
		}
	}
	t.writing.Store(true)
	n, err = stream.sendRaw(p.list, deadline, t.waiter)
	if err == nil {
		t.writing.Store(false)
	}
	t.account()
	return n / 2, err
}

// add appends one frame's id line and event. The line precedes the event in the same write: one behind
// it would make a client that is cut off between them see the event twice.
func (t *transport) add(p *parts, o comm.Outbound) error {
	f := o.Frame()
	moved := t.position.Observe(f)
	if moved && f.Op == comm.OpMessage && t.position.Len() == 1 {
		event, err := o.Bytes(t.server.ided)
		p.list = append(p.list, nil, event)
		t.named = true
		return err
	}
	start := len(p.ids)
	if t.position.Len() > 0 {
		p.ids = append(t.position.Append(append(p.ids, "id: "...)), '\n')
		t.named = true
	} else if t.named { // it left its last log
		p.ids = append(p.ids, "id\n"...)
		t.named = false
	}
	event, err := t.encode(f, o)
	p.list = append(p.list, p.ids[start:len(p.ids):len(p.ids)], event)
	return err
}

// encode returns the shared bytes, but writes this provider's own heartbeat into welcome.
func (t *transport) encode(f *comm.Frame, o comm.Outbound) ([]byte, error) {
	if f.Op != comm.OpWelcome {
		return o.Bytes(t.server.format)
	}
	own, welcome := *f, *f.Welcome
	welcome.Heartbeat = t.server.acceptor.config.heartbeat
	own.Welcome = &welcome
	return t.server.format.Append(nil, &own)
}

// Close implements comm.Transport: the closing frame is the last event, with the wait before a return
// as the reconnection time of EventSource.
func (t *transport) Close(r comm.CloseReason, deadline time.Time) error {
	stream, err := t.wait(deadline, nil)
	if stream == nil {
		return t.abandon(err)
	}
	if stream.Err() == nil && r.Kind != comm.ReasonLost && r.Kind != comm.ReasonHeartbeat {
		last, err := closingEvent(t.server.format, r)
		if err == nil {
			_, err = stream.SendRaw([][]byte{last}, deadline)
		}
		if err != nil && !errors.Is(err, ErrClosed) {
			deadline = time.Now() // it takes nothing; cut it
		}
	}
	return stream.CloseBy(deadline)
}

func closingEvent(f comm.Format, r comm.CloseReason) ([]byte, error) {
	var dst []byte
	if r.Reconnect() && r.After > 0 {
		dst, _ = (&Event{Retry: r.After}).Append(dst)
		dst = dst[:len(dst)-1] // the event goes on
	}
	return f.Append(dst, r.Frame())
}

// abandon gives up a stream that did not open in time: whoever comes last, this or the handler that
// opens it, closes it.
func (t *transport) abandon(err error) error {
	t.mu.Lock()
	t.abandoned = true
	t.mu.Unlock()
	select {
	case <-t.opened:
		if t.stream != nil {
			return t.stream.CloseBy(time.Now())
		}
	default:
	}
	return err
}

func (t *transport) isAbandoned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.abandoned
}

// bind makes the connection known.
func (t *transport) bind(c *comm.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = c
}

// detach ends the connection, if there is one yet.
func (t *transport) detach(r comm.CloseReason) {
	t.mu.Lock()
	c := t.conn
	t.mu.Unlock()
	if c != nil {
		t.server.host.Detach(c, r)
	}
}

// account tells the manager of bytes, heartbeats among them, that have left since the last time.
func (t *transport) account() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return
	}
	sent := t.stream.BytesSent()
	if n := sent - t.counted; n > 0 {
		t.server.host.Traffic(t.conn, 0, int(n))
		t.counted = sent
	}
}

// reason says why the stream ended, where the manager did not end it.
func (t *transport) reason() comm.CloseReason {
	err := t.stream.Err()
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	case t.writing.Load():
		return comm.CloseReason{Kind: comm.ReasonSlow, Text: "a write timed out", Err: err}
	}
	return comm.CloseReason{Kind: comm.ReasonHeartbeat, Text: "a heartbeat was not taken", Err: err}
}
