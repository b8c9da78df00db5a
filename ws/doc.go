// Package ws is WebSocket (RFC 6455) with compression (RFC 7692) on framing of
// its own: a server, a client, and the provider that carries the client
// protocol of comm.
//
// # Which entrance
//
//   - [MessageHandler] calls a function with every message. Use it on servers
//     with many connections: an idle one holds neither goroutine nor buffer.
//   - [Handler] serves a function per connection, on a goroutine of its own,
//     and frees what net/http holds for the request.
//   - [Accept] upgrades one request inside an HTTP handler that goes on.
//   - [Dial] connects to a server.
//   - [NewConn] speaks frames over any stream on which somebody else made the
//     handshake: HTTP/2, HTTP/3, memory.
//
// # Over HTTP/2 and HTTP/3
//
// Every entrance of a server takes handshakes by extended CONNECT too (RFC 8441, RFC 9220): the route must take the
// method CONNECT, as a pattern without a method does. HTTP/3 is served by package commquic. Over HTTP/2 net/http
// serves extended CONNECT only in a process that was started with GODEBUG=http2xconnect=1; without it browsers open
// WebSockets over HTTP/1.1, as ever. With it, net/http announces extended CONNECT on every HTTP/2 server of the
// process, and browsers then open all their WebSockets to it so. A reverse proxy in that process which knows only
// Upgrade, such as httputil.ReverseProxy, cannot pass them on, and a proxy in front must pass extended CONNECT
// through or end HTTP/2 itself. Turn it on where every WebSocket handler of the process is of this package.
//
// A client dials so through [WithRoundTripper]. An HTTP handler that calls [Accept] itself is served over HTTP/2 only
// with [WithHeldHandler]: there a stream ends with its handler.
//
// # Which read
//
//   - [Conn.Serve] calls a function with every message, until the connection
//     ends. An idle connection holds no buffer, answers are coalesced, and most
//     messages cost no allocation.
//   - [Conn.Start] is the same without waiting for the end: an idle connection
//     holds no goroutine either.
//   - [Conn.Read] returns one message.
//   - [Conn.Reader] and [Conn.Writer] stream messages too large for memory.
//
// # What is always on
//
// A server refuses pages of other origins. A message is limited to 1 MiB after
// decompression. Text is checked to be UTF-8 while it arrives. A heartbeat
// closes a connection whose peer no longer answers, and a stalled write closes
// one whose peer takes nothing. Each has an option; nothing waits for ever by
// default, and nothing is allocated because a header claims it.
//
// # How it works
//
// internal/wsframe knows the bytes of a frame, internal/deflate those of the
// extension; neither knows of connections. A [Conn] has two halves that share
// nothing but the carrier beneath. The receiving half (input.go) parses what
// one read brought and hands payload on in place where it can; it is owned by
// one goroutine at a time. The sending half (output.go, write.go) has two
// locks, one for messages and one for the carrier, so that a control frame may
// pass between the fragments of a message, and a list of frames accepted and
// not yet written, which is how answers coalesce.
//
// On TCP and unix sockets a read that waits does so inside
// syscall.RawConn.Read, whose callback borrows a pooled buffer for one system
// call (rawio.go). Over TLS and other carriers, or with the build tag
// comm_portable, it waits in the carrier's Read. A context interrupts a
// direction through its deadline (watch.go); the heartbeat is the waiting
// read's own deadline (heartbeat.go), with no timer and no goroutine. On Linux
// what Start serves waits in epoll instead, TLS included (start.go,
// internal/park), unless its messages come in quick succession.
//
// # Many receivers
//
// [Prepared] encodes a message once for each [Encoding] among its receivers.
// [Encoding.AppendFrame] and [Conn.WriteFrames] are the same in parts, for a
// hub that keeps its own queues.
package ws
