package sse

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/anasamu/comm"
)

// Bounds on what waits to go upward and on what goes together.
const (
	maxWaiting     = 1024
	maxBatchFrames = 64
	maxBatchBytes  = 256 << 10
)

// uplink sends frames upward in order, one request at a time. Its goroutine exists only while there is
// something to send, and ends with the carrier.
type uplink struct {
	carrier *dialed
	work    sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	waiting []*upFrame
	running bool
	closed  bool
}

// upFrame is one frame on its way.
type upFrame struct {
	data []byte
	sent chan error // of capacity 1
}

func newUplink(c *dialed) *uplink { return &uplink{carrier: c} }

// Send implements comm.Carrier. It returns when the server has taken the frame. When ctx ends first the
// frame may be taken all the same.
func (c *dialed) Send(ctx context.Context, f *comm.Frame) error {
	data, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		return err
	}
	u := &upFrame{data, make(chan error, 1)}
	if err := c.up.put(u); err != nil {
		return err
	}
	select {
	case err := <-u.sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (u *uplink) put(f *upFrame) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.closed || u.carrier.ctx.Err() != nil:
		return comm.ErrDisconnected
	case u.carrier.names.Load() == nil:
		return errNotWelcome
	case len(u.waiting) >= maxWaiting:
		return &comm.LimitError{Limit: "frames waiting to be sent", Max: maxWaiting}
	}
	u.waiting = append(u.waiting, f)
	if !u.running {
		u.running = true
		u.work.Go(u.run)
	}
	return nil
}

var errNotWelcome = errors.New("sse: nothing can be sent before welcome has come")

// next takes what goes together in one request; none ends the goroutine.
func (u *uplink) next() []*upFrame {
	u.mu.Lock()
	defer u.mu.Unlock()
	limit := maxBatchBytes
	if w := u.carrier.names.Load(); w.MaxMessage > 0 {
		limit = min(limit, w.MaxMessage)
	}
	n, size := 0, 2 // the brackets
	for n < len(u.waiting) && n < maxBatchFrames {
		if size += len(u.waiting[n].data) + 1; n > 0 && size > limit {
			break
		}
		n++
	}
	batch := u.waiting[:n:n]
	u.waiting = u.waiting[n:]
	if n == 0 {
		u.waiting, u.running = nil, false
	}
	return batch
}

func (u *uplink) run() {
	for {
		batch := u.next()
		if len(batch) == 0 {
			return
		}
		for len(batch) > 0 {
			batch = u.post(batch)
		}
	}
}

// post sends a batch and resolves it, except for what stood behind a frame that was none, which it returns.
func (u *uplink) post(batch []*upFrame) (rest []*upFrame) {
	ctx, cancel := context.WithTimeout(u.carrier.ctx, uplinkTimeout)
	defer cancel()
	res, err := u.carrier.dialer.post(ctx, body(batch), nameHeaders(u.carrier.names.Load()))
	if err != nil {
		resolve(batch, disconnected(causeOf(ctx, err)))
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusAccepted {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
		resolve(batch, nil)
		return nil
	}
	n, err := refusedAt(res)
	if n < 0 || n >= len(batch) {
		u.refused(res.StatusCode, err)
		resolve(batch, err)
		return nil
	}
	resolve(batch[:n], nil)
	resolve(batch[n:n+1], err)
	return batch[n+1:]
}

// refused ends the carrier where the answer says that its connection is gone.
func (u *uplink) refused(status int, err error) {
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusUnauthorized:
		u.carrier.cancel(comm.CloseReason{Kind: comm.ReasonLost, Text: "the server does not know the connection", Err: withoutReason(err)})
	}
}

// withoutReason takes what is only an answer to one frame out of a reason that would end a client for good.
func withoutReason(err error) error {
	if r, ok := errors.AsType[comm.CloseReason](err); ok {
		return r.Err
	}
	return err
}

// disconnected says that nobody knows whether the frames were taken.
func disconnected(err error) error {
	return errors.Join(comm.ErrDisconnected, err)
}

func resolve(batch []*upFrame, err error) {
	for _, f := range batch {
		f.sent <- err
	}
}

// body is one frame, or an array of them.
func body(batch []*upFrame) []byte {
	if len(batch) == 1 {
		return batch[0].data
	}
	b := []byte{'['}
	for i, f := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.data...)
	}
	return append(b, ']')
}

// refusedAt returns how many frames were taken before one that was none, or -1 where the request as a
// whole is refused.
func refusedAt(res *http.Response) (int, error) {
	if res.StatusCode != http.StatusBadRequest {
		return -1, refusalOf(res)
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	f, err := comm.JSON().ParseFrame(text)
	if err != nil || f.Op != comm.OpError {
		return -1, &StatusError{Status: res.StatusCode, Body: string(text[:min(len(text), 512)])}
	}
	var taken struct {
		Accepted *int `json:"accepted"`
	}
	peer := &comm.PeerError{Code: f.Code, Message: f.Text}
	if json.Unmarshal(text, &taken) != nil || taken.Accepted == nil || *taken.Accepted < 0 {
		return -1, peer
	}
	return *taken.Accepted, peer
}

// close fails what waits and waits for the goroutine. The carrier's context has ended.
func (u *uplink) close() {
	u.mu.Lock()
	u.closed = true
	left := u.waiting
	u.waiting = nil
	u.mu.Unlock()
	resolve(left, comm.ErrDisconnected)
	u.work.Wait()
}
