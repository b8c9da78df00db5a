package ws

import (
	"net/http"

	"github.com/anasamu/comm"
)

// refuseRequest answers a request that is no good handshake. A refused Origin is the gateway's own
// decision, and told as such.
func (s *service) refuseRequest(w http.ResponseWriter, err *HandshakeError) {
	if err.Status == http.StatusForbidden {
		comm.WriteRefusal(w, "", &comm.PeerError{Code: comm.CodeForbidden, Message: err.what()})
		return
	}
	err.answer(w)
}
