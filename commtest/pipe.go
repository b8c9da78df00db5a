package commtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/memnet"
)

// PipeName is the name of the Pipe provider.
const PipeName = "pipe"

// Pipe is the smallest provider there can be: one frame of comm.v1.json a line, on any stream. It
// claims the connections of the manager's address that begin with a brace, so it shares the address
// with every other protocol, cleartext or TLS; Dialer reaches it without any address.
//
// It is for tests: there are no compression, no simple clients and no HTTP. All methods are safe for
// concurrent use. NewPipe makes one.
type Pipe struct {
	mu    sync.Mutex // guards the fields below
	host  comm.Host
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

// NewPipe makes a stopped Pipe.
func NewPipe() *Pipe { return &Pipe{conns: make(map[net.Conn]bool)} }

// Name returns PipeName.
func (p *Pipe) Name() string { return PipeName }

// Features lists what a pipe carries.
func (p *Pipe) Features() []comm.Feature {
	return []comm.Feature{
		comm.FeatureStreaming, comm.FeatureRealTime, comm.FeatureBroadcasting,
		comm.FeatureMulticasting, comm.FeatureUnicasting,
	}
}

// Start claims connections of the manager's address.
func (p *Pipe) Start(_ context.Context, h comm.Host) error {
	p.mu.Lock()
	p.host = h
	p.mu.Unlock()
	return h.ClaimConns(func(_ context.Context, c comm.PeekConn) (bool, error) {
		first, err := c.Peek(1)
		if err != nil || first[0] != '{' {
			return false, nil
		}
		return p.take(c.Replay(), c.TLS()), nil
	})
}

// Stop closes every connection that has not ended by itself and waits for them.
func (p *Pipe) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.host = nil
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { p.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		<-done // every connection is closed: it ends
		return nil
	}
}

// Health answers nil while the pipe is started.
func (p *Pipe) Health(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.host == nil {
		return comm.ErrStopped
	}
	return nil
}

// take serves a connection on a goroutine of its own. It is false while the pipe is stopped.
func (p *Pipe) take(conn net.Conn, state *tls.ConnectionState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.host
	if h == nil {
		conn.Close()
		return true
	}
	p.conns[conn] = true
	p.work.Go(func() {
		defer func() {
			conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		}()
		serve(h, conn, state)
	})
	return true
}

// connect makes a connection without a listener.
func (p *Pipe) connect() (net.Conn, error) {
	p.mu.Lock()
	stopped := p.host == nil
	p.mu.Unlock()
	if stopped {
		return nil, comm.ErrStopped
	}
	client, server := memnet.Pipe()
	p.take(server, nil)
	return client, nil
}

// serve runs one connection from its hello to its end.
func serve(h comm.Host, conn net.Conn, state *tls.ConnectionState) {
	t := &pipeTransport{conn: conn, host: h, gone: make(chan struct{}), writing: make(chan struct{}, 1)}
	defer close(t.gone)
	in := newLines(conn, h.Settings().MaxMessage)
	c, err := admit(h, t, in, state)
	if err != nil {
		t.refuse(err)
		return
	}
	t.attached(c)
	h.Detach(c, t.read(c, in))
	t.linger(in)
}

// admit reads the hello and attaches.
func admit(h comm.Host, t *pipeTransport, in *lines, state *tls.ConnectionState) (*comm.Conn, error) {
	done, err := h.Admit(t.conn.RemoteAddr())
	if err != nil {
		return nil, err
	}
	defer done()
	t.conn.SetReadDeadline(time.Now().Add(h.Settings().HandshakeTimeout))
	line, err := in.next()
	if err != nil {
		return nil, err
	}
	f, err := comm.JSON().ParseFrame(line)
	if err != nil {
		return nil, err
	}
	if f.Op != comm.OpHello {
		return nil, &comm.FrameError{Code: comm.CodeBadFrame, ID: f.ID, Text: "the first frame is hello"}
	}
	t.helloID = f.ID
	return h.Attach(h.Context(), t, &comm.Handshake{
		Header: http.Header{}, RemoteAddr: t.conn.RemoteAddr(), TLS: state, Token: f.Token,
		Hello: f.Hello, Position: f.Position, ID: f.ID,
	})
}

// pipeTransport writes frames as lines.
type pipeTransport struct {
	conn    net.Conn
	host    comm.Host
	helloID string
	gone    chan struct{} // closed when the reader has ended

	writing chan struct{} // holds one token during a write; waiting for a mutex would stop fake time
	buf     []byte
	broken  bool // a write has failed: what follows would be no frame

	mu    sync.Mutex // guards the fields below
	c     *comm.Conn
	early int       // bytes written before Attach returned
	until time.Time // when every write must end, once Close has been called
}

// lineFormat is the one format of a pipe.
type lineFormat struct{}

func (lineFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	dst, err := comm.JSON().AppendFrame(dst, f)
	return append(dst, '\n'), err
}

