package commquic

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

const (
	// smallWrite is how much of small frames one write takes together.
	smallWrite = 64 << 10
	// directFrame is the size from which a message's content is written from where it is.
	directFrame = 16 << 10
	// maxQueued is how much QUIC may hold of a client before a write waits for it to be sent: the client's own
	// flow control could allow it any amount. What is larger is written from where it is, which saves a copy.
	maxQueued = 8 << 10
)

// transport writes a connection's outbox: the default lane itself, everything else to the lane or datagram that
// it asks for.
type transport struct {
	host    comm.Host
	sess    session
	control sendStream
	set     laneSettings
	waiter  comm.Waiter // nil: nobody wants to know
	pulse   pulse
	gone    chan struct{} // closed when the client has ended its stream: it reads no more

	lanes     lanes
	datagrams datagrams

	attached atomic.Pointer[comm.Conn] // nil until the manager has made it
	writing  chan struct{}             // held while control is written to
	buf      []byte                    // small frames of one batch
	queued   int                       // bytes that QUIC holds, at most
	sent     int                       // bytes that nobody has counted yet

	mu    sync.Mutex // guards until
	until time.Time  // when every write must end, once Close was called
}

func newTransport(h comm.Host, sess session, control sendStream, set laneSettings) *transport {
	t := &transport{host: h, sess: sess, control: control, set: set, gone: make(chan struct{}), writing: make(chan struct{}, 1)}
	t.datagrams.sess = sess
	t.lanes = lanes{sess: sess, most: set.most, timeout: h.Settings().WriteTimeout, failed: t.fail}
	t.pulse = pulse{beat: h.Settings().Heartbeat, ping: t.ping, verdict: t.detach}
	return t
}

// attach tells which connection this is.
func (t *transport) attach(c *comm.Conn) { t.attached.Store(c) }

func (t *transport) detach(r comm.CloseReason) {
	if c := t.attached.Load(); c != nil {
		t.host.Detach(c, r)
	}
}

// fail ends the connection because a stream of it has failed.
func (t *transport) fail(err error) {
	if !isStreamError(err) { // a lane that the client does not want ends nothing else
		t.detach(endReason(err))
	}
}

// TellWaiting implements comm.WaitTeller.
func (t *transport) TellWaiting(w comm.Waiter) bool {
	t.waiter = w
	return true
}

func (t *transport) waits() {
	if t.waiter != nil {
		t.waiter.Waiting()
	}
}

// Forgets implements comm.Forgetter: lanes and datagrams are given bytes.
func (t *transport) Forgets() {}

// Write implements comm.Transport.
func (t *transport) Write(batch []comm.Outbound, deadline time.Time) (n int, err error) {
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	t.buf = t.buf[:0]
	for _, o := range batch {
		if err := t.add(o, deadline); err != nil {
			return n, t.reason(err)
		}
		n++
	}
	err = t.flush(deadline)
	t.count()
	return n, t.reason(err)
}

// TryWrite implements comm.TryWriter, for small frames of the default lane.
func (t *transport) TryWrite(o comm.Outbound) (bool, error) {
	if !t.plain(o) || o.Size() > maxQueued {
		return false, nil
	}
	select {
	case t.writing <- struct{}{}:
	default:
		return false, nil // a ping is being written
	}
	defer func() { <-t.writing }()
	b, err := o.Append(t.buf[:0], t.format(o))
	if err != nil {
		return false, t.reason(err)
	}
	t.buf = b
	if t.queued+len(b) > maxQueued {
		return false, nil
	}
	switch err := t.control.TryWriteAll(b); {
	case errors.Is(err, quic.ErrWouldBlock):
		return false, nil
	case err != nil:
		return false, t.reason(err)
	}
	t.queued += len(b)
	t.sent += len(b)
	t.count()
	return true, nil
}

// add sends one frame, or puts it to those that leave together.
func (t *transport) add(o comm.Outbound, deadline time.Time) error {
	if t.plain(o) {
		return t.gather(o, deadline)
	}
	b, content, err := encode(o)
	if err != nil {
		return err
	}
	size := len(b) + len(content)
	t.sent += size
	way := t.set.choose(o.Frame(), size, o.Lane(), o.Priority(), o.Unreliable())
	if way.unreliable && content == nil && t.datagrams.send(b) {
		return nil
	}
	if way.name != "" {
		if l := t.lanes.find(way.name); l != nil && l.stream != nil {
			if err := l.put(b, content, deadline, t.waits); !isStreamError(err) {
				return err
			}
			return nil // the client does not want this lane
		}
	}
	t.buf = append(t.buf, b...)
	if len(t.buf) >= smallWrite-directFrame || content != nil {
		if err := t.flush(deadline); err != nil {
			return err
		}
	}
	return t.write(content, deadline)
}

// plain reports whether a frame goes by the default lane together with others, which its size alone decides
// for some.
func (t *transport) plain(o comm.Outbound) bool {
	f := o.Frame()
	if f.Op == comm.OpMessage && (t.set.large > 0 || len(f.Message.Content()) >= directFrame) {
		return false
	}
	return t.set.choose(f, 0, o.Lane(), o.Priority(), o.Unreliable()) == route{}
}

