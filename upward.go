package comm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/jsonscan"
)

// Frames yields the frames of a body in which a client sends one frame or a JSON array of them. A
// frame that breaks the protocol is yielded as a *FrameError, and nothing behind it is. The codec is
// one whose frames are JSON.
func Frames(codec Codec, body []byte) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		if !isArray(body) {
			yield(codec.ParseFrame(body))
			return
		}
		err := jsonscan.Array(body, func(value []byte) error {
			f, err := codec.ParseFrame(value)
			if !yield(f, err) || err != nil {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(nil, &FrameError{Code: CodeBadFrame, Text: err.Error()})
		}
	}
}

var errStop = errors.New("comm: no more frames")

// isArray looks at the first byte that is no white space.
func isArray(body []byte) bool {
	for _, b := range body {
		switch b {
		case ' ', '\t', '\n', '\r':
		default:
			return b == '['
		}
	}
	return false
}

// Upward takes what a client of c sent in a request of its own, for carriers whose stream goes only
// down: one frame or an array of frames, in their order. It returns how many were taken.
//
// The first frame that breaks the protocol ends it with a *FrameError for the client; what stood
// before was taken, nothing behind it is. ErrClosed says that the connection has ended. Requests of one
// connection take turns; beyond 16 that wait for one another the next is a *PeerError. Like Host.Receive
// it blocks while the connection's handlers are behind, also beyond ctx, the request's context.
func Upward(ctx context.Context, h Host, c *Conn, codec Codec, body []byte) (accepted int, err error) {
	MarkStreaming(ctx)
	t := c.upwardTurn()
	if err := t.take(ctx); err != nil {
		return 0, err
	}
	defer t.token.give()
	for f, err := range Frames(codec, body) {
		if err != nil {
			c.failed(time.Now())
			return accepted, err
		}
		if err := h.Receive(c, f); err != nil {
			return accepted, err
		}
		accepted++
	}
	return accepted, nil
}

// UpwardAnswer is the status and the body with which a request is answered whose frames went to Upward.
// A refusal is an error frame that also says, as "accepted", how many frames stood before.
func UpwardAnswer(codec Codec, accepted int, err error) (status int, body []byte) {
	if err == nil {
		return http.StatusAccepted, fmt.Appendf(nil, `{"accepted":%d}`, accepted)
	}
	if errors.Is(err, ErrClosed) {
		err = &PeerError{CodeNotFound, "the connection has ended: open a new one and resume"}
	}
	body, encodeErr := codec.AppendFrame(nil, RefusalFrame("", err))
	if encodeErr != nil {
		return http.StatusInternalServerError, []byte(`{"op":"error","code":"internal"}`)
	}
	return HTTPStatus(err), fmt.Appendf(body[:len(body)-1], `,"accepted":%d}`, accepted)
}

// UpwardRefusal reads the body of an answer of 400 to such a request: what is wrong with a frame, and
// how many before it were taken, less than 0 where that is not said. No error frame is nil.
func UpwardRefusal(codec Codec, body []byte) (accepted int, refusal *PeerError) {
	f, err := codec.ParseFrame(body)
	if err != nil || f.Op != OpError {
		return -1, nil
	}
	var said struct {
		Accepted *int `json:"accepted"`
	}
	refusal = &PeerError{f.Code, f.Text}
	if json.Unmarshal(body, &said) != nil || said.Accepted == nil {
		return -1, refusal
	}
	return *said.Accepted, refusal
}

// upwardTurn makes the turns when the first request comes: most connections need none.
func (c *Conn) upwardTurn() *upwardTurn {
	if t := c.upward.Load(); t != nil {
		return t
	}
	c.upward.CompareAndSwap(nil, &upwardTurn{token: make(turn, 1)})
	return c.upward.Load()
}

// upwardTurn lets one upward request of a connection at a time hand over its frames, while few wait.
type upwardTurn struct {
	token   turn
	waiting atomic.Int32
}

// maxUpward bounds the upward requests of one connection that wait for one another.
const maxUpward = 16

func (t *upwardTurn) take(ctx context.Context) error {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxUpward {
		return &PeerError{CodeRateLimited, fmt.Sprintf("more than %d requests of this connection wait for one another", maxUpward)}
	}
	select {
	case t.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &PeerError{CodeTimeout, "the request was given up"}
	}
}

// failed counts bytes that were no frame, against the message rate too.
func (c *Conn) failed(now time.Time) {
	c.countFailed()
	c.allowed(now)
}
