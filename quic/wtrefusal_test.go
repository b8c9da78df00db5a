package commquic_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	commquic "github.com/anasamu/comm/quic"
)

// Both names of the protocol are taken, and all that is no good request is refused by its status.
func TestWebTransportRefusals(t *testing.T) {
	t.Parallel()
	accepted := make(sessions, 8)
	s := serveH3(t, &commquic.Server{Handler: accepted, MaxSessions: 2, HeaderTimeout: patience})
	_, h := s.raw(t)
	_, port, _ := net.SplitHostPort(s.addr)
	for _, c := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden},
		{http.Header{"Origin": {"http://" + s.addr}}, http.StatusForbidden},
		{http.Header{"Origin": {"https://127.0.0.1"}}, http.StatusForbidden},
		{http.Header{":protocol": {"webtransport-h4"}}, http.StatusMethodNotAllowed},
		{http.Header{"Origin": {"https://127.0.0.1:" + port}}, http.StatusOK},
		{http.Header{":protocol": {"webtransport-h3"}}, http.StatusOK},
		{nil, http.StatusTooManyRequests},
	} {
		if _, resp := connect(t, h, s.url("/"), c.header); resp.StatusCode != c.status {
			t.Errorf("%v: %s, want %d", c.header, resp.Status, c.status)
		}
	}
	_, plain := s.rawWith(t, nil)
	if _, resp := connect(t, plain, s.url("/"), nil); resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.Status)
	}
	if _, got := get(t, s.transport(t), http.MethodGet, s.url("/"), ""); !strings.Contains(got, "CONNECT") {
		t.Error(got)
	}
	_, resp, err := commquic.DialWebTransport(within(t), s.url("/"), commquic.WithTLS(s.client), commquic.WithHeader(http.Header{"Origin": {"null"}}))
	ue, ok := errors.AsType[*commquic.UpgradeError](err)
	if !ok || ue.Status != http.StatusForbidden {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `"null"`) {
		t.Errorf("%s", b)
	}
}

// A bad option is the server's fault, which the client is told without its details.
func TestWebTransportBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]commquic.UpgradeOption{"an option is nil": nil, "WithOriginCheck": commquic.WithOriginCheck(nil)} {
		got := make(chan error, 1)
		s := serveH3(t, &commquic.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := commquic.UpgradeWebTransport(w, r, o)
			got <- err
		})})
		_, h := s.raw(t)
		if _, resp := connect(t, h, s.url("/"), nil); resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", name, resp.Status)
		}
		if err := <-got; err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
