package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// take starts an accepted connection on its way. It does not block on the peer.
func (s *Server) take(c net.Conn) {
	if s.counts.open.Load()+int64(s.gate.len()) >= int64(s.cfg.MaxConns) {
		s.refuse("accept", c, ErrTooManyConns)
		return
	}
	if s.cfg.TLS == nil && len(s.claimers.load()) == 0 {
		info := s.register(c, c, nil)
		s.deliver(info)
		return
	}
	t, err := s.gate.enter(c)
	if err != nil {
		s.refuse("accept", c, err)
		return
	}
	s.work.Go(func() {
		defer s.gate.leave(t)
		s.admit(c, t)
	})
}

// admit brings a connection through TLS and the claimers.
func (s *Server) admit(raw net.Conn, t *ticket) {
	conn, state, err := s.handshake(raw)
	if err != nil {
		s.drop("handshake", raw, t, err)
		return
	}
	if claims := s.claimers.load(); len(claims) > 0 {
		var taken bool
		if conn, taken, err = s.offer(claims, conn, state, t); err != nil {
			conn.Close()
			s.drop("claim", raw, t, err)
			return
		}
		if taken {
			s.counts.claimed.Add(1)
			return
		}
	}
	// Registering before leaving: at any time a drain sees the connection in one place.
	info := s.register(conn, raw, state)
	if cause := s.gate.leave(t); cause != nil {
		s.unregister(info)
		s.drop("handshake", raw, t, cause)
		return
	}
	s.deliver(info)
}

// deliver hands a registered connection to net/http.
func (s *Server) deliver(info *connInfo) {
	if !s.feed.put(info.conn) {
		s.unregister(info)
		info.conn.Close()
	}
}

// handshake does the TLS handshake, if there is one to do, within its time.
func (s *Server) handshake(raw net.Conn) (net.Conn, *tls.ConnectionState, error) {
	if s.cfg.TLS == nil {
		return raw, nil, nil
	}
	raw.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
	c := tls.Server(raw, s.cfg.TLS)
	if err := c.Handshake(); err != nil {
		if re, ok := errors.AsType[tls.RecordHeaderError](err); ok && re.Conn != nil && looksLikeHTTP(re.RecordHeader) {
			answerPlainHTTP(re.Conn)
			err = ErrPlainHTTP
		}
		return nil, nil, err
	}
	raw.SetDeadline(time.Time{})
	state := c.ConnectionState()
	return c, &state, nil
}

// looksLikeHTTP recognises the start of a cleartext request where a TLS record should be.
func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "TRACE", "CONNE", "PRI *":
		return true
	}
	return false
}

// answerPlainHTTP says what is wrong, in net/http's words. Reading what the client still
// sends, for a moment, keeps the answer from being lost to a reset (RFC 9112, section 9.6).
func answerPlainHTTP(c net.Conn) {
	const text = "Client sent an HTTP request to an HTTPS server.\n"
	_, err := fmt.Fprintf(c, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	if err != nil {
		return
	}
	if w, ok := c.(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	io.CopyN(io.Discard, c, 64<<10)
}

// offer asks the claimers in turn. When none takes the connection, it returns the one for
// net/http.
func (s *Server) offer(claims []*Claimer, conn net.Conn, state *tls.ConnectionState, t *ticket) (net.Conn, bool, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ClaimTimeout)
	defer cancel()
	conn.SetDeadline(time.Now().Add(s.cfg.ClaimTimeout))
	pc := &peekConn{
		conn:   conn,
		state:  state,
		limit:  s.cfg.PeekLimit,
		commit: func() { s.gate.pin(t) },
	}
	for _, claim := range claims {
		taken, err := s.ask(ctx, *claim, pc)
		if taken || err != nil {
			return conn, taken, err
		}
		if pc.passed != nil {
			// net/http must see no more of it than of ours, a TLS state least of all.
			return newReplay(pc.passed, nil), false, nil
		}
	}
	return pc.Replay(), false, nil
}

// ask calls one claimer and survives its panic.
func (s *Server) ask(ctx context.Context, claim Claimer, c PeekConn) (taken bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("listen: claimer panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			taken, err = false, fmt.Errorf("claimer panicked: %v", p)
		}
	}()
	taken, err = claim(ctx, c)
	if taken && err != nil {
		s.log.Warn("listen: claimer took a connection and failed", slog.Any("remote", c.RemoteAddr()), slog.Any("error", err))
		err = nil
	}
	return taken, err
}

// refuse closes a connection for one of the bounds.
func (s *Server) refuse(stage string, c net.Conn, err error) {
	s.counts.refused.Add(1)
	c.Close()
	s.report(stage, c, err)
}

// drop closes a connection that failed on its way, and counts why.
func (s *Server) drop(stage string, c net.Conn, t *ticket, err error) {
	c.Close()
	cause := s.gate.leave(t)
	switch {
	case cause != nil:
		err = cause
		s.counts.refused.Add(1)
	case stage == "claim":
		s.counts.claimFailures.Add(1)
	default:
		s.counts.handshakeFailures.Add(1)
	}
	s.report(stage, c, err)
}

// report logs quietly: on an open port such connections come all day.
func (s *Server) report(stage string, c net.Conn, err error) {
	s.log.Debug("listen: connection closed before a request", slog.Any("error", &ConnError{stage, c.RemoteAddr(), err}))
}
