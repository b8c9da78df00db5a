// Package commgrpc serves gRPC from a comm.Manager.
//
// [New] makes the provider "grpc". [Register] adds services to it; health, reflection, compression, keepalive, limits,
// logs, metrics and trace context come with it:
//
//	gw, err := comm.New(
//		comm.WithAddr(":8080"),
//		comm.WithProvider(commgrpc.New(
//			commgrpc.Register(func(s grpc.ServiceRegistrar) { pb.RegisterUsersServer(s, users) }),
//		)),
//	)
//
// # Addresses
//
// Without an address of its own the provider shares the manager's, in cleartext and with TLS, with HTTP/1.1, HTTP/2,
// WebSocket and all else that is served there. Who serves a new HTTP/2 connection is decided by its first request: one
// of a gRPC library, told by its User-Agent, goes to gRPC's native transport, every other to net/http. There gRPC is
// served too, more slowly, so that a proxy may mix calls with other requests on one connection; browsers come this way
// by gRPC-Web. A client that opens a connection and says nothing for five seconds is net/http's as well. On a
// connection of the native transport nothing but gRPC is served: another request is answered with 415.
//
// Messages are in Protocol Buffers, or in the codec that a call's content type names, application/grpc+name, where one
// of that name is registered with grpc-go; where none is, the call is UNIMPLEMENTED. The hub's streams are in Protocol
// Buffers only.
//
// With [WithAddr] or [WithPort] it listens alone, with the manager's TLS or that of [WithTLS]. There whoever has not
// called yet after those five seconds is the native transport's.
//
// # Browsers
//
// Pages call every unary method and every one that streams from the server by gRPC-Web, as application/grpc-web or
// application/grpc-web-text, over HTTP/1.1 and HTTP/2, with no proxy between; a method that takes a stream is
// UNIMPLEMENTED for them. Pages of other origins than the gateway's own need [comm.WithAllowedOrigins]; the
// answers to what their browsers ask before (CORS) come with it.
//
// # The hub
//
// comm.v1.HubService, in the package [github.com/anasamu/comm/grpc/comm/v1], comes along unless [WithoutHub] is given.
// Its streams are connections of the manager like those of every other protocol: the same groups, users, history,
// resuming, overflow policies and drain. Its calls send messages, list and close connections, for whoever the
// authorizer allows. The rate of messages is bounded for each connection, and each call is one of its own, so calls are
// bounded by [WithCallRate] alone. [Dialer] is the client in Go: with [comm.NewClient] it reconnects and goes on where it was.
//
//	client, err := comm.NewClient([]comm.Dialer{commgrpc.Dialer("gateway.example.com:443", commgrpc.WithTLS(&tls.Config{}))})
//
// Clients in other languages are generated from comm/v1/comm.proto. The Go code beside it is made with buf v1.75,
// protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2 by
//
//	cd grpc && buf generate
//
// Each message is encoded once for all streams. gRPC compresses for each stream anew, so what the hub sends is
// compressed only with [WithHubCompression].
//
// # Who may call
//
// Without an authorizer ([comm.WithAuthorizer], or [comm.WithOpenAccess] in development) no method can be called but
// those of health, reflection and [WithPublicMethods]. Every other call asks the authenticator, who finds the metadata
// in Handshake.Header and a client certificate in Handshake.TLS, and then the authorizer, with [comm.ActionInvoke] and
// the full method in Access.Method. Whom the authorizer is shown is no connection: it has a user, labels, an identity and
// an address, the same ID as everybody, and neither metadata nor certificate, of which the authenticator keeps what is
// needed in the identity. A stream goes on when the identity of its caller expires, but those of the hub: its handler
// may look at Identity.Expires. Handlers and interceptors find who calls with [FromContext]. Note that grpc-go reads
// and decodes the message of a unary call before any interceptor runs.
//
// # Errors
//
// A handler's status is the client's. Errors of package comm have codes of their own: ErrForbidden is
// PERMISSION_DENIED, ErrUnauthenticated UNAUTHENTICATED, ErrNotFound NOT_FOUND, ErrClosed UNAVAILABLE, a *LimitError
// RESOURCE_EXHAUSTED, and a *PeerError what its code says, FAILED_PRECONDITION for one of the user's own. A panic is
// INTERNAL and logged with its stack. As in grpc-go every other error is UNKNOWN, and its text is told to the client.
//
// # Seeing it
//
// A call that fails by the service's fault (UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS) is logged as a
// warning, one that fails otherwise as information. For debugging is what succeeds, what its client cancels, and what
// a stranger can do as often as he likes: calls that are refused before it is known who makes them, of methods that do
// not exist, of health, reflection and the hub; and streams that end as UNAVAILABLE because the gateway does.
// Manager.Stats and /metrics count all calls by method and code. A traceparent in the metadata makes the call part of that
// trace, and what its handler sends.
//
// grpc.health.v1 says NOT_SERVING for "" while the gateway is not ready, as /readyz does, and for each service from the
// moment that a drain begins; [Provider.SetServingStatus] holds beside that. With grpcurl and grpc-health-probe:
//
//	grpcurl -plaintext localhost:8080 list
//	grpc-health-probe -addr localhost:8080
//
// # The end
//
// When the gateway takes nobody new any more, clients of the native transport are sent GOAWAY, and the streams of health
// and reflection end. Calls under way have the rest of the drain to finish, and are cut after it. A stream that would go
// on for ever looks at [Caller.Leaving].
//
// # Bounds
//
// Messages, metadata, calls of a connection, connections, and the rate of calls are bounded as [Config] says; so is the
// look at a connection, in bytes, frames and time. Failed authentications are bounded by the manager. What [Config] says of
// connections, metadata, streams at once, keepalive and age is for the native transport: connections of net/http have the
// manager's limits, 64 KiB of metadata and 250 calls at once.
//
// A handler that sends waits for its client as long as its own context lets it, as everywhere in gRPC. What is left of
// an answer when the handler has returned must leave within the manager's write timeout on connections of net/http. The
// native transport knows no such bound: of a call that its client does not read, up to 64 KiB, a message, and the status
// behind them stay until the client reads or its connection ends. Such a call still counts against
// [WithMaxConcurrentStreams], and its connection against [WithMaxConnectionsPerAddr]; [WithMaxConnectionAge] with a grace
// ends both.
package commgrpc
