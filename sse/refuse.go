package sse

import (
	"net/http"

	"github.com/anasamu/comm"
)

// The headers of this carrier, beside those of HTTP.
const (
	headerConnection = "Comm-Connection"
	headerSession    = "Comm-Session"

	allowedMethods = "GET, POST, DELETE, OPTIONS"
	allowedHeaders = headerConnection + ", " + headerSession + ", Authorization, Content-Type, Last-Event-ID, traceparent, tracestate"
)

// badRequest is the error frame for a request that HTTP alone finds fault with.
func badRequest(text string) *comm.Frame {
	return &comm.Frame{Op: comm.OpError, Code: comm.CodeBadFrame, Text: text}
}

func answer(w http.ResponseWriter, status int, f *comm.Frame) {
	body, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, status, body)
}

func answerJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}
