package sse

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// AcceptsStream is acceptsStream.
var AcceptsStream = acceptsStream

// Format is the format of all streams.
var Format comm.Format = format{codec: comm.JSON()}

// SuiteDialer is Dialer for carriers that SendRaw can use.
func SuiteDialer(url string, opts ...DialOption) comm.Dialer {
	return suiteDialer{Dialer(url, opts...)}
}

type suiteDialer struct{ comm.Dialer }

func (d suiteDialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	c, err := d.Dialer.Dial(ctx, hello)
	if err != nil {
		return nil, err
	}
	return &suiteCarrier{dialed: c.(*dialed), refusals: make(map[string]*comm.Frame)}, nil
}

// suiteCarrier hands the error frames of requests to the receiver, where other carriers have them: each
// in the place of the pong to a ping that SendRaw sends behind.
type suiteCarrier struct {
	*dialed
	mu       sync.Mutex
	refusals map[string]*comm.Frame // by the id of the ping
}

func (c *suiteCarrier) Receive(ctx context.Context) (*comm.Frame, error) {
	f, err := c.dialed.Receive(ctx)
	if err != nil || f.Op != comm.OpPong {
		return f, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if refusal := c.refusals[f.ID]; refusal != nil {
		return refusal, nil
	}
	return f, nil
}

// fence has f stand in the stream behind all that was sent before.
func (c *suiteCarrier) fence(ctx context.Context, f *comm.Frame) error {
	c.mu.Lock()
	id := "raw" + strconv.Itoa(len(c.refusals))
	c.refusals[id] = f
	c.mu.Unlock()
	return c.Send(ctx, &comm.Frame{Op: comm.OpPing, ID: id})
}

// SendRaw sends bytes in the place of a frame through a carrier of SuiteDialer.
func SendRaw(ctx context.Context, carrier comm.Carrier, data []byte) error {
	c := carrier.(*suiteCarrier)
	res, err := c.dialer.post(ctx, data, nameHeaders(c.names.Load()))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusAccepted:
		_, err = io.Copy(io.Discard, res.Body)
		return err
	case http.StatusBadRequest:
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		f, err := comm.JSON().ParseFrame(body)
		if err != nil {
			return err
		}
		return c.fence(ctx, f)
	}
	return refusalOf(res)
}

// LastWord is how long a stream may stand whose connection is gone.
const LastWord = lastWord

// CarrierContext ends with a carrier of Dialer.
func CarrierContext(c comm.Carrier) context.Context { return c.(*dialed).ctx }

// ExpireWrites lets the deadline of an earlier write pass.
func ExpireWrites(s *Stream) error { return s.out.setDeadline(time.Unix(1, 0)) }

// Direct reports whether a hijacked stream writes to its socket itself.
func Direct(s *Stream) bool { return s.out.(*connCarrier).sys != nil }

// AwaitClose waits for the end of a connection on the goroutine that calls it, and lets the client send so much.
var AwaitClose = awaitClose
