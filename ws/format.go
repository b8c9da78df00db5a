package ws

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/wsframe"
)

// format is a frame of the client protocol as one whole WebSocket frame. It is comparable: all
// connections with the same encoding share the bytes of a message.
type format struct {
	codec    comm.Codec
	encoding Encoding
}

// Append implements comm.Format. Control frames are not compressed: they are small, and some hold
// secrets (RFC 7692 8).
func (f format) Append(dst []byte, frame *comm.Frame) ([]byte, error) {
	b := getBuffer(heldBuffer)
	defer func() { putBuffer(b) }()
	payload, err := f.codec.AppendFrame(b.b, frame)
	if err != nil {
		return dst, err
	}
	b.b = payload[:0]
	e := f.encoding
	if frame.Op != comm.OpMessage && frame.Op != comm.OpCall {
		e = Encoding{}
	}
	if dst == nil {
		dst = make([]byte, 0, wsframe.MaxHeader+len(payload))
	}
	return e.AppendFrame(dst, Text, payload), nil
}

// transport writes a connection's outbox in batches.
type transport struct {
	service *service
	conn    *Conn
	format  comm.Format // boxed once

	attached atomic.Pointer[comm.Conn] // nil until the manager has made it
	sent     int                       // bytes not yet counted; the writer's own
}

func newTransport(s *service, c *Conn) *transport {
	t := &transport{service: s, conn: c, format: plainFormat}
	if e := c.Encoding(); e.Compressed() {
		t.format = format{comm.JSON(), e}
	}
	return t
}

// plainFormat is that of most connections, boxed for all of them.
var plainFormat comm.Format = format{codec: comm.JSON()}

// TellWaiting implements comm.WaitTeller. Only on the direct path is it known that a write would wait.
func (t *transport) TellWaiting(w comm.Waiter) bool {
	if t.conn.raw == nil {
		return false
	}
	t.conn.out.waiter = w
	return true
}

// Forgets implements comm.Forgetter: the connection is given bytes.
func (t *transport) Forgets() {}

// frameLists are the writers' scratch.
var frameLists = sync.Pool{New: func() any { return new([][]byte) }}

// Write implements comm.Transport: what fits into one write buffer leaves in one system call.
func (t *transport) Write(batch []comm.Outbound, deadline time.Time) (n int, err error) {
	conf := &t.service.p.conf
	if conf.WriteWait > 0 {
		if by := time.Now().Add(conf.WriteWait); by.Before(deadline) {
			deadline = by
		}
	}
	list := frameLists.Get().(*[][]byte)
	defer func() {
		clear(*list)
		*list = (*list)[:0]
		frameLists.Put(list)
	}()
	size := 0
	for _, o := range batch {
		b, err := t.encode(o)
		if err != nil {
			return n, err
		}
		if len(*list) > 0 && size+len(b) > int(conf.WriteBufferSize) {
			break
		}
		*list = append(*list, b)
		size += len(b)
	}
	n, err = t.conn.WriteFrames(*list, deadline)
	t.count((*list)[:n])
	return n, err
}

// encode returns the shared bytes, but writes what holds for this carrier into welcome.
func (t *transport) encode(o comm.Outbound) ([]byte, error) {
	f := o.Frame()
	if f.Op != comm.OpWelcome {
		return o.Bytes(t.format)
	}
	own, welcome, set := *f, *f.Welcome, t.conn.set
	welcome.Heartbeat = set.beat
	if set.readLimit > 0 {
		welcome.MaxMessage = min(welcome.MaxMessage, int(set.readLimit))
	}
	own.Welcome = &welcome
	return t.format.Append(nil, &own)
}

func (t *transport) count(frames [][]byte) {
	for _, f := range frames {
		t.sent += len(f)
	}
	if c := t.attached.Load(); c != nil {
		t.service.host.Traffic(c, 0, t.sent)
		t.sent = 0
	}
}

// Close implements comm.Transport: the closing frame, then the closing handshake, within the deadline.
func (t *transport) Close(r comm.CloseReason, deadline time.Time) error {
	if t.conn.Err() != nil {
		return nil
	}
	if r.Kind == comm.ReasonLost || r.Kind == comm.ReasonHeartbeat {
		return t.conn.CloseNow()
	}
	if r.Kind == comm.ReasonSuperseded {
		deadline = earlier(deadline, time.Now().Add(supersededTime))
	}
	b, err := plainFormat.Append(nil, r.Frame())
	if err == nil {
		_, err = t.conn.WriteFrames([][]byte{b}, deadline)
	}
	if err != nil && t.conn.Err() == nil {
		return t.conn.CloseNow()
	}
	closeConn(t.conn, r, deadline)
	return nil
}

// supersededTime bounds the goodbye on a connection whose client has come back on another one. Mostly nobody is there
// to answer, and the client waits for its welcome meanwhile.
const supersededTime = 250 * time.Millisecond

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// RoundTrip implements comm.RoundTripper.
func (t *transport) RoundTrip() time.Duration { return t.conn.RTT() }

// closeConn makes the closing handshake within the deadline.
func closeConn(c *Conn, r comm.CloseReason, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	code := StatusCode(r.Code())
	switch {
	case errors.Is(r.Err, errBinary):
		code = StatusUnsupportedData
	case !code.CanSend():
		code = StatusGoingAway
	}
	_ = c.Close(ctx, code, wsframe.CutReason(r.Text)) // the peer may be gone already
}
