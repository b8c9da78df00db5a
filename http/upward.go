package commhttp

import (
	"net/http"

	"github.com/anasamu/comm"
)

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
	accepted, err := comm.Upward(r.Context(), s.host, conn, s.codec, body)
	status, said := comm.UpwardAnswer(s.codec, accepted, err)
	s.write(w, status, append(said, '\n'))
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
