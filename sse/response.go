package sse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// responseCarrier writes through net/http, over HTTP/1.1 or HTTP/2.
type responseCarrier struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// openResponse sends the headers at once: a client waits for them before it reports the stream open,
// and the first event may be far away.
func (s *Stream) openResponse(w http.ResponseWriter, rc *http.ResponseController, first []byte) error {
	s.out = responseCarrier{w, rc}
	// The server's read timeout would end the stream: it is absolute and covers the watch for the
	// client's departure too. Without support for it there is nothing to lift.
	_ = rc.SetReadDeadline(time.Time{})
	deadline := s.deadline(context.Background())
	if !deadline.IsZero() {
		if err := rc.SetWriteDeadline(deadline); err != nil {
			return unsupported(w, "SetWriteDeadline", err)
		}
	} else {
		_ = rc.SetWriteDeadline(time.Time{}) // the server's write timeout is absolute as well
	}
	if !canFlush(w) {
		return unsupported(w, "Flush", http.ErrNotSupported)
	}
	w.WriteHeader(http.StatusOK)
	if _, err := s.writeFrame(append(make([]byte, headRoom), first...), deadline, nil); err != nil {
		return err
	}
	return nil
}

// canFlush finds out without flushing, as long as the answer can still be an error.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// unsupported names the writer that is at fault: the innermost one that can be reached.
func unsupported(w http.ResponseWriter, method string, err error) error {
	if !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("sse: setting up the response: %w", err)
	}
	for t, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok; t, ok = w.(interface{ Unwrap() http.ResponseWriter }) {
		w = t.Unwrap()
	}
	return fmt.Errorf("%w: %T has no method %s, and no Unwrap to a writer that has (see http.ResponseController)", ErrUnsupported, w, method)
}

// try has nothing to do: net/http does not tell what would wait.
func (c responseCarrier) try([]byte) (int, bool, error) { return 0, false, nil }

func (c responseCarrier) write(frame []byte) (int, error) {
	if len(frame) > headRoom {
		if _, err := c.w.Write(frame[headRoom:]); err != nil {
			return 0, err
		}
	}
	if err := c.rc.Flush(); err != nil {
		return 0, err
	}
	return len(frame) - headRoom, nil
}

func (c responseCarrier) setDeadline(t time.Time) error { return c.rc.SetWriteDeadline(t) }

func (c responseCarrier) clearDeadline() { _ = c.rc.SetWriteDeadline(time.Time{}) }

// finish has nothing to do: the response ends when the handler returns.
func (c responseCarrier) finish(bool, time.Time) {}
