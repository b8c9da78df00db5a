package ws

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/anasamu/comm"
)

// ServeHTTP refuses what can be refused before the upgrade, upgrades, and leaves the connection to a
// goroutine of its own.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.acceptor.check(r); err != nil {
		s.refuseRequest(w, err)
		return
	}
	hs, err := comm.NewHandshake(r, nil)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	done, err := s.host.Admit(hs.RemoteAddr)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	a := &admission{s: s, hs: hs, admitted: done, hello: protocolOf(r) != "" && !hs.Trusted()}
	if err := a.enter(r); err != nil {
		a.admitted()
		comm.WriteRefusal(w, "", err)
		return
	}
	if a.conn, err = s.acceptor.accept(w, r, true); err != nil {
		a.admitted()
		s.places.Leave()
		return // it has answered
	}
	a.request(r)
	go a.run()
	comm.MarkStreaming(r.Context()) // the handler may stay
	a.conn.HoldHandler()
}

// enter takes the place of the connection, and first authenticates a client that says no hello and takes its
// place in the limits. What a hello says may free a place, so who says one is refused behind the upgrade.
func (a *admission) enter(r *http.Request) error {
	if !a.hello {
		release, err := a.s.host.Reserve(r.Context(), a.hs)
		if err != nil {
			return err
		}
		ended := a.admitted
		a.admitted = func() { release(); ended() }
	}
	return a.s.enter()
}

// protocolOf is the version of the client protocol that the request agrees on, or "".
func protocolOf(r *http.Request) string {
	name, err := chooseProtocol(r, list(r.Header, "Sec-Websocket-Protocol"))
	if err != nil {
		return ""
	}
	return name
}

// admission is one connection from its request until it stands.
type admission struct {
	s        *service
	conn     *Conn
	hs       *comm.Handshake
	admitted func() // ends the handshake's share of the limits
	hello    bool   // the client says hello first
}

// request keeps what the authenticator may want of the request, and lets the rest of it go.
func (a *admission) request(r *http.Request) {
	a.hs.Request = r.WithContext(context.WithoutCancel(r.Context()))
	a.hs.Request.Body = http.NoBody
	if own := a.conn.RemoteAddr(); own != nil && own.String() == a.hs.RemoteAddr.String() {
		a.hs.RemoteAddr = own // which is there anyway
	}
}

// run admits the connection, and leaves what stands to Start: nothing of this
// goroutine stays.
func (a *admission) run() {
	t, err := a.attach()
	a.admitted()
	if err != nil {
		defer a.s.places.Leave()
		a.refuse(err)
		return
	}
	a.conn.Start(context.Background(), t.receive, t.ended)
}

// receive takes a message from the client.
func (t *transport) receive(typ Type, b []byte) error {
	host, c := t.service.host, t.attached.Load()
	host.Traffic(c, len(b), 0)
	if typ != Text {
		return errBinary
	}
	f, err := comm.JSON().ParseFrame(b)
	if err != nil {
		host.Reject(c, err)
		return nil
	}
	return host.Receive(c, f)
}

// ended tells the manager how the connection ended.
func (t *transport) ended(err error) {
	defer t.service.places.Leave()
	if p, ok := errors.AsType[*PanicError](err); ok {
		t.service.host.Logger().Error("ws: panic in the manager", "panic", p.Value, "stack", string(p.Stack))
	}
	c := t.attached.Load()
	t.service.host.Detach(c, endReason(err))
	<-c.Done()
}

// attach reads the hello, where one must come, and admits the client.
func (a *admission) attach() (*transport, error) {
	host := a.s.host
	ctx, cancel := context.WithTimeoutCause(a.s.ctx, host.Settings().HandshakeTimeout, errNoHello)
	defer cancel()
	if a.hello {
		if err := a.readHello(ctx); err != nil {
			return nil, err
		}
	}
	t := newTransport(a.s, a.conn)
	c, err := host.Attach(ctx, t, a.hs)
	if err == nil {
		t.attached.Store(c)
	}
	return t, err
}

func (a *admission) readHello(ctx context.Context) error {
	t, b, err := a.conn.Read(ctx, nil)
	if err != nil {
		return err
	}
	if t != Text {
		return errBinary
	}
	f, err := comm.JSON().ParseFrame(b)
	if err != nil {
		return err
	}
	if f.Op != comm.OpHello {
		return &comm.PeerError{Code: comm.CodeBadFrame, Message: "the first frame must be hello, not " + f.Op.String()}
	}
	a.hs, err = comm.NewHandshake(a.hs.Request, f)
	return err
}

// errBinary ends a connection with StatusUnsupportedData.
var errBinary = &comm.PeerError{Code: comm.CodeBadFrame, Message: "frames are text messages; a binary one came"}

var errNoHello = &comm.PeerError{Code: comm.CodeTimeout, Message: "no hello within the handshake timeout"}

// refuse tells a client that was not admitted why, and closes.
func (a *admission) refuse(err error) {
	if a.conn.Err() != nil {
		return
	}
	reason := comm.RefusalReason(err)
	if err == errNoHello || errors.Is(err, errNoHello) {
		reason.Kind = comm.ReasonProtocol
	}
	deadline := time.Now().Add(refuseTime)
	last := [][]byte{}
	for _, f := range refusal(a.hs.ID, err, reason) {
		if b, err := comm.JSON().AppendFrame(nil, f); err == nil {
			last = append(last, Encoding{}.AppendFrame(nil, Text, b))
		}
	}
	_, _ = a.conn.WriteFrames(last, deadline)
	closeConn(a.conn, reason, deadline)
}

// refusal is what a client is told that was not admitted: the error, and when to come again, which a close code and its
// text cannot say.
func refusal(id string, err error, reason comm.CloseReason) []*comm.Frame {
	frames := []*comm.Frame{comm.RefusalFrame(id, err)}
	if reason.After > 0 {
		frames = append(frames, reason.Frame())
	}
	return frames
}

// refuseTime bounds the goodbye to a client that was not admitted.
const refuseTime = 2 * time.Second

// endReason says why Serve ended.
func endReason(err error) comm.CloseReason {
	if errors.Is(err, comm.ErrClosed) {
		return comm.CloseReason{Kind: comm.ReasonNormal}
	}
	if errors.Is(err, errBinary) {
		return comm.CloseReason{Kind: comm.ReasonProtocol, Text: errBinary.Message, Err: err}
	}
	r := comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	ce, ok := errors.AsType[*CloseError](err)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // a write's: the peer takes nothing
		r.Kind = comm.ReasonSlow
	case !ok:
	case errors.Is(err, ErrHeartbeat):
		r.Kind = comm.ReasonHeartbeat
	case !ce.Local && (ce.Code == StatusNormal || ce.Code == StatusGoingAway || ce.Code == StatusNoStatus):
		r.Kind = comm.ReasonClient
	case ce.Local && ce.Code == StatusProtocolError:
		r.Kind = comm.ReasonProtocol
	case ce.Local && ce.Code == StatusInvalidData:
		r.Kind = comm.ReasonInvalidData
	case ce.Local && ce.Code == StatusTooBig:
		r.Kind = comm.ReasonTooLarge
	}
	return r
}
