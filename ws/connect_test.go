package ws_test

import (
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/anasamu/comm/ws"
)

// stuckWriter is the ResponseWriter of a stream that takes nothing until its deadline is in the past.
type stuckWriter struct {
	*httptest.ResponseRecorder
	cut      chan struct{} // closed with such a deadline
	left     chan struct{} // closed when that is set
	returned chan struct{} // closed when the handler has returned
	t        *testing.T
}

func (w *stuckWriter) Write([]byte) (int, error) {
	<-w.cut
	return 0, os.ErrDeadlineExceeded
}

func (w *stuckWriter) SetReadDeadline(time.Time) error { return nil }

func (w *stuckWriter) SetWriteDeadline(at time.Time) error {
	if at.IsZero() || at.After(time.Now()) {
		return nil
	}
	defer close(w.left)
	close(w.cut)
	select {
	case <-w.returned:
		w.t.Error("the writer is used when the handler has returned")
	case <-time.After(50 * time.Millisecond): // for long the handler could, if nothing held it
	}
	return nil
}

// Over HTTP/2 a write that timed out is cut by a timer while the connection ends for its error. The handler
// stays until both are done: net/http takes the ResponseWriter back then.
func TestHeldHandlerReturnsLast(t *testing.T) {
	t.Parallel()
	w := &stuckWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{}), make(chan struct{}), t}
	body, far := io.Pipe()
	defer far.Close()
	r := httptest.NewRequestWithContext(t.Context(), "CONNECT", "/", body)
	r.ProtoMajor, r.ContentLength = 2, -1
	r.Header.Set(":protocol", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	c, err := ws.Accept(w, r, ws.WithHeldHandler(), ws.WithWriteTimeout(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- c.Write(t.Context(), ws.Text, []byte("x")) }()
	c.HoldHandler()
	close(w.returned)
	if err := <-wrote; err == nil {
		t.Error("written to nobody")
	}
	<-w.left
}
