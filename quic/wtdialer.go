package commquic

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

// WebTransportDialer returns the carrier for a comm.Client: comm/1 on a WebTransport session over HTTP/3 to an https
// URL, such as https://gateway/wt. It is for networks that let HTTP/3 pass and nothing else of QUIC; [Dialer] costs
// less. The options are those of [Dial] and [WithHeader]. A bad option or URL ends the client.
func WebTransportDialer(url string, opts ...DialOption) comm.Dialer {
	set, err := resolveDial(opts)
	if _, bad := sessionRequest(url, nil); bad != nil {
		err = errors.Join(err, bad)
	}
	return &sessionDialer{url: url, set: set, err: err}
}

type sessionDialer struct {
	url string
	set *dialSettings
	err error
}

// Name returns "webtransport".
func (d *sessionDialer) Name() string { return "webtransport" }

// Dial implements comm.Dialer.
func (d *sessionDialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if d.err != nil {
		return nil, badOptions(d.err)
	}
	s, resp, err := dialSession(ctx, d.url, d.set)
	if err != nil {
		return nil, sessionReason(err, resp)
	}
	sess := wtSession{s}
	control, err := sess.open(ctx)
	if err != nil {
		_ = s.CloseWithError(0, "")
		return nil, receiveReason(err)
	}
	c := newDialed(sess, control, d.set)
	if err := c.Send(ctx, hello); err != nil {
		_ = s.CloseWithError(0, "")
		return nil, err
	}
	c.start()
	return c, nil
}

// maxRetryAfter bounds what a server can make a client wait, in seconds.
const maxRetryAfter = 600

// sessionReason says what a refusal means. Only the gateway's own is final: a proxy in between may well let another
// carrier pass.
func sessionReason(err error, resp *http.Response) error {
	if resp == nil {
		return dialReason(err)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		body, _ := io.ReadAll(resp.Body) // at hand
		if f, perr := comm.JSON().ParseFrame(body); perr == nil && f.Op == comm.OpError {
			return comm.CloseReason{Kind: comm.ReasonUnauthorized, Text: f.Text, Err: err}
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		wait := time.Duration(min(max(seconds, 0), maxRetryAfter)) * time.Second
		return errors.Join(&comm.LimitError{Limit: "the server refuses connections", Retry: wait}, err)
	}
	return err
}
