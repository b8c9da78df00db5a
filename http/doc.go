// Package commhttp is the HTTP side of comm: what a service needs around its
// net/http handlers, and HTTP clients as members of the hub.
//
// Use [New] for a gateway: the provider "http" of a [comm.Manager], with the routes of a
// service in their chain, health and metrics, long polling on /poll (PROTOCOL.md), and
// on request the page of [Admin]. [Dialer] is the polling carrier of a [comm.Client]. Use
// [NewHandler] for the routes and their chain alone, as one handler built from options:
//
//	h, err := commhttp.NewHandler(
//		commhttp.HandleFunc("GET /users/{id}", showUser),
//		commhttp.Static("/assets/", assets),
//		commhttp.WithCORS("https://app.example.com"),
//		commhttp.WithCompression(),
//		commhttp.WithAccessLog(),
//	)
//
// Everything is plain net/http: a handler is an [http.Handler], a [Middleware] is
// a func(http.Handler) http.Handler, a route is an [http.ServeMux] pattern. Each
// middleware of [NewHandler] also stands alone:
//
//   - [RequestID], [ClientAddress], [Observe] and [AccessLog] say who asked and what was answered
//   - [Recover], [BodyLimit], [Deadlines] and [Timeout] bound what a request may do
//   - [CORS], [CrossOrigin] and [SecurityHeaders] say which pages may use the answers
//   - [Compress] and [Files] make them small
//
// [Routes] is a mux on which a bad or conflicting pattern is an error. [Refuse]
// writes the problem document (RFC 9457) that every refusal here is.
//
// # One wrapper
//
// However many of these are chained, a response is wrapped once. The wrapper keeps
// what the server's writer can do: it unwraps for [http.ResponseController],
// flushes, passes files on to sendfile, and is an [http.Hijacker] exactly where the
// connection is one. It is never pooled, because a handler that holds on to its
// writer would then write into another client's answer.
//
// # Streams
//
// Deadlines and timeouts are for plain answers. They are lifted when a response
// turns out to be a stream: it is hijacked, its Content-Type is text/event-stream,
// or its handler says so with [Stream]. Nothing a client sends lifts them. Do not set
// [http.Server.WriteTimeout] beside them: it is absolute, and kills streams.
package commhttp
