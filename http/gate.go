package commhttp

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// gate is the writer of a handler that may be given up on. Until the first write it
// keeps the handler's header to itself; the first write passes the gate, which then
// stays open, or finds it closed for good. One compare-and-swap decides, so no lock
// is held while writing.
type gate struct {
	w      http.ResponseWriter
	x      *exchange
	state  atomic.Int32
	header http.Header
	hooks  []func(int, http.Header)
	mu     sync.Mutex // held by control and expire
}

const (
	gateOpen int32 = iota
	gateStarted
	gateExpired
)

// expire closes the gate, if nothing has passed.
func (g *gate) expire() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.CompareAndSwap(gateOpen, gateExpired)
}

// control calls f with the connection's controls, which must not be touched any more
// once the gate has closed: the connection may be serving its next request.
func (g *gate) control(f func(*http.ResponseController) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Load() == gateExpired {
		return http.ErrHandlerTimeout
	}
	return f(http.NewResponseController(g.w))
}

// hijackGate is a gate to a connection that can be taken over.
type hijackGate struct{ *gate }

func (g *gate) writer() http.ResponseWriter {
	if _, ok := g.w.(http.Hijacker); ok {
		return hijackGate{g}
	}
	return g
}

// start reports whether the response is the handler's, making it so if it is nobody's.
func (g *gate) start() bool {
	if g.state.Load() == gateStarted {
		return true
	}
	if !g.state.CompareAndSwap(gateOpen, gateStarted) {
		return false
	}
	header := g.w.Header()
	clear(header)
	maps.Copy(header, g.header)
	g.x.hooks = append(g.x.hooks, g.hooks...)
	return true
}

func (g *gate) Header() http.Header {
	if g.state.Load() == gateStarted {
		return g.w.Header()
	}
	return g.header
}

func (g *gate) WriteHeader(status int) {
	if g.start() {
		g.w.WriteHeader(status)
	}
}

func (g *gate) Write(p []byte) (int, error) {
	if !g.start() {
		return 0, http.ErrHandlerTimeout
	}
	return g.w.Write(p)
}

func (g *gate) ReadFrom(src io.Reader) (int64, error) {
	if !g.start() {
		return 0, http.ErrHandlerTimeout
	}
	return g.x.ReadFrom(src)
}

// Flush is for callers of http.Flusher; FlushError says what went wrong.
func (g *gate) Flush() { _ = g.FlushError() }

func (g *gate) FlushError() error {
	if !g.start() {
		return http.ErrHandlerTimeout
	}
	return g.x.FlushError()
}

func (g hijackGate) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !g.start() {
		return nil, nil, http.ErrHandlerTimeout
	}
	return http.NewResponseController(g.w).Hijack()
}

func (g *gate) SetReadDeadline(t time.Time) error {
	return g.control(func(c *http.ResponseController) error { return c.SetReadDeadline(t) })
}

func (g *gate) SetWriteDeadline(t time.Time) error {
	return g.control(func(c *http.ResponseController) error { return c.SetWriteDeadline(t) })
}

func (g *gate) EnableFullDuplex() error {
	return g.control((*http.ResponseController).EnableFullDuplex)
}

func (g *gate) onHeader(f func(int, http.Header)) bool {
	switch g.state.Load() {
	case gateOpen:
		g.hooks = append(g.hooks, f)
		return true
	case gateStarted:
		return g.x.onHeader(f)
	}
	return false
}
