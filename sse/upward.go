package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// serveUpward takes what a client says: one frame, or an array of frames, in order.
func (s *server) serveUpward(w http.ResponseWriter, r *http.Request) {
	comm.MarkStreaming(r.Context()) // it waits while the client's handlers are busy
	c, t := s.connection(w, r)
	if c == nil {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	s.host.Traffic(c, len(body), 0)
	if err := t.upward.take(r.Context()); err != nil {
		refuse(w, "", err)
		return
	}
	defer t.upward.give()
	n, err := s.receive(c, body)
	switch {
	case err == nil:
		answerJSON(w, http.StatusAccepted, accepted(n))
	case errors.Is(err, comm.ErrClosed):
		refuse(w, "", gone)
	default:
		answerBad(w, n, err)
	}
}

// gone is for a connection that ended while its frames were taken.
var gone = &comm.PeerError{Code: comm.CodeNotFound, Message: "the connection has ended; resume the session"}

// connection finds the connection that a request names and proves to own; nil means that it has been refused.
func (s *server) connection(w http.ResponseWriter, r *http.Request) (*comm.Conn, *transport) {
	c, err := s.host.Connection(r.Header.Get(headerConnection), r.Header.Get(headerSession))
	if errors.Is(err, comm.ErrForbidden) {
		err = &comm.PeerError{Code: comm.CodeForbidden, Message: "the header " + headerSession + " does not hold the connection's session"}
	}
	if err != nil {
		refuse(w, "", err)
		return nil, nil
	}
	t := s.transportOf(c)
	if t == nil {
		refuse(w, "", gone)
		return nil, nil
	}
	return c, t
}

// serveGoodbye ends a connection for its client.
func (s *server) serveGoodbye(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(headerConnection) == "" {
		answer(w, http.StatusBadRequest, badRequest("the header "+headerConnection+" is missing: it says which connection ends"))
		return
	}
	c, _ := s.connection(w, r)
	if c == nil {
		return
	}
	s.host.Detach(c, comm.CloseReason{Kind: comm.ReasonClient, Text: "goodbye"})
	w.WriteHeader(http.StatusNoContent)
}

// receive hands the frames of a body to the manager. n were taken; err is ErrClosed, or of the first
// that is no frame. The client is told of that one in its stream too, where it looks for answers.
func (s *server) receive(c *comm.Conn, body []byte) (n int, err error) {
	err = eachFrame(body, func(f *comm.Frame) error {
		if err := s.host.Receive(c, f); err != nil {
			return fmt.Errorf("%w: %w", comm.ErrClosed, err)
		}
		n++
		return nil
	})
	if err != nil && !errors.Is(err, comm.ErrClosed) {
		s.host.Reject(c, err)
	}
	return n, err
}

// eachFrame calls take for each frame of a body until one is none.
func eachFrame(body []byte, take func(*comm.Frame) error) error {
	codec := comm.JSON()
	one := func(b []byte) error {
		f, err := codec.ParseFrame(b)
		if err != nil {
			return err
		}
		return take(f)
	}
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) == 0 || start[0] != '[' {
		return one(body)
	}
	err := jsonscan.Array(body, one)
	if errors.Is(err, jsonscan.ErrSyntax) {
		return &comm.FrameError{Code: comm.CodeBadFrame, Text: err.Error()}
	}
	return err
}

// accepted is how many frames were taken.
func accepted(n int) []byte { return fmt.Appendf(nil, `{"accepted":%d}`, n) }

// answerBad is the error frame of the first that was none, with how many before it were taken.
func answerBad(w http.ResponseWriter, n int, err error) {
	body, encodeErr := comm.JSON().AppendFrame(nil, comm.RefusalFrame("", err))
	if encodeErr != nil {
		http.Error(w, encodeErr.Error(), http.StatusInternalServerError)
		return
	}
	body = fmt.Appendf(body[:len(body)-1], `,"accepted":%d}`, n)
	answerJSON(w, http.StatusBadRequest, body)
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
	refuse(w, "", &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("the body is too large: at most %d bytes are allowed", s.settings.MaxMessage)})
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

// turn lets one upward request of a connection at a time hand over its frames, and few wait.
type turn struct {
	token   chan struct{}
	waiting *atomic.Int32
}

// maxUpward bounds the upward requests of one connection that wait for one another.
const maxUpward = 16

func newTurn() turn { return turn{make(chan struct{}, 1), new(atomic.Int32)} }

func (t turn) take(ctx context.Context) error {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxUpward {
		return &comm.PeerError{Code: comm.CodeRateLimited, Message: fmt.Sprintf("more than %d requests of this connection wait for one another", maxUpward)}
	}
	select {
	case t.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &comm.PeerError{Code: comm.CodeTimeout, Message: "the request was given up"}
	}
}

func (t turn) give() { <-t.token }
