package comm

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"

	"github.com/anasamu/comm/internal/memnet"
)

// HandleRequest runs one HTTP request in process through the named provider's address (with "" the
// default provider's): the same handlers as over the network, with streaming bodies. The caller
// closes the response's body. r is not modified.
//
// Errors: ErrNotFound, ErrStopped for a provider that serves no HTTP just now, and the transport's.
func (m *Manager) HandleRequest(ctx context.Context, provider string, r *http.Request) (*http.Response, error) {
	if r == nil {
		return nil, errNilRequest
	}
	e, err := m.insideOf(provider)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return m.memory.DialContext(ctx, "tcp", e.insideName())
		},
		DisableKeepAlives: true, DisableCompression: true,
	}
	return t.RoundTrip(insideRequest(ctx, r))
}

// insideOf returns the endpoint of a provider that runs.
func (m *Manager) insideOf(provider string) (*endpoint, error) {
	if provider == "" {
		provider = m.DefaultProvider()
	}
	p := m.state(provider)
	if p == nil {
		return nil, fmt.Errorf("%w: provider %q", ErrNotFound, provider)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != statusRunning || p.endpoint == nil {
		return nil, fmt.Errorf("%w: provider %q serves no HTTP", ErrStopped, provider)
	}
	return p.endpoint, nil
}

// insideRequest makes a server's or a client's request one that a client can send.
func insideRequest(ctx context.Context, r *http.Request) *http.Request {
	out := r.Clone(ctx)
	out.RequestURI = ""
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	if out.URL == nil {
		out.URL = &url.URL{Path: "/"}
	}
	out.URL.Scheme = "http"
	if out.Host == "" {
		out.Host = out.URL.Host
	}
	if out.Host == "" {
		out.Host = "inside"
	}
	out.URL.Host = out.Host
	return out
}

var errNilRequest = errors.New("comm: the request is nil")

// UpgradeOption says what is known of the client of an in-process upgrade.
type UpgradeOption func(*trusted)

// WithUser makes the client this user, without asking the authenticator: the caller is in process
// and trusted.
func WithUser(user string) UpgradeOption { return func(t *trusted) { t.user = user } }

// WithConnMetadata adds metadata to the connection.
func WithConnMetadata(md map[string]string) UpgradeOption {
	return func(t *trusted) { t.metadata = maps.Clone(md) }
}

// trusted is what an in-process dial carries to the handshake.
type trusted struct {
	user     string
	metadata map[string]string
	conn     chan *Conn
	refusal  chan error
}

type trustedKey struct{}

func trustedFrom(ctx context.Context, hs *Handshake) *trusted {
	if hs.Request != nil {
		ctx = hs.Request.Context()
	}
	t, _ := ctx.Value(trustedKey{}).(*trusted)
	return t
}

// Trusted reports whether the handshake comes from HandleWebSocket: its client need not say hello.
func (h *Handshake) Trusted() bool { return trustedFrom(context.Background(), h) != nil }

func (t *trusted) attached(c *Conn) {
	select {
	case t.conn <- c:
	default:
	}
}

func (t *trusted) refuse(err error) {
	select {
	case t.refusal <- err:
	default:
	}
}

// UpgradeError is the refusal of an in-process upgrade.
type UpgradeError struct {
	Status int
	Body   string // at most 4 KiB
}

// Error gives the status and the body.
func (e *UpgradeError) Error() string {
	return fmt.Sprintf("comm: upgrade refused: %d %s", e.Status, e.Body)
}

// HandleWebSocket opens a WebSocket in process through the named provider (with "" the default
// one): r's path and headers choose the route. It returns the registered connection, and the
// client's end of the stream, on which the caller speaks RFC 6455 (ws.NewConn wraps it). Closing
// the stream ends the connection.
//
// No limit on addresses holds for it, for in process all have the same one.
//
// Errors: those of HandleRequest, *UpgradeError for another answer than 101, what the limits or OnConnect
// refuse it with, and the context's.
func (m *Manager) HandleWebSocket(ctx context.Context, provider string, r *http.Request, opts ...UpgradeOption) (*Conn, net.Conn, error) {
	if r == nil {
		return nil, nil, errNilRequest
	}
	e, err := m.insideOf(provider)
	if err != nil {
		return nil, nil, err
	}
	t := &trusted{conn: make(chan *Conn, 1), refusal: make(chan error, 1)}
	for _, o := range opts {
		o(t)
	}
	stream, err := m.memory.DialContext(memnet.WithValue(ctx, t), "tcp", e.insideName())
	if err != nil {
		return nil, nil, err
	}
	c, conn, err := upgradeInside(ctx, stream, insideRequest(ctx, r), t)
	if err != nil {
		stream.Close()
	}
	return c, conn, err
}

func upgradeInside(ctx context.Context, stream net.Conn, r *http.Request, t *trusted) (*Conn, net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	upgradeHeaders(r.Header)
	if err := r.Write(stream); err != nil {
		return nil, nil, errors.Join(ctx.Err(), err)
	}
	br := bufio.NewReader(stream)
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, nil, errors.Join(ctx.Err(), err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		resp.Body.Close()
		select {
		case err := <-t.refusal: // it is known better here than an answer tells
			return nil, nil, err
		default:
		}
		return nil, nil, &UpgradeError{Status: resp.StatusCode, Body: string(body)}
	}
	select {
	case c := <-t.conn:
		return c, &bufferedConn{Conn: stream, r: br}, nil
	case err := <-t.refusal:
		return nil, nil, err
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

func upgradeHeaders(h http.Header) {
	var key [16]byte
	rand.Read(key[:])
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
		"Sec-Websocket-Key": base64.StdEncoding.EncodeToString(key[:]),
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
}

// bufferedConn reads first what came with the response.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

// Read reads what is buffered, then the stream.
func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
