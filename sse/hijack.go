package sse

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/anasamu/comm/internal/rawconn"
)

// finishTimeout bounds the last chunk of a stream that ends well.
const finishTimeout = time.Second

// connCarrier writes HTTP/1.1 to the connection itself. The body is chunked, so that the client and the
// proxies between can tell a stream that ended from one that was cut; the connection is closed after it,
// as nobody would read another request. An HTTP/1.0 client gets a body that ends with the connection.
type connCarrier struct {
	conn    net.Conn
	sys     rawconn.Conn // the socket that conn's bytes go through as they are; nil over TLS and others
	chunked bool
	sent    int        // what try has sent of the frame that write goes on with
	gone    *departure // nil without sys
}

// openHijacked takes the connection over. opened is false, without an error, where net/http cannot give it away.
func (s *Stream) openHijacked(w http.ResponseWriter, rc *http.ResponseController, r *http.Request, first []byte) (opened bool, err error) {
	conn, rw, err := rc.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return false, nil
	}
	if err != nil {
		s.out = responseCarrier{w, rc}
		return false, err
	}
	c := &connCarrier{conn: conn, sys: rawconn.Under(conn), chunked: r.ProtoAtLeast(1, 1)}
	watch := s.watch(c, maxStray-rw.Reader.Buffered())
	s.out, s.hijacked = c, true
	_ = conn.SetReadDeadline(time.Time{})
	if err := s.sendHead(c, w.Header(), first); err != nil {
		return true, err
	}
	go watch()
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

func (c *connCarrier) try(frame []byte) (n int, done bool, err error) {
	c.sent = 0
	if c.sys == nil {
		return 0, false, nil
	}
	out := c.frame(frame)
	c.sent, err = rawconn.Write(c.sys, out)
	if errors.Is(err, os.ErrDeadlineExceeded) { // an earlier write's, or the stream is being cut off, which arm sees
		_ = c.conn.SetWriteDeadline(time.Time{})
		if c.sent, err = rawconn.Write(c.sys, out); errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	return c.payload(out, frame), c.sent == len(out), err
}

func (c *connCarrier) write(frame []byte) (int, error) {
	out := c.frame(frame)
	n, err := c.conn.Write(out[c.sent:])
	c.sent += n
	return c.payload(out, frame), err
}

// payload returns how much of the frame is in what was sent of out.
func (c *connCarrier) payload(out, frame []byte) int {
	size, head := len(frame)-headRoom, 0
	if c.chunked {
		head = len(out) - size - 2
	}
	return min(max(c.sent-head, 0), size)
}

func (c *connCarrier) setDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// clearDeadline leaves the old one: the next write that waits arms its own, and an idle connection does not notice.
func (c *connCarrier) clearDeadline() {}

func (c *connCarrier) finish(ok bool, deadline time.Time) {
	if ok && c.chunked {
		if latest := time.Now().Add(finishTimeout); deadline.IsZero() || deadline.After(latest) {
			deadline = latest
		}
		_ = c.conn.SetWriteDeadline(deadline)
		_, _ = c.conn.Write([]byte("0\r\n\r\n"))
	}
	if c.gone != nil {
		c.gone.waiter.Close()
	}
	_ = c.conn.Close()
}
