package commquic

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// SessionDialOption is a setting of [DialWebTransport] and [WebTransportDialer].
type SessionDialOption interface{ applySessionDial(*sessionDial) error }

// sessionDial is what the options set.
type sessionDial struct {
	tls     *tls.Config
	quic    *quic.Config
	header  http.Header
	timeout time.Duration
	packets func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)
}

type sessionDialOption func(*sessionDial) error

func (f sessionDialOption) applySessionDial(c *sessionDial) error { return f(c) }

// WithSessionTLS sets the TLS configuration, which is cloned: the certificates that are trusted, and the client's own.
// The default trusts the system's.
func WithSessionTLS(conf *tls.Config) SessionDialOption {
	return sessionDialOption(func(c *sessionDial) error {
		if conf == nil {
			return errors.New("commquic: WithSessionTLS: got nil, want a configuration")
		}
		c.tls = conf.Clone()
		return nil
	})
}

// WithSessionQUIC sets QUIC's own configuration, which is cloned; datagrams are enabled and 0-RTT is not.
func WithSessionQUIC(conf *quic.Config) SessionDialOption {
	return sessionDialOption(func(c *sessionDial) error {
		if conf == nil {
			return errors.New("commquic: WithSessionQUIC: got nil, want a configuration")
		}
		c.quic = conf.Clone()
		return nil
	})
}

// WithSessionHeader adds headers to the request, such as Authorization and Origin.
func WithSessionHeader(h http.Header) SessionDialOption {
	return sessionDialOption(func(c *sessionDial) error {
		for name, values := range h {
			for _, v := range values {
				c.header.Add(name, v)
			}
		}
		return nil
	})
}

// WithSessionTimeout bounds the dial as a whole. The default is 15 s.
func WithSessionTimeout(d time.Duration) SessionDialOption {
	return sessionDialOption(func(c *sessionDial) error {
		if d <= 0 {
			return fmt.Errorf("commquic: WithSessionTimeout: got %v, want a positive duration", d)
		}
		c.timeout = d
		return nil
	})
}

// WithSessionPackets sets how the socket is opened, and which address addr (host:port) has on it: another
// network, a network in memory. The socket is closed with the session.
func WithSessionPackets(open func(ctx context.Context, addr string) (net.PacketConn, net.Addr, error)) SessionDialOption {
	return sessionDialOption(func(c *sessionDial) error {
		if open == nil {
			return errors.New("commquic: WithSessionPackets: got nil, want a function")
		}
		c.packets = open
		return nil
	})
}

const defaultSessionTimeout = 15 * time.Second

func newSessionDial(opts []SessionDialOption) (*sessionDial, error) {
	c := &sessionDial{tls: &tls.Config{}, quic: &quic.Config{}, header: http.Header{}, timeout: defaultSessionTimeout, packets: openUDP}
	var errs []error
	for i, o := range opts {
		if o == nil {
			errs = append(errs, fmt.Errorf("commquic: option %d is nil", i+1))
			continue
		}
		errs = append(errs, o.applySessionDial(c))
	}
	c.tls.NextProtos = []string{http3.NextProtoH3}
	c.quic.EnableDatagrams, c.quic.EnableStreamResetPartialDelivery = true, true
	return c, errors.Join(errs...)
}

// openUDP opens a socket and resolves the address.
func openUDP(ctx context.Context, addr string) (net.PacketConn, net.Addr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, nil, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", ":0")
	return c, &net.UDPAddr{IP: ips[0].IP, Zone: ips[0].Zone, Port: number}, err
}

// DialWebTransport opens a session at an https URL, on a connection of its own that ends with the session.
// ctx bounds the dial only, which WithSessionTimeout bounds too. Both protocol names of the drafts are
// understood by servers of this package; "webtransport" is sent.
//
// Where the server has refused, the response is returned too, with up to 4 KiB of its body, and the error is an *[UpgradeError].
func DialWebTransport(ctx context.Context, rawURL string, opts ...SessionDialOption) (*WebTransportSession, *http.Response, error) {
	conf, err := newSessionDial(opts)
	if err != nil {
		return nil, nil, err
	}
	req, err := conf.request(rawURL)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, conf.timeout, errSessionTimeout)
	defer cancel()
	c, err := conf.dial(ctx, req.URL)
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

// request makes the CONNECT request of a session.
func (d *sessionDial) request(rawURL string) (*http.Request, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("commquic: dial: %w", err)
	case u.Scheme != "https" || u.Host == "" || u.Fragment != "":
		return nil, fmt.Errorf("commquic: dial: got the URL %q, want https://host/path without a fragment", short(rawURL))
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return &http.Request{Method: http.MethodConnect, Proto: protocolWebTransport, URL: u, Host: u.Host, Header: d.header}, nil
}

// wtClient is the client's connection of one session.
type wtClient struct {
	packets   net.PacketConn
	transport *quic.Transport
	conn      *quic.Conn
	h3        *http3.RawClientConn
	wt        *wtConn
}

// dial makes the connection.
func (d *sessionDial) dial(ctx context.Context, u *url.URL) (*wtClient, error) {
	addr := withPort(u.Host)
	packets, to, err := d.packets(ctx, addr)
	if err != nil {
		return nil, err
	}
	if d.tls.ServerName == "" {
		d.tls.ServerName = u.Hostname()
	}
	c := &wtClient{packets: packets, transport: &quic.Transport{Conn: packets}}
	if c.conn, err = c.transport.Dial(ctx, to, d.tls, d.quic); err != nil {
		c.close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	c.wt = newWTConn(c.conn, 1, d.timeout)
	t := &http3.Transport{EnableDatagrams: true, AdditionalSettings: webTransportSettings(1)}
	c.h3 = t.NewRawClientConn(c.conn)
	go c.acceptUni()
	return c, nil
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
	str, err := c.h3.OpenRequestStream(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("commquic: dial: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = str.SetDeadline(time.Unix(1, 0)) })
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
	go c.accept()
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
		go func() {
			_ = str.SetReadDeadline(time.Now().Add(c.wt.wait))
			if kind, err := peekVarint(str); err != nil || kind != bidiStreamWebTransport {
				c.h3.HandleBidirectionalStream(str) // which servers may not open
				return
			}
			c.wt.handleBidi(str)
		}()
	}
}

func (c *wtClient) acceptUni() {
	for {
		str, err := c.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			_ = str.SetReadDeadline(time.Now().Add(c.wt.wait))
			kind, err := peekVarint(str)
			if err == nil && kind == uniStreamWebTransport {
				c.wt.handleUni(str)
				return
			}
			_ = str.SetReadDeadline(time.Time{})
			c.h3.HandleUnidirectionalStream(str)
		}()
	}
}

// close ends the connection and everything below it.
func (c *wtClient) close() {
	if c.wt != nil {
		c.wt.close()
	}
	if c.conn != nil {
		_ = c.conn.CloseWithError(noError, "")
	}
	_ = c.transport.Close()
	_ = c.packets.Close()
}
