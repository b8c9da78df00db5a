package ws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/deflate"
)

// dialConfig is what the client's options set.
type dialConfig struct {
	settings
	header       http.Header
	subprotocols []string
	tls          *tls.Config
	netDial      func(ctx context.Context, network, addr string) (net.Conn, error)
	proxy        func(*http.Request) (*url.URL, error)
	timeout      time.Duration
	roundTripper http.RoundTripper
	ownDial      string // an option that WithRoundTripper excludes, "" if none was given
}

type dialOnly func(*dialConfig) error

func (f dialOnly) applyDial(c *dialConfig) error { return f(c) }

// WithHeader adds headers to the client's request. Host sets the request's
// host; those of the handshake itself are refused.
func WithHeader(h http.Header) DialOption {
	return dialOnly(func(c *dialConfig) error {
		for name, values := range h {
			name = http.CanonicalHeaderKey(name)
			if handshakeHeaders[name] {
				return refuse("WithHeader", name, "none of the handshake's own headers")
			}
			c.header[name] = append(c.header[name], values...)
		}
		return nil
	})
}

// WithTLS sets the TLS configuration of wss URLs; it is cloned. Default is
// crypto/tls's, with TLS 1.2 at least.
func WithTLS(conf *tls.Config) DialOption {
	return dialOnly(func(c *dialConfig) error {
		if conf == nil {
			return refuse("WithTLS", "nil", "a configuration")
		}
		c.tls = conf.Clone()
		c.ownDial = "WithTLS"
		return nil
	})
}

// WithNetDial sets how TCP connections, to the server or its proxy, are made.
// Default is a net.Dialer's DialContext.
func WithNetDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) DialOption {
	return dialOnly(func(c *dialConfig) error {
		if dial == nil {
			return refuse("WithNetDial", "nil", "a function")
		}
		c.netDial = dial
		c.ownDial = "WithNetDial"
		return nil
	})
}

// WithProxy sets how a request's proxy is found, as http.Transport.Proxy;
// nil is none. Default is http.ProxyFromEnvironment. Proxies by http, https
// (CONNECT) and socks5 are supported, with user and password in the URL.
func WithProxy(proxy func(*http.Request) (*url.URL, error)) DialOption {
	return dialOnly(func(c *dialConfig) error {
		c.proxy = proxy
		c.ownDial = "WithProxy"
		return nil
	})
}

// WithHandshakeTimeout bounds Dial as a whole. Default DefaultHandshakeTimeout.
func WithHandshakeTimeout(d time.Duration) DialOption {
	return dialOnly(func(c *dialConfig) error {
		if d <= 0 {
			return refuse("WithHandshakeTimeout", d, "a positive duration")
		}
		c.timeout = d
		return nil
	})
}

// Dial connects to a ws or wss URL (RFC 6455 4.1). ctx bounds the handshake
// only, which WithHandshakeTimeout bounds too.
//
// The response is returned also when the server refused, with up to 4 KiB of
// its body, and the error is then a *HandshakeError. Redirects are not
// followed. The response's body need not be closed.
func Dial(ctx context.Context, rawURL string, opts ...DialOption) (*Conn, *http.Response, error) {
	set, req, err := resolveDial(rawURL, opts)
	if err != nil {
		return nil, nil, err
	}
	return set.dial(ctx, req)
}

// resolveDial finds out what is wrong with a URL and options before anything is dialled.
func resolveDial(rawURL string, opts []DialOption) (*dialConfig, *http.Request, error) {
	set := &dialConfig{settings: defaults(), header: http.Header{}, proxy: http.ProxyFromEnvironment, timeout: DefaultHandshakeTimeout}
	set.netDial = new(net.Dialer).DialContext
	if err := errors.Join(conf.Apply("ws.Dial", opts, func(o DialOption) error { return o.applyDial(set) }), set.checkRoundTripper()); err != nil {
		return nil, nil, err
	}
	req, err := set.request(rawURL)
	return set, req, err
}

// dial connects and makes the handshake.
func (set *dialConfig) dial(ctx context.Context, req *http.Request) (*Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, set.timeout, errHandshakeTimeout)
	defer cancel()
	if set.roundTripper != nil {
		return set.extended(ctx, req)
	}
	nc, err := set.connect(ctx, req.URL)
	if err != nil {
		return nil, nil, dialError(ctx, err)
	}
	c, resp, err := set.handshake(ctx, nc, req)
	if err != nil {
		_ = nc.Close()
		return nil, resp, dialError(ctx, err)
	}
	return c, resp, nil
}

var errHandshakeTimeout = fmt.Errorf("ws: handshake timed out: %w", context.DeadlineExceeded)

// dialError prefers the context's cause to what it made fail.
func dialError(ctx context.Context, err error) error {
	if cause := ended(ctx); cause != nil {
		return fmt.Errorf("ws: dial: %w", cause)
	}
	if _, ok := errors.AsType[*HandshakeError](err); ok {
		return err
	}
	return fmt.Errorf("ws: dial: %w", err)
}

