package commquic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// dialed is one open session of a client.
type dialed struct {
	sess    session
	line    *line // what to close behind the session; nil for one on somebody else's connection
	control stream
	set     laneSettings
	alive   time.Duration // between keep-alives
	most    int
	largest atomic.Int64 // bytes of a frame that the server takes; 0 until welcome

	sending   chan struct{} // held while control is written to
	queued    int           // bytes that QUIC holds of control, at most
	lanes     lanes
	datagrams datagrams
	silence   silence

	// of the one receiver
	frames  *frameStream
	turns   turns
	watched context.Context // whose end interrupts the read
	release func() bool
	over    bool // closing has been returned

	closing atomic.Pointer[comm.Frame] // to be returned when the lanes have ended

	urgent chan *comm.Frame // from lanes of high priority
	beside chan *comm.Frame // from other lanes, and datagrams
	work   sync.WaitGroup
	ended  sync.Once

	mu     sync.Mutex // guards the fields below
	open   int        // lanes of the server that have not ended
	ending chan struct{}
}

func newDialed(sess session, control stream, set *dialSettings) *dialed {
	d := &dialed{
		sess: sess, control: control, set: set.conf.lanes(), alive: set.conf.KeepAlivePeriod, most: set.most,
		sending: make(chan struct{}, 1), frames: newFrameStream(control, set.most),
		urgent: make(chan *comm.Frame, besideQueue), beside: make(chan *comm.Frame, besideQueue/4),
	}
	d.frames.first = firstOfTheServer
	d.datagrams.sess = sess
	d.silence.received, d.silence.say = sess.received, d.provoke
	d.lanes = lanes{sess: sess, most: set.conf.MaxLanes, timeout: 30 * time.Second, failed: func(error) {}}
	return d
}

// start takes lanes and datagrams too, and watches for a server that is gone.
func (d *dialed) start() {
	d.silence.start(d.alive)
	context.AfterFunc(d.sess.context(), d.silence.stop)
	d.work.Go(d.acceptLanes)
	d.work.Go(d.receiveDatagrams)
}

// Send implements comm.Carrier.
func (d *dialed) Send(ctx context.Context, f *comm.Frame) error {
	b, err := appendFrame(nil, f)
	if err == nil {
		err = comm.CheckFrameSize(len(b), int(d.largest.Load()))
	}
	if err != nil {
		return err
	}
	way := route{}
	if r := f.Route; r != nil {
		way = d.set.choose(f, len(b), r.Lane, r.Priority, r.Unreliable)
	} else {
		way = d.set.choose(f, len(b), "", comm.PriorityNormal, false)
	}
	if way.unreliable && d.datagrams.send(b) {
		return nil
	}
	if way.name != "" {
		if l := d.lanes.find(way.name); l != nil && l.stream != nil {
			return d.sendOn(ctx, l, b)
		}
	}
	return d.write(ctx, b)
}

// sendOn queues on a lane, and waits while too much is there.
func (d *dialed) sendOn(ctx context.Context, l *lane, b []byte) error {
	for {
		moved, err := l.try(b, nil)
		if moved == nil {
			return receiveReason(err)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.sess.context().Done():
			return receiveReason(context.Cause(d.sess.context()))
		}
	}
}

