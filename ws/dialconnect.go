package ws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/anasamu/comm/internal/deflate"
)

// WithRoundTripper dials by extended CONNECT through rt, on one of its connections: over HTTP/2 (RFC 8441)
// through an http2.Transport of golang.org/x/net, over HTTP/3 (RFC 9220) through what package commquic
// makes. rt gets a request with the header ":protocol", as net/http hands it to servers, and a body that
// stays open. WithTLS, WithNetDial and WithProxy are then rt's own concern, and refused.
func WithRoundTripper(rt http.RoundTripper) DialOption {
	return dialOnly(func(c *dialConfig) error {
		if rt == nil {
			return refuse("WithRoundTripper", "nil", "a RoundTripper")
		}
		c.roundTripper = rt
		return nil
	})
}

// checkRoundTripper refuses what only a dial of its own can do.
func (d *dialConfig) checkRoundTripper() error {
	if d.roundTripper != nil && d.ownDial != "" {
		return refuse("WithRoundTripper", "with "+d.ownDial, "neither WithTLS, WithNetDial nor WithProxy")
	}
	return nil
}

// extended makes the handshake through the RoundTripper.
func (d *dialConfig) extended(ctx context.Context, req *http.Request) (*Conn, *http.Response, error) {
	var z agreed
	var wish deflate.Wish
	if d.compression != nil {
		z.granted = d.compression.reserve()
		wish = d.compression.wish(z.granted > 0)
	}
	c, resp, err := d.tunnel(ctx, req, wish, &z)
	if err != nil {
		if d.compression != nil {
			d.compression.release(z.granted)
		}
		return nil, resp, dialError(ctx, err)
	}
	return c, resp, nil
}

// tunnel asks for the stream. Its context lives as long as the connection, and ends early with ctx.
func (d *dialConfig) tunnel(ctx context.Context, req *http.Request, wish deflate.Wish, z *agreed) (*Conn, *http.Response, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	body, up := io.Pipe()
	d.extend(req, body, wish) // whose Close by the transport ends writes
	resp, err := d.roundTripper.RoundTrip(req.WithContext(life))
	if err != nil {
		cancel()
		_ = up.Close()
		return nil, nil, err
	}
	c, err := d.open(resp, up, cancel, wish, z)
	if err == nil && !stop() {
		c.shut(context.Cause(ctx))
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		_ = errors.Join(up.Close(), resp.Body.Close())
		if resp.StatusCode/100 == 2 {
			resp.Body = http.NoBody
		}
		return nil, resp, err
	}
	resp.Body = http.NoBody
	return c, resp, nil
}

// extend makes the request one by extended CONNECT (RFC 8441 5).
func (d *dialConfig) extend(req *http.Request, body io.ReadCloser, wish deflate.Wish) {
	req.Method, req.Body, req.ContentLength = http.MethodConnect, body, -1
	req.Header[protocolHeader] = []string{"websocket"}
	req.Header.Set("Sec-WebSocket-Version", "13")
	if len(d.subprotocols) > 0 {
		req.Header.Set("Sec-WebSocket-Protocol", strings.Join(d.subprotocols, ", "))
	}
	if d.compression != nil {
		req.Header.Set("Sec-WebSocket-Extensions", deflate.Offer(wish))
	}
}

// open makes the connection of the server's answer.
func (d *dialConfig) open(resp *http.Response, up *io.PipeWriter, cancel context.CancelFunc, wish deflate.Wish, z *agreed) (*Conn, error) {
	protocols := resp.Header["Sec-Websocket-Protocol"]
	switch {
	case resp.StatusCode/100 != 2:
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the refusal counts, not its text
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil, refused(resp.StatusCode, "", "server refused")
	case len(protocols) > 1, len(protocols) == 1 && !slices.Contains(d.subprotocols, protocols[0]):
		return nil, refused(resp.StatusCode, "Sec-WebSocket-Protocol", "was not offered")
	}
	if err := d.agree(resp, wish, z); err != nil {
		return nil, err
	}
	c := newConn(&clientStream{resp.Body, up, cancel}, Client, &d.settings, *z)
	c.subprotocol = resp.Header.Get("Sec-Websocket-Protocol")
	return c, nil
}

// clientStream is the stream of a request of ours.
type clientStream struct {
	down   io.ReadCloser
	up     *io.PipeWriter
	cancel context.CancelFunc
}

func (s *clientStream) Read(p []byte) (int, error)  { return s.down.Read(p) }
func (s *clientStream) Write(p []byte) (int, error) { return s.up.Write(p) }

// Close ends both directions: what was written is sent, and the stream ended after it, where the
// transport still can.
func (s *clientStream) Close() error {
	err := errors.Join(s.up.Close(), s.down.Close())
	s.cancel()
	return err
}
