package sse

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// serveUpward takes what a client says: one frame, or an array of frames, in order.
func (s *server) serveUpward(w http.ResponseWriter, r *http.Request) {
	c := s.connection(w, r)
	if c == nil {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	s.host.Traffic(c, len(body), 0)
	n, err := comm.Upward(r.Context(), s.host, c, comm.JSON(), body)
	status, said := comm.UpwardAnswer(comm.JSON(), n, err)
	answerJSON(w, status, said)
}

// connection finds the connection that a request names and proves to own; nil means that it has been refused.
func (s *server) connection(w http.ResponseWriter, r *http.Request) *comm.Conn {
	c, err := s.host.Connection(r.Header.Get(headerConnection), r.Header.Get(headerSession))
	if errors.Is(err, comm.ErrForbidden) {
		err = &comm.PeerError{Code: comm.CodeForbidden, Message: "the header " + headerSession + " does not hold the connection's session"}
	}
	if err != nil {
		comm.WriteRefusal(w, "", err)
		return nil
	}
	return c
}

// serveGoodbye ends a connection for its client.
func (s *server) serveGoodbye(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(headerConnection) == "" {
		answer(w, http.StatusBadRequest, badRequest("the header "+headerConnection+" is missing: it says which connection ends"))
		return
	}
	c := s.connection(w, r)
	if c == nil {
		return
	}
	s.host.Detach(c, comm.CloseReason{Kind: comm.ReasonClient, Text: "goodbye"})
	w.WriteHeader(http.StatusNoContent)
}

// readBody reads a JSON body within the manager's message limit, and within the handshake timeout, which
// ServeHTTP began. False means that the request has been refused; the time then covers what net/http
// reads on behind the answer.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if text := wrongType(r.Header); text != "" {
		answer(w, http.StatusUnsupportedMediaType, badRequest(text))
		return nil, false
	}
	if r.ContentLength > int64(s.settings.MaxMessage) {
		w.Header().Set("Connection", "close")
		s.tooLarge(w)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.settings.MaxMessage)))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return body, true
	}
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		s.tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		answer(w, http.StatusRequestTimeout, &comm.Frame{Op: comm.OpError, Code: comm.CodeTimeout, Text: "the body did not come in time"})
	default:
		answer(w, http.StatusBadRequest, badRequest("the body broke off"))
	}
	return nil, false
}

func (s *server) tooLarge(w http.ResponseWriter) {
	comm.WriteRefusal(w, "", &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("the body is too large: at most %d bytes are allowed", s.settings.MaxMessage)})
}

// wrongType says what is wrong with the body's headers. No Content-Type is taken for JSON.
func wrongType(h http.Header) string {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return "Content-Encoding " + strconv.Quote(enc) + ": the body must not be encoded"
	}
	value := h.Get("Content-Type")
	if value == "" {
		return ""
	}
	if media, _, err := mime.ParseMediaType(value); err == nil && media == "application/json" {
		return ""
	}
	return "Content-Type " + strconv.Quote(value) + ": application/json is needed"
}
