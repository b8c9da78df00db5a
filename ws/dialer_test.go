package ws_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/ws"
)

// A refusal is final only where it is the gateway's own: something in between may stop WebSocket and
// let another carrier pass.
func TestDialerTellsWhoseRefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"error":"upgrade blocked"}`))
		}))
		t.Cleanup(between.Close)
		_, err := ws.Dialer("ws"+strings.TrimPrefix(between.URL, "http")).Dial(t.Context(), &comm.Frame{Op: comm.OpHello})
		if got := comm.ReasonOf(err); err == nil || got != comm.ReasonLost {
			t.Errorf("%d of something in between: %v", status, err)
		}
	}
	m := gateway(t)
	evil := ws.WithHeader(http.Header{"Origin": {"https://evil.example"}})
	_, err := ws.Dialer("ws://"+addr(t, m)+"/ws", evil).Dial(t.Context(), &comm.Frame{Op: comm.OpHello})
	if comm.ReasonOf(err) != comm.ReasonUnauthorized || !strings.Contains(err.Error(), "evil.example") {
		t.Errorf("the gateway's own: %v", err)
	}
}
