package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// isUpgrade reports whether a request asks for WebSocket, rightly or not.
func isUpgrade(r *http.Request) bool {
	if r.Method == http.MethodConnect && r.ProtoMajor > 1 { // RFC 8441, RFC 9220
		return true
	}
	for _, v := range r.Header["Upgrade"] {
		if strings.Contains(strings.ToLower(v), "websocket") {
			return true
		}
	}
	return false
}

// socket is one WebSocket: the carrier of its subscriber.
type socket struct {
	l     *hall
	conn  *ws.Conn
	d     *dialect
	s     *Subscriber
	t     *Transport
	r     *http.Request
	beats *time.Timer // of the old protocol; nil before the acknowledgement
	buf   []byte      // what is being said; under Subscriber.say
}

// serveSocket upgrades a request and leaves the connection to a goroutine of its own.
func (l *hall) serveSocket(w http.ResponseWriter, r *http.Request) {
	done := func() {}
	if l.host != nil {
		hs, err := comm.NewHandshake(r, &comm.Frame{Hello: &comm.Hello{}})
		if err == nil {
			done, err = l.host.Admit(hs.RemoteAddr)
		}
		if err != nil {
			refuseRequest(w, r, err)
			return
		}
	}
	if err := l.enter(); err != nil {
		done()
		refuseRequest(w, r, err)
		return
	}
	comm.MarkStreaming(r.Context())
	conn, err := l.sockets.Accept(w, r)
	if err != nil { // it has answered
		done()
		l.places.Leave()
		return
	}
	k := &socket{l: l, conn: conn, d: dialects[conn.Subprotocol()]}
	k.r = r.WithContext(context.WithoutCancel(r.Context()))
	k.r.Body = http.NoBody
	go k.admit(done)
	conn.HoldHandler()
}

// admit brings the connection to the acknowledgement; what stands is served by a fresh goroutine, whose stack
// has not grown in the admission.
func (k *socket) admit(done func()) {
	err := k.open()
	done()
	if err == nil {
		go k.hold()
		return
	}
	defer k.l.places.Leave()
	if k.s != nil {
		k.l.forget(k.s)
		k.s.cancel(err)
		if k.s.Conn() != nil {
			k.s.hub.detach(socketReason(err))
		}
	}
	if own, ok := errors.AsType[*wsClose](err); ok && k.conn.Err() == nil {
		closeSocket(k.conn, own, time.Now().Add(goodbyeTime))
	}
	_ = k.conn.CloseNow()
}

// open waits for connection_init, has the client admitted, and acknowledges it.
func (k *socket) open() error {
	if k.d == nil {
		return closeProtocol
	}
	k.t = k.l.transport("websocket", k.r)
	hs, err := comm.NewHandshake(k.r, &comm.Frame{Hello: &comm.Hello{}})
	if err != nil {
		return refusalOf(err)
	}
	k.s = newSubscriber(k.r.Context(), k.l.h, k, k.t)
	if hs.Trusted() { // who it is is known, and somebody waits for the connection
		if err := k.attach(hs); err != nil {
			return err
		}
	}
	payload, err := k.awaitInit()
	if err != nil {
		return err
	}
	k.t.InitPayload = payload
	hello, err := k.l.helloIn(payload)
	k.s.greeted = hello != nil
	switch {
	case err != nil:
		return k.refused(err)
	case k.s.Conn() == nil:
		err = k.attach(handshakeOf(k.r, k.t, hello))
	case asks(hello):
		return k.refused(errWelcome)
	}
	if err != nil {
		return err
	}
	k.l.keep(k.s)
	return k.acknowledge()
}

// attach has the gateway admit the client.
func (k *socket) attach(hs *comm.Handshake) error {
	if err := k.l.attach(k.l.ctx, k.s, k.t, hs); err != nil {
		return k.refused(err)
	}
	return nil
}

// refused tells a client of the old protocol why it is not admitted, and is how the connection is closed.
func (k *socket) refused(err error) error {
	if k.d.old {
		_ = k.send(appendMessage(nil, "connection_error", "", refusalError(err).append(nil)))
	}
	return refusalOf(err)
}

