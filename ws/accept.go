package ws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/deflate"
)

// acceptConfig is what the server's options set.
type acceptConfig struct {
	settings
	origin       originPolicy
	subprotocols []string
	pick         func(r *http.Request, offered []string) (string, error)
	connContext  func(*http.Request) context.Context
	held         bool // the handler calls HoldHandler
}

type acceptOnly func(*acceptConfig) error

func (f acceptOnly) applyAccept(c *acceptConfig) error { return f(c) }

// WithSubprotocols sets the subprotocols the server speaks, best first. The
// first that the client offers is agreed on; if there is none the connection
// goes on without, and Subprotocol is "".
func WithSubprotocols(names ...string) AcceptDialOption { return subprotocols(names) }

// AcceptDialOption is a setting of both handshakes.
type AcceptDialOption interface {
	AcceptOption
	DialOption
}

type subprotocols []string

func (s subprotocols) applyAccept(c *acceptConfig) error {
	c.subprotocols = append(c.subprotocols, s...)
	return validProtocols(c.subprotocols)
}

func (s subprotocols) applyDial(c *dialConfig) error {
	c.subprotocols = append(c.subprotocols, s...)
	return validProtocols(c.subprotocols)
}

// WithSubprotocolFunc lets pick choose among the offered subprotocols, which
// may be none; "" is none. An error refuses the handshake with 400 and is told
// to the client.
func WithSubprotocolFunc(pick func(r *http.Request, offered []string) (string, error)) AcceptOption {
	return acceptOnly(func(c *acceptConfig) error {
		if pick == nil {
			return refuse("WithSubprotocolFunc", "nil", "a function")
		}
		c.pick = pick
		return nil
	})
}

// WithConnContext sets how Handler makes a connection's context from its
// request. By default it carries the values of the request's context and ends
// with the connection. It always ends with the connection.
func WithConnContext(f func(*http.Request) context.Context) AcceptOption {
	return acceptOnly(func(c *acceptConfig) error {
		if f == nil {
			return refuse("WithConnContext", "nil", "a function")
		}
		c.connContext = f
		return nil
	})
}

// Acceptor accepts connections with one set of options. Safe for concurrent use.
type Acceptor struct{ conf acceptConfig }

// NewAcceptor returns an Acceptor, or all that is wrong with the options.
func NewAcceptor(opts ...AcceptOption) (*Acceptor, error) {
	a := &Acceptor{acceptConfig{settings: defaults()}}
	err := conf.Apply("ws.Accept", opts, func(o AcceptOption) error { return o.applyAccept(&a.conf) })
	if a.conf.pick != nil && len(a.conf.subprotocols) > 0 {
		err = errors.Join(err, errors.New("ws: WithSubprotocols and WithSubprotocolFunc exclude each other"))
	}
	if err = errors.Join(err, a.conf.origin.validate()); err != nil {
		return nil, err
	}
	return a, nil
}

// Accept makes the server's side of the handshake (RFC 6455 4.2) and takes the
// connection over from net/http. If it returns an error it has answered the
// request: 400, 405 or 426 with a body that names the header at fault, 403
// for its Origin, or 501 over HTTP/2 and HTTP/3 where the request is none by
// extended CONNECT, and over HTTP/2 without WithHeldHandler. The error is then a
// *HandshakeError.
//
// Headers set on w beforehand are sent along. The handler may return and leave
// the connection to another goroutine, over HTTP/2 see WithHeldHandler; net/http frees its buffers and the request only then, so a server with many
// connections uses Handler.
func Accept(w http.ResponseWriter, r *http.Request, opts ...AcceptOption) (*Conn, error) {
	a, err := NewAcceptor(opts...)
	if err != nil {
		http.Error(w, "WebSocket server is misconfigured", http.StatusInternalServerError)
		return nil, err
	}
	return a.Accept(w, r)
}

// Accept is the function Accept with a's options.
func (a *Acceptor) Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	return a.accept(w, r, a.conf.held)
}

func (a *Acceptor) accept(w http.ResponseWriter, r *http.Request, held bool) (*Conn, error) {
	if err := a.check(r); err != nil {
		err.answer(w)
		return nil, err
	}
	protocol, herr := a.subprotocol(r)
	if herr != nil {
		herr.answer(w)
		return nil, herr
	}
	z, extension, herr := a.negotiate(r)
	if herr != nil {
		herr.answer(w)
		return nil, herr
	}
	var c *Conn
	var err error
	if r.ProtoMajor > 1 {
		c, err = a.connect(w, r, held, protocol, z, extension)
	} else {
		c, err = a.upgrade(w, r, protocol, z, extension)
	}
	if err != nil && a.conf.compression != nil {
		a.conf.compression.release(z.granted)
	}
	return c, err
}

// check finds what is wrong with the request.
func (a *Acceptor) check(r *http.Request) *HandshakeError {
	kind := a.checkUpgrade
	if r.ProtoMajor > 1 {
		kind = a.checkConnect
	}
	if err := kind(r); err != nil {
		return err
	}
	if err := a.conf.origin.allow(r); err != nil {
		return refused(http.StatusForbidden, "Origin", err.Error())
	}
	return nil
}

