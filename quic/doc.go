// Package commquic is QUIC for comm: raw messaging over it, in the binary form of the client protocol that
// PROTOCOL.md calls comm/1, HTTP/3, and WebTransport.
//
//	m, _ := comm.New(comm.WithAddr(":8443"), comm.WithCertificate("cert.pem", "key.pem"), comm.WithProvider(commquic.New()))
//	c, _ := commquic.Dial(ctx, "gateway.example:8443")
//
// What to use:
//
//   - To serve: [New] is the provider "quic". It listens on UDP, with the port of the manager's address or one of
//     its own ([WithAddr]), and needs a certificate: the manager's or its own ([WithTLS]).
//   - To connect: [Dial] gives a client that stays connected; [Dialer] is the carrier alone, for a comm.Client that
//     knows several.
//   - To speak the frames elsewhere: [Codec].
//   - HTTP/3 needs nothing: the provider serves the routes of its address, or of the manager's, over it too.
//   - comm/1 where only HTTP/3 passes, and in browsers: WebTransport at /wt, from Go by [WebTransportDialer], in a
//     page by comm.wt.js (package commjs).
//   - WebTransport of your own: [UpgradeWebTransport] in a handler of the gateway or of a [Server], which is HTTP/3
//     for connections that you accept yourself; [DialWebTransport] from Go.
//   - WebSocket over HTTP/3 needs nothing on the server; a client takes ws.WithRoundTripper([ExtendedConnect](t)).
//
// # Lanes, priorities, datagrams
//
// QUIC has many streams and unreliable datagrams. The send options of package comm choose among them, in both
// directions, and nothing else does:
//
//   - Without options a message takes the default lane, the connection's first stream, in order with all others.
//   - comm.WithLane(name) gives it a stream with that name. A name's messages stay in order; there is no order
//     between lanes, so one large message delays nothing elsewhere. At most [WithMaxLanes] names have streams of
//     their own; further ones share them.
//   - comm.WithPriority(High or Low) has a lane too, and high is sent before all others.
//   - comm.WithUnreliable sends a datagram, once: it may be lost, or come out of order. One that is larger than a
//     datagram may be (about 1,150 bytes) takes the default lane instead, as do all for a client without datagrams.
//   - What belongs to a log stays on the default lane, so a log's order never changes; comm refuses the options
//     there (comm.ErrOrdered).
//
// # HTTP/3
//
// The provider offers "h3" beside comm/1 ([WithoutHTTP3] does not). At the manager's address it has the same port number
// on UDP as TCP has. At an address of its own it serves the manager's routes, and opens TLS over TCP on that port too,
// for HTTP/1.1 and 2. Responses on a TCP port with its number carry Alt-Svc, so that browsers move to HTTP/3. Limits of
// heads and bodies, the origin policy, trusted proxies and statistics are those of the routes' owners, on every version
// of HTTP. A request that may be a replay (0-RTT) waits for the handshake unless it is a GET or HEAD.
//
// A drain refuses new requests with H3_REQUEST_REJECTED, which clients repeat elsewhere, lets those under way end, tells
// WebTransport sessions, and closes with H3_NO_ERROR. There is no GOAWAY: see [Server.Shutdown].
//
// # WebTransport
//
// The drafts 02 (Chromium) to 16 of WebTransport over HTTP/3 are understood, as far as they agree. A peer that announces
// the flow control of sessions, as drafts from 13 on can, has it: in each session [WithMaxStreams] streams of either kind
// and the second number of [WithFlowControl] in bytes, beside QUIC's own limits, which alone hold for browsers of earlier
// drafts. A connection has at most [WithMaxSessions] sessions. Streams that overtake their session wait for it, at most
// 16 of a connection, and for the handshake timeout. Pages of other origins are refused unless comm.WithAllowedOrigins
// names them. A page may trust a certificate by its hash: [DevelopmentTLS].
//
// # Slow clients
//
// A send never waits for a client. Frames are given to QUIC without waiting while it holds little of the client
// (8 KiB), and by a goroutine of the connection's own otherwise. A lane queues 256 messages or 1 MiB, and has a
// goroutine only while it does. A client that takes nothing for the manager's write timeout is closed as a slow
// consumer. For most of what waits, the manager's queue and overflow policy decide as on every carrier.
//
// # The network
//
// A stream that nobody asked for is reset, and so is one that does not say within the handshake timeout what it is:
// neither ends its connection, nor stays with it.
//
// A client's address may change: QUIC connections outlive it. Handshakes count against the manager's limits before
// anything is spent on them, and so do connections, whatever is spoken on them: in all, and by address
// ([WithMaxConnectionsPerAddr]). Beyond [WithRetryRate] a second, and where half of a bound is reached, clients prove
// their address first. A client that is gone without a word ends with [WithMaxIdleTimeout] or its missed heartbeat,
// whichever is first. On Linux, quic-go wants UDP buffers of 7 MiB; where the system allows less, a warning in the log
// names what to set. quic-go's own line about it is turned off, by setting QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING for
// the process.
package commquic
