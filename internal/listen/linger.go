package listen

import (
	"net"
	"os"
	"sync"
	"time"
)

const (
	// lingerQuiet is how long, at least, a client whose connection lingers may send nothing, and lingerMost how
	// long it may have in all. What had no request for lingerMost before the drain has nothing left to be read.
	lingerQuiet = 5 * time.Second
	lingerMost  = 30 * time.Second
	// maxHeld bounds the file descriptors that a drain takes for itself. Connections beyond it do not linger.
	maxHeld = 1 << 14
)

// holds keep the sockets of HTTP/2 connections open in a drain after net/http has closed them, for those clients
// that are slow to read.
//
// net/http closes an HTTP/2 connection one second after GOAWAY and the last frame of the last answer. A client that
// has not read as far by then, because its link or its machine is slow, still sends: WINDOW_UPDATE for what it
// reads, or requests that it would not send if it had read the GOAWAY. The system answers anything that reaches a
// closed socket with a reset, and drops what it had yet to deliver; the answers are lost. HTTP/1.1 has the same
// trouble and the same cure (RFC 9112, section 9.6): close the sending side only, and read on, for a while, until
// the client closes.
//
// A second descriptor of the socket does that without a wrapper around every connection, which would hide the
// socket from whom a connection is handed to, and cost something always. Where there is none to be had (in memory,
// on Windows, out of descriptors), net/http's second is all there is.
type holds struct {
	mu  sync.Mutex // guards the fields below
	m   map[*connInfo]net.Conn
	cut bool
}

// hold has the connection linger when net/http closes it. It changes nothing for one that is held or closed.
func (s *Server) hold(info *connInfo) {
	h := &s.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, held := h.m[info]; held || h.cut || len(h.m) >= maxHeld {
		return
	}
	if _, served := s.conns.m.Load(info.conn); !served {
		return
	}
	c := second(info.raw)
	if c == nil {
		return
	}
	if h.m == nil {
		h.m = make(map[*connInfo]net.Conn)
	}
	h.m[info] = c
}

// holdAll holds the HTTP/2 connections that had a request lately.
func (s *Server) holdAll(now time.Time) {
	s.conns.all(func(info *connInfo) {
		since := info.waiting.Load()
		if info.major.Load() == 2 && (since == 0 || now.Sub(time.Unix(0, since)) < lingerMost) {
			s.hold(info)
		}
	})
}

// second returns another descriptor of a connection's socket, nil if there is none.
func second(c net.Conn) net.Conn {
	socket, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil
	}
	f, err := socket.File()
	if err != nil {
		return nil
	}
	defer f.Close()
	again, err := net.FileConn(f) // with yet another one, which the runtime waits on as on the first
	if err != nil {
		return nil
	}
	return again
}

// linger waits for the client of a connection that net/http has closed, if it is held.
func (s *Server) linger(info *connInfo) {
	if s.draining.Load() == 0 {
		return // none is held
	}
	h := &s.holds
	h.mu.Lock()
	c := h.m[info]
	h.mu.Unlock()
	if c == nil {
		return
	}
	readOut(c, max(lingerQuiet, s.cfg.DrainIdle))
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.m, info)
	c.Close()
}

// readOut closes the sending side and reads until the client closes its own, sends nothing for as long as quiet, or
// takes too long over it.
func readOut(c net.Conn, quiet time.Duration) {
	w, ok := c.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	buf := make([]byte, 512)
	for end := time.Now().Add(max(lingerMost, quiet)); ; {
		c.SetReadDeadline(time.Now().Add(min(quiet, time.Until(end))))
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// close lets go of all, those that linger too, and holds none any more.
func (h *holds) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = true
	for _, c := range h.m {
		c.Close()
	}
}
