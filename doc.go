// Package comm is one gateway for every way in which a service talks to its clients: HTTP (with long
// polling), WebSocket, Server-Sent Events, GraphQL, gRPC, QUIC, HTTP/3 and WebTransport. Each client, whatever
// its protocol, is one [Conn] in one registry; one [Manager.Send] reaches a connection, a user, a group or
// everyone; what clients send passes the same [Middleware] and reaches the same handlers.
//
//	gw, err := comm.New(
//		comm.WithAddr(":8080"),
//		comm.WithProvider(commhttp.New(), ws.New(), sse.New()),
//	)
//	comm.On(gw, "chat.message", func(ctx context.Context, c *comm.Conn, chat Chat) error {
//		msg, err := comm.NewMessage("chat.message", chat, comm.From(c))
//		if err != nil {
//			return err
//		}
//		_, err = gw.Send(ctx, comm.ToGroup(chat.Room).Except(c.ID()), msg)
//		return err
//	})
//	err = gw.Run(ctx)
//
// # Where to go
//
//   - To serve: [New], [Manager.Run], and a provider from the packages commhttp (folder http), ws, sse, graphql,
//     commgrpc (folder grpc) and commquic (folder quic).
//   - To serve in an http.Server of your own, beside what is there: [Manager.Handler], and [Manager.Authenticate] for
//     handlers of your own.
//   - To send: [Manager.Send] with a [Target]; what became of it is a [Delivery].
//   - To receive: [On], [OnCall].
//   - To decide who may do what: [WithAuthenticator], [WithAuthorizer], [WithOnConnect].
//   - To configure: options; [WithConfigFile] and [WithEnvironment] for what operators set, with the keys of [Config]
//     and of each provider's Config.
//   - To see: [Manager.Stats], [WithObserver], and the metrics and health that package commhttp serves.
//   - To be a client: [NewClient] with the dialers of those packages; [WithTo] addresses other clients,
//     [Client.JoinFrom] reads what was said before.
//   - To test: [WithInMemory] and [Manager.DialContext]; package commtest for a provider of your own.
//   - To use WebSocket or Server-Sent Events without the gateway: packages ws and sse alone.
//
// # What is promised
//
// All members of a group see its messages in one order. A client that is cut resumes with its
// [Position]: it receives what it missed, without a seam, or is told exactly which range is lost. A
// message is delivered at most once to a connection, and never sent again except by a resume. A slow
// client costs itself: its queue is bounded, and its overflow [Policy] decides. Nothing that a client
// sends makes memory or goroutines grow without bound.
//
// The client protocol is PROTOCOL.md, the inside ARCHITECTURE.md, in the module's root.
//
// # Safe by default
//
// Without an [Authorizer] a client may send messages that have a handler, and nothing else. Web pages
// of other origins are refused. The address is loopback unless it is set. Every limit has a default
// that is written at its option.
package comm
