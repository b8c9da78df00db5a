package commquic

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm/internal/conf"
)

// UpgradeError says why a request led to no WebTransport session. Over HTTP it is the response's status.
type UpgradeError struct {
	Status int    // of the response; 0 if there was none
	Reason string // for people; names what is at fault
	Cause  error  // may be nil
}

// Error implements error.
func (e *UpgradeError) Error() string {
	s := "commquic: WebTransport: " + e.Reason
	if e.Status != 0 {
		s = fmt.Sprintf("commquic: WebTransport: %d %s: %s", e.Status, http.StatusText(e.Status), e.Reason)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns e.Cause.
func (e *UpgradeError) Unwrap() error { return e.Cause }

// UpgradeOption is a setting of [UpgradeWebTransport].
type UpgradeOption interface{ applyUpgrade(*upgradeConfig) error }

type upgradeConfig struct{ origin func(*http.Request) error }

type upgradeOption func(*upgradeConfig) error

func (f upgradeOption) applyUpgrade(c *upgradeConfig) error { return f(c) }

// WithOriginCheck sets which web pages may open a session: an error refuses the request with 403, and its
// text is told. By default only pages of the same origin may, and clients that are no pages. Authentication
// by cookies needs this check, for every page on the web can open sessions.
func WithOriginCheck(check func(*http.Request) error) UpgradeOption {
	return upgradeOption(func(c *upgradeConfig) error {
		if check == nil {
			return refuse("WithOriginCheck", nil, "a function")
		}
		c.origin = check
		return nil
	})
}

// sameOrigin allows requests without Origin, and those of pages that this host has served by https.
func sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err == nil && u.Scheme == "https" && strings.EqualFold(withPort(u.Host), withPort(r.Host)) {
		return nil
	}
	return fmt.Errorf("the origin %q is another than https://%s", short(origin), r.Host)
}

// withPort adds the port of https where a host has none.
func withPort(host string) string {
	if u, err := url.Parse("https://" + host); err == nil && u.Port() == "" {
		return host + ":443"
	}
	return host
}

// short keeps what a peer sent readable in an error.
func short(s string) string {
	const most = 128
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "\uFFFD") + "..."
	}
	return s
}

// UpgradeWebTransport turns a request by extended CONNECT (RFC 9220, :protocol webtransport or
// webtransport-h3) into a session. The request must have come through a [Server] or the provider; wrappers
// of w must have an Unwrap method. Headers that are set on w are sent along. The handler may return: the
// session lives until one end closes it or the connection ends.
//
// If it returns an error it has answered the request, and the error is a *[UpgradeError]: 400 for a client
// whose settings do not announce WebTransport and datagrams, 403 for its Origin, 405 for another method,
// 426 for another protocol than HTTP/3, 429 where the connection has as many sessions as it may, 500 for a bad
// option, 503 while the server shuts down.
func UpgradeWebTransport(w http.ResponseWriter, r *http.Request, opts ...UpgradeOption) (*WebTransportSession, error) {
	s, err := upgrade(w, r, opts)
	if err != nil {
		err.answer(w)
		return nil, err
	}
	return s, nil
}

func upgrade(w http.ResponseWriter, r *http.Request, opts []UpgradeOption) (*WebTransportSession, *UpgradeError) {
	set := upgradeConfig{origin: sameOrigin}
	bad := conf.Apply("commquic.UpgradeWebTransport", opts, func(o UpgradeOption) error { return o.applyUpgrade(&set) })
	hw, err := h3Of(w)
	switch {
	case bad != nil:
		return nil, &UpgradeError{http.StatusInternalServerError, "a bad option", bad}
	case err != nil || r.ProtoMajor != 3:
		return nil, &UpgradeError{http.StatusUpgradeRequired, "needs HTTP/3; the request came over " + r.Proto, err}
	case !isWebTransport(r):
		return nil, &UpgradeError{http.StatusMethodNotAllowed, "needs CONNECT with :protocol webtransport", nil}
	}
	if err := set.origin(r); err != nil {
		return nil, &UpgradeError{http.StatusForbidden, "the header Origin is refused", err}
	}
	if err := hw.conn.peerSpeaks(w, r); err != nil {
		return nil, err
	}
	return hw.session()
}

// peerSpeaks waits for the client's settings, which may come after its request, and looks for WebTransport.
func (c *h3conn) peerSpeaks(w http.ResponseWriter, r *http.Request) *UpgradeError {
	settings, ok := findSettings(w)
	if !ok {
		return &UpgradeError{http.StatusUpgradeRequired, "needs HTTP/3", nil}
	}
	timer := time.NewTimer(c.wait)
	defer timer.Stop()
	select {
	case <-settings.ReceivedSettings():
	case <-r.Context().Done():
		return &UpgradeError{Reason: "the client has gone", Cause: r.Context().Err()}
	case <-timer.C:
		return &UpgradeError{http.StatusBadRequest, "the client's settings have not come within " + c.wait.String(), nil}
	}
	s := settings.Settings()
	c.wt.heard(s)
	switch {
	case !s.EnableDatagrams:
		return &UpgradeError{http.StatusBadRequest, "the client's settings do not announce datagrams", nil}
	case !speaksWebTransport(s):
		return &UpgradeError{http.StatusBadRequest, "the client's settings do not announce WebTransport", nil}
	}
	return nil
}

func findSettings(w http.ResponseWriter) (http3.Settingser, bool) {
	for {
		switch o := w.(type) {
		case http3.Settingser:
			return o, true
		case interface{ Unwrap() http.ResponseWriter }:
			w = o.Unwrap()
		default:
			return nil, false
		}
	}
}

// session takes the request's stream and makes a session of it.
func (w *h3Writer) session() (*WebTransportSession, *UpgradeError) {
	wt := w.conn.wt
	if !wt.reserve() {
		return nil, &UpgradeError{http.StatusTooManyRequests, fmt.Sprintf("a connection may have %d sessions", wt.most), nil}
	}
	str, done, err := w.take()
	if err != nil {
		wt.release(-1)
		if errors.Is(err, http.ErrServerClosed) {
			return nil, &UpgradeError{http.StatusServiceUnavailable, "the server is shutting down", err}
		}
		return nil, &UpgradeError{0, "the client has gone", err}
	}
	s := wt.open(str)
	w.conn.tasks.Go(func() {
		defer done()
		s.run()
	})
	return s, nil
}

// answer tells the client, where it is still there.
func (e *UpgradeError) answer(w http.ResponseWriter) {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodConnect)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	text := e.Reason
	if e.Cause != nil && status == http.StatusForbidden {
		text += ": " + e.Cause.Error()
	}
	http.Error(w, "WebTransport refused: "+text, status)
}
