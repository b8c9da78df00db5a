package ws

import (
	"context"
	"errors"
	"sync"
	"unicode/utf8"

	"github.com/anasamu/comm/internal/wsframe"
)

// Close makes the closing handshake (RFC 6455 7.1.2): it sends a close frame,
// waits for the peer's, and closes the connection, all within ctx and the
// close timeout. It returns nil if the peer answered; the connection is closed
// in any case, except that a code or reason that may not be sent is ErrStatus
// and changes nothing. The reason is at most 123 bytes of UTF-8.
//
// Close may be called beside reads, which then end, and from inside Serve's
// function. On a connection that has ended it returns ErrClosed or why it did.
func (c *Conn) Close(ctx context.Context, code StatusCode, reason string) error {
	if !code.CanSend() || len(reason) > wsframe.MaxReason || !utf8.ValidString(reason) {
		return ErrStatus
	}
	if err := c.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.set.closeTimeout, errCloseTimeout)
	defer cancel()
	c.leaving.Store(true)
	var sending sync.WaitGroup
	sending.Go(func() { // beside reading, for the peer may not read before it is read from
		_ = c.sendClose(ctx, code, reason) // its failure is the connection's, or ctx's
	})
	err := c.awaitClose(ctx)
	c.shut(ErrClosed)
	sending.Wait()
	return err
}

var errCloseTimeout = errors.New("ws: peer did not answer the close frame in time")

// CloseNow closes the connection without a closing handshake. It does not wait.
func (c *Conn) CloseNow() error {
	if err := c.Err(); err != nil {
		return err
	}
	c.shut(ErrClosed)
	return nil
}

// sendClose sends the close frame, once; after it nothing else is sent.
func (c *Conn) sendClose(ctx context.Context, code StatusCode, reason string) error {
	if err := c.acquire(ctx, &c.out.token); err != nil {
		return err
	}
	defer c.release()
	c.out.mu.Lock()
	sent := c.closing.Swap(true)
	c.out.mu.Unlock()
	if sent {
		return nil
	}
	var payload [wsframe.MaxControl]byte
	p := wsframe.AppendClose(payload[:0], uint16(code), reason)
	return c.transmitHeld(ctx, c.header(wsframe.Header{Fin: true, Op: wsframe.Close}, len(p)), p)
}

// awaitClose waits until the peer's close frame was read, by whoever reads;
// if nobody does, or a function run by Serve keeps the reader, it reads itself.
func (c *Conn) awaitClose(ctx context.Context) error {
	if c.borrow() {
		return c.drain(ctx)
	}
	if err := c.acquire(ctx, &c.in.lock); err != nil {
		if c.finished.Load() {
			return nil
		}
		return err
	}
	defer c.in.lock.unlock()
	return c.drain(ctx)
}

// drain reads and drops everything up to the peer's close frame.
func (c *Conn) drain(ctx context.Context) error {
	defer c.in.watch.leave(c)
	for c.Err() == nil {
		if c.in.left == 0 {
			if c.in.fin {
				c.in.typ = 0
			}
			if err := c.nextFrame(ctx); err != nil {
				break
			}
			continue
		}
		n := min(int64(len(c.unread())), c.in.left)
		c.skip(int(n))
		c.in.left -= n
		if c.in.left > 0 && c.fill(ctx) != nil {
			break
		}
	}
	switch {
	case c.finished.Load():
		return nil
	case c.Err() != nil:
		return c.Err()
	}
	return context.Cause(ctx)
}

// peerCloses handles a close frame: it answers with the same code, unless this
// end had closed first, and ends the connection (RFC 6455 5.5.1).
func (c *Conn) peerCloses(p []byte) error {
	code, reason, err := wsframe.ParseClose(p)
	switch {
	case errors.Is(err, wsframe.ErrCloseReason):
		return c.fail(StatusInvalidData, err)
	case err != nil:
		return c.fail(StatusProtocolError, err)
	}
	var cause error = &CloseError{Code: StatusCode(code), Reason: string(reason)}
	if c.leaving.Load() {
		cause = ErrClosed
	}
	c.finished.Store(true)
	c.part(StatusCode(code), cause)
	return c.Err()
}

// fail closes the connection because the peer broke the protocol (RFC 6455
// 7.1.7). It returns what reads return from then on.
func (c *Conn) fail(code StatusCode, why error) error {
	reason := ""
	if why != nil {
		reason = why.Error()
	}
	c.part(code, &CloseError{Code: code, Reason: reason, Local: true})
	return c.Err()
}

// part sends a last close frame and ends the connection; the reader calls it.
func (c *Conn) part(code StatusCode, cause error) {
	reason := ""
	if e, ok := errors.AsType[*CloseError](cause); ok && e.Local {
		reason = e.Reason
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.set.closeTimeout)
	defer cancel()
	if err := c.sendClose(ctx, code, reason); err == nil {
		c.linger()
	}
	c.shut(cause)
}

// linger lets the last frame reach the peer. A server ends its direction first
// (RFC 6455 7.1.1), and both wait for the other's end: closing a socket with
// unread bytes would reset it, and the reset could overtake the close frame.
func (c *Conn) linger() {
	half, ok := c.rwc.(interface{ CloseWrite() error })
	if ok && c.side == Server {
		ok = half.CloseWrite() == nil
	}
	if !ok && c.side == Server {
		return
	}
	c.in.watch.shift(c, false)
	c.in.watch.arm(c, now().add(min(lingerTime, c.set.closeTimeout)))
	scratch := getBuffer(heldBuffer)
	defer putBuffer(scratch)
	for {
		if _, err := c.rwc.Read(scratch.b[:cap(scratch.b)]); err != nil {
			return
		}
	}
}
