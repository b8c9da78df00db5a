package commhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/uplink"
)

// postTimeout bounds one request with frames.
const postTimeout = 30 * time.Second

func newUplink(c *polled) *uplink.Queue {
	return &uplink.Queue{
		Post: c.post, Closed: comm.ErrClosed,
		Full: &comm.LimitError{Limit: "frames waiting to be sent", Max: uplink.MaxWaiting, Retry: time.Second},
	}
}

// Send implements comm.Carrier: it returns when the gateway has taken the frame, or refused it
// (*comm.PeerError). After another error the frame may have arrived; it is never sent twice.
func (c *polled) Send(ctx context.Context, f *comm.Frame) error {
	data, err := c.codec.AppendFrame(nil, f)
	if err != nil {
		return err
	}
	return c.out.Send(ctx, data)
}

// post sends one frame or an array of them. See uplink.Queue for taken.
func (c *polled) post(body []byte) (taken int, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, postTimeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodPost, c.dialer.url, body)
	if err != nil {
		return -1, err
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusAccepted:
		return 0, nil
	case http.StatusBadRequest:
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if taken, refusal := comm.UpwardRefusal(c.codec, said); refusal != nil {
			return taken, refusal
		}
	case http.StatusNotFound: // the connection is gone
		return -1, errors.Join(comm.ErrDisconnected, refusalOf(c.codec, resp))
	}
	return -1, refusalOf(c.codec, resp)
}

// newBody is body as a request's, nil for none.
func newBody(body []byte) io.Reader {
	if body == nil {
		return nil
	}
	return bytes.NewReader(body)
}
