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
// WebSocket and all else that is served there. A connection on which a gRPC library speaks goes to gRPC's native
// transport; every other one goes to net/http, where gRPC requests are served too, so that a proxy may mix them with
// others on one connection. With [WithAddr] or [WithPort] it listens alone.
//
// # The hub
//
// comm.v1.HubService, in the package [github.com/anasamu/comm/grpc/comm/v1], comes along unless [WithoutHub] is given.
// Its streams are connections of the manager like those of every other protocol: the same groups, users, history,
// resuming, overflow policies and drain. Its calls send messages, list and close connections, for whoever the
// authorizer allows. [Dialer] is the client in Go: with [comm.NewClient] it reconnects and goes on where it was.
//
//	client, err := comm.NewClient([]comm.Dialer{commgrpc.Dialer("gateway.example.com:443", commgrpc.WithTLS(&tls.Config{}))})
//
// Clients in other languages are generated from comm/v1/comm.proto. The Go code beside it is made with buf v1.75,
// protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2 by
//
//	cd grpc && buf generate
//
// Each message is encoded once for all streams. gRPC compresses for each stream anew, so what the hub sends is not
// compressed.
//
// # Who may call
//
// Without an authorizer ([comm.WithAuthorizer], or [comm.WithOpenAccess] in development) no method can be called but
// those of health, reflection and [WithPublicMethods]. The authorizer is asked with [comm.ActionInvoke] and the full
// method. Handlers find who calls with [FromContext].
package commgrpc
