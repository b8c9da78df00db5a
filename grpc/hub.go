package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
	"github.com/anasamu/comm/internal/places"
)

// hub is the service comm.v1.HubService for one start of a provider. Its streams are connections of the manager;
// its calls are too, for as long as they last.
type hub struct {
	commv1.UnimplementedHubServiceServer
	host       comm.Host
	settings   comm.Settings
	maxReceive int // of the server, in bytes of one gRPC message
	maxSend    int
	compresses bool // what it sends, for clients that take that
	lone       lone
	ctx        context.Context // ends handshakes under way
	cancel     context.CancelFunc
	places     places.Places // of streams that are open or opening
	visits     places.Places // of calls under way
}

// newHub makes the service of a server with these bounds for one gRPC message. stop ends it.
func newHub(h comm.Host, maxReceive, maxSend int) *hub {
	s := &hub{host: h, settings: h.Settings(), maxReceive: maxReceive, maxSend: maxSend}
	s.ctx, s.cancel = context.WithCancel(h.Context())
	return s
}

// errStopping refuses what the end of its hub has overtaken.
var errStopping = &comm.LimitError{Limit: "connections while stopping", Retry: time.Second}

// enter takes a place, unless the hub ends.
func (h *hub) enter() error {
	if h.places.Enter(0) != nil {
		return errStopping
	}
	return nil
}

// stop ends handshakes under way and waits until every stream and call, which the manager has closed before, is gone.
func (h *hub) stop(ctx context.Context) error {
	h.cancel()
	h.places.Close()
	h.visits.Close()
	return errors.Join(h.places.Wait(ctx), h.visits.Wait(ctx))
}

// maxFrame is the largest frame that a client may send.
func (h *hub) maxFrame() int { return min(h.settings.MaxMessage, max(h.maxReceive-elementOverhead, 0)) }

// tooLarge is what a client is told in the place of a frame that gRPC would not send: of a log, what it has lost. The
// stream goes on: it would come back for the same frame again and again.
func (h *hub) tooLarge(f *comm.Frame, size int) *comm.Frame {
	h.host.Logger().Warn("a frame is too large for gRPC", "bytes", size, "max_send_msg_size", h.maxSend, "log", f.Log.Log, "offset", f.Log.Offset)
	if f.Op == comm.OpMessage && f.Log.Log != "" {
		return &comm.Frame{Op: comm.OpGap, Log: f.Log, GapFrom: f.Log.Offset}
	}
	return &comm.Frame{Op: comm.OpError, ID: f.ID, Code: comm.CodeTooLarge, Text: h.tooLargeText(size)}
}

func (h *hub) tooLargeText(size int) string {
	return fmt.Sprintf("a frame of %d bytes for you: at most %d", size, h.maxSend)
}

// elementOverhead is what a frame takes beside its own bytes: a tag and its length.
const elementOverhead = 1 + 5

// within is the time of a handshake: it ends with the stream, the hub, and the handshake timeout.
func (h *hub) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.settings.HandshakeTimeout, errSlowHello)
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// errSlowHello ends a handshake that takes too long.
var errSlowHello = &comm.PeerError{Code: comm.CodeTimeout, Message: "no hello within the handshake timeout"}

// Connect implements commv1.HubServiceServer.
func (h *hub) Connect(s grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error {
	return h.serve(s, func(t *transport) greeter { return newListener(t) })
}

// Subscribe implements commv1.HubServiceServer.
func (h *hub) Subscribe(r *commv1.SubscribeRequest, s grpc.ServerStreamingServer[commv1.SubscribeResponse]) error {
	return h.serve(s, func(*transport) greeter { return request{r} })
}

// greeter is where a stream's hello comes from, and what else its client says.
type greeter interface {
	// hello returns what the client says of itself.
	hello(ctx context.Context) (*comm.Frame, error)
	// listen hands what else the client says to the manager; gone is told why it says no more. A nil conn means
	// that the client was not admitted.
	listen(c *comm.Conn) (gone <-chan comm.CloseReason)
	// reading reports that gone is told as soon as the stream has ended, with the reason.
	reading() bool
	// silent reports that the client has said nothing since the last call, though it could have.
	silent() bool
	// ping is what the client is to be asked for a sign of life.
	ping() *comm.Frame
}

// serve is the life of one stream: until the client is welcome, and until its connection has ended. When it
// returns the stream ends, whatever waits to be sent on it.
func (h *hub) serve(s grpc.ServerStream, from func(*transport) greeter) error {
	if err := h.enter(); err != nil {
		return refusedStatus("", err).Err()
	}
	t := newTransport(h, s)
	defer t.leave()
	if err := h.compress(t); err != nil {
		if over(s.Context()) {
			err = errGone
		}
		return t.refuse(err).Err()
	}
	client := from(t)
	c, err := h.attach(t, client)
	if err != nil {
		client.listen(nil)
		return t.refuse(err).Err()
	}
	t.attached(c)
	return t.live(c, client).Err()
}

// over reports whether a stream that takes nothing any more has ended, which gRPC says by its context last.
func over(ctx context.Context) bool {
	timer := time.NewTimer(refuseTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}

// attach reads the hello and admits the client.
func (h *hub) attach(t *transport, client greeter) (*comm.Conn, error) {
	hs := handshakeOf(t.stream.Context())
	done, err := h.host.Admit(hs.RemoteAddr)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := h.within(t.stream.Context())
	defer cancel()
	hello, err := client.hello(ctx)
	if err != nil {
		return nil, err
	}
	t.helloID = hello.ID
	greeted(hs, hello)
	c, err := h.host.Attach(ctx, t, hs)
	return c, late(ctx, err)
}

// late says of an admission that ran out of time that another attempt may succeed.
func late(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &comm.LimitError{Limit: "time for admission", Retry: time.Second}
	}
	return err
}

// request is the client of Subscribe, which says nothing but its request.
type request struct{ r *commv1.SubscribeRequest }

func (q request) hello(context.Context) (*comm.Frame, error) {
	return parseHello(&commv1.Frame{
		Op: commv1.Op_OP_HELLO, Token: q.r.GetToken(), Position: q.r.GetPosition(),
		Hello: &commv1.Hello{Session: q.r.GetSession(), Groups: q.r.GetGroups(), Metadata: q.r.GetMetadata()},
	})
}

func parseHello(w *commv1.Frame) (*comm.Frame, error) {
	f, err := fromWire(w)
	if err != nil {
		return nil, frameError("", err)
	}
	return f, nil
}

func (request) listen(*comm.Conn) <-chan comm.CloseReason { return nil }

func (request) reading() bool { return false }

func (request) silent() bool { return false }

func (request) ping() *comm.Frame { return &comm.Frame{Op: comm.OpPing} }
