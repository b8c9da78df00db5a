package commhttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is the response writer of the chain: what one request has been answered
// so far. It is used by one goroutine at a time, as every http.ResponseWriter.
type exchange struct {
	w     http.ResponseWriter
	info  *info
	own   info // what info points to, unless another exchange of the request came first
	enc   *encoder
	hooks []func(status int, h http.Header)

	status    int // 0 until the header has been sent
	bytes     int64
	first     time.Time
	deadlines deadlines
	ending    ending
	conn      net.Conn // once hijacked
}

// info is what the chain knows about one request; all wrappers of the request share
// it, and its context carries it.
type info struct {
	parent  context.Context
	id      string
	idValue [1]string // backs the response header's value
	client  netip.Addr
	pattern atomic.Pointer[string]

	streaming atomic.Bool
	lifters   []lifter
	liftRoom  [2]lifter
}

// lifter is a bound on plain responses that a stream is freed from.
type lifter interface{ lift() }

// scope is the request's context: its parent's, and info besides. It is one pointer
// wide, so that storing it in an interface costs nothing.
type scope struct{ *info }

type infoKey struct{}

func (s scope) Deadline() (time.Time, bool) { return s.parent.Deadline() }
func (s scope) Done() <-chan struct{}       { return s.parent.Done() }
func (s scope) Err() error                  { return s.parent.Err() }
func (s scope) Value(key any) any {
	if key == (infoKey{}) {
		return s.info
	}
	return s.parent.Value(key)
}

func infoOf(ctx context.Context) *info {
	in, _ := ctx.Value(infoKey{}).(*info)
	return in
}

// stream frees the request from the bounds of plain responses.
func (in *info) stream() {
	if !in.streaming.Swap(true) {
		for _, l := range in.lifters {
			l.lift()
		}
	}
}

// onStream has l lifted if the response becomes a stream, or now if it is one.
func (in *info) onStream(l lifter) {
	if in.streaming.Load() {
		l.lift()
	}
	if in.lifters == nil {
		in.lifters = in.liftRoom[:0]
	}
	in.lifters = append(in.lifters, l)
}

// hijackable is an exchange over a connection that can be taken over. Two types,
// because w.(http.Hijacker) must tell the truth on HTTP/2.
type hijackable struct{ *exchange }

func (x hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return x.hijack() }

// enter returns the exchange of w, with the writer and request to go on with: the
// given ones if an outer middleware has entered already.
func enter(w http.ResponseWriter, r *http.Request) (*exchange, http.ResponseWriter, *http.Request) {
	in := infoOf(r.Context())
	if x := exchangeOf(w); x != nil && in == x.info {
		return x, w, r
	}
	x := &exchange{w: w, info: in}
	if in == nil {
		x.info = &x.own
		x.own.parent = r.Context()
		r = r.WithContext(scope{x.info})
	}
	if canHijack(w) {
		return x, hijackable{x}, r
	}
	return x, x, r
}

func exchangeOf(w http.ResponseWriter) *exchange {
	switch w := w.(type) {
	case *exchange:
		return w
	case hijackable:
		return w.exchange
	}
	return nil
}

// canHijack looks where http.ResponseController looks.
func canHijack(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

func (x *exchange) Header() http.Header { return x.w.Header() }

// written reports whether the client has been sent an answer, or the connection is
// no longer ours to answer on.
func (x *exchange) written() bool { return x.status != 0 || x.conn != nil }

func (x *exchange) WriteHeader(status int) {
	switch {
	case x.written():
	case status < 200 && status != http.StatusSwitchingProtocols:
		x.w.WriteHeader(status)
	case x.enc != nil && x.enc.hold(x, status):
	default:
		x.commit(status)
	}
}

// commit sends the header.
func (x *exchange) commit(status int) {
	for _, hook := range x.hooks {
		hook(status, x.Header())
	}
	if isStream(status, x.Header()) {
		x.info.stream()
	}
	x.status, x.first = status, time.Now()
	x.w.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.enc != nil {
		return x.enc.write(x, p)
	}
	return x.send(p)
}

// send is Write past the encoder.
func (x *exchange) send(p []byte) (int, error) {
	if !x.written() {
		x.commit(http.StatusOK)
	}
	x.deadlines.progress()
	n, err := x.w.Write(p)
	x.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile: net/http's writer knows it, and gets it where nothing
// stands between.
func (x *exchange) ReadFrom(src io.Reader) (int64, error) {
	if x.enc != nil && !x.enc.passes(x) {
		return io.Copy(writeOnly{x}, src)
	}
	if !x.written() {
		x.commit(http.StatusOK)
	}
	rf, ok := x.w.(io.ReaderFrom)
	if !ok {
		return io.Copy(writeOnly{x}, src)
	}
	n, err := x.deadlines.readFrom(rf, src)
	x.bytes += n
	return n, err
}

// writeOnly hides ReadFrom from io.Copy.
type writeOnly struct{ io.Writer }

// Flush is for callers of http.Flusher; FlushError says what went wrong.
func (x *exchange) Flush() { _ = x.FlushError() }

func (x *exchange) FlushError() error {
	if x.enc != nil {
		if err := x.enc.flush(x); err != nil {
			return err
		}
	}
	if !x.written() {
		x.commit(http.StatusOK)
	}
	x.deadlines.progress()
	return http.NewResponseController(x.w).Flush()
}

func (x *exchange) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.deadlines.release()
	x.info.stream()
	x.conn = conn
	if x.ending.observed {
		conn = endWith(conn, x.ending.end)
	}
	return conn, rw, nil
}

// ending is the moment after which a response has no more bytes: the return of its
// handler, or the close of the connection that the handler took over.
type ending struct {
	observed bool // set before the handler runs
	mu       sync.Mutex
	ended    bool
	after    []func()
}

func (e *ending) end() {
	e.mu.Lock()
	after := e.after
	e.after, e.ended = nil, true
	e.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// then calls f at the end, or now if that has been.
func (e *ending) then(f func()) {
	e.mu.Lock()
	if !e.ended {
		e.after = append(e.after, f)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	f()
}

// OnHeader has f called just before the header of w is sent, with the status and the
// header, which f may still change. Hooks run in the order they were given. It
// reports false, and does nothing, if w is not a writer of this package's
// middleware (or wraps one), or has sent its header.
func OnHeader(w http.ResponseWriter, f func(status int, h http.Header)) bool {
	for {
		switch t := w.(type) {
		case *exchange:
			return t.onHeader(f)
		case hijackable:
			return t.onHeader(f)
		case *gate:
			return t.onHeader(f)
		case hijackGate:
			return t.onHeader(f)
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

func (x *exchange) onHeader(f func(int, http.Header)) bool {
	if x.written() {
		return false
	}
	x.hooks = append(x.hooks, f)
	return true
}
