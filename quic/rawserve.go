package commquic

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// rawServer serves comm/1 on sessions.
type rawServer struct {
	host     comm.Host
	settings laneSettings
	timeout  time.Duration // of a write
}

func newRawServer(h comm.Host, c *Config) *rawServer {
	return &rawServer{host: h, settings: c.lanes(), timeout: h.Settings().WriteTimeout}
}

var (
	errNoHello = &comm.PeerError{Code: comm.CodeTimeout, Message: "no hello within the handshake timeout"}
	errNoFrame = &comm.FrameError{Code: comm.CodeBadFrame, Text: "the first stream ended before a hello"}
	errOnLane  = &comm.FrameError{Code: comm.CodeBadFrame, Text: "only messages travel on lanes and in datagrams"}
)

// serve admits the client of a session and serves it until its end. hs is what is known of it before its hello;
// admitted ends the handshake's share of the limits.
func (r *rawServer) serve(ctx context.Context, sess session, hs *comm.Handshake, admitted func()) {
	c := &rawConn{server: r, sess: sess, hs: hs, turn: make(chan struct{}, 1)}
	err := c.attach(ctx)
	admitted()
	if err != nil {
		c.refuse(err)
		return
	}
	c.run()
}

// rawConn is one session from its first stream to its end.
type rawConn struct {
	server  *rawServer
	sess    session
	hs      *comm.Handshake
	control stream       // nil until the client has opened it
	frames  *frameStream // of control
	out     *transport
	conn    *comm.Conn

	turn chan struct{}  // held while a frame is given to the manager: one at a time
	work sync.WaitGroup // lanes and datagrams
}

// attach reads the hello and admits the client.
func (c *rawConn) attach(ctx context.Context) (err error) {
	host := c.server.host
	ctx, cancel := context.WithTimeoutCause(ctx, host.Settings().HandshakeTimeout, errNoHello)
	defer cancel()
	if c.control, err = c.sess.accept(ctx); err != nil {
		return helloError(ctx, err)
	}
	c.frames = newFrameStream(c.control, host.Settings().MaxMessage)
	stop := context.AfterFunc(ctx, func() { _ = c.control.SetReadDeadline(longAgo) })
	f, err := c.frames.parse()
	if !stop() || err != nil {
		return helloError(ctx, err)
	}
	if f.Op != comm.OpHello {
		return &comm.FrameError{Code: comm.CodeBadFrame, ID: f.ID, Text: "the first frame must be hello, not " + f.Op.String()}
	}
	c.greeted(f)
	c.out = newTransport(c.server.host, c.sess, c.control, c.server.settings)
	if c.conn, err = host.Attach(ctx, c.out, c.hs); err == nil {
		c.out.attach(c.conn)
	}
	return err
}

// greeted adds what the hello says to what is known.
func (c *rawConn) greeted(f *comm.Frame) {
	if c.hs.Header == nil {
		c.hs.Header = http.Header{}
	}
	if f.Token != "" {
		c.hs.Token = f.Token
	}
	c.hs.Hello, c.hs.Position, c.hs.ID = f.Hello, f.Position, f.ID
}

// helloError is why no hello has come.
func helloError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if large, ok := errors.AsType[*tooLarge](err); ok {
		return &comm.FrameError{Code: comm.CodeTooLarge, Text: large.Error()}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isStreamError(err) {
		return errNoFrame
	}
	return err
}

// longAgo is a deadline that ends what waits.
var longAgo = time.Unix(1, 0)

// farewell bounds the wait for a client to close after its last frame.
const farewell = 2 * time.Second

// minParting is the least time for a last frame to arrive, or be repeated, before the session is closed.
const minParting = 100 * time.Millisecond

// refuse tells a client that was not admitted why, and ends the session.
func (c *rawConn) refuse(err error) {
	reason := comm.RefusalReason(err)
	switch {
	case c.sess.context().Err() != nil:
		return // it has gone
	case errors.Is(err, errNoHello):
		reason.Kind = comm.ReasonProtocol
	case errors.Is(err, context.Canceled): // the server stops
		reason = comm.CloseReason{Kind: comm.ReasonDrain, Text: "the server is going away"}
	}
	if c.control != nil {
		b, _ := appendFrame(nil, comm.RefusalFrame(c.hs.ID, err))
		if b, err = appendFrame(b, reason.Frame()); err == nil && c.control.TryWriteAll(b) == nil && c.control.Close() == nil {
			c.parted(err == errNoFrame)
		}
	}
	_ = closeSession(c.sess, reason)
}

// parted waits until the client has closed, or has ended its stream in answer to the last frame. One whose stream had
// ended before gives no such answer.
func (c *rawConn) parted(ended bool) {
	until := time.Now().Add(farewell)
	if !ended {
		_ = c.control.SetReadDeadline(until)
		if _, err := io.Copy(io.Discard, c.control); err == nil { // it may have ended it before it read
			until = time.Now().Add(min(time.Until(until), max(4*c.sess.roundTrip(), minParting)))
		}
	}
	wait(c.sess.context(), time.Until(until))
}

func isStreamError(err error) bool {
	_, ok := errors.AsType[*quic.StreamError](err)
	return ok
}

