package graphql

import (
	"net/http"

	"github.com/anasamu/comm"
)

const (
	servedMethods  = "GET, POST, PUT, DELETE"
	allowedMethods = servedMethods + ", OPTIONS"
	allowedHeaders = "Accept, Authorization, Content-Type, X-GraphQL-Event-Stream-Token, GraphQL-Require-Preflight, Apollo-Require-Preflight, traceparent, tracestate"
)

// refuseRequest answers a request that is not admitted with what err means to a client.
func refuseRequest(w http.ResponseWriter, r *http.Request, err error) {
	status := comm.SetRefusal(w.Header(), err)
	x := &exchange{w: w, r: r, media: mediaJSON}
	if media, ok := accepted(r.Header.Values("Accept")); ok {
		x.media = media
	}
	x.refuseWith(status, refusalError(err))
}
