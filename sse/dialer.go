package sse

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/retryafter"
)

// Dialer returns the carrier for a comm.Client: it says hello with a POST to url (http or https), reads
// the stream that answers, and sends upward with POST requests of their own, one at a time and in
// order; frames that gather meanwhile go together in the next.
//
// The server's heartbeat, which welcome tells, is watched: a stream that is silent for two and a half of
// them is dead, and Receive returns [ErrIdle]. One event may be 16 MiB unless WithMaxEventSize says
// otherwise. Bad options are what every Dial returns.
func Dialer(url string, opts ...DialOption) comm.Dialer {
	config, err := newDialConfig(url, opts)
	return &dialer{config: config, err: err}
}

type dialer struct {
	config dialConfig
	err    error // of the options
}

// DialOption sets one thing about a [Dialer].
type DialOption interface{ applyDial(*dialConfig) error }

type dialConfig struct {
	clientConfig
	tls  *tls.Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	own  *http.Transport // made for tls and dial; nil with a client of the user's
}

type dialOption func(*dialConfig) error

func (o dialOption) applyDial(c *dialConfig) error { return o(c) }

// WithDialContext sets how a dialer connects; comm.Manager.DialContext connects in memory.
func WithDialContext(f func(ctx context.Context, network, addr string) (net.Conn, error)) DialOption {
	return dialOption(func(c *dialConfig) error {
		if f == nil {
			return errors.New("sse: WithDialContext(nil): a function is needed")
		}
		c.dial = f
		return nil
	})
}

// dialMaxEventSize leaves room for what a gateway puts around a message of its default limit, and for the
// larger ones that a service sends itself.
const dialMaxEventSize = 16 << 20

func newDialConfig(url string, opts []DialOption) (dialConfig, error) {
	base, err := newClientConfig(url, nil)
	base.maxEventSize = dialMaxEventSize
	c := dialConfig{clientConfig: base}
	errs := []error{err, conf.Apply("sse.Dialer", opts, func(o DialOption) error { return o.applyDial(&c) })}
	if c.tls != nil || c.dial != nil {
		if c.http != http.DefaultClient {
			errs = append(errs, errors.New("sse: WithHTTPClient together with WithTLS or WithDialContext: set them on the client's transport"))
		}
		c.own = newTransportFor(c.tls, c.dial)
		c.http = &http.Client{Transport: c.own}
	}
	return c, errors.Join(errs...)
}

func newTransportFor(conf *tls.Config, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = conf
	if dial != nil {
		t.DialContext, t.Proxy = dial, nil
	}
	return t
}

// Name returns "sse".
func (d *dialer) Name() string { return "sse" }

// Dial implements comm.Dialer.
func (d *dialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	if d.err != nil {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "bad options", Err: d.err} // trying again is no use
	}
	body, err := comm.JSON().AppendFrame(nil, hello)
	if err != nil {
		return nil, err
	}
	// The stream outlives ctx, which bounds dialling only.
	streamCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer stop()
	watch := newWatchdog(cancel, d.config.connectTimeout, ErrConnectTimeout)
	defer watch.stop()
	res, err := d.post(streamCtx, body, func(h http.Header) { h.Set("Accept", ContentType) })
	if err == nil {
		if err = checkStream(res); err == nil {
			return newCarrier(d, streamCtx, cancel, res.Body), nil
		}
		_ = res.Body.Close()
	}
	err = causeOf(streamCtx, err)
	cancel(err)
	d.closeIdle()
	return nil, err
}

// closeIdle lets go of connections that the dialer keeps itself.
func (d *dialer) closeIdle() {
	if d.config.own != nil {
		d.config.own.CloseIdleConnections()
	}
}

// post sends one request of the carrier.
func (d *dialer) post(ctx context.Context, body []byte, edit func(http.Header)) (*http.Response, error) {
	return d.do(ctx, http.MethodPost, body, edit)
}

func (d *dialer) do(ctx context.Context, method string, body []byte, edit func(http.Header)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.config.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = d.config.header.Clone()
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	edit(req.Header)
	if d.config.edit != nil {
		if err := d.config.edit(req); err != nil {
			return nil, fmt.Errorf("sse: request function: %w", err)
		}
	}
	return d.config.http.Do(req)
}

// checkStream accepts nothing but 200 with an event stream.
func checkStream(res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return refusalOf(res)
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || media != ContentType {
		return &ContentTypeError{ContentType: res.Header.Get("Content-Type")}
	}
	return nil
}

// refusalOf says what an answer means that refuses: that the server does not want this client back, a limit and when to
// come again, what an error frame says, or the status alone.
func refusalOf(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	after := min(retryafter.Of(res.Header), maxHint)
	err := error(&StatusError{Status: res.StatusCode, Body: string(body[:min(len(body), 512)]), RetryAfter: after})
	text := http.StatusText(res.StatusCode)
	if f, parseErr := comm.JSON().ParseFrame(body); parseErr == nil && f.Op == comm.OpError {
		err, text = &comm.PeerError{Code: f.Code, Message: f.Text}, f.Text
	}
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return comm.CloseReason{Kind: comm.ReasonUnauthorized, Text: text, Err: err}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return &comm.LimitError{Limit: text, Retry: after}
	}
	return err
}
