package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/uplink"
)

// uplinkTimeout bounds one upward request that no caller's context bounds.
const uplinkTimeout = time.Minute

func newUplink(c *dialed) *uplink.Queue {
	return &uplink.Queue{
		Post: c.postFrames, Closed: comm.ErrDisconnected,
		Full: &comm.LimitError{Limit: "frames waiting to be sent", Max: uplink.MaxWaiting, Retry: time.Second},
	}
}

// Send implements comm.Carrier. It returns when the server has taken the frame. When ctx ends first the
// frame may be taken all the same.
func (c *dialed) Send(ctx context.Context, f *comm.Frame) error {
	data, err := comm.JSON().AppendFrame(nil, f)
	switch {
	case err != nil:
		return err
	case c.ctx.Err() != nil:
		return comm.ErrDisconnected
	case c.names.Load() == nil:
		return errNotWelcome
	}
	return c.up.Send(ctx, data)
}

var errNotWelcome = errors.New("sse: nothing can be sent before welcome has come")

// postFrames sends one frame or an array of them. See uplink.Queue for taken.
func (c *dialed) postFrames(body []byte) (taken int, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, uplinkTimeout)
	defer cancel()
	res, err := c.dialer.post(ctx, body, nameHeaders(c.names.Load()))
	if err != nil { // nobody knows whether the frames were taken
		return -1, errors.Join(comm.ErrDisconnected, causeOf(ctx, err))
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusAccepted:
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
		return 0, nil
	case http.StatusBadRequest:
		return refusedAt(res)
	}
	err = refusalOf(res)
	c.refused(res.StatusCode, err)
	return -1, err
}

// refused ends the carrier where the answer says that its connection is gone: once the stream has had the time to say
// why, which the answer, on a way of its own, may have overtaken.
func (c *dialed) refused(status int, err error) {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusUnauthorized:
		reason := comm.CloseReason{Kind: comm.ReasonLost, Text: "the server does not know the connection", Err: withoutReason(err)}
		c.gone.Do(func() { time.AfterFunc(lastWord, func() { c.cancel(reason) }) })
	}
}

// lastWord is how long a stream may still stand whose connection is gone.
const lastWord = time.Second

// withoutReason takes what is only an answer to one frame out of a reason that would end a client for good.
func withoutReason(err error) error {
	if r, ok := errors.AsType[comm.CloseReason](err); ok {
		return r.Err
	}
	return err
}

// refusedAt returns how many frames were taken before one that was none, or -1 where the request as a
// whole is refused.
func refusedAt(res *http.Response) (int, error) {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if taken, refusal := comm.UpwardRefusal(comm.JSON(), text); refusal != nil {
		return taken, refusal
	}
	return -1, &StatusError{Status: res.StatusCode, Body: string(text[:min(len(text), 512)])}
}