// appendText is the payload of an old protocol's error.
func appendText(text string) []byte { return (&Error{Message: text}).append(nil) }

// acknowledge tells the client that it may begin, and one that has said hello that it is welcome.
func (k *socket) acknowledge() error {
	var payload []byte
	if k.s.greeted {
		payload = k.s.hub.welcomePayload()
	}
	if err := k.send(appendMessage(nil, "connection_ack", "", payload)); err != nil {
		return err
	}
	if !k.d.old {
		return nil
	}
	every := k.l.keepAlive()
	k.beats = time.AfterFunc(every, func() {
		if k.beat() == nil {
			k.beats.Reset(every)
		}
	})
	return k.beat()
}

// beat says that the server is there, to clients of the old protocol.
func (k *socket) beat() error {
	if err := k.s.ctx.Err(); err != nil {
		return err
	}
	return k.send([]byte(`{"type":"ka"}`))
}

// awaitInit reads up to connection_init, and answers pings on the way.
func (k *socket) awaitInit() (payload json.RawMessage, err error) {
	ctx, cancel := context.WithTimeoutCause(k.l.ctx, k.l.initTimeout(), closeInitTimeout)
	defer cancel()
	for {
		typ, data, err := k.conn.Read(ctx, nil)
		switch {
		case err != nil && k.conn.Err() == nil && context.Cause(ctx) == closeInitTimeout: //nolint:errorlint // ours, never wrapped
			return nil, closeInitTimeout
		case err != nil && k.conn.Err() == nil:
			return nil, closeAway
		case err != nil:
			return nil, err
		}
		m, err := parseFrame(typ, data)
		if err != nil {
			return nil, k.early(err.Error(), invalidMessage(err.Error()))
		}
		if m.typ == "connection_init" {
			return initPayload(&m)
		}
		if err := k.beforeInit(&m); err != nil {
			return nil, err
		}
	}
}

func initPayload(m *wsMessage) (json.RawMessage, error) {
	if m.payload != nil && m.payload[0] != '{' {
		return nil, invalidMessage("the payload of connection_init must be an object")
	}
	return m.payload, nil
}

// beforeInit takes what comes too early.
func (k *socket) beforeInit(m *wsMessage) error {
	switch m.typ {
	case k.d.begin:
		return k.early("connection_init must come first", closeNotInit)
	case k.d.stop:
		return nil
	case "connection_terminate":
		if k.d.old {
			return closeNormal
		}
	}
	if err := k.common(m); err != nil {
		return k.early("connection_init must come first", err)
	}
	return nil
}

// early tells a client of the old protocol in words what it did before connection_init.
func (k *socket) early(text string, err error) error {
	if k.d.old {
		_ = k.send(appendMessage(nil, "connection_error", "", appendText(text)))
	}
	return err
}

func parseFrame(typ ws.Type, data []byte) (wsMessage, error) {
	if typ != ws.Text {
		return wsMessage{}, errors.New("it is binary")
	}
	return parseMessage(data)
}

// errTerminated is the end of a client that says goodbye.
var errTerminated = errors.New("graphql: the client has said goodbye")

// hold serves a connection that stands until it ends.
func (k *socket) hold() {
	defer k.l.places.Leave()
	defer k.s.wait()
	defer k.l.forget(k.s)
	err := k.conn.Serve(context.Background(), k.receive)
	r := socketReason(err)
	k.s.cancel(r)
	if k.beats != nil {
		k.beats.Stop()
	}
	if k.s.Conn() != nil {
		k.s.hub.detach(r)
	}
	k.close(r, time.Now().Add(goodbyeTime))
}

