package commquic

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm/internal/places"
	"github.com/anasamu/comm/internal/warm"
)

// Defaults of [Server].
const (
	DefaultHeaderTimeout = 10 * time.Second  // for a request's head, and for the session of an early stream
	DefaultIdleTimeout   = 120 * time.Second // of an HTTP/3 connection without requests, as over TCP
	DefaultMaxSessions   = 16                // WebTransport sessions on one connection at once
)

// Server serves HTTP/3 (RFC 9114) with WebTransport, datagrams (RFC 9297) and extended CONNECT (RFC 9220)
// on QUIC connections that were accepted elsewhere with the protocol "h3" and datagrams enabled. The
// fields must not be changed once it serves. The zero value serves http.DefaultServeMux.
//
// A request that may have come in 0-RTT, and could therefore be a replay, is held until the handshake has
// ended (RFC 8470 3), unless its method is safe; that one has the header Early-Data: 1.
type Server struct {
	// Handler serves requests; nil is http.DefaultServeMux.
	Handler http.Handler
	// MaxHeaderBytes bounds a request's head; 0 is http.DefaultMaxHeaderBytes (1 MiB). A longer one is
	// answered 431.
	MaxHeaderBytes int
	// HeaderTimeout bounds the wait for a request's head, for the head of a stream of a WebTransport
	// session, and how long such a stream waits for its session; 0 is DefaultHeaderTimeout.
	HeaderTimeout time.Duration
	// IdleTimeout ends a connection that has had no request for so long; 0 is DefaultIdleTimeout,
	// negative never.
	IdleTimeout time.Duration
	// MaxSessions is how many WebTransport sessions a connection may have at once; 0 is
	// DefaultMaxSessions, negative none.
	MaxSessions int
	// SessionStreams and SessionWindow are the flow control of one session, offered to clients that know it
	// (draft-ietf-webtrans-http3-13 and later, 5): how many streams of each kind a client may have open, and how many
	// bytes it may send before they are read. 0 is DefaultMaxStreams and DefaultConnectionWindow; with a negative
	// one, and where the QUIC configuration has no EnableStreamResetPartialDelivery, QUIC's own limits hold alone.
	SessionStreams, SessionWindow int
	// Logger is told of panics in handlers and, at level debug, of what fails; nil is slog.Default.
	Logger *slog.Logger

	mu       sync.Mutex // guards the fields below
	conns    map[*h3conn]struct{}
	warm     *warm.Pool // of the goroutines of their streams; nil while there are none
	draining bool
}

// ServeConn serves one connection until it ends or ctx does, and closes it. It returns nil where the
// client has left in good order, and http.ErrServerClosed after Shutdown. A client that lets the server open
// no stream, as HTTP/3 must, is sent away with H3_GENERAL_PROTOCOL_ERROR.
func (s *Server) ServeConn(ctx context.Context, c *quic.Conn) error {
	hc, err := s.newConn(c)
	if err != nil {
		_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeGeneralProtocolError), "no control stream can be opened")
		return err
	}
	if !s.enter(hc) {
		_ = c.CloseWithError(noError, "shutting down")
		return http.ErrServerClosed
	}
	defer s.leave(hc)
	stop := context.AfterFunc(ctx, func() { _ = c.CloseWithError(noError, "") })
	defer stop()
	return hc.serve()
}

const noError = quic.ApplicationErrorCode(http3.ErrCodeNoError)

func (s *Server) enter(c *h3conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*h3conn]struct{})
	}
	if s.warm == nil {
		s.warm = &warm.Pool{Most: max(16, 4*runtime.GOMAXPROCS(0))}
	}
	s.conns[c] = struct{}{}
	c.warm = s.warm
	return true
}

func (s *Server) leave(c *h3conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 {
		s.warm.Close()
		s.warm = nil
	}
}

