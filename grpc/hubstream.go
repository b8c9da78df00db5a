package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// transport carries the frames of one stream. What gRPC holds for a client that does not read is bounded: beyond that
// SendMsg waits, and nothing but the end of the stream unblocks it: the return of the stream's handler. So a send that
// takes too long ends the stream.
type transport struct {
	// These share a cache line (TestTransportLayout): nothing else of a stream is touched by a message to many.
	below  grpc.ServerStream // what the stream sends on
	turn   turn              // to send
	hub    *hub
	unsent unsent
	shut   atomic.Bool // over is closed
	wrote  atomic.Bool // since the last beat
	plain  bool        // gRPC does not mean to compress on the stream
	bare   bool        // below is gRPC's own: no interceptor's code runs in a send

	conn    atomic.Pointer[comm.Conn] // nil until the manager has made it
	out     batch                     // room for one that is not shared; of whose turn it is
	stream  grpc.ServerStream
	waiter  comm.Waiter   // told before Write waits
	over    chan struct{} // closed when the handler is to return
	helloID string
	holders atomic.Int32 // of the stream's place

	mu       sync.Mutex            // guards the fields below
	early    struct{ in, out int } // bytes before there was a conn
	reason   comm.CloseReason
	cut      bool        // because a send took too long
	deadline *time.Timer // of a send that waits; made by the first
	armed    bool        // the deadline runs
	until    time.Time   // when every send must have ended, once Close has been called
}

func newTransport(h *hub, s grpc.ServerStream) *transport {
	t := &transport{hub: h, stream: s, below: below(s), plain: isPlain(s), turn: newTurn(), over: make(chan struct{})}
	t.bare = isBare(t.below)
	t.unsent.most = heldByStream
	if !t.Metered() {
		t.unsent.most = 1 // net/http writes, and holds nothing
	}
	t.holders.Store(1)
	return t
}

// Metered implements comm.Metered: the bytes of the native transport's connections are counted there, of all that they
// carry. What net/http carries is not.
func (t *transport) Metered() bool { return t.stream.Context().Value(http.ServerContextKey) == nil }

// below is the stream without what only gives it types and a context, as each layer is a miss of the cache for every
// message to many.
func below(s grpc.ServerStream) grpc.ServerStream {
	switch w := s.(type) {
	case *grpc.GenericServerStream[commv1.ConnectRequest, commv1.ConnectResponse]:
		return below(w.ServerStream)
	case *grpc.GenericServerStream[commv1.SubscribeRequest, commv1.SubscribeResponse]:
		return below(w.ServerStream)
	case *guardedStream:
		return below(w.ServerStream)
	}
	return s
}

// isBare tells gRPC's own streams, whose type is not exported.
func isBare(s grpc.ServerStream) bool { return reflect.TypeOf(s).String() == "*grpc.serverStream" }

// hold shares the stream's place, and leave gives up a share.
func (t *transport) hold() { t.holders.Add(1) }

func (t *transport) leave() {
	if t.holders.Add(-1) == 0 {
		t.hub.places.Leave()
	}
}

// attached makes the connection known.
func (t *transport) attached(c *comm.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn.Store(c)
	t.hub.host.Traffic(c, t.early.in, t.early.out)
}

// traffic counts bytes.
func (t *transport) traffic(in, out int) {
	c := t.conn.Load()
	if c == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if c = t.conn.Load(); c == nil {
			t.early.in += in
			t.early.out += out
			return
		}
	}
	t.hub.host.Traffic(c, in, out)
}

// TellWaiting implements comm.WaitTeller.
func (t *transport) TellWaiting(w comm.Waiter) bool {
	t.waiter = w
	return true
}

// Forgets implements comm.Forgetter: gRPC is given bytes.
func (t *transport) Forgets() {}

// Write implements comm.Transport: the batch is one gRPC message, as far as one may be so large.
func (t *transport) Write(frames []comm.Outbound, deadline time.Time) (n int, err error) {
	t.takeTurn()
	defer t.turn.give()
	b, n, err := t.gather(frames)
	if err != nil {
		return 0, err
	}
	if t.unsent.full() {
		t.waiter.Waiting()
	}
	if err := t.send(b, deadline); err != nil {
		return 0, err
	}
	t.traffic(0, b.size)
	t.signOfLife()
	return n, nil
}

// WritesDirectly implements comm.DirectWriter. net/http would write on the sender's goroutine, and so would whatever a
// stream interceptor does with a message.
func (t *transport) WritesDirectly() bool { return t.bare && t.unsent.most > 1 }

