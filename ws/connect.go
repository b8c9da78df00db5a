package ws

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The handshake over HTTP/2 and HTTP/3 is a request by extended CONNECT (RFC 8441 and RFC 9220): it has
// the method CONNECT and the pseudo-header :protocol, and neither Upgrade nor Sec-WebSocket-Key; the
// answer is 200, and the request's stream carries the frames.

// protocolHeader is the name under which net/http tells :protocol, and takes it of a client.
const protocolHeader = ":protocol"

// extendedProtocol is a request's :protocol, "" if it has none. net/http tells it as a header, and
// implementations of HTTP/3 as the request's Proto.
func extendedProtocol(r *http.Request) string {
	if v := r.Header[protocolHeader]; len(v) > 0 {
		return v[0]
	}
	if r.Method == http.MethodConnect && r.ProtoMajor == 3 {
		return r.Proto
	}
	return ""
}

// checkConnect finds what is wrong with a request over HTTP/2 or HTTP/3. The client is not told 426: that
// must name an Upgrade (RFC 9110 15.5.22), a header that these forbid (RFC 9113 8.2.2, RFC 9114 4.2).
func (a *Acceptor) checkConnect(r *http.Request) *HandshakeError {
	switch {
	case r.Method != http.MethodConnect:
		return refused(http.StatusNotImplemented, "Upgrade", "there is none over HTTP/2 and HTTP/3; use extended CONNECT (RFC 8441, RFC 9220) or HTTP/1.1")
	case extendedProtocol(r) != "websocket":
		return refused(http.StatusNotImplemented, protocolHeader, "must be websocket")
	case r.Header.Get("Sec-Websocket-Version") != "13" || len(r.Header["Sec-Websocket-Version"]) != 1:
		return refused(http.StatusBadRequest, "Sec-WebSocket-Version", "must be 13")
	case r.ContentLength > 0:
		return refused(http.StatusBadRequest, "Content-Length", "a handshake has no body")
	}
	return nil
}

// WithHeldHandler promises that the HTTP handler calls Conn.HoldHandler last. Accept needs it over HTTP/2,
// whose streams end with their handlers, and refuses with 501 there without it. Handler, MessageHandler and
// the provider hold their handlers themselves.
func WithHeldHandler() AcceptOption {
	return acceptOnly(func(c *acceptConfig) error { c.held = true; return nil })
}

// connect answers 200 and takes the request's stream.
func (a *Acceptor) connect(w http.ResponseWriter, r *http.Request, held bool, protocol string, z agreed, extension string) (*Conn, error) {
	h := w.Header()
	for name := range handshakeHeaders {
		h.Del(name)
	}
	if protocol != "" {
		h.Set("Sec-WebSocket-Protocol", protocol)
	}
	if extension != "" {
		h.Set("Sec-WebSocket-Extensions", extension)
	}
	stream, err := takeStream(w, r, held)
	if err != nil {
		herr := refused(http.StatusNotImplemented, "", "this server cannot give the request's stream")
		herr.Cause = err
		h.Del("Sec-WebSocket-Protocol")
		h.Del("Sec-WebSocket-Extensions")
		herr.answer(w)
		return nil, herr
	}
	c := newConn(stream, Server, &a.conf.settings, z)
	c.subprotocol = protocol
	return c, nil
}

// streamHijacker is what http.Hijacker is for HTTP/1.1: a ResponseWriter that answers 200 and gives the
// request's stream away, so that the handler may return. Package commquic's has it.
type streamHijacker interface {
	HijackStream() (io.ReadWriteCloser, error)
}

// takeStream takes the stream from the server, or else makes one of the request's body and the response.
func takeStream(w http.ResponseWriter, r *http.Request, held bool) (io.ReadWriteCloser, error) {
	for rw := w; ; {
		switch o := rw.(type) {
		case streamHijacker:
			return o.HijackStream()
		case interface{ Unwrap() http.ResponseWriter }:
			rw = o.Unwrap()
			continue
		}
		if !held {
			return nil, errors.New("the stream ends with its handler, which WithHeldHandler keeps")
		}
		return newRequestStream(w, r)
	}
}

// requestStream is the stream of a request whose handler stays for as long as the connection: net/http's
// HTTP/2 knows no other way.
type requestStream struct {
	body          io.ReadCloser
	w             http.ResponseWriter
	rc            *http.ResponseController
	local, remote net.Addr
	released      chan struct{} // closed when nothing of the request is used any more

	end    sync.Once
	mu     sync.Mutex // held while writing
	closed bool
}

func newRequestStream(w http.ResponseWriter, r *http.Request) (*requestStream, error) {
	if r.Body == nil {
		return nil, errors.New("the request has no body")
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // of the request; the connection has its own
	_ = rc.SetWriteDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	if err := rc.Flush(); err != nil {
		return nil, err
	}
	s := &requestStream{body: r.Body, w: w, rc: rc, released: make(chan struct{})}
	s.local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		s.remote = net.TCPAddrFromAddrPort(ap)
	}
	return s, nil
}

func (s *requestStream) Read(p []byte) (int, error) { return s.body.Read(p) }

func (s *requestStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	n, err := s.w.Write(p)
	if err == nil {
		err = s.rc.Flush()
	}
	return n, err
}

// Close ends a Read and a Write that wait. The stream itself ends with the handler, which returns when nobody is
// in here any more: then net/http takes back what this uses.
func (s *requestStream) Close() (err error) {
	s.end.Do(func() {
		err = s.body.Close()
		if !s.mu.TryLock() {
			_ = s.rc.SetWriteDeadline(past)
			s.mu.Lock()
		}
		defer s.mu.Unlock()
		s.closed = true
		close(s.released)
	})
	return err
}

func (s *requestStream) LocalAddr() net.Addr  { return s.local }
func (s *requestStream) RemoteAddr() net.Addr { return s.remote }

// HoldHandler must be the last call of an HTTP handler that has accepted c with WithHeldHandler: over HTTP/2
// it returns when the connection has ended, because the stream ends with its
// handler; over HTTP/1.1 and HTTP/3 it returns at once. Handler, MessageHandler and the provider call it
// themselves.
func (c *Conn) HoldHandler() {
	if t, ok := c.rwc.(*timed); ok {
		if s, ok := t.rwc.(*requestStream); ok {
			<-s.released
		}
	}
}
