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

// NewPeekConn makes a PeekConn without a server around it.
func NewPeekConn(c net.Conn, limit int, state *tls.ConnectionState) PeekConn {
	return &peekConn{conn: c, limit: limit, state: state, commit: func() {}}
}