// Forgets implements comm.Forgetter.
func (t *pipeTransport) Forgets() {}

// Write sends the batch as one write.
func (t *pipeTransport) Write(batch []comm.Outbound, deadline time.Time) (int, error) {
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	t.buf = t.buf[:0]
	for _, o := range batch {
		b, err := o.Bytes(lineFormat{})
		if err != nil {
			return 0, err
		}
		t.buf = append(t.buf, b...)
	}
	if err := t.flush(deadline); err != nil {
		return 0, err
	}
	return len(batch), nil
}

func (t *pipeTransport) flush(deadline time.Time) error {
	t.bound(deadline)
	n, err := t.conn.Write(t.buf)
	t.broken = t.broken || err != nil
	t.traffic(0, n)
	return err
}

// bound sets the deadline of a write: no later than Close has said.
func (t *pipeTransport) bound(deadline time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.until.IsZero() && t.until.Before(deadline) {
		deadline = t.until
	}
	t.conn.SetWriteDeadline(deadline)
}

// line sends one frame of the carrier's own. t.writing is held.
func (t *pipeTransport) line(f *comm.Frame, deadline time.Time) bool {
	if t.broken {
		return false
	}
	t.buf, _ = lineFormat{}.Append(t.buf[:0], f)
	return t.flush(deadline) == nil
}

// beat sends a ping, unless a write is under way, which is as good a sign of life.
func (t *pipeTransport) beat(deadline time.Time) {
	select {
	case t.writing <- struct{}{}:
		defer func() { <-t.writing }()
		t.line(&comm.Frame{Op: comm.OpPing, ID: "beat"}, deadline)
	default:
	}
}

// Close waits for a write under way, sends the closing frame, if the client takes both by the
// deadline, and waits a moment for the client to hang up: closing with unread bytes would reset the
// connection and lose the frame.
func (t *pipeTransport) Close(r comm.CloseReason, deadline time.Time) error {
	t.mu.Lock()
	t.until = deadline
	t.conn.SetWriteDeadline(deadline) // of a write under way
	t.mu.Unlock()
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	if r.Kind != comm.ReasonLost && t.line(r.Frame(), deadline) {
		if w, ok := t.conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			select {
			case <-t.gone:
			case <-time.After(min(time.Until(deadline), time.Second)):
			}
		}
	}
	return t.conn.Close()
}

// refuse tells a client that was not admitted why.
func (t *pipeTransport) refuse(err error) {
	if _, lost := errors.AsType[net.Error](err); lost || errors.Is(err, io.EOF) {
		return
	}
	deadline := time.Now().Add(time.Second)
	if errors.Is(err, errLine) {
		err = &comm.FrameError{Code: comm.CodeTooLarge, Text: err.Error()}
	}
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	t.line(comm.RefusalFrame(t.helloID, err), deadline)
	t.line(comm.RefusalReason(err).Frame(), deadline)
	if w, ok := t.conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		t.conn.SetReadDeadline(deadline)
		io.Copy(io.Discard, t.conn)
	}
}

func (t *pipeTransport) attached(c *comm.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c = c
	t.host.Traffic(c, 0, t.early)
}

func (t *pipeTransport) traffic(in, out int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.c == nil {
		t.early += out
		return
	}
	t.host.Traffic(t.c, in, out)
}

// read hands frames to the manager until the connection ends, and returns why it did.
func (t *pipeTransport) read(c *comm.Conn, in *lines) comm.CloseReason {
	beat, pinged := t.host.Settings().Heartbeat, false
	for {
		t.conn.SetReadDeadline(time.Now().Add(beat))
		line, err := in.next()
		t.traffic(in.taken(), 0)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && !pinged:
			pinged = true
			t.beat(time.Now().Add(beat))
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return comm.CloseReason{Kind: comm.ReasonHeartbeat, Text: "no sign of life"}
		case errors.Is(err, errLine):
			return comm.CloseReason{Kind: comm.ReasonTooLarge, Text: err.Error()}
		case errors.Is(err, io.EOF):
			return comm.CloseReason{Kind: comm.ReasonClient}
		case err != nil:
			return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
		}
		pinged = false
		if err := t.receive(c, line); err != nil {
			return comm.CloseReason{Kind: comm.ReasonNormal, Err: err}
		}
	}
}

func (t *pipeTransport) receive(c *comm.Conn, line []byte) error {
	f, err := comm.JSON().ParseFrame(line)
	if err != nil {
		t.host.Reject(c, err)
		return nil
	}
	return t.host.Receive(c, f)
}

// linger reads and drops what the client still sends, so that it gets to read its last frame.
func (t *pipeTransport) linger(in *lines) {
	t.conn.SetReadDeadline(time.Now().Add(time.Second))
	io.Copy(io.Discard, in.r)
}

// errLine is a line over the limit.
var errLine = errors.New("commtest: a line over the largest message")

func lineError(max int) error { return fmt.Errorf("%w: allowed is %d bytes", errLine, max) }
