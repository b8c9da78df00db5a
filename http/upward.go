package commhttp

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/anasamu/comm"
)

// maxSenders is how many requests of one connection may send upward at once; one sends, the others
// wait for their turn.
const maxSenders = 8

// upward takes the frames that a connection's client sends.
func (s *pollServer) upward(w http.ResponseWriter, r *http.Request) {
	pc, err := s.connection(r.Header.Get(headerConnection), r)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	body, err := s.read(w, r)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	conn := pc.conn.Load()
	s.host.Traffic(conn, len(body), 0)
	comm.MarkStreaming(r.Context()) // it waits for the connection's handlers
	if err := pc.turn(r); err != nil {
		s.refuseError(w, "", err)
		return
	}
	accepted, err := comm.Upward(s.host, conn, s.codec, body)
	pc.endTurn()
	switch {
	case errors.Is(err, comm.ErrClosed):
		s.refuse(w, http.StatusNotFound, errorFrame(comm.CodeNotFound, "the connection has ended: open a new one and resume"))
	case err != nil:
		s.refuseError(w, "", err)
	default:
		s.write(w, http.StatusAccepted, []byte(`{"accepted":`+strconv.Itoa(accepted)+"}\n"))
	}
}

// turn waits until the request may send, so that the frames of one connection keep their order.
func (c *pollConn) turn(r *http.Request) error {
	if c.senders.Add(1) > maxSenders {
		c.senders.Add(-1)
		return &comm.PeerError{Code: comm.CodeRateLimited, Message: "too many requests send for this connection at once: at most " + strconv.Itoa(maxSenders)}
	}
	select {
	case c.sending <- struct{}{}:
		return nil
	case <-r.Context().Done():
		c.senders.Add(-1)
		return comm.ErrClosed
	}
}

func (c *pollConn) endTurn() {
	<-c.sending
	c.senders.Add(-1)
}

// goodbye ends a connection for its client, which may come back.
func (s *pollServer) goodbye(w http.ResponseWriter, r *http.Request) {
	pc, err := s.connection(r.Header.Get(headerConnection), r)
	if err != nil {
		s.refuseError(w, "", err)
		return
	}
	s.host.Detach(pc.conn.Load(), comm.CloseReason{Kind: comm.ReasonClient, Text: "goodbye"})
	w.WriteHeader(http.StatusNoContent)
}