// write sends on the default lane. A frame that ctx interrupts in its middle ends the session.
func (d *dialed) write(ctx context.Context, b []byte) error {
	select {
	case d.sending <- struct{}{}:
		defer func() { <-d.sending }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.queued+len(b) <= maxQueued {
		err := d.control.TryWriteAll(b)
		if err == nil {
			d.queued += len(b)
		}
		if !errors.Is(err, quic.ErrWouldBlock) {
			return receiveReason(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = d.control.SetWriteDeadline(longAgo) })
	n, err := d.control.Write(b)
	d.queued = 0
	if stop() || err == nil {
		return receiveReason(err)
	}
	if n > 0 {
		_ = d.sess.close(uint64(comm.CloseReason{Kind: comm.ReasonProtocol}.Code()), "a frame was not finished")
	}
	_ = d.control.SetWriteDeadline(time.Time{})
	return context.Cause(ctx)
}

// Receive implements comm.Carrier. The default lane is read here, so that a client that does not call Receive
// stops its server; what comes on lanes and in datagrams interrupts the read. Frames of a later version that are
// not known are skipped.
func (d *dialed) Receive(ctx context.Context) (*comm.Frame, error) {
	d.watch(ctx)
	for {
		if d.over {
			return nil, io.EOF
		}
		if d.closing.Load() != nil {
			return d.last(ctx)
		}
		if f := d.turns.take(d, d.frames.buffered()); f != nil {
			return f, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, err := d.frames.parse()
		switch {
		case err == nil && f.Op == comm.OpClosing:
			d.closing.Store(f)
		case err == nil:
			if f.Op == comm.OpWelcome {
				d.frames.alone = connPrefix + f.Welcome.Conn
				d.largest.Store(int64(f.Welcome.MaxMessage))
			}
			d.turns.normal++
			return f, nil
		case isPoke(err):
			_ = d.control.SetReadDeadline(time.Time{}) // before what it was about is looked at
		case !isUnknown(err):
			return nil, receiveReason(err)
		}
	}
}

// turns are how many frames were taken in a row of each kind: of what is there together, 8 of high priority, 4 of
// the default lane and 1 of all other lanes, as the server's queue has it.
type turns struct{ high, normal int }

// take returns a frame from beside the default lane, if it is its turn.
func (t *turns) take(d *dialed, buffered bool) *comm.Frame {
	if t.high < 8 {
		select {
		case f := <-d.urgent:
			t.high++
			return f
		default:
		}
	}
	if buffered && t.normal < 4 {
		return nil
	}
	*t = turns{}
	select {
	case f := <-d.beside:
		return f
	default:
	}
	select {
	case f := <-d.urgent:
		return f
	default:
		return nil
	}
}

// watch has ctx interrupt the read. One that has done so before costs nothing.
func (d *dialed) watch(ctx context.Context) {
	if d.watched == ctx {
		return
	}
	if d.release != nil {
		d.release()
	}
	d.watched, d.release = ctx, context.AfterFunc(ctx, d.poke)
}

// poke interrupts the read of the default lane.
func (d *dialed) poke() { _ = d.control.SetReadDeadline(longAgo) }

// last returns what still comes on the lanes, whose ends the server has sent before its last frame, and then that
// frame.
func (d *dialed) last(ctx context.Context) (*comm.Frame, error) {
	timer := time.NewTimer(farewell / 2)
	defer timer.Stop()
	select {
	case f := <-d.urgent:
		return f, nil
	case f := <-d.beside:
		return f, nil
	case <-d.lanesEnd():
	case <-timer.C:
	case <-d.sess.context().Done():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	d.turns = turns{}
	if f := d.turns.take(d, false); f != nil {
		return f, nil
	}
	d.over = true
	return d.closing.Load(), nil
}

// lanesEnd is closed while the server has no lane open.
func (d *dialed) lanesEnd() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending == nil {
		d.ending = make(chan struct{})
		if d.open == 0 {
			close(d.ending)
		}
	}
	return d.ending
}

// lane counts lanes of the server that begin and end.
func (d *dialed) lane(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open += n; d.open == 0 && d.ending != nil {
		select {
		case <-d.ending:
		default:
			close(d.ending)
		}
	}
}

func (d *dialed) acceptLanes() {
	for {
		s, err := d.sess.acceptUni(d.sess.context())
		if err != nil {
			return
		}
		d.lane(1)
		d.work.Go(func() {
			defer d.lane(-1)
			d.readLane(s)
		})
	}
}

// readLane reads one lane to its end. A server that breaks the form loses the lane.
func (d *dialed) readLane(s recvStream) {
	frames := newFrameStream(s, d.most)
	frames.first = firstOfTheServer
	head, err := frames.lane()
	to := d.beside
	if head.priority == comm.PriorityHigh {
		to = d.urgent
	}
	for err == nil {
		var f *comm.Frame
		if f, err = frames.parse(); err == nil && f.Op == comm.OpMessage {
			d.push(to, f)
		} else if isUnknown(err) {
			err = nil
		}
	}
	s.CancelRead(quic.StreamErrorCode(comm.CloseReason{Kind: comm.ReasonProtocol}.Code()))
}

func (d *dialed) receiveDatagrams() {
	for {
		b, err := d.sess.receiveDatagram(d.sess.context())
		if err != nil {
			return
		}
		if f, err := parseFrame(b, true); err == nil && f.Op == comm.OpMessage {
			d.push(d.beside, f)
		}
	}
}

// push hands f to the receiver.
func (d *dialed) push(to chan<- *comm.Frame, f *comm.Frame) {
	select {
	case to <- f:
		d.poke()
	case <-d.sess.context().Done():
	}
}

// Close implements comm.Carrier: it ends the streams, waits until the server has closed or ctx ends, and closes.
func (d *dialed) Close(ctx context.Context) error {
	if d.closing.Load() == nil && d.sess.context().Err() == nil {
		d.sayGoodbye(ctx)
	}
	err := d.sess.close(0, "")
	d.ended.Do(func() {
		d.work.Wait()
		if d.line != nil {
			d.line.close()
		}
	})
	return err
}

func (d *dialed) sayGoodbye(ctx context.Context) {
	d.lanes.finish(ctx)
	select {
	case d.sending <- struct{}{}:
		defer func() { <-d.sending }()
	case <-ctx.Done():
		return
	}
	if d.control.Close() != nil {
		return
	}
	select {
	case <-d.sess.context().Done():
	case <-ctx.Done():
	}
}

func isPoke(err error) bool {
	var timeout interface{ Timeout() bool }
	if _, idle := errors.AsType[*quic.IdleTimeoutError](err); idle {
		return false
	}
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isUnknown(err error) bool {
	fe, ok := errors.AsType[*comm.FrameError](err)
	return ok && fe.Code == comm.CodeUnknownOp
}

// receiveReason says what the server meant by the end of the session.
func receiveReason(err error) error {
	if err == nil {
		return nil
	}
	code, text, ok := closedByPeer(err)
	if !ok {
		return err
	}
	r := comm.ReasonOfStatus(int(min(code, 1<<16)), text)
	r.Err = fmt.Errorf("commquic: the server has closed: %w", err)
	return r
}

// besideQueue is how many messages of high priority are read ahead; of all others a quarter.
const besideQueue = 16
