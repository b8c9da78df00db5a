package comm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm/internal/forwarded"
	"github.com/anasamu/comm/internal/listen"
)

// handle adds a route, or replaces the owner's own of the same pattern from an earlier start.
func (e *endpoint) handle(owner *providerState, pattern string, h http.Handler) error {
	if h == nil {
		return &RouteError{Provider: owner.name, Pattern: pattern, Err: errors.New("no handler")}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.routes {
		if r.owner == owner && r.pattern == pattern {
			r.handler = h
			return e.rebuild(e.routes)
		}
	}
	added := append(e.routes[:len(e.routes):len(e.routes)], &route{pattern, owner, h})
	if err := e.rebuild(added); err != nil {
		return err
	}
	e.routes = added
	return nil
}

// rebuild makes a new mux of the routes and swaps it in: a ServeMux cannot forget.
func (e *endpoint) rebuild(routes []*route) error {
	mux := http.NewServeMux()
	for _, r := range routes {
		if err := addRoute(mux, r, routes); err != nil {
			return err
		}
	}
	e.mux.Store(mux)
	return nil
}

// addRoute turns ServeMux's panic about a bad or conflicting pattern into a *RouteError.
func addRoute(mux *http.ServeMux, r *route, all []*route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newRouteError(r, all, fmt.Sprint(p))
		}
	}()
	mux.Handle(r.pattern, r.owner.guard(r.handler))
	return nil
}

var conflictPattern = regexp.MustCompile(`conflicts with pattern "([^"]*)"`)

func newRouteError(r *route, all []*route, text string) error {
	e := &RouteError{Provider: r.owner.name, Pattern: r.pattern}
	match := conflictPattern.FindStringSubmatch(text)
	if match == nil {
		e.Err = fmt.Errorf("bad pattern: %s", text)
		return e
	}
	for _, o := range all {
		if o != r && o.pattern == match[1] {
			e.Conflict = fmt.Sprintf("%q of provider %q", o.pattern, o.owner.name)
		}
	}
	return e
}

// serveHTTP is the outermost handler of an address: it finds the client behind trusted proxies, bounds
// the body, takes the trace and finds the route. On a connection that is kept alive it clears the write deadline that an earlier request's handler may
// have left, which a stream would run into.
func (e *endpoint) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	} else {
		defer forgetDeadlines(r.Context(), w)
	}
	m := e.manager
	if trusted := m.cfg.TrustedProxies; len(trusted) > 0 {
		r.RemoteAddr = clientBehind(r, trusted)
	}
	w, r = watchBody(w, r, m.cfg.HandshakeTimeout)
	if ctx := requestTrace(r.Context(), r.Header); ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	if s := e.others.Load(); s != nil {
		s.announce(w.Header(), r, e.bound)
	}
	h := e.router(r)
	if m.starting.Load() && nowhere(h, r) {
		WriteRefusal(w, "", &LimitError{Limit: "requests while the gateway starts", Retry: time.Second})
		return
	}
	h.ServeHTTP(w, r)
}

// nowhere reports that a router has no route for r, or only one for every path.
func nowhere(h http.Handler, r *http.Request) bool {
	mux, ok := h.(*http.ServeMux)
	if !ok {
		return false
	}
	_, pattern := mux.Handler(r)
	return pattern == "" || everyPath(pattern)
}

