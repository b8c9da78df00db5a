package commhttp

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

// open admits a client: a protocol client by the hello in the body, a simple one by its request.
func (s *pollServer) open(w http.ResponseWriter, r *http.Request) {
	remote := clientNetAddr(r)
	done, err := s.host.Admit(remote)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	defer done()
	hello, size, err := s.hello(w, r)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	hs, err := comm.NewHandshake(r, hello)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	hs.RemoteAddr = remote
	pc := newPollConn(s)
	ctx, cancel := context.WithTimeout(r.Context(), s.host.Settings().HandshakeTimeout)
	defer cancel()
	conn, err := s.host.Attach(ctx, pc, hs)
	if err != nil {
		s.refuseError(w, hs.ID, err)
		return
	}
	pc.attached(conn)
	s.host.Traffic(conn, size, 0)
	pc.enter()
	defer pc.leave()
	s.answer(w, r, pc, 0, s.host.Settings().HandshakeTimeout)
}

// clientNetAddr is the client's address, behind the proxies that are trusted.
func clientNetAddr(r *http.Request) net.Addr {
	if in := infoOf(r.Context()); in != nil && in.client.IsValid() && in.client != peerAddr(r.RemoteAddr) {
		return &net.TCPAddr{IP: in.client.AsSlice()}
	}
	a, err := net.ResolveTCPAddr("tcp", r.RemoteAddr)
	if err != nil || r.RemoteAddr == "" {
		return &net.UnixAddr{Name: r.RemoteAddr, Net: "unix"}
	}
	return a
}

// hello reads the frame that a protocol client begins with; a GET has none.
func (s *pollServer) hello(w http.ResponseWriter, r *http.Request) (f *comm.Frame, size int, err error) {
	if r.Method == http.MethodGet {
		return nil, 0, nil
	}
	body, err := s.read(w, r)
	if err != nil {
		return nil, 0, err
	}
	if f, err = s.codec.ParseFrame(body); err != nil {
		return nil, 0, err
	}
	if f.Op != comm.OpHello {
		return nil, 0, &comm.FrameError{Code: comm.CodeBadFrame, ID: f.ID, Text: "the first frame must be hello, not " + f.Op.String() + "; frames of a connection carry " + headerConnection + " and " + headerSession}
	}
	return f, len(body), nil
}

// read reads a body of at most one message, within the handshake timeout.
func (s *pollServer) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := s.host.Settings().MaxMessage
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.host.Settings().HandshakeTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(base(w), r.Body, int64(limit)))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &comm.PeerError{Code: comm.CodeTooLarge, Message: "the body is over max_message, " + strconv.Itoa(limit) + " bytes"}
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		return nil, errNoBody
	}
	_ = rc.SetReadDeadline(time.Time{})
	return body, nil
}

// errNoBody is a body that was cut, or that came too slowly (408).
var errNoBody = &comm.PeerError{Code: comm.CodeTimeout, Message: "the body did not arrive in time"}

// poll answers with what waits for the connection, or waits for it.
func (s *pollServer) poll(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	cursor, patience, err := parsePoll(q.Get("cursor"), q.Get("wait"))
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	pc, err := s.connection(q.Get("conn"), r)
	if pe, ok := errors.AsType[*comm.PeerError](err); ok && pe.Code == comm.CodeNotFound {
		s.refuse(w, http.StatusGone, errorFrame(comm.CodeNotFound, "the connection is gone: open a new one and resume"))
		return
	}
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	comm.MarkStreaming(r.Context())
	pc.enter()
	defer pc.leave()
	s.answer(w, r, pc, cursor, jitter(patience))
}

// jitter shortens a wait by up to a fifth, so that clients that came together do not stay so.
func jitter(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d - rand.N(d/5)
}

// parsePoll reads the numbers of a poll: a cursor as it was given, and a wait in milliseconds.
func parsePoll(cursor, wait string) (at uint64, patience time.Duration, err error) {
	at, err = strconv.ParseUint(cursor, 10, 64)
	if err != nil || strconv.FormatUint(at, 10) != cursor {
		return 0, 0, badQuery("cursor", cursor, "the cursor of the last answer")
	}
	if wait == "" {
		return at, maxPollWait, nil
	}
	ms, err := strconv.ParseUint(wait, 10, 32)
	if err != nil || time.Duration(ms)*time.Millisecond > maxPollWait {
		return 0, 0, badQuery("wait", wait, "0 to "+strconv.Itoa(int(maxPollWait/time.Millisecond))+" milliseconds")
	}
	return at, time.Duration(ms) * time.Millisecond, nil
}

func badQuery(name, value, allowed string) error {
	return &comm.PeerError{Code: comm.CodeBadFrame, Message: name + "=" + strconv.Quote(value[:min(len(value), 64)]) + ": allowed is " + allowed}
}

// connection finds the connection that the request names, which must know its secret.
func (s *pollServer) connection(id string, r *http.Request) (*pollConn, error) {
	pc := s.find(id)
	if pc == nil {
		return nil, &comm.PeerError{Code: comm.CodeNotFound, Message: "no such connection: open a new one and resume"}
	}
	secret := pc.conn.Load().Session()
	if subtle.ConstantTimeCompare([]byte(secret), []byte(r.Header.Get(headerSession))) != 1 {
		return nil, &comm.PeerError{Code: comm.CodeForbidden, Message: headerSession + " is not that of the connection"}
	}
	return pc, nil
}

// answer waits for frames and sends them.
func (s *pollServer) answer(w http.ResponseWriter, r *http.Request, pc *pollConn, cursor uint64, patience time.Duration) {
	v, frames, at := pc.next(r.Context(), cursor, patience)
	if v == answered || v == nothing {
		w.Header().Set("Connection", "keep-alive") // in a drain too: what is left comes by the next poll, and nobody can dial any more
	}
	switch v {
	case answered, goodbye:
		conn := pc.conn.Load()
		s.host.Traffic(conn, 0, s.write(w, http.StatusOK, pieces(conn.ID(), at, frames)...))
	case nothing:
		w.WriteHeader(http.StatusNoContent)
	case stale:
		s.refuse(w, http.StatusGone, errorFrame(comm.CodeNotFound, "nothing can be continued from this cursor: open a new connection and resume"))
	case ahead:
		s.refuse(w, http.StatusBadRequest, errorFrame(comm.CodeBadFrame, "the cursor is of no answer of this connection"))
	case abandoned:
	}
}