// request makes the handshake's request, without its extensions.
func (d *dialConfig) request(rawURL string) (*http.Request, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("ws: dial: %w", err)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, refuse("Dial scheme", fmt.Sprintf("%q", u.Scheme), "ws or wss")
	}
	if u.Host == "" || u.Fragment != "" {
		return nil, refuse("Dial URL", rawURL, "one with a host and without a fragment (RFC 6455 3)")
	}
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: d.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if p, ok := u.User.Password(); (ok || u.User.Username() != "") && req.Header.Get("Authorization") == "" {
		req.SetBasicAuth(u.User.Username(), p)
	}
	u.User = nil
	return req, nil
}

// handshake makes the upgrade over nc. ctx interrupts it through the deadline.
func (d *dialConfig) handshake(ctx context.Context, nc net.Conn, req *http.Request) (*Conn, *http.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(past) })
	defer stop()
	var z agreed
	if d.compression != nil {
		z.granted = d.compression.reserve()
	}
	c, resp, err := d.upgrade(nc, req, &z)
	if err == nil && !stop() {
		err = context.Cause(ctx) // the deadline may have been touched
	}
	if err != nil {
		if d.compression != nil {
			d.compression.release(z.granted)
		}
		return nil, resp, err
	}
	return c, resp, nil
}

func (d *dialConfig) upgrade(nc net.Conn, req *http.Request, z *agreed) (*Conn, *http.Response, error) {
	key := newKey()
	var wish deflate.Wish
	if d.compression != nil {
		wish = d.compression.wish(z.granted > 0)
	}
	if _, err := nc.Write(d.wire(req, key, wish)); err != nil {
		return nil, nil, err
	}
	br := bufio.NewReaderSize(io.LimitReader(nc, maxResponse), 4<<10)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the refusal counts, not its text
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil, resp, refused(resp.StatusCode, "", "server refused")
	}
	resp.Body = http.NoBody
	if err := d.verify(resp, key); err != nil {
		return nil, resp, err
	}
	if err := d.agree(resp, wish, z); err != nil {
		return nil, resp, err
	}
	c := newConn(nc, Client, &d.settings, *z)
	c.subprotocol = resp.Header.Get("Sec-Websocket-Protocol")
	early, _ := br.Peek(br.Buffered())
	c.keep(early)
	return c, resp, nil
}

// maxResponse bounds the answer's header. What is buffered beyond it is kept.
const maxResponse = 64 << 10

func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return base64.StdEncoding.EncodeToString(b[:])
}

// wire is the request as it is sent.
func (d *dialConfig) wire(req *http.Request, key string, wish deflate.Wish) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", req.URL.RequestURI(), req.Host)
	fmt.Fprintf(&b, "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", key)
	for i, name := range d.subprotocols {
		if i == 0 {
			b.WriteString("Sec-WebSocket-Protocol: ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(name)
		if i == len(d.subprotocols)-1 {
			b.WriteString("\r\n")
		}
	}
	if d.compression != nil {
		fmt.Fprintf(&b, "Sec-WebSocket-Extensions: %s\r\n", deflate.Offer(wish))
	}
	_ = req.Header.Write(&b) // a bytes.Buffer takes all
	b.WriteString("\r\n")
	return b.Bytes()
}

// verify checks the server's answer (RFC 6455 4.1).
func (d *dialConfig) verify(resp *http.Response, key string) error {
	protocols := resp.Header["Sec-Websocket-Protocol"]
	switch {
	case !hasToken(resp.Header, "Upgrade", "websocket"):
		return refused(resp.StatusCode, "Upgrade", "must contain websocket")
	case !hasToken(resp.Header, "Connection", "upgrade"):
		return refused(resp.StatusCode, "Connection", "must contain Upgrade")
	case resp.Header.Get("Sec-Websocket-Accept") != acceptKey(key):
		return refused(resp.StatusCode, "Sec-WebSocket-Accept", "does not answer the key")
	case len(protocols) > 1, len(protocols) == 1 && !slices.Contains(d.subprotocols, protocols[0]):
		return refused(resp.StatusCode, "Sec-WebSocket-Protocol", "was not offered")
	}
	return nil
}

// agree reads the server's answer to the extensions offered.
func (d *dialConfig) agree(resp *http.Response, wish deflate.Wish, z *agreed) error {
	answer, err := deflate.ParseExtensions(resp.Header["Sec-Websocket-Extensions"])
	if err == nil && d.compression == nil && len(answer) > 0 {
		err = errors.New("was not offered")
	}
	if err == nil && d.compression != nil {
		z.params, z.on, err = deflate.Check(answer, wish)
		*z = d.compression.settle(*z, Client)
	}
	if err != nil {
		return &HandshakeError{Status: resp.StatusCode, Header: "Sec-WebSocket-Extensions", Reason: "server's answer is refused", Cause: err}
	}
	return nil
}
