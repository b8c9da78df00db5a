package listen

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Claimer decides whether a connection is its own, by its first bytes or its TLS state.
//
// It runs on the connection's goroutine, after TLS, until ctx ends at the latest, and must
// return once it has decided; a connection that it takes it serves elsewhere and closes.
// With taken false and a nil error the next claimer is asked and then net/http serves the
// connection. With taken false and an error the connection is closed; it may return the
// errors of Peek so, or treat a short connection as not its own.
//
// It must not wait for more bytes than every other protocol sends first, or it will keep
// those waiting: use HasPrefix, which stops at the first byte that differs.
type Claimer func(ctx context.Context, c PeekConn) (taken bool, err error)

// PeekConn is a connection that a Claimer looks at. It is for the claimer's goroutine alone.
type PeekConn interface {
	// Peek returns the first n bytes without consuming them, waiting for them if need be.
	// With fewer, the error says why: ErrPeekLimit, the connection's end, or a timeout.
	// The bytes are valid until the claimer returns.
	Peek(n int) ([]byte, error)
	// Write writes to the peer, for protocols in which a client waits for the server's word.
	Write(p []byte) (int, error)
	// Replay returns the connection itself, which yields the peeked bytes first, with no
	// deadline set. Nothing can be peeked afterwards.
	Replay() net.Conn
	// Pass declines the connection and has net/http serve c in its stead, which reads and
	// writes through Replay's. Other claimers are not asked then.
	Pass(c net.Conn)
	// TLS returns the state of the finished handshake, or nil in cleartext.
	TLS() *tls.ConnectionState
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// HasPrefix reports whether the connection's first bytes are prefix. It waits for no more
// bytes than it takes to tell.
func HasPrefix(c PeekConn, prefix string) (bool, error) {
	seen := 0
	for seen < len(prefix) {
		p, err := c.Peek(seen + 1)
		if len(p) <= seen {
			return false, err
		}
		// Take in everything that arrived with the byte waited for.
		p, _ = c.Peek(min(max(len(p), buffered(c)), len(prefix)))
		if string(p) != prefix[:len(p)] {
			return false, nil
		}
		seen = len(p)
	}
	return true, nil
}

// buffered returns how many bytes Peek can return without waiting.
func buffered(c PeekConn) int {
	if p, ok := c.(*peekConn); ok {
		return len(p.buf)
	}
	return 0
}

// peekConn is the PeekConn of one connection. The server sets the deadlines around it.
type peekConn struct {
	conn   net.Conn // the *tls.Conn, or the accepted connection
	state  *tls.ConnectionState
	limit  int
	commit func() // called once, before the connection can be anybody's

	buf    []byte
	err    error // of reading, for good
	replay net.Conn
	passed net.Conn
}

func (c *peekConn) Peek(n int) ([]byte, error) {
	if c.replay != nil {
		return nil, net.ErrClosed
	}
	want := min(max(n, 0), c.limit)
	if c.buf == nil && want > 0 {
		c.buf = make([]byte, 0, c.limit)
	}
	for len(c.buf) < want && c.err == nil {
		k, err := c.conn.Read(c.buf[len(c.buf):c.limit])
		c.buf, c.err = c.buf[:len(c.buf)+k], err
	}
	if len(c.buf) < want {
		return c.buf, c.err
	}
	if n > want {
		return c.buf, ErrPeekLimit
	}
	return c.buf[:want], nil
}

func (c *peekConn) Write(p []byte) (int, error) { return c.conn.Write(p) }

func (c *peekConn) Replay() net.Conn {
	if c.replay == nil {
		c.commit()
		c.conn.SetDeadline(time.Time{})
		c.replay = c.rewound()
	}
	return c.replay
}

// rewound returns the connection with nothing consumed, in the plainest form there is.
func (c *peekConn) rewound() net.Conn {
	switch {
	case len(c.buf) == 0:
		return c.conn
	case c.state != nil:
		return newReplay(c.conn, c.buf)
	}
	return &plainReplay{newReplay(c.conn, c.buf)}
}

func (c *peekConn) Pass(conn net.Conn)        { c.passed = conn }
func (c *peekConn) TLS() *tls.ConnectionState { return c.state }
func (c *peekConn) LocalAddr() net.Addr       { return c.conn.LocalAddr() }
func (c *peekConn) RemoteAddr() net.Addr      { return c.conn.RemoteAddr() }

// replay is a connection that yields bytes read earlier first. It shows nothing of what is
// below but net.Conn and half-close: a TLS state, above all, must stay hidden from net/http.
type replay struct {
	net.Conn
	pending atomic.Bool // there are bytes to replay

	mu    sync.Mutex // guards first
	first []byte
}

func newReplay(c net.Conn, first []byte) *replay {
	r := &replay{Conn: c, first: first}
	r.pending.Store(len(first) > 0)
	return r
}

func (r *replay) Read(p []byte) (int, error) {
	if r.pending.Load() {
		if n, ok := r.readFirst(p); ok {
			return n, nil
		}
	}
	return r.Conn.Read(p)
}

func (r *replay) readFirst(p []byte) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.first) == 0 {
		return 0, false
	}
	n := copy(p, r.first)
	if r.first = r.first[n:]; len(r.first) == 0 {
		r.first = nil
		r.pending.Store(false)
	}
	return n, true
}

// CloseWrite half-closes, if the connection below can.
func (r *replay) CloseWrite() error {
	if c, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return r.Close()
}

// BareConn returns the connection below and whether it carries exactly the bytes of r by now: for
// code that reads and writes sockets directly, or waits for the one beneath.
func (r *replay) BareConn() (c net.Conn, ok bool) { return r.Conn, !r.pending.Load() }

// plainReplay is a replay in cleartext. It lets net/http send files through the kernel, and
// gives way to the connection below.
type plainReplay struct{ *replay }

// ReadFrom copies r to the connection below, which may do so without a buffer.
func (r *plainReplay) ReadFrom(src io.Reader) (int64, error) { return io.Copy(r.Conn, src) }

// NetConn returns the connection below once everything has been replayed, and nil before.
func (r *plainReplay) NetConn() net.Conn {
	if r.pending.Load() {
		return nil
	}
	return r.Conn
}

// TCPConn returns the TCP connection whose bytes are exactly those of c: c itself, or what
// a claimed-at connection of this package rests on when it has replayed everything. It
// never looks below TLS. A handler that hijacks uses it to reach syscall.RawConn.
func TCPConn(c net.Conn) (*net.TCPConn, bool) {
	if r, ok := c.(*plainReplay); ok {
		c = r.NetConn()
	}
	t, ok := c.(*net.TCPConn)
	return t, ok
}

// claimers is the list of claimers, copied on change so that connections read it without a lock.
type claimers struct {
	mu   sync.Mutex // held to change list
	list atomic.Pointer[[]*Claimer]
}

func (cs *claimers) load() []*Claimer {
	if p := cs.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (cs *claimers) add(claim Claimer) (remove func()) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	entry := &claim
	cs.store(append(slices.Clone(cs.load()), entry))
	return func() {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		cs.store(slices.DeleteFunc(slices.Clone(cs.load()), func(c *Claimer) bool { return c == entry }))
	}
}

func (cs *claimers) store(list []*Claimer) { cs.list.Store(&list) }