// receive takes one message. What it returns ends the connection.
func (k *socket) receive(typ ws.Type, data []byte) error {
	if k.s.Conn() != nil {
		k.s.hub.heard(len(data))
	}
	m, err := parseFrame(typ, data)
	switch {
	case err != nil:
		k.s.alive()
		return k.invalid(m.id, err.Error())
	case m.typ == k.d.begin:
		return k.begin(&m)
	case m.typ == k.d.stop && k.s.stop(m.id): // which counts by what it has the hub do
		return nil
	}
	k.s.alive()
	switch m.typ {
	case k.d.stop: // it has ended on the way
		return nil
	case "connection_init":
		return closeManyInits
	}
	return k.common(&m)
}

// common takes what may come at any time.
func (k *socket) common(m *wsMessage) error {
	switch {
	case m.typ == "ping" && !k.d.old:
		return k.send(appendMessage(nil, "pong", "", m.payload))
	case m.typ == "pong" && !k.d.old:
		return nil
	case m.typ == "connection_terminate" && k.d.old:
		return errTerminated
	}
	return k.invalid(m.id, "the type "+shorten(m.typ)+" is not one that a client says")
}

// invalid ends the connection. The old protocol has an error for it instead.
func (k *socket) invalid(id, why string) error {
	if k.d.old {
		return k.send(appendMessage(nil, "error", id, appendText(why)))
	}
	return invalidMessage(why)
}

// begin begins an operation, which counts as a message by itself. Its bytes are copied: the operation outlives them.
func (k *socket) begin(m *wsMessage) error {
	switch {
	case m.id == "":
		return k.invalid("", "id is missing")
	case m.payload == nil:
		return k.invalid(m.id, "payload is missing")
	}
	req, err := ParseRequest(append([]byte(nil), m.payload...))
	if err != nil {
		return k.invalid(m.id, messageOf(err))
	}
	if req.Query == "" && req.DocumentID == "" && len(req.Extensions) == 0 {
		return k.invalid(m.id, "the payload has no query")
	}
	op, err := k.s.arrive(m.id, req)
	if errors.Is(err, errDuplicateID) {
		if !k.d.old {
			return subscriberExists(m.id)
		}
		k.s.stop(m.id) // the old protocol begins it anew
		op, err = k.s.arrive(m.id, req)
	}
	switch {
	case errors.Is(err, errLeaving): // a drain: the client finds its operation unanswered, and comes back
		return nil
	case err != nil:
		k.s.alive()
		own, _ := errors.AsType[*Error](err)
		return k.send(k.refusal(nil, m.id, []*Error{own}))
	}
	go k.s.run(op, req)
	return nil
}

// send writes a message that is no operation's.
func (k *socket) send(b []byte) error {
	if k.s != nil && k.s.hub != nil {
		k.s.hub.said(len(b))
	}
	return k.conn.Write(context.Background(), ws.Text, b)
}

// say writes a message of an operation from the connection's buffer, which only a small one keeps.
func (k *socket) say(b []byte) error {
	err := k.send(b)
	if k.buf = b[:0]; cap(b) > maxSaid {
		k.buf = nil
	}
	return err
}

// maxSaid is how much of a buffer a connection keeps from one message to the next.
const maxSaid = 1 << 10

func (k *socket) next(id string, response []byte) error {
	return k.say(appendMessage(k.buf, k.d.next, id, response))
}

func (k *socket) refuse(id string, _ []byte, errs []*Error) error {
	return k.say(k.refusal(k.buf, id, errs))
}

// refusal appends the message error; nothing follows it for the id.
func (k *socket) refusal(b []byte, id string, errs []*Error) []byte {
	if k.d.old {
		return appendMessage(b, "error", id, firstError(nil, errs))
	}
	return appendMessage(b, "error", id, appendErrorList(nil, errs))
}

func (k *socket) complete(id string) error {
	return k.say(appendMessage(k.buf, "complete", id, nil))
}

// close ends the connection.
func (k *socket) close(r comm.CloseReason, deadline time.Time) {
	if k.conn.Err() != nil {
		return
	}
	if (r.Kind == comm.ReasonLost || r.Kind == comm.ReasonHeartbeat) && r.Err != nil {
		_ = k.conn.CloseNow()
		return
	}
	closeSocket(k.conn, closeOf(r), deadline)
}
