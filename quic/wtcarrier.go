package commquic

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// carrier serves comm/1 on WebTransport sessions: its first bidirectional stream is the default lane, other lanes are
// unidirectional streams, and datagrams are datagrams.
type carrier struct {
	ctx  context.Context // ends handshakes under way
	host comm.Host
	raw  *rawServer
}

// ServeHTTP upgrades a request, and serves the session until its end. What the request says of its client (the
// Authorization header, the query) is taken where the hello says nothing.
func (c *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	comm.MarkStreaming(r.Context())
	hs, err := comm.NewHandshake(r, nil)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	done, err := c.host.Admit(hs.RemoteAddr)
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return
	}
	if err := c.host.CheckOrigin(r); err != nil {
		done()
		comm.WriteRefusal(w, "", err)
		return
	}
	s, err := UpgradeWebTransport(w, r, WithOriginCheck(checked))
	if err != nil {
		done()
		return // it has answered
	}
	hs.Request.Body = http.NoBody
	c.raw.serve(c.ctx, wtSession{s}, hs, done)
}

// checked is the origin check of a request whose origin was checked.
func checked(*http.Request) error { return nil }

// wtSession is a WebTransport session as comm/1 sees it. Codes are the closing codes, which fit.
type wtSession struct{ s *WebTransportSession }

func (s wtSession) accept(ctx context.Context) (stream, error) {
	str, err := s.s.AcceptStream(ctx)
	if err != nil {
		return nil, rawError(err)
	}
	return asStream(str), nil
}

func (s wtSession) open(ctx context.Context) (stream, error) {
	str, err := s.s.OpenStreamSync(ctx)
	if err != nil {
		return nil, rawError(err)
	}
	return asStream(str), nil
}

func asStream(str *WebTransportStream) stream {
	return wtStream{wtSend{&str.WebTransportSendStream}, wtReceive{&str.WebTransportReceiveStream}}
}

func (s wtSession) acceptUni(ctx context.Context) (recvStream, error) {
	str, err := s.s.AcceptUniStream(ctx)
	if err != nil {
		return nil, rawError(err)
	}
	return wtReceive{str}, nil
}

func (s wtSession) openUni() (sendStream, error) {
	str, err := s.s.OpenUniStream()
	if err != nil {
		return nil, rawError(err)
	}
	return wtSend{str}, nil
}

func (s wtSession) sendDatagram(b []byte) error { return rawError(s.s.SendDatagram(b)) }

func (s wtSession) receiveDatagram(ctx context.Context) ([]byte, error) {
	b, err := s.s.ReceiveDatagram(ctx)
	return b, rawError(err)
}

func (s wtSession) close(code uint64, reason string) error {
	return s.s.CloseWithError(uint32(code), reason)
}

func (s wtSession) context() context.Context { return s.s.Context() }

func (s wtSession) roundTrip() time.Duration { return s.s.wt.conn.ConnectionStats().SmoothedRTT }
func (s wtSession) received() uint64         { return s.s.wt.conn.ConnectionStats().PacketsReceived }

// wtSend and wtReceive are a stream's directions with QUIC's codes and errors.
type (
	wtSend    struct{ *WebTransportSendStream }
	wtReceive struct{ *WebTransportReceiveStream }
	wtStream  struct {
		wtSend
		wtReceive
	}
)

func (w wtSend) Write(p []byte) (int, error) {
	n, err := w.WebTransportSendStream.Write(p)
	return n, rawError(err)
}

func (w wtSend) TryWriteAll(p []byte) error {
	return rawError(w.WebTransportSendStream.TryWriteAll(p))
}

func (w wtSend) CancelWrite(code quic.StreamErrorCode) {
	w.WebTransportSendStream.CancelWrite(uint32(code))
}

func (r wtReceive) Read(p []byte) (int, error) {
	n, err := r.WebTransportReceiveStream.Read(p)
	return n, rawError(err)
}

func (r wtReceive) CancelRead(code quic.StreamErrorCode) {
	r.WebTransportReceiveStream.CancelRead(uint32(code))
}

// rawError tells a session's errors as QUIC would.
func rawError(err error) error {
	if se, ok := errors.AsType[*StreamError](err); ok {
		return &quic.StreamError{ErrorCode: quic.StreamErrorCode(se.Code), Remote: se.Remote}
	}
	if se, ok := errors.AsType[*SessionError](err); ok && se.Remote {
		return &sessionClosed{se}
	}
	return err
}

// sessionClosed is the end of a session by its peer.
type sessionClosed struct{ *SessionError }

func (e *sessionClosed) Unwrap() error { return e.SessionError }

func (e *sessionClosed) peerCode() (code uint64, text string) {
	return uint64(e.Code), e.Message
}
