package commhttp

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/forwarded"
)

// AdminOption is a setting of [Admin].
type AdminOption func(*admin)

// WithAdminAuth decides who may use the API; an error refuses with 401 and a text that says nothing
// of it. The page itself holds no data and is served to all. See [AdminToken].
func WithAdminAuth(check func(r *http.Request) error) AdminOption {
	return func(a *admin) { a.auth = check }
}

// WithAdminHosts adds names of Host that are taken without an authenticator, besides localhost and
// loopback addresses: for a name of your own that leads to this machine.
func WithAdminHosts(names ...string) AdminOption {
	return func(a *admin) { a.hosts = append(a.hosts, names...) }
}

// WithAdminWebTransport has the page offer clients over WebTransport at an https URL, which may be of another
// address than the page's. hashes are the SHA-256 of certificates that browsers are to trust there without an
// authority; such a certificate is valid for at most 14 days.
func WithAdminWebTransport(url string, hashes ...[]byte) AdminOption {
	return func(a *admin) { a.transport = adminTransport{url, hashes} }
}

// adminTransport is what the page needs to open a WebTransport session.
type adminTransport struct {
	URL    string   `json:"url"`    // "" for none
	Hashes [][]byte `json:"hashes"` // in base64
}

// source is the policy's word for the URL's origin.
func (t adminTransport) source() string {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return " https://" + u.Host
}

// AdminToken is an authenticator for [WithAdminAuth] that wants "Authorization: Bearer token". An
// empty token refuses everyone.
func AdminToken(token string) func(*http.Request) error {
	return func(r *http.Request) error {
		got := comm.BearerToken(r.Header.Get("Authorization"))
		if token == "" || subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
			return errors.New("commhttp: admin: wrong token")
		}
		return nil
	}
}

// Admin is a page that shows a gateway's live connections and numbers, opens clients of its own,
// sends, taps and closes, and the API beneath it: api/connections, api/stats, api/send, api/tap and
// api/webtransport.
// It expects to be at the root of its handler; mount it elsewhere with [http.StripPrefix], or with
// [WithAdmin].
//
// Whoever reaches the API may do everything. Without [WithAdminAuth] it is therefore refused, with
// 403, to all that does not come from this machine, by an address of this machine and under a name
// of it, so that neither a proxy nor a page that rebinds its name opens it. Requests that change
// something are refused when a browser sends them for a page of another origin, whoever has
// authenticated.
func Admin(m *comm.Manager, opts ...AdminOption) http.Handler {
	a := &admin{manager: m, began: time.Now(), csrf: http.NewCrossOriginProtection()}
	for _, o := range opts {
		o(a)
	}
	return a.routes()
}

type admin struct {
	manager *comm.Manager
	began   time.Time
	auth    func(*http.Request) error
	hosts   []string
	csrf    *http.CrossOriginProtection

	transport adminTransport
}

func (a *admin) routes() http.Handler {
	mux := http.NewServeMux()
	for _, e := range []struct {
		method, path string
		call         http.HandlerFunc
	}{
		{"GET", "/api/connections", a.connections},
		{"DELETE", "/api/connections/{id}", a.closeConnection},
		{"GET", "/api/stats", a.stats},
		{"POST", "/api/send", a.send},
		{"GET", "/api/tap", a.tap},
		{"GET", "/api/webtransport", a.webTransport},
	} {
		mux.HandleFunc(e.method+" "+e.path, e.call)
		mux.HandleFunc(e.path, otherMethod(e.method)) // else /api/ takes it, and says that there is no such path
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, r, http.StatusNotFound, "the API has connections, stats, send, tap and webtransport")
	})
	mux.Handle("/", adminPage())
	connect := a.transport.source()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		adminHeaders(w.Header(), connect)
		if status, why := a.refusal(r); status != 0 {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="comm admin"`)
			}
			Refuse(w, r, status, why)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// otherMethod refuses what a path of the API does not have; GET brings HEAD with it.
func otherMethod(allowed string) http.HandlerFunc {
	if allowed == http.MethodGet {
		allowed = "GET, HEAD"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allowed)
		Refuse(w, r, http.StatusMethodNotAllowed, "this path of the API has "+allowed)
	}
}

// adminHeaders let the page do nothing but what it is for. connect is where else it may connect to.
func adminHeaders(h http.Header, connect string) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"+connect+"; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
}

// refusal decides about a request before anything of it is looked at.
func (a *admin) refusal(r *http.Request) (status int, why string) {
	api := strings.HasPrefix(r.URL.Path, "/api/")
	if a.auth == nil {
		if why := a.notLocal(r); why != "" {
			return http.StatusForbidden, "the admin page has no authenticator, and so is for this machine alone: " + why
		}
	} else if api && a.auth(r) != nil {
		return http.StatusUnauthorized, "the credentials are missing or wrong"
	}
	if err := a.csrf.Check(r); err != nil || api && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return http.StatusForbidden, "a page of another origin may not use the admin API"
	}
	return 0, ""
}

// notLocal says what about a request is not of this machine, or "". In memory everything is.
func (a *admin) notLocal(r *http.Request) string {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return "the listener's address is not known"
	}
	switch local.Network() {
	case "mem", "unix":
		return ""
	}
	switch {
	case !isLoopback(local.String()):
		return "the listener's address " + local.String() + " is not a loopback address"
	case !isLoopback(r.RemoteAddr):
		return "the request comes from " + r.RemoteAddr
	case isForwarded(r.Header):
		return "the request was forwarded by a proxy"
	case !a.localHost(r.Host):
		return "its Host is " + clip(r.Host) + ", not localhost or a loopback address"
	}
	return ""
}

func isForwarded(h http.Header) bool {
	return slices.ContainsFunc([]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}, func(name string) bool {
		return len(h[name]) > 0
	})
}

// isLoopback reads host:port.
func isLoopback(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && forwarded.Plain(ap.Addr()).IsLoopback()
}

// localHost holds the name that the client asked for against those of this machine: a page whose
// name was made to lead here still says its own.
func (a *admin) localHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return forwarded.Plain(ip).IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || slices.ContainsFunc(a.hosts, func(name string) bool {
		return strings.EqualFold(host, name)
	})
}
