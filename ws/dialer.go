package ws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/retryafter"
)

// Dialer returns the carrier for a comm.Client: it dials url (ws or wss) with the subprotocol
// comm.v1.json and says hello. The options are those of Dial. Heartbeats are the connection's own. A frame
// over the server's limit is not sent, and the connection lives: the error is a [comm.PeerError] with too_large. A bad
// option or URL is a [comm.CloseReason] of each Dial, which ends the client.
func Dialer(url string, opts ...DialOption) comm.Dialer {
	return &dialer{url: url, opts: append([]DialOption{WithSubprotocols(comm.JSON().Name())}, opts...)}
}

type dialer struct {
	url  string
	opts []DialOption
}

// Name returns "websocket".
func (d *dialer) Name() string { return "websocket" }

// Dial implements comm.Dialer.
func (d *dialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	set, req, err := resolveDial(d.url, d.opts)
	if err != nil {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "bad options", Err: err} // trying again is no use
	}
	c, resp, err := set.dial(ctx, req)
	if err != nil {
		return nil, dialReason(err, resp)
	}
	if c.Subprotocol() != comm.JSON().Name() {
		_ = c.CloseNow()
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "the server does not speak " + comm.JSON().Name()}
	}
	carrier := &dialed{conn: c}
	if err := carrier.Send(ctx, hello); err != nil {
		_ = c.CloseNow()
		return nil, err
	}
	return carrier, nil
}

// dialReason says what a refused handshake means. Only the gateway's own refusal is final: a proxy in
// between may well let another carrier pass. A limit is passed on with its text, and with when to come again.
func dialReason(err error, resp *http.Response) error {
	if resp == nil {
		return err
	}
	body, _ := io.ReadAll(resp.Body) // at hand
	f, perr := comm.JSON().ParseFrame(body)
	ours := perr == nil && f.Op == comm.OpError
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if ours {
			return comm.CloseReason{Kind: comm.ReasonUnauthorized, Text: f.Text, Err: err}
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		limit := &comm.LimitError{Limit: "the server refuses connections", Retry: min(retryafter.Of(resp.Header), retryafter.Most)}
		if ours {
			limit.Limit = f.Text
		}
		return limit
	}
	return err
}

// dialed is one open connection of a client.
type dialed struct {
	conn    *Conn
	buf     []byte       // of the one reader
	largest atomic.Int64 // bytes of a frame that the server takes; 0 until welcome
}

// Send implements comm.Carrier. A frame over the server's limit, at which the server would close the connection
// for good, is refused here, as one over a carrier on requests is by the server.
func (d *dialed) Send(ctx context.Context, f *comm.Frame) error {
	b, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		return err
	}
	if err := comm.CheckFrameSize(len(b), int(d.largest.Load())); err != nil {
		return err
	}
	return d.conn.Write(ctx, Text, b)
}

// Receive implements comm.Carrier. Frames of a later version that it does not know are skipped.
func (d *dialed) Receive(ctx context.Context) (*comm.Frame, error) {
	for {
		t, b, err := d.conn.Read(ctx, d.buf[:0])
		if err != nil {
			return nil, receiveReason(err)
		}
		if t != Text {
			return nil, errBinary
		}
		d.buf = b[:0]
		f, err := comm.JSON().ParseFrame(b)
		if fe, ok := errors.AsType[*comm.FrameError](err); ok && fe.Code == comm.CodeUnknownOp {
			continue
		}
		if err == nil && f.Op == comm.OpWelcome {
			d.largest.Store(int64(f.Welcome.MaxMessage))
		}
		return f, err
	}
}

// receiveReason says what the close code means.
func receiveReason(err error) error {
	ce, ok := errors.AsType[*CloseError](err)
	if !ok || ce.Local || ce.Code == StatusAbnormal || ce.Code == StatusNoStatus {
		return err
	}
	r := comm.ReasonOfStatus(int(ce.Code), ce.Reason)
	r.Err = err
	return r
}

// Close implements comm.Carrier.
func (d *dialed) Close(ctx context.Context) error {
	return d.conn.Close(ctx, StatusNormal, "")
}
