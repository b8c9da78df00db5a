// Package graphql is a GraphQL server without code generation: the executor of the September 2025
// specification on the parser and validator of github.com/vektah/gqlparser/v2, with its transports.
//
// A schema is written in SDL. Go functions are registered by schema coordinate ("User.posts") with
// their types inferred, and [NewSchema] checks every one of them against the SDL before anything is
// served: use [Get] for what a value can tell at once, [Resolve] for what may block, [Batch] for what is
// fetched for many parents by one call, [SubscribeTo] with a [Topic] for events that many subscribe to, [Subscribe]
// for a stream of each subscriber's own. Fields of structs need no function; see [Bind].
//
//	schema, err := graphql.NewSchema(
//		graphql.SDL(sdl),
//		graphql.Bind[*User]("User"),
//		graphql.Get("User.initials", func(u *User) string { return u.Name[:1] }),
//		graphql.Batch("User.posts", db.PostsOf),
//		graphql.Resolve("Query.user", db.User),
//	)
//
// Use [NewHandler] to serve a schema over HTTP, WebSocket and Server-Sent Events by itself, [New] to make it a provider of a
// [github.com/anasamu/comm.Manager], [NewClient] to ask it in tests, and [Schema.Append] or
// [Schema.Subscribe] under a transport of your own.
//
// # How an operation is executed
//
// The text is parsed and validated once and kept in a cache that is bounded by bytes. For each concrete
// type that a selection meets, a plan is made once: merged fields, keys as bytes, arguments that are
// constant as Go values. Execution then goes twice over the plan. The first pass calls resolvers,
// breadth first: all objects at one place of the plan together, so that [Batch] has all its parents and
// no position is fetched twice. The second pass writes the response, depth first, into one buffer; a
// null that goes up cuts the buffer back. A selection in which nothing blocks skips the first pass.
//
// # Subscriptions
//
// A client asks for them, and for any other operation, over WebSocket (the subprotocols graphql-transport-ws and
// the older graphql-ws) or over an event stream (graphql-sse, in both of its modes), on the path of everything
// else. Each such client is a [Subscriber]; in the gateway it is a connection like all others, which meets the
// clients of other protocols in the same groups.
//
// The loop of [Subscribe] is asked for its next event when the response to the last one has been given to the network,
// so what a client does not read is not produced; it has a goroutine as long as it lives. A source of [SubscribeTo] is
// not held up by anybody: what a client has not read yet waits in a bounded queue, and while there is nothing for a
// subscription it has no goroutine.
//
// # Limits
//
// Every schema has [Limits]; their zero value is safe for a service on the open internet.
package graphql