// gather puts a frame to those that leave together.
func (t *transport) gather(o comm.Outbound, deadline time.Time) error {
	before := len(t.buf)
	b, err := o.Append(t.buf, t.format(o))
	if err != nil {
		return err
	}
	t.buf = b
	t.sent += len(b) - before
	if len(b) < smallWrite-directFrame {
		return nil
	}
	return t.flush(deadline)
}

// format is that of a frame on the default lane, where every client knows who it is.
func (t *transport) format(o comm.Outbound) comm.Format {
	f := o.Frame()
	if f.Op != comm.OpMessage || o.Shared() {
		return wireFormat
	}
	id, isConn := strings.CutPrefix(f.Message.To(), connPrefix)
	if c := t.attached.Load(); isConn && c != nil && c.ID() == id {
		return toAlone
	}
	return wireFormat
}

// encode returns the shared bytes of a frame, and by itself the content of a large one.
func encode(o comm.Outbound) (b, content []byte, err error) {
	f := o.Frame()
	if f.Op == comm.OpMessage && len(f.Message.Content()) >= directFrame {
		b, err = o.Bytes(largeFormat)
		return b, f.Message.Content(), err
	}
	b, err = o.Bytes(wireFormat)
	return b, nil, err
}

func (t *transport) flush(deadline time.Time) error {
	if len(t.buf) == 0 {
		return nil
	}
	err := t.write(t.buf, deadline)
	t.buf = t.buf[:0]
	return err
}

// write gives b to the stream: without waiting while QUIC holds little, and otherwise until it has been sent.
func (t *transport) write(b []byte, deadline time.Time) error {
	if len(b) == 0 {
		return nil
	}
	if t.queued+len(b) <= maxQueued {
		err := t.control.TryWriteAll(b)
		if err == nil {
			t.queued += len(b)
		}
		if !errors.Is(err, quic.ErrWouldBlock) {
			return err
		}
	}
	t.waits()
	t.bound(deadline)
	_, err := t.control.Write(b)
	t.queued = 0 // what was before b has been sent, and b but for a packet
	return err
}

// bound sets the deadline of a write: no later than Close has said.
func (t *transport) bound(deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.until.IsZero() && t.until.Before(deadline) {
		deadline = t.until
	}
	_ = t.control.SetWriteDeadline(deadline)
}

// count tells the manager of the bytes; those before Attach has returned are told with the first ones behind it.
func (t *transport) count() {
	if c := t.attached.Load(); c != nil {
		t.host.Traffic(c, 0, t.sent)
		t.sent = 0
	}
}

// reason makes of a failed write what the manager closes with, where it is more than a lost connection.
func (t *transport) reason(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if r := endReason(err); r.Kind != comm.ReasonLost {
		return r
	}
	return err
}

// heard counts bytes that have come.
func (p *pulse) heard(n int) { p.bytes.Add(int64(n)) }

// ping asks the client for a sign of life. A write under way is as good a question.
func (t *transport) ping() {
	select {
	case t.writing <- struct{}{}:
		defer func() { <-t.writing }()
		if b, err := appendFrame(nil, &comm.Frame{Op: comm.OpPing, ID: "beat"}); err == nil {
			_ = t.control.TryWriteAll(b)
		}
	default:
	}
}

// RoundTrip implements comm.RoundTripper by what QUIC measures anyway.
func (t *transport) RoundTrip() time.Duration { return t.sess.roundTrip() }

// Close implements comm.Transport: the closing frame, the end of every stream, and, when the client has closed or
// has had time to, the end of the session with the reason's code.
func (t *transport) Close(r comm.CloseReason, deadline time.Time) error {
	t.pulse.stop()
	switch r.Kind {
	case comm.ReasonLost, comm.ReasonHeartbeat, comm.ReasonSlow, comm.ReasonClient, comm.ReasonSuperseded: // nobody reads
	default:
		t.sayGoodbye(r, deadline)
	}
	return closeSession(t.sess, r)
}

// closeSession ends a session with the code of a reason. The one of a lost connection is never sent.
func closeSession(s session, r comm.CloseReason) error {
	code := r.Code()
	if r.Kind == comm.ReasonLost {
		code = comm.CloseReason{Kind: comm.ReasonDrain}.Code()
	}
	return s.close(uint64(code), cutText(r.Text))
}

func (t *transport) sayGoodbye(r comm.CloseReason, deadline time.Time) {
	ctx, cancel := context.WithDeadline(t.sess.context(), deadline)
	defer cancel()
	t.mu.Lock()
	t.until = deadline
	_ = t.control.SetWriteDeadline(deadline) // of a write under way
	t.mu.Unlock()
	select {
	case t.writing <- struct{}{}:
		defer func() { <-t.writing }()
	case <-ctx.Done():
		return
	}
	t.lanes.finish(ctx)
	b, err := appendFrame(nil, r.Frame())
	if err == nil {
		err = t.write(b, deadline)
	}
	if err == nil && t.control.Close() == nil {
		t.await(ctx)
	}
}

// await waits until the client has ended its side, ctx ends, or it has had its time.
func (t *transport) await(ctx context.Context) {
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-t.gone:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// maxText is how much of a reason's text is sent.
const maxText = 100

// cutText cuts a text at a character's end.
func cutText(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
