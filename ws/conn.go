package ws

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/deflate"
	"github.com/anasamu/comm/internal/lazy"
	"github.com/anasamu/comm/internal/park"
)

// Conn is one WebSocket connection. All methods are safe for concurrent use;
// reads among themselves, and writes among themselves, take turns. Made by
// Accept, Handler, Dial and NewConn; the zero value is not usable.
//
// # Contexts
//
// A context bounds the call it is given to. Where it ends before the call has
// moved a byte of its message, the connection lives. Where it ends in the
// middle of a received message, what has come is kept and the next read goes
// on with it. Where it ends in the middle of a sent message, the connection is
// closed, with the context's cause as its own, since half a message cannot be
// taken back. A context without Done, or the one used the time before, costs
// nothing.
type Conn struct {
	rwc carrier
	raw *rawIO // the direct path to the socket; nil over TLS, memory and others
	set *settings

	side        Side
	subprotocol string
	compressed  *agreed // nil if compression was not agreed on

	in    input
	out   output
	pings atomic.Pointer[pings] // nil until the first ping

	parking atomic.Pointer[park.Waiter] // Start's, nil before

	// life
	done     lazy.Signal
	leaving  atomic.Bool // Close was called: messages are dropped
	closing  atomic.Bool // a close frame was sent: no data after it
	finished atomic.Bool // a close frame was received
	shutting sync.Mutex
	cause    error              // guarded by shutting until done is closed
	hooks    map[*hook]struct{} // run when done; guarded by shutting
}

// NewConn returns a connection over rwc on which the handshake was already
// made elsewhere: a stream of HTTP/2 or HTTP/3, or memory. If rwc has
// SetReadDeadline and SetWriteDeadline as net.Conn does, they are used;
// otherwise a goroutine reads from rwc until the connection is closed, and
// rwc.Close must end a pending Read. NewConn owns rwc from then on, unless it
// returns an error.
//
// WithCompression has no effect here: compression needs a negotiation.
func NewConn(rwc io.ReadWriteCloser, side Side, opts ...ConnOption) (*Conn, error) {
	set := defaults()
	if err := conf.Apply("ws.NewConn", opts, func(o ConnOption) error { return o.applyConn(&set) }); err != nil {
		return nil, err
	}
	if side != Server && side != Client {
		return nil, refuse("NewConn side", side, "Server or Client")
	}
	return newConn(rwc, side, &set, agreed{}), nil
}

func newConn(rwc io.ReadWriteCloser, side Side, set *settings, a agreed) *Conn {
	c := &Conn{rwc: carry(rwc), set: set, side: side}
	if a.on {
		agreement := a // so that only this branch allocates
		c.compressed = &agreement
	}
	if !set.portable {
		c.raw = newRawIO(rwc)
	}
	c.out.watch.write = true
	c.out.flusher = c.flushLater
	return c
}

// keep makes bytes that were read along with the handshake the first ones.
func (c *Conn) keep(early []byte) {
	if len(early) == 0 {
		return
	}
	b := getBuffer(max(len(early), c.bufferSize()))
	b.b = append(b.b, early...)
	c.in.buf, c.in.w = b, len(early)
}

func (c *Conn) bufferSize() int {
	switch {
	case c.set.bufferSize > 0:
		return c.set.bufferSize
	case c.raw != nil:
		return rawBuffer
	}
	return heldBuffer
}

// Side returns which end of the connection this is.
func (c *Conn) Side() Side { return c.side }

// Subprotocol returns the subprotocol agreed on, "" if none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Compressed reports whether permessage-deflate was agreed on.
func (c *Conn) Compressed() bool { return c.compressed != nil }

// RemoteAddr returns the peer's address, nil if the carrier has none.
func (c *Conn) RemoteAddr() net.Addr {
	if a, ok := c.rwc.(interface{ RemoteAddr() net.Addr }); ok {
		return a.RemoteAddr()
	}
	return nil
}

// LocalAddr returns this end's address, nil if the carrier has none.
func (c *Conn) LocalAddr() net.Addr {
	if a, ok := c.rwc.(interface{ LocalAddr() net.Addr }); ok {
		return a.LocalAddr()
	}
	return nil
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done.C() }

// Err returns nil while the connection lives, then why it ended: ErrClosed if
// this end closed it, else mostly a *CloseError.
func (c *Conn) Err() error {
	if c.done.Fired() {
		return c.cause
	}
	return nil
}

// RTT returns the round trip of the last answered heartbeat or Ping, 0 if
// there was none yet.
func (c *Conn) RTT() time.Duration {
	if p := c.pings.Load(); p != nil {
		return time.Duration(p.rtt.Load())
	}
	return 0
}

// shut ends the connection; the first cause stands.
func (c *Conn) shut(cause error) {
	c.shutting.Lock()
	defer c.shutting.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	c.done.Fire()
	c.in.watch.close()
	c.out.watch.close()
	if w := c.parking.Load(); w != nil { // after done is fired, so that Start sees one or the other
		w.Close()
	}
	_ = c.rwc.Close() // nothing is left to tell it to
	for h := range c.hooks {
		go h.f()
	}
	c.hooks = nil
	if c.compressed != nil {
		c.set.compression.release(c.compressed.granted)
	}
}

// decoder returns the decompressor of what the peer sends.
func (c *Conn) decoder() *deflate.Decoder {
	z := c.compressed
	if z.dec == nil {
		z.dec = deflate.NewDecoder(z.peer(c.side))
	}
	return z.dec
}

// encoder returns the compressor of what this end sends.
func (c *Conn) encoder() *deflate.Encoder {
	z := c.compressed
	if z.enc == nil {
		z.enc = deflate.NewEncoder(z.own(c.side), c.set.compression.Level)
	}
	return z.enc
}
