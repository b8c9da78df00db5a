package ws

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

// serve is the HTTP handler: it refuses what can be refused before the upgrade, upgrades, and leaves
// the connection to a goroutine of its own.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	h, acceptor, ctx := p.host, p.acceptor, p.ctx
	p.mu.Unlock()
	if err := acceptor.check(r); err != nil {
		err.answer(w)
		return
	}
	hs, err := comm.NewHandshake(r, nil)
	if err != nil {
		refuseHTTP(w, err)
		return
	}
	done, err := h.Admit(hs.RemoteAddr)
	if err != nil {
		refuseHTTP(w, err)
		return
	}
	speaks := protocolOf(r)
	if speaks == "" || hs.Trusted() {
		if err := h.Authenticate(r.Context(), hs); err != nil {
			done()
			refuseHTTP(w, err)
			return
		}
	}
	c, err := acceptor.Accept(w, r)
	if err != nil {
		done()
		return // it has answered
	}
	a := &admission{p: p, host: h, conn: c, hs: hs, admitted: done, hello: speaks != "" && !hs.Trusted()}
	a.request(r)
	p.conns.Add(1)
	go a.run(ctx)
}

// protocolOf is the version of the client protocol that the request agrees on, or "".
func protocolOf(r *http.Request) string {
	name, err := chooseProtocol(r, list(r.Header, "Sec-Websocket-Protocol"))
	if err != nil {
		return ""
	}
	return name
}

// refuseHTTP answers a handshake that is refused before the upgrade.
func refuseHTTP(w http.ResponseWriter, err error) {
	status := comm.HTTPStatus(err)
	if le, ok := errors.AsType[*comm.LimitError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(max(1, (le.Retry+time.Second-1)/time.Second))))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="comm"`)
	}
	http.Error(w, comm.RefusalFrame("", err).Text, status)
}

// admission is one connection from its upgrade to its end.
type admission struct {
	p        *Provider
	host     comm.Host
	conn     *Conn
	hs       *comm.Handshake
	admitted func() // ends the handshake's share of the limits
	hello    bool   // the client says hello first
}

// request keeps what the authenticator may want of the request, and lets the rest of it go.
func (a *admission) request(r *http.Request) {
	a.hs.Request = r.WithContext(context.WithoutCancel(r.Context()))
	a.hs.Request.Body = http.NoBody
}

// run admits the connection, serves it, and tells the manager how it ended.
func (a *admission) run(ctx context.Context) {
	defer a.p.conns.Done()
	c, err := a.attach(ctx)
	a.admitted()
	if err != nil {
		a.refuse(err)
		return
	}
	host, conn := a.host, a.conn
	a.hs, a.admitted = nil, nil // a connection that stands needs neither
	err = conn.Serve(context.Background(), func(_ Type, b []byte) error {
		host.Traffic(c, len(b), 0)
		f, err := comm.JSON().ParseFrame(b)
		if err != nil {
			host.Reject(c, err)
			return nil
		}
		return host.Receive(c, f)
	})
	host.Detach(c, endReason(err))
	<-c.Done()
}

// attach reads the hello, where one must come, and admits the client.
func (a *admission) attach(ctx context.Context) (*comm.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.host.Settings().HandshakeTimeout, errNoHello)
	defer cancel()
	if a.hello {
		_, b, err := a.conn.Read(ctx, nil)
		if err != nil {
			return nil, err
		}
		f, err := comm.JSON().ParseFrame(b)
		if err != nil {
			return nil, err
		}
		if f.Op != comm.OpHello {
			return nil, &comm.PeerError{Code: comm.CodeBadFrame, Message: "the first frame must be hello, not " + f.Op.String()}
		}
		if a.hs, err = comm.NewHandshake(a.hs.Request, f); err != nil {
			return nil, err
		}
	}
	t := newTransport(a.p, a.host, a.conn)
	c, err := a.host.Attach(ctx, t, a.hs)
	if err == nil {
		t.attached.Store(c)
	}
	return c, err
}

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
	if b, err := comm.JSON().AppendFrame(nil, comm.RefusalFrame(a.hs.ID, err)); err == nil {
		_, _ = a.conn.WriteFrames([][]byte{Encoding{}.AppendFrame(nil, Text, b)}, deadline)
	}
	closeConn(a.conn, reason, deadline)
}

// refuseTime bounds the goodbye to a client that was not admitted.
const refuseTime = 2 * time.Second

// endReason says why Serve ended.
func endReason(err error) comm.CloseReason {
	if errors.Is(err, comm.ErrClosed) {
		return comm.CloseReason{Kind: comm.ReasonNormal}
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
