package sse

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxStray is how many bytes a client may send after its request before the stream ends: nothing is
// expected of it, and what comes is thrown away.
const maxStray = 64 << 10

// finishTimeout bounds the last chunk of a stream that ends well.
const finishTimeout = time.Second

// connCarrier writes HTTP/1.1 to the connection itself. The body is chunked, so that the client and the
// proxies between can tell a stream that ended from one that was cut; the connection is closed after it,
// as nobody would read another request. An HTTP/1.0 client gets a body that ends with the connection.
type connCarrier struct {
	conn    net.Conn
	chunked bool
}

// openHijacked takes the connection over. opened is false, without an error, where net/http cannot give it away.
func (s *Stream) openHijacked(w http.ResponseWriter, rc *http.ResponseController, r *http.Request, first []byte) (opened bool, err error) {
	conn, rw, err := rc.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return false, nil
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(r.Context()))
	if err != nil {
		s.out = responseCarrier{w, rc}
		return false, err
	}
	c := &connCarrier{conn: conn, chunked: r.ProtoAtLeast(1, 1)}
	s.out, s.hijacked = c, true
	if s.writeTimeout == 0 {
		_ = conn.SetWriteDeadline(time.Time{})
	}
	_ = conn.SetReadDeadline(time.Time{})
	stray := rw.Reader.Buffered()
	if err := s.sendHead(c, w.Header(), first); err != nil {
		return true, err
	}
	go s.watch(conn, stray)
	return true, nil
}

func (s *Stream) sendHead(c *connCarrier, h http.Header, first []byte) error {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	h = h.Clone()
	h.Set("Connection", "close")
	if c.chunked {
		h.Set("Transfer-Encoding", "chunked")
	}
	if h.Get("Date") == "" {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	_ = h.Write(&head) // replaces line ends in values; a bytes.Buffer does not fail
	head.WriteString("\r\n")
	if len(first) > 0 {
		head.Write(c.frame(append(make([]byte, headRoom), first...)))
	}
	s.turn <- struct{}{}
	defer s.release()
	err := s.arm(s.deadline(context.Background()))
	if err == nil {
		_, err = c.conn.Write(head.Bytes())
	}
	if err != nil {
		s.cancel(err)
		s.finish(false, time.Time{})
	}
	return err
}

// watch waits for the client to go, and is the one goroutine of a hijacked stream. Everything that ends
// the stream closes the connection, which ends the wait.
func (s *Stream) watch(conn net.Conn, stray int) {
	err := awaitClose(conn, maxStray-stray)
	s.stop(errors.Join(ErrGone, err), time.Now())
	s.callOnEnd()
}

// frame puts the chunk header (RFC 9112, 7.1) into the room in front and the line end behind.
func (c *connCarrier) frame(frame []byte) []byte {
	if !c.chunked {
		return frame[headRoom:]
	}
	var digits [8]byte
	size := strconv.AppendUint(digits[:0], uint64(len(frame)-headRoom), 16)
	start := headRoom - 2 - len(size)
	copy(frame[start:], size)
	frame[headRoom-2], frame[headRoom-1] = '\r', '\n'
	return append(frame, '\r', '\n')[start:]
}

func (c *connCarrier) write(frame []byte) (int, error) {
	payload := len(frame) - headRoom
	out := c.frame(frame)
	n, err := c.conn.Write(out)
	if err == nil {
		return payload, nil
	}
	head := 0
	if c.chunked {
		head = len(out) - payload - 2
	}
	return min(max(n-head, 0), payload), err
}

func (c *connCarrier) setDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// clearDeadline leaves the old one: the next write arms its own, and an idle connection does not notice.
func (c *connCarrier) clearDeadline() {}

func (c *connCarrier) finish(ok bool, deadline time.Time) {
	if ok && c.chunked {
		if latest := time.Now().Add(finishTimeout); deadline.IsZero() || deadline.After(latest) {
			deadline = latest
		}
		_ = c.conn.SetWriteDeadline(deadline)
		_, _ = c.conn.Write([]byte("0\r\n\r\n"))
	}
	_ = c.conn.Close()
}