// forgetDeadlines takes the deadlines of an HTTP/2 stream away if it has ended before its handler. net/http forgets those
// that are there when a stream ends, but not those that a handler sets later: the stream is kept until they have
// passed, and so a client that resets its requests at once could have memory by the gigabyte.
func forgetDeadlines(ctx context.Context, w http.ResponseWriter) {
	if ctx.Err() == nil {
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
}

// clientBehind is the address of the client as "ip:port": the peer's own, or what trusted proxies say,
// whose port nobody knows.
func clientBehind(r *http.Request, trusted []netip.Prefix) string {
	client := forwarded.Client(r.RemoteAddr, r.Header["X-Forwarded-For"], trusted)
	if !client.IsValid() || client == forwarded.Peer(r.RemoteAddr) {
		return r.RemoteAddr
	}
	return netip.AddrPortFrom(client, 0).String()
}

// guard stands before each route of a provider: it answers 503 while the provider does not run,
// lets Stop wait for requests under way, and counts.
func (p *providerState) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.enterRequest() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "provider "+p.name+" is not running", http.StatusServiceUnavailable)
			return
		}
		defer p.requests.Leave()
		sw := &statusWriter{ResponseWriter: w, ctx: r.Context()}
		mark := &streamMark{}
		start := time.Now()
		defer func() {
			p.stats.requests.Add(1)
			if sw.status >= 500 {
				p.stats.failed.Add(1)
			}
			if !mark.stream.Load() {
				p.stats.latency.Observe(time.Since(start))
			}
		}()
		h.ServeHTTP(sw, r.WithContext(context.WithValue(r.Context(), streamKey{}, mark)))
	})
}

type streamKey struct{}

// streamMark is set on a request whose duration says nothing about the service. A service may do so when the request has
// ended already, because its client has gone.
type streamMark struct{ stream atomic.Bool }

// MarkStreaming keeps the request with this context out of the response times: it is a stream, or
// waits on purpose. It must be called by the goroutine that serves the request.
func MarkStreaming(ctx context.Context) {
	if m, ok := ctx.Value(streamKey{}).(*streamMark); ok {
		m.stream.Store(true)
	}
}

// statusWriter notes the status. What it does not implement is found through Unwrap.
type statusWriter struct {
	http.ResponseWriter
	ctx    context.Context
	status int
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
		listen.AnnounceDrain(w.ctx, w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write is WriteHeader(200) at first.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Flush is for handlers that look for http.Flusher themselves.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// ReadFrom keeps sendfile for static files.
func (w *statusWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, src)
}

// CheckOrigin applies the origin policy to a request: no Origin header, the same origin, or one
// that WithAllowedOrigins names. The error wraps ErrOrigin and names the origin. On loopback with open
// access a web page must also have asked for loopback by name or address.
func (m *Manager) CheckOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if m.rebound(r) {
		return fmt.Errorf("%w: the host %q is not this machine's, and access is open", ErrOrigin, shorten(r.Host))
	}
	if origin == "" {
		return nil
	}
	scheme, host, ok := strings.Cut(origin, "://")
	downgraded := r.TLS != nil && !strings.EqualFold(scheme, "https") // the other way round is a proxy that ends TLS
	if ok && strings.EqualFold(host, r.Host) && !downgraded {
		return nil
	}
	for _, allowed := range m.cfg.AllowedOrigins {
		if originMatches(allowed, origin) {
			return nil
		}
	}
	return fmt.Errorf("%w: %q", ErrOrigin, shorten(origin))
}

// rebound reports whether a web page may have come to this machine's own gateway by a name that it made
// resolve to loopback (DNS rebinding): then its origin says nothing. It matters where access is open.
func (m *Manager) rebound(r *http.Request) bool {
	if !m.cfg.OpenAccess || r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return false
	}
	return onLoopback(r) && !loopbackHost(r.Host)
}

// onLoopback reports whether a request came to an address of loopback, over TCP or QUIC.
func onLoopback(r *http.Request) bool {
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return local.IP.IsLoopback()
	case *net.UDPAddr:
		return local.IP.IsLoopback()
	}
	return false
}

// loopbackHost reports whether a Host header names loopback.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// originMatches compares an origin with a pattern: *, scheme://host or scheme://*.domain.
func originMatches(pattern, origin string) bool {
	if pattern == "*" || strings.EqualFold(pattern, origin) {
		return true
	}
	scheme, domain, ok := strings.Cut(pattern, "://*.")
	if !ok {
		return false
	}
	s, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(s, scheme) && len(host) > len(domain)+1 &&
		strings.EqualFold(host[len(host)-len(domain)-1:], "."+domain)
}
