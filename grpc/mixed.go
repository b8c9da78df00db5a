package commgrpc

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/crossorigin"
)

// contentType begins the media type of every gRPC request (gRPC over HTTP2, Requests).
const contentType = "application/grpc"

// webOptions are what newMixed needs to know of the provider.
type webOptions struct {
	// services are what the gRPC server has registered.
	services map[string]grpc.ServiceInfo
	// unknown says that it serves methods that are not registered too, as streams of both sides.
	unknown bool
	// checkOrigin refuses requests of web pages by their Origin header.
	checkOrigin func(*http.Request) error
	// maxReceive bounds one message of a client, in bytes, as in the gRPC server.
	maxReceive int
	// bodyTimeout bounds how long a gRPC-Web client may take for each 64 KiB of its request.
	bodyTimeout time.Duration
	// writeTimeout bounds how long a client may take for each 64 KiB of its response: one of gRPC-Web at all times, and
	// others once their handler has returned.
	writeTimeout time.Duration
}

// mixed is gRPC that comes in requests of net/http: from clients of gRPC-Web, and from those whose
// connection carries other requests too, which therefore is not the gRPC server's own.
type mixed struct {
	native  http.Handler // (*grpc.Server).ServeHTTP
	opts    webOptions
	origins crossorigin.Policy
	methods map[string]grpc.MethodInfo // by request path
}

// newMixed serves gRPC requests by native and translates gRPC-Web to it. The stream interceptor
// paceStream must be installed in the server behind native.
func newMixed(native http.Handler, opts webOptions) http.Handler {
	m := &mixed{native: native, opts: opts, methods: make(map[string]grpc.MethodInfo)}
	m.origins = crossorigin.New(opts.checkOrigin, http.MethodPost, crossorigin.AnyHeader)
	for service, info := range opts.services {
		for _, method := range info.Methods {
			m.methods["/"+service+"/"+method.Name] = method
		}
	}
	return m
}

// isCall reports whether a request is a call, or what a browser asks before it makes one, wherever it leads.
func isCall(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost:
		media := r.Header.Get("Content-Type")
		return len(media) >= len(contentType) && strings.EqualFold(media[:len(contentType)], contentType)
	case http.MethodOptions: // clients of gRPC-Web name themselves by a header
		return r.Header.Get("Access-Control-Request-Method") == http.MethodPost &&
			strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), "x-grpc-web")
	}
	return false
}

// method is what is known of the method that a request calls.
func (m *mixed) method(r *http.Request) (info grpc.MethodInfo, registered bool) {
	if info, registered = m.methods[r.URL.Path]; !registered && m.opts.unknown {
		info.IsClientStream, info.IsServerStream = true, true
	}
	return info, registered
}

// ServeHTTP tells the kinds of requests apart by their media type.
func (m *mixed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, ok := webKindOf(r.Header.Get("Content-Type"))
	switch {
	case r.Method == http.MethodOptions:
		m.preflight(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "gRPC needs the method POST", http.StatusMethodNotAllowed)
	case ok:
		m.serveWeb(w, r, kind)
	case isNative(r.Header.Get("Content-Type")):
		m.serveNative(w, r)
	default:
		http.Error(w, "gRPC needs the content type "+contentType+", "+webType+" or "+webTextType, http.StatusUnsupportedMediaType)
	}
}

// isNative reports whether a media type is gRPC's: application/grpc, with +proto or another after it.
func isNative(media string) bool {
	rest, ok := strings.CutPrefix(media, contentType)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// serveNative has the gRPC server answer a request as it is.
func (m *mixed) serveNative(w http.ResponseWriter, r *http.Request) {
	if err := m.origins.Allow(w, r); err != nil {
		refusePage(w, contentType, err)
		return
	}
	info, _ := m.method(r)
	x := &exchange{newPacedBody(r.Body, m.opts.maxReceive, info.IsClientStream), newReply(w, m.opts.writeTimeout)}
	defer x.reply.close()
	if info.IsClientStream {
		comm.MarkStreaming(r.Context())
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a stream may be silent for as long as it likes
	}
	r = r.WithContext(withExchange(r.Context(), x))
	r.Body = x.body
	m.native.ServeHTTP(x.reply, r)
}
