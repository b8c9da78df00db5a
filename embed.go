package comm

import (
	"net/http"
	"time"
)

// Handler serves everything that the manager serves on its address, for a service that has an [http.Server] of its own:
// its mux gives the paths of the providers to this handler, whole, or by [http.StripPrefix] below a prefix. With
// [WithInMemory] that server is the only way in, and the manager opens no socket; without, the manager's own address is
// served beside it.
//
//	mux.Handle("/ws", gw.Handler())
//	mux.Handle("/events", gw.Handler())
//
// It may be called at any time, and what it returns used by any number of servers. While the manager does not run (see
// [Manager.Start] and [Manager.Run]), it answers 503 with Retry-After.
//
// What is the server's own is the server's to set: TLS, HTTP/2, header limits and how connections are kept. Its
// ReadTimeout and WriteTimeout do no harm to what is meant to last: the gateway lifts them, and bounds what it reads and
// writes by itself. A middleware that wraps the ResponseWriter must have an Unwrap method (see
// [http.ResponseController]), or WebSockets and event streams are refused. The request with its context, where such a
// middleware leaves who the client is, is [Handshake.Request] to the authenticator.
// gRPC is served as net/http can, over HTTP/2 and by gRPC-Web. QUIC needs a socket: leave WithInMemory out, give the
// manager an address that nobody minds (WithAddr("127.0.0.1:0")), and package commquic its own. A client of an event
// stream that vanishes without a word is found by a write that times out, or by TCP: only a listener of the manager's
// own bounds that time.
//
// To end, drain the manager before the server is shut down, because [http.Server.Shutdown] waits for event streams and
// does not know WebSockets: [Manager.Run] has drained when it returns, and else [Manager.Drain] does it.
func (m *Manager) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := m.book.peek(m, m.addr())
		if e == nil {
			WriteRefusal(w, "", &LimitError{Limit: "requests while the gateway does not run", Retry: time.Second})
			return
		}
		if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.WriteTimeout > 0 && r.ProtoMajor == 2 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // serveHTTP does so over HTTP/1.1
		}
		e.serveHTTP(w, r)
	})
}

// Authenticate asks the authenticator who an HTTP request is from, for handlers of the service's own: those of
// package commhttp, and those of a server beside the manager. The gateway asks for its clients by itself, and not for
// routes. The token is that of the Authorization header; whatever else the authenticator looks at, such as a cookie, it
// finds in [Handshake.Request]. Nothing is stored: an authenticator that is dear keeps what it knows.
//
//	id, err := gw.Authenticate(r)
//	if err != nil {
//		comm.WriteRefusal(w, "", err) // 401, or 503 with Retry-After
//		return
//	}
//
// A failure counts against the client's address, which is found behind [WithTrustedProxies]. Without an authenticator
// everybody is the zero Identity. Errors: one that wraps [ErrUnauthenticated], and a *LimitError where the authenticator
// cannot decide, or the address has failed too often.
func (m *Manager) Authenticate(r *http.Request) (Identity, error) {
	hs := &Handshake{
		Request: r, Header: r.Header, RemoteAddr: remoteAddr(r), TLS: r.TLS,
		Token: BearerToken(r.Header.Get("Authorization")),
	}
	if trusted := m.cfg.TrustedProxies; len(trusted) > 0 {
		hs.RemoteAddr = parseRemote(clientBehind(r, trusted))
	}
	if err := m.whoIs(r.Context(), hs); err != nil {
		return Identity{}, err
	}
	return *hs.identity, nil
}