// checkUpgrade finds what is wrong with a request over HTTP/1.1 (RFC 6455 4.2.1).
func (a *Acceptor) checkUpgrade(r *http.Request) *HandshakeError {
	key := r.Header["Sec-Websocket-Key"]
	switch {
	case r.Method != http.MethodGet:
		return refused(http.StatusMethodNotAllowed, "", "method must be GET")
	case !r.ProtoAtLeast(1, 1):
		return refused(http.StatusUpgradeRequired, "Upgrade", "needs HTTP/1.1")
	case !hasToken(r.Header, "Connection", "upgrade"):
		return refused(http.StatusUpgradeRequired, "Connection", "must contain Upgrade")
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return refused(http.StatusUpgradeRequired, "Upgrade", "must contain websocket")
	case r.Header.Get("Sec-Websocket-Version") != "13" || len(r.Header["Sec-Websocket-Version"]) != 1:
		return refused(http.StatusUpgradeRequired, "Sec-WebSocket-Version", "must be 13")
	case len(r.TransferEncoding) > 0: // the body's bytes would be taken for frames
		return refused(http.StatusBadRequest, "Transfer-Encoding", "a handshake has no body")
	case r.ContentLength != 0:
		return refused(http.StatusBadRequest, "Content-Length", "a handshake has no body")
	case len(key) != 1:
		return refused(http.StatusBadRequest, "Sec-WebSocket-Key", "must be given once")
	case !validKey(key[0]):
		return refused(http.StatusBadRequest, "Sec-WebSocket-Key", "must be 16 bytes in base64")
	}
	return nil
}

func (a *Acceptor) subprotocol(r *http.Request) (string, *HandshakeError) {
	offered := list(r.Header, "Sec-Websocket-Protocol")
	for _, name := range offered {
		if !validToken(name) {
			return "", refused(http.StatusBadRequest, "Sec-WebSocket-Protocol", "must be a list of tokens")
		}
	}
	if a.conf.pick == nil {
		for _, name := range a.conf.subprotocols {
			if slices.Contains(offered, name) {
				return name, nil
			}
		}
		return "", nil
	}
	name, err := a.conf.pick(r, offered)
	switch {
	case err != nil:
		return "", refused(http.StatusBadRequest, "Sec-WebSocket-Protocol", err.Error())
	case name != "" && !slices.Contains(offered, name):
		return "", refused(http.StatusInternalServerError, "Sec-WebSocket-Protocol", "server chose what was not offered")
	}
	return name, nil
}

// negotiate answers the extensions offered.
func (a *Acceptor) negotiate(r *http.Request) (z agreed, answer string, _ *HandshakeError) {
	offers, err := deflate.ParseExtensions(r.Header["Sec-Websocket-Extensions"])
	if err != nil {
		return z, "", refused(http.StatusBadRequest, "Sec-WebSocket-Extensions", "is malformed")
	}
	conf := a.conf.compression
	if conf == nil || len(offers) == 0 {
		return z, "", nil
	}
	z.granted = conf.reserve()
	z.params, answer, z.on = deflate.Accept(offers, conf.wish(z.granted > 0))
	return conf.settle(z, Server), answer, nil
}

// upgrade takes the connection over and answers 101.
func (a *Acceptor) upgrade(w http.ResponseWriter, r *http.Request, protocol string, z agreed, extension string) (*Conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		herr := refused(http.StatusNotImplemented, "", "this server cannot upgrade the connection: a ResponseWriter, of a middleware perhaps, "+
			"has no method Hijack, and no Unwrap to one that has")
		herr.Cause = err
		herr.answer(w)
		return nil, herr
	}
	// Bytes that came with the handshake are frames already. The bufio pair
	// is dropped with net/http's goroutine.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	_ = nc.SetDeadline(time.Time{}) // net/http's timeouts end here
	response := response(w.Header(), r.Header.Get("Sec-Websocket-Key"), protocol, extension)
	_ = nc.SetWriteDeadline(time.Now().Add(a.conf.writeTimeout))
	if _, err := nc.Write(response); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("ws: accept: %w", err)
	}
	_ = nc.SetWriteDeadline(time.Time{})
	c := newConn(nc, Server, &a.conf.settings, z)
	c.subprotocol = protocol
	c.keep(early)
	return c, nil
}

// response is the answer that opens the connection (RFC 6455 4.2.2).
func response(extra http.Header, key, protocol, extension string) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	fmt.Fprintf(&b, "Sec-WebSocket-Accept: %s\r\n", acceptKey(key))
	if protocol != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", protocol)
	}
	if extension != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Extensions: %s\r\n", extension)
	}
	_ = extra.WriteSubset(&b, handshakeHeaders) // a bytes.Buffer takes all
	b.WriteString("\r\n")
	return b.Bytes()
}

// handshakeHeaders belong to the handshake; users' headers may not be among them.
var handshakeHeaders = map[string]bool{
	"Connection": true, "Upgrade": true, "Content-Length": true, "Transfer-Encoding": true,
	"Sec-Websocket-Accept": true, "Sec-Websocket-Key": true, "Sec-Websocket-Version": true,
	"Sec-Websocket-Protocol": true, "Sec-Websocket-Extensions": true,
}

// HandshakeError says why a handshake did not lead to a connection.
type HandshakeError struct {
	Status int    // of the response, 0 if there was none
	Header string // at fault, "" if none is
	Reason string
	Cause  error // may be nil
}

// Error implements error.
func (e *HandshakeError) Error() string {
	s := "ws: handshake: "
	if e.Status != 0 {
		s += fmt.Sprintf("%d %s: ", e.Status, http.StatusText(e.Status))
	}
	s += e.what()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns e.Cause.
func (e *HandshakeError) Unwrap() error { return e.Cause }

func (e *HandshakeError) what() string {
	if e.Header == "" {
		return e.Reason
	}
	return "header " + e.Header + ": " + e.Reason
}

func refused(status int, header, reason string) *HandshakeError {
	return &HandshakeError{Status: status, Header: header, Reason: reason}
}

// answer tells the client what a server's HandshakeError says.
func (e *HandshakeError) answer(w http.ResponseWriter) {
	h := w.Header()
	switch e.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
	}
	http.Error(w, "WebSocket handshake refused: "+e.what(), e.Status)
}
