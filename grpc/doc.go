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
// # Who may call
//
// Without an authorizer ([comm.WithAuthorizer], or [comm.WithOpenAccess] in development) no method can be called but
// those of health, reflection and [WithPublicMethods]. The authorizer is asked with [comm.ActionInvoke] and the full
// method. Handlers find who calls with [FromContext].
package commgrpc