// wait waits until ctx ends, but no longer than d.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// run serves the session until its end.
func (c *rawConn) run() {
	c.work.Go(c.acceptLanes)
	c.work.Go(c.refuseStreams)
	c.work.Go(c.datagrams)
	c.out.pulse.start()
	err := c.read(c.frames, false)
	c.server.host.Detach(c.conn, endReason(err))
	if errors.Is(err, comm.ErrClosed) { // the last frame is on its way: the client answers it by the end of its stream
		_, err = io.Copy(io.Discard, c.control)
	}
	if err == nil || err == io.EOF {
		close(c.out.gone)
	}
	<-c.conn.Done()
	c.work.Wait() // the transport has closed the session
}

// read gives the frames of a stream to the manager until it ends.
func (c *rawConn) read(s *frameStream, lane bool) error {
	for {
		f, err := s.parse()
		c.heard(s.read())
		if _, bad := errors.AsType[*comm.FrameError](err); err != nil && !bad {
			return err
		}
		if err == nil && lane && f.Op != comm.OpMessage {
			err = errOnLane
		}
		if err := c.deliver(f, err); err != nil {
			return err
		}
	}
}

// deliver gives one frame, or what was none, to the manager. Meanwhile the heartbeat gives no verdict: it is not
// the client who is slow.
func (c *rawConn) deliver(f *comm.Frame, bad error) error {
	c.turn <- struct{}{}
	c.out.pulse.busy.Add(1)
	defer func() { c.out.pulse.busy.Add(-1); <-c.turn }()
	if bad != nil {
		c.server.host.Reject(c.conn, bad)
		return nil
	}
	return c.server.host.Receive(c.conn, f)
}

// acceptLanes serves the client's lanes. QUIC bounds how many there are.
func (c *rawConn) acceptLanes() {
	for {
		s, err := c.sess.acceptUni(c.sess.context())
		if err != nil {
			return
		}
		c.work.Go(func() { c.lane(s) })
	}
}

// refuseStreams resets bidirectional streams beside the default lane, for which version 1 has no use: they would
// hold the client's credit, and memory, for as long as it stays.
func (c *rawConn) refuseStreams() {
	for {
		s, err := c.sess.accept(c.sess.context())
		if err != nil {
			return
		}
		s.CancelRead(codeUnwanted)
		s.CancelWrite(codeUnwanted)
	}
}

// codeUnwanted ends a stream that this side does not want.
var codeUnwanted = quic.StreamErrorCode(comm.CloseReason{Kind: comm.ReasonProtocol}.Code())

// lane reads one lane to its end. An error of the stream alone, a lane that its client gave up, ends nothing else, nor
// does one that does not begin in time: it is stopped.
func (c *rawConn) lane(s recvStream) {
	set := c.server.host.Settings()
	frames := newFrameStream(s, set.MaxMessage)
	frames.first = ownFrame // there may be as many as streams
	_ = s.SetReadDeadline(time.Now().Add(set.HandshakeTimeout))
	_, err := frames.lane()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.CancelRead(codeUnwanted)
		return
	}
	if err == nil {
		_ = s.SetReadDeadline(time.Time{})
		err = c.read(frames, true)
	}
	if err != io.EOF && !isStreamError(err) {
		c.server.host.Detach(c.conn, endReason(err))
	}
}

// datagrams takes the messages that come in datagrams.
func (c *rawConn) datagrams() {
	for {
		b, err := c.sess.receiveDatagram(c.sess.context())
		if err != nil {
			return
		}
		c.heard(len(b))
		f, err := c.inDatagram(b)
		if c.deliver(f, err) != nil {
			return
		}
	}
}

func (c *rawConn) inDatagram(b []byte) (*comm.Frame, error) {
	if most := c.server.host.Settings().MaxMessage; len(b) > most {
		return nil, &comm.FrameError{Code: comm.CodeTooLarge, Text: (&tooLarge{uint64(len(b)), uint64(most)}).Error()}
	}
	f, err := parseFrame(b, true)
	if err == nil && f.Op != comm.OpMessage {
		return nil, errOnLane
	}
	return f, err
}

// endReason says why a stream's end ends the connection.
func endReason(err error) comm.CloseReason {
	r := comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	if errors.Is(err, comm.ErrClosed) {
		return comm.CloseReason{Kind: comm.ReasonNormal}
	}
	if errors.Is(err, io.EOF) {
		return comm.CloseReason{Kind: comm.ReasonClient}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		r.Kind, r.Text = comm.ReasonProtocol, "a stream ended inside a frame"
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.Kind = comm.ReasonSlow
	}
	if large, ok := errors.AsType[*tooLarge](err); ok {
		r.Kind, r.Text = comm.ReasonTooLarge, large.Error()
	}
	if form, ok := errors.AsType[*formError](err); ok {
		r.Kind, r.Text = comm.ReasonProtocol, form.Error()
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		r.Kind = comm.ReasonHeartbeat
	}
	if te, ok := errors.AsType[*quic.TransportError](err); ok && !te.Remote {
		r.Kind = comm.ReasonProtocol
	}
	if _, _, ok := closedByPeer(err); ok {
		r.Kind = comm.ReasonClient
	}
	return r
}

// heard counts bytes that have come, which are a sign of life.
func (c *rawConn) heard(n int) {
	c.out.pulse.heard(n)
	c.server.host.Traffic(c.conn, n, 0)
}
