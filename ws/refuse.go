package ws

import (
	"net/http"

	"github.com/anasamu/comm"
)

// refuseRequest answers a request that is no good handshake. A refused Origin is the gateway's own
// decision, and told as such.
func (s *service) refuseRequest(w http.ResponseWriter, err *HandshakeError) {
	if err.Status == http.StatusForbidden {
		refuseHTTP(w, &comm.PeerError{Code: comm.CodeForbidden, Message: err.what()})
		return
	}
	err.answer(w)
}

// refuseHTTP answers a handshake that the gateway refuses before the upgrade. The body is an error frame,
// by which a client tells the gateway's word from that of something in between.
func refuseHTTP(w http.ResponseWriter, err error) {
	h := w.Header()
	status := comm.SetRefusal(h, err)
	body, err := comm.JSON().AppendFrame(nil, comm.RefusalFrame("", err))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone
}