// TryWrite implements comm.TryWriter.
func (t *transport) TryWrite(o comm.Outbound) (bool, error) {
	if !t.WritesDirectly() || !t.turn.try() {
		return false, nil
	}
	n, err := t.tryAlone(o)
	t.traffic(0, n)
	return n > 0, err
}

// tryAlone sends a frame if there is room for it, and returns its bytes. The turn is taken, and given back.
func (t *transport) tryAlone(o comm.Outbound) (n int, err error) {
	defer t.turn.give()
	if t.unsent.full() {
		return 0, nil
	}
	b, err := t.one(o)
	if err == nil {
		err = t.send(b, time.Time{}) // there is room, so it does not wait
	}
	if err != nil {
		return 0, err
	}
	t.signOfLife()
	return b.size, nil
}

// signOfLife notes that the client is sent something.
func (t *transport) signOfLife() {
	if !t.wrote.Load() {
		t.wrote.Store(true)
	}
}

// gather makes the message of as many frames as it may hold. The turn is taken.
func (t *transport) gather(frames []comm.Outbound) (b *batch, n int, err error) {
	if len(frames) == 1 {
		b, err = t.one(frames[0])
		return b, 1, err
	}
	t.out.reset(len(frames))
	for n, o := range frames {
		frame, err := t.encode(o)
		if err != nil {
			return nil, 0, err
		}
		if n > 0 && t.out.size+len(frame) > t.hub.maxSend {
			return &t.out, n, nil
		}
		t.out.add(frame)
	}
	return &t.out, len(frames), nil
}

// one makes the message of one frame. The turn is taken.
func (t *transport) one(o comm.Outbound) (*batch, error) {
	if o.Shared() {
		return t.hub.lone.of(o, t)
	}
	frame, err := t.encode(o)
	t.out.reset(1)
	t.out.add(frame)
	return &t.out, err
}

// takeTurn takes the turn to send, in Write.
func (t *transport) takeTurn() {
	if !t.turn.try() { // a ping
		t.waiter.Waiting()
		t.turn.take()
	}
}

// encode returns the shared bytes, but writes what holds for this carrier into welcome, and leaves out what is too
// large for it.
func (t *transport) encode(o comm.Outbound) ([]byte, error) {
	f := o.Frame()
	if f.Op != comm.OpWelcome || f.Welcome.MaxMessage <= t.hub.maxFrame() {
		b, err := o.Bytes(format)
		if messageHeader+len(b) > t.hub.maxSend {
			t.decline(f, len(b))
			return format.Append(nil, t.hub.tooLarge(f, len(b)))
		}
		return b, err
	}
	own, welcome := *f, *f.Welcome
	welcome.MaxMessage = t.hub.maxFrame()
	own.Welcome = &welcome
	return format.Append(nil, &own)
}

// decline answers, for a client that is not sent a frame, whoever waits for its answer.
func (t *transport) decline(f *comm.Frame, size int) {
	if c := t.conn.Load(); c != nil && (f.Op == comm.OpCall || f.Op == comm.OpMessage && f.Ack) {
		_ = t.hub.host.ReceiveMore(c, &comm.Frame{Op: comm.OpError, ID: f.ID, Code: comm.CodeTooLarge, Text: t.hub.tooLargeText(size)})
	}
}

// send sends a message, and ends the stream if the client does not take it by the deadline. The turn is taken.
func (t *transport) send(b *batch, deadline time.Time) error {
	waits := t.unsent.full()
	if t.shut.Load() || waits && !t.startDeadline(deadline) {
		return comm.ErrClosed
	}
	if m := t.unsent.add(b.size); m != nil {
		b = b.with(m)
	}
	err := t.sendMsg(b.message())
	if waits && t.stopDeadline() {
		return os.ErrDeadlineExceeded
	}
	return err
}

// sendMsg has gRPC send a message, and what stands around its streams: a panic there costs this stream.
func (t *transport) sendMsg(m any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.hub.host.Logger().Error("sending on a stream panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return t.below.SendMsg(m)
}

// startDeadline sets the deadline of a send that waits: no later than Close has said. It is false when the stream has
// ended.
func (t *transport) startDeadline(deadline time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut.Load() {
		return false
	}
	if !t.until.IsZero() && t.until.Before(deadline) {
		deadline = t.until
	}
	t.armed = true
	if t.deadline == nil {
		t.deadline = time.AfterFunc(time.Until(deadline), t.tooSlow)
	} else {
		t.deadline.Reset(time.Until(deadline))
	}
	return true
}

// stopDeadline reports whether the stream was cut because the send took too long.
func (t *transport) stopDeadline() (cut bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline.Stop()
	t.armed = false
	return t.cut
}

// tooSlow ends the stream because the client has not taken a message in time.
func (t *transport) tooSlow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.shut.Load() {
		t.cut = true
		t.finish(comm.CloseReason{Kind: comm.ReasonSlow, Text: "a write timed out"})
	}
}

