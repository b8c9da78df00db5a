package commquic

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// ServeHTTP runs the handler of one request.
func (c *h3conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if !c.settled(r) {
		w.WriteHeader(http.StatusTooEarly)
		return
	}
	h := c.server.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	hw := &h3Writer{ResponseWriter: w, conn: c}
	h.ServeHTTP(hw, r)
	hw.clean() // of a head that leaves only now
}

// settled holds a request that could be a replay until the handshake has ended (RFC 8470 3). A safe one
// goes on, and its handler is told (5.1).
func (c *h3conn) settled(r *http.Request) bool {
	delete(r.Header, "Early-Data") // which only this end can know
	select {
	case <-c.conn.HandshakeComplete():
		return true
	default:
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		r.Header.Set("Early-Data", "1")
		return true
	}
	timer := time.NewTimer(c.wait)
	defer timer.Stop()
	select {
	case <-c.conn.HandshakeComplete():
		return true
	case <-r.Context().Done():
	case <-timer.C:
	}
	return false
}

// h3Writer is a ResponseWriter over HTTP/3 whose stream can be taken over.
type h3Writer struct {
	http.ResponseWriter
	conn  *h3conn
	begun bool // the head has been written
}

// ofConnections are headers that say something of a connection of HTTP/1.1: a response that has one is malformed
// (RFC 9114 4.2).
var ofConnections = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"}

// clean takes them out, as net/http does for HTTP/2.
func (w *h3Writer) clean() {
	if !w.begun {
		for _, name := range ofConnections {
			delete(w.Header(), name)
		}
	}
}

// WriteHeader sends the head.
func (w *h3Writer) WriteHeader(status int) {
	w.clean()
	w.begun = w.begun || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// Write is WriteHeader(200) at first.
func (w *h3Writer) Write(p []byte) (int, error) {
	w.clean()
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the stream.
func (w *h3Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for handlers that look for http.Flusher themselves.
func (w *h3Writer) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController looks for.
func (w *h3Writer) FlushError() error {
	w.clean()
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// take sends the head of the answer and takes the stream from the server. What it returns last must be
// called when the stream has ended.
func (w *h3Writer) take() (*http3.Stream, func(), error) {
	if err := w.conn.enter(); err != nil {
		return nil, nil, http.ErrServerClosed
	}
	w.WriteHeader(http.StatusOK)
	str, err := w.ResponseWriter.(http3.HTTPStreamer).HTTPStream()
	if err != nil {
		w.conn.leave()
		return nil, nil, err
	}
	_ = str.SetReadDeadline(time.Time{}) // those of the request end here
	_ = str.SetWriteDeadline(time.Time{})
	return str, sync.OnceFunc(w.conn.leave), nil
}

// HijackStream answers 200 and gives the stream of a request by extended CONNECT to the handler, which
// may return: what http.Hijacker is for HTTP/1.1. Package ws finds it by its signature. Close ends the
// stream both ways and unblocks Read and Write.
func (w *h3Writer) HijackStream() (io.ReadWriteCloser, error) {
	str, done, err := w.take()
	if err != nil {
		return nil, err
	}
	return &tunnel{str: str, done: done, local: w.conn.conn.LocalAddr(), remote: w.conn.conn.RemoteAddr()}, nil
}

// tunnel is a stream of bytes on a CONNECT stream.
type tunnel struct {
	str           *http3.Stream
	done          func()
	local, remote net.Addr

	mu     sync.Mutex // held while writing
	broken bool       // a write has failed, perhaps within a frame
	closed bool
}

func (t *tunnel) Read(p []byte) (int, error) { return t.str.Read(p) }

func (t *tunnel) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, net.ErrClosed
	}
	n, err := t.str.Write(p)
	t.broken = t.broken || err != nil
	return n, err
}

// Close ends the stream: in good order where all that was written has gone out, else by a reset, as TCP's
// would be (RFC 9220 3).
func (t *tunnel) Close() error {
	_ = t.str.SetWriteDeadline(longAgo) // a write under way ends
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	t.closed = true
	defer t.done()
	code := quic.StreamErrorCode(http3.ErrCodeNoError)
	if t.broken {
		code = quic.StreamErrorCode(http3.ErrCodeRequestCanceled)
		t.str.CancelWrite(code)
	}
	t.str.CancelRead(code)
	if t.broken {
		return nil
	}
	return t.str.Close()
}

// LocalAddr and RemoteAddr are the connection's at the time of the request.
func (t *tunnel) LocalAddr() net.Addr  { return t.local }
func (t *tunnel) RemoteAddr() net.Addr { return t.remote }

// h3Of finds the writer of HTTP/3 below others that wrap it.
func h3Of(w http.ResponseWriter) (*h3Writer, error) {
	for {
		switch o := w.(type) {
		case *h3Writer:
			return o, nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = o.Unwrap()
		default:
			return nil, errors.New("commquic: the request was not served by HTTP/3 of this package")
		}
	}
}
