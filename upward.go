package comm

import (
	"errors"
	"iter"
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
// before was taken, nothing behind it is. ErrClosed says that the connection has ended. Like
// Host.Receive it blocks while the connection's handlers are behind, and must be called by one
// goroutine at a time for each connection.
func Upward(h Host, c *Conn, codec Codec, body []byte) (accepted int, err error) {
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

// failed counts bytes that were no frame, against the message rate too.
func (c *Conn) failed(now time.Time) {
	c.stats.failedIn.Add(1)
	c.provider.stats.failedIn.Add(1)
	c.allowed(now)
}