// finish lets the handler return. t.mu is held.
func (t *transport) finish(r comm.CloseReason) {
	if !t.shut.Load() {
		t.reason = r
		t.shut.Store(true)
		close(t.over)
	}
}

// Close implements comm.Transport: the closing frame is the last one, if the client takes it by the deadline.
func (t *transport) Close(r comm.CloseReason, deadline time.Time) error {
	t.mu.Lock()
	t.until = deadline
	if t.armed {
		t.deadline.Reset(time.Until(deadline))
	}
	t.mu.Unlock()
	t.turn.take()
	defer t.turn.give()
	if r.Kind != comm.ReasonLost {
		_ = t.say(r.Frame(), deadline) // a client that takes nothing more is told by the status
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish(r)
	return nil
}

// say sends a frame of the carrier's own. The turn is taken.
func (t *transport) say(f *comm.Frame, deadline time.Time) error {
	b, err := format.Append(nil, f)
	if err != nil {
		return err
	}
	t.out.reset(1)
	t.out.add(b)
	if err := t.send(&t.out, deadline); err != nil {
		return err
	}
	t.traffic(0, t.out.size)
	return nil
}

// refuse tells a client that was not admitted why. It has been sent nothing before, so this does not wait.
func (t *transport) refuse(err error) *status.Status {
	if errors.Is(err, errGone) {
		return status.New(codes.Canceled, err.Error())
	}
	t.turn.take()
	defer t.turn.give()
	_ = t.say(comm.RefusalFrame(t.helloID, err), time.Now().Add(refuseTime))
	return refusedStatus(t.helloID, err)
}

// refuseTime bounds the goodbye to a client that was not admitted.
const refuseTime = 2 * time.Second

// errGone is the end of a client that has said no hello.
var errGone = errors.New("commgrpc: the client went away before its hello")

// live waits for the end of a connection, and has its client show signs of life until then.
func (t *transport) live(c *comm.Conn, client greeter) *status.Status {
	t.hold()
	go func() { // the handler does not wait for OnDisconnect
		<-c.Done()
		t.leave()
	}()
	gone, ended := client.listen(c), t.stream.Context().Done()
	beat := time.NewTicker(t.hub.settings.Heartbeat)
	defer beat.Stop()
	for pulse := (pulse{t: t, c: c, client: client}); ; {
		select {
		case <-t.over:
			if t.reason.Kind == comm.ReasonLost && errors.Is(t.stream.Context().Err(), context.DeadlineExceeded) {
				return status.New(codes.DeadlineExceeded, "the call's deadline has passed") // its client may not know
			}
			return ending(t.reason)
		case r := <-gone:
			gone = nil
			t.hub.host.Detach(c, r)
		case <-ended:
			if ended = nil; !client.reading() {
				t.hub.host.Detach(c, comm.CloseReason{Kind: comm.ReasonLost, Err: context.Cause(t.stream.Context())})
			}
		case <-beat.C:
			pulse.beat()
		}
	}
}

// pulse judges the signs of life of one connection.
type pulse struct {
	t      *transport
	c      *comm.Conn
	client greeter
	asked  bool  // the client was silent at the last beat, and has been asked for a sign of life
	busy   bool  // something was being sent at the last beat
	sent   int64 // bytes at the last beat
}

// beat is called at every heartbeat.
func (p *pulse) beat() {
	if p.stuck() {
		p.t.tooSlow()
		return
	}
	silent, wrote := p.client.silent(), p.t.wrote.Swap(false)
	if silent && p.asked {
		p.t.hub.host.Detach(p.c, comm.CloseReason{Kind: comm.ReasonHeartbeat, Text: "no sign of life"})
		return
	}
	p.asked = silent
	if silent || !wrote {
		go p.t.ask(p.client.ping()) // the handler must be able to return
	}
}

// stuck reports whether the same send is under way as at the last beat. Its own deadline has ended it long before, as
// long as gRPC holds as much for a stream as unsent expects of it.
func (p *pulse) stuck() bool {
	busy, sent := p.busy, p.sent
	p.busy, p.sent = p.t.turn.taken(), p.c.Stats().BytesOut
	return busy && p.busy && sent == p.sent
}

// ask sends a ping, unless something is being sent, which is as good a sign of life.
func (t *transport) ask(ping *comm.Frame) {
	if t.turn.try() {
		defer t.turn.give()
		_ = t.say(ping, time.Now().Add(t.hub.settings.WriteTimeout))
	}
}
