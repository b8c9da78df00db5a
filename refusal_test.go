package comm_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// What a carrier refuses is answered with a status, the headers that it wants, and an error frame that names the
// request's.
func TestWriteRefusal(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	comm.WriteRefusal(w, "h1", &comm.LimitError{Limit: "max_connections", Max: 1, Retry: 1500 * time.Millisecond})
	h := w.Header()
	if w.Code != 503 || h.Get("Retry-After") != "2" || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %v", w.Code, h)
	}
	f, err := comm.JSON().ParseFrame(w.Body.Bytes())
	if err != nil || f.Op != comm.OpError || f.ID != "h1" || f.Code != comm.CodeLimit || f.Text == "" {
		t.Errorf("%+v, %v", f, err)
	}
}