// Shutdown ends every connection in good order: new requests are refused with H3_REQUEST_REJECTED, after
// which clients repeat them elsewhere; WebTransport sessions are told to drain; when what is under way has
// ended, the connection is closed with H3_NO_ERROR. When ctx ends first the rest is cut, and its cause is
// the error.
//
// No GOAWAY (RFC 9114 5.2) is sent. In quic-go 0.65 only the loop that accepts a connection's streams itself
// (http3.Server.handleConn) writes one, and takes the streams of WebTransport for requests; NewRawServerConn keeps
// the control stream to itself. Clients learn by their first request what GOAWAY would have told them before it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	conns := make([]*h3conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	for i, c := range conns {
		wg.Go(func() { errs[i] = c.shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Server) maxSessions() int {
	switch {
	case s.MaxSessions < 0:
		return 0
	case s.MaxSessions == 0:
		return DefaultMaxSessions
	}
	return s.MaxSessions
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

// h3conn is one connection of HTTP/3.
type h3conn struct {
	server *Server
	conn   *quic.Conn
	raw    *http3.RawServerConn
	wt     *wtConn
	wait   time.Duration

	requests places.Places // under way, with the streams that their handlers took over
	idle     idle
	tasks    sync.WaitGroup // the goroutines of the connection
	warm     *warm.Pool     // of those that serve requests
}

func (s *Server) newConn(c *quic.Conn) (*h3conn, error) {
	wait := cmp.Or(s.HeaderTimeout, DefaultHeaderTimeout)
	limits := sessionLimits(c, cmp.Or(s.SessionStreams, DefaultMaxStreams), cmp.Or(s.SessionWindow, DefaultConnectionWindow))
	hc := &h3conn{server: s, conn: c, wait: wait}
	hc.wt = newWTConn(c, s.maxSessions(), wait, &hc.tasks, true, limits)
	hc.idle = idle{after: cmp.Or(s.IdleTimeout, DefaultIdleTimeout), end: func() { _ = c.CloseWithError(noError, "idle timeout") }}
	// One for each connection, so that a request finds its own without a table.
	hs := &http3.Server{Handler: hc, EnableDatagrams: true, MaxHeaderBytes: s.MaxHeaderBytes, Logger: s.logger()}
	if most := s.maxSessions(); most > 0 {
		hs.AdditionalSettings = webTransportSettings(uint64(most), limits)
	}
	var err error
	hc.raw, err = hs.NewRawServerConn(c)
	return hc, err
}

// serve accepts streams until the connection ends, and waits until what it has started has ended too.
func (c *h3conn) serve() error {
	c.idle.start()
	defer c.idle.stop()
	c.tasks.Go(c.acceptUni)
	err := c.accept()
	for _, s := range c.wt.all() {
		s.end(err)
	}
	c.wt.close()
	c.tasks.Wait()
	ae, ok := errors.AsType[*quic.ApplicationError](err)
	switch {
	case c.requests.Closed():
		return http.ErrServerClosed
	case ok && ae.ErrorCode == noError:
		return nil
	}
	return err
}

func (c *h3conn) accept() error {
	for {
		str, err := c.conn.AcceptStream(context.Background()) // ends with the connection
		if err != nil {
			return err
		}
		c.tasks.Add(1)
		c.warm.Go(func() {
			defer c.tasks.Done()
			c.handle(str)
		})
	}
}

func (c *h3conn) acceptUni() {
	for {
		str, err := c.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		c.tasks.Go(func() { c.handleUni(str) })
	}
}

// handle serves a request, or hands a stream to its session. The deadline is for its head; a request's
// handler begins without it.
func (c *h3conn) handle(str *quic.Stream) {
	_ = str.SetReadDeadline(time.Now().Add(c.wait))
	kind, err := peekVarint(str)
	if err == nil && kind == bidiStreamWebTransport {
		c.wt.handleBidi(str)
		return
	}
	if c.enter() != nil {
		str.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
		str.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
		return
	}
	defer c.leave()
	c.raw.HandleRequestStream(str) // it finds what failed here too
}

// enter and leave stand around a request, and around a stream that a handler took over. After shutdown none begins.
func (c *h3conn) enter() error {
	err := c.requests.Enter(0)
	if err == nil {
		c.idle.enter()
	}
	return err
}

func (c *h3conn) leave() {
	c.idle.leave()
	c.requests.Leave()
}

func (c *h3conn) handleUni(str *quic.ReceiveStream) {
	_ = str.SetReadDeadline(time.Now().Add(c.wait))
	switch kind, err := peekVarint(str); {
	case err != nil: // reset, or without a type in time: it must not stay for ever
		str.CancelRead(quic.StreamErrorCode(http3.ErrCodeStreamCreationError))
		return
	case kind == uniStreamWebTransport:
		c.wt.handleUni(str)
		return
	}
	_ = str.SetReadDeadline(time.Time{}) // the control stream says nothing for long
	c.raw.HandleUnidirectionalStream(str)
}

// shutdown ends the connection when what is under way has ended.
func (c *h3conn) shutdown(ctx context.Context) error {
	c.requests.Close()
	var telling sync.WaitGroup
	defer telling.Wait()
	for _, s := range c.wt.all() {
		telling.Go(func() { _ = s.Drain(ctx) }) // one that has ended needs to be told nothing
	}
	err := c.requests.Wait(ctx)
	if err == nil {
		c.settle(ctx)
	}
	_ = c.conn.CloseWithError(noError, "shutting down") // which ends what still tells
	return err
}

// settle waits until the peer has what was sent: closing a connection drops what is not acknowledged. QUIC
// repeats that after a probe timeout (RFC 9002 6.2.1), so two of them in which nothing is sent mean that
// nothing is left.
func (c *h3conn) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for sent := uint64(0); ; {
		stats := c.conn.ConnectionStats()
		if stats.PacketsSent == sent {
			return
		}
		sent = stats.PacketsSent
		select {
		case <-time.After(2 * (stats.SmoothedRTT + max(4*stats.MeanDeviation, time.Millisecond) + maxAckDelay)):
		case <-c.conn.Context().Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

const (
	settleTime  = 2 * time.Second
	maxAckDelay = 25 * time.Millisecond // RFC 9000 18.2
)
