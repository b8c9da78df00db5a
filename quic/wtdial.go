package commquic

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// WithHeader adds headers to the request by which a WebTransport session is opened, such as Authorization and Origin.
// Raw QUIC has no request.
func WithHeader(h http.Header) DialOption {
	return dialOption(func(d *dialSettings) error {
		if d.header == nil {
			d.header = http.Header{}
		}
		for name, values := range h {
			for _, v := range values {
				d.header.Add(name, v)
			}
		}
		return nil
	})
}

// sessionTimeout bounds the opening of a session as a whole.
const sessionTimeout = 15 * time.Second

// DialWebTransport opens a session at an https URL, on a connection of its own that ends with the session.
// ctx bounds the dial only, which is bounded to 15 s too; addresses are chosen as [Dialer] does. The options are those
// of [Dial] and [WithHeader]; those of lanes have no meaning.
//
// Where the server has refused, the response is returned too, with up to 4 KiB of its body, and the error is an
// *[UpgradeError].
func DialWebTransport(ctx context.Context, rawURL string, opts ...DialOption) (*WebTransportSession, *http.Response, error) {
	set, err := resolveDial(opts)
	if err != nil {
		return nil, nil, err
	}
	return dialSession(ctx, rawURL, set)
}

func dialSession(ctx context.Context, rawURL string, set *dialSettings) (*WebTransportSession, *http.Response, error) {
	req, err := sessionRequest(rawURL, set.header)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sessionTimeout, errSessionTimeout)
	defer cancel()
	c, err := dialH3(ctx, req.URL, set)
	if err != nil {
		return nil, nil, fmt.Errorf("commquic: dial: %w", err)
	}
	s, resp, err := c.open(ctx, req)
	if err != nil {
		c.close()
		return nil, resp, err
	}
	go c.run(s)
	return s, resp, nil
}

var errSessionTimeout = fmt.Errorf("commquic: dial timed out: %w", context.DeadlineExceeded)

// sessionRequest makes the CONNECT request of a session. Servers of this package know every draft's name of the
// protocol; others the one that is sent.
func sessionRequest(rawURL string, header http.Header) (*http.Request, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("commquic: dial: %w", err)
	case u.Scheme != "https" || u.Host == "" || u.Fragment != "":
		return nil, refuse("DialWebTransport", short(rawURL), "https://host/path without a fragment")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	return &http.Request{Method: http.MethodConnect, Proto: protocolWebTransport, URL: u, Host: u.Host, Header: header}, nil
}

// wtClient is the client's connection of one session.
type wtClient struct {
	packets   net.PacketConn
	transport *quic.Transport
	conn      *quic.Conn
	h3        *http3.RawClientConn
	wt        *wtConn
	tasks     sync.WaitGroup // the goroutines of the connection; they end with it
}

// dialH3 makes the connection.
func dialH3(ctx context.Context, u *url.URL, set *dialSettings) (*wtClient, error) {
	silenceBuffers()
	packets, err := set.listen(ctx)
	if err != nil {
		return nil, err
	}
	c := &wtClient{packets: packets, transport: &quic.Transport{Conn: packets}}
	if err := c.connect(ctx, u, set); err != nil {
		c.close()
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	limits := sessionLimits(c.conn, set.conf.MaxStreams, int(set.conf.ConnectionWindow))
	c.wt = newWTConn(c.conn, 1, sessionTimeout, &c.tasks, false, limits)
	t := &http3.Transport{EnableDatagrams: true, AdditionalSettings: webTransportSettings(1, limits)}
	c.h3 = t.NewRawClientConn(c.conn)
	c.tasks.Go(c.acceptUni)
	return c, nil
}

func (c *wtClient) connect(ctx context.Context, u *url.URL, set *dialSettings) error {
	to, err := resolve(ctx, c.packets, withPort(u.Host))
	if err != nil {
		return err
	}
	conf, secure := set.conf.transport(), set.tls.Clone()
	conf.HandshakeIdleTimeout = cmp.Or(conf.HandshakeIdleTimeout, dialHandshake)
	secure.NextProtos, secure.MinVersion = []string{http3.NextProtoH3}, tls.VersionTLS13
	secure.ServerName = cmp.Or(secure.ServerName, u.Hostname())
	c.conn, err = dialFirst(ctx, to, func(ctx context.Context, to net.Addr) (*quic.Conn, error) {
		return c.transport.Dial(ctx, to, secure, conf)
	})
	return err
}

// open asks for the session.
func (c *wtClient) open(ctx context.Context, req *http.Request) (*WebTransportSession, *http.Response, error) {
	select {
	case <-c.h3.ReceivedSettings():
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	case <-c.conn.Context().Done():
		return nil, nil, fmt.Errorf("commquic: dial: %w", context.Cause(c.conn.Context()))
	}
	if s := c.h3.Settings(); !s.EnableExtendedConnect || !s.EnableDatagrams || !speaksWebTransport(s) {
		return nil, nil, &UpgradeError{Reason: "the server's settings do not announce it"}
	}
	c.wt.heard(c.h3.Settings())
	str, err := c.h3.OpenRequestStream(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("commquic: dial: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = str.SetDeadline(longAgo) })
	resp, err := exchange(str, req)
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case err != nil:
		return nil, nil, fmt.Errorf("commquic: dial: %w", err)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		_ = str.SetReadDeadline(time.Now().Add(wtLinger))
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the refusal counts, not its text
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil, resp, &UpgradeError{Status: resp.StatusCode, Reason: "the server refused"}
	}
	resp.Body = http.NoBody // the stream is the session's
	c.wt.reserve()
	return c.wt.open(str), resp, nil
}

func exchange(str *http3.RequestStream, req *http.Request) (*http.Response, error) {
	if err := str.SendRequestHeader(req); err != nil {
		return nil, err
	}
	return str.ReadResponse()
}

// run serves the streams of the session, and closes the connection after it.
func (c *wtClient) run(s *WebTransportSession) {
	c.tasks.Go(c.accept)
	s.run()
	c.close()
	s.end(&SessionError{})
}

func (c *wtClient) accept() {
	for {
		str, err := c.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		c.tasks.Go(func() {
			_ = str.SetReadDeadline(time.Now().Add(c.wt.wait))
			if kind, err := peekVarint(str); err != nil || kind != bidiStreamWebTransport {
				c.h3.HandleBidirectionalStream(str) // which servers may not open
				return
			}
			c.wt.handleBidi(str)
		})
	}
}

func (c *wtClient) acceptUni() {
	for {
		str, err := c.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		c.tasks.Go(func() {
			_ = str.SetReadDeadline(time.Now().Add(c.wt.wait))
			switch kind, err := peekVarint(str); {
			case err != nil:
				str.CancelRead(quic.StreamErrorCode(http3.ErrCodeStreamCreationError))
				return
			case kind == uniStreamWebTransport:
				c.wt.handleUni(str)
				return
			}
			_ = str.SetReadDeadline(time.Time{})
			c.h3.HandleUnidirectionalStream(str)
		})
	}
}

// close ends the connection and everything below it, and waits for its goroutines.
func (c *wtClient) close() {
	if c.wt != nil {
		c.wt.close()
	}
	if c.conn != nil {
		_ = c.conn.CloseWithError(noError, "")
	}
	c.tasks.Wait()
	_ = c.transport.Close()
	_ = c.packets.Close()
}
