package listen

import (
	"crypto/tls"
	"net"
)

// Waiting returns the gate's books: places taken and addresses counted.
func (s *Server) Waiting() (places, addrs int) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.waiting.Len() + s.gate.pinned, len(s.gate.byAddr)
}

// Held returns how many connections are held for a drain.
func (s *Server) Held() int {
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	return len(s.holds.m)
}

// ReadOut is what a connection that lingers ends with.
func ReadOut(c net.Conn) { readOut(c, lingerQuiet) }

// NewPeekConn makes a PeekConn without a server around it.
func NewPeekConn(c net.Conn, limit int, state *tls.ConnectionState) PeekConn {
	return &peekConn{conn: c, limit: limit, state: state, commit: func() {}}
}
