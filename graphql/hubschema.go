package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// Hub adds a schema with which GraphQL clients take part in the gateway beside clients of all other protocols:
//
//	type Query {
//	  connections(group: String, provider: String, first: Int! = 100, after: ID): HubConnections!
//	  connection(id: ID): HubConnection
//	  presence(group: String!): [HubPresence!]!
//	  stats(provider: String): HubStats!
//	}
//	type Mutation {
//	  send(to: String, type: String!, content: HubJSON, ...): HubDelivery!
//	  broadcast(type: String!, content: HubJSON, ...): HubDelivery!
//	  call(to: String, type: String!, content: HubJSON, ...): HubReply!
//	  reply(id: ID!, content: HubJSON, ..., error: HubFailure): Boolean!
//	  ack(id: ID!, error: HubFailure): Boolean!
//	  join(group: String!, after: String): HubJoined!
//	  leave(group: String!): HubLeft!
//	  refresh(token: String!): HubIdentity!
//	  close(id: ID!): Boolean!
//	}
//	type Subscription {
//	  messages(group: String, after: String): HubEvent!
//	  events: HubEvent!
//	}
//
// It may be all of a schema, or be given beside SDL of the user's: its fields then come into the user's root
// types, which need not be there. The names of its other types begin with Hub.
//
// # Messages
//
// messages makes the client's connection a member of the group, see [Subscriber.Join], and its events are
// HubJoined first, then HubMessage, and HubGap where the group's history has lost some; HubLeft is the last if
// the service, or the mutation leave, takes the client out of the group. Given as after, the position of the last
// event that a client has seen lets it go on behind that one. Without a group they are the messages to the
// connection itself, to its user and to everyone, from now on; after is refused as BAD_POSITION then, because a
// connection enters the logs of its user and of everyone but once, at the position of its hello: see events. The
// server acknowledges what is said so.
//
// # Events
//
// events is all that reaches the connection, in the one order in which the gateway has it: HubWelcome, HubMessage,
// HubJoined and HubLeft of every group, HubGap, HubCall, HubError, HubExpiring, HubClosing. The client acknowledges
// a message that asks for it by ack, and answers a call by reply. The groups are those of the mutation join, of the
// hello, of subscriptions to messages, and those that the service joins. Of what is sent to several of them there is
// one event. It begins where the connection is; only the first of a client with a hello has what came before.
//
// # Hello
//
// A client may say hello: the payload of connection_init, and for an event stream the extensions of the request that
// begins it, may have a member comm, whose members are those of hello in the client protocol. In the distinct connections
// mode that is the operation's request, in the single connection mode the one that reserves the stream, PUT, with the
// extensions in a body of JSON ({"extensions": {"comm": {}}}) or, less secretly, in the parameter extensions of its URL:
//
//	{"token": "...", "comm": {"version": 1, "session": "...", "groups": ["lobby"], "position": "...", "metadata": {"device": "phone"}}}
//
// The payload of connection_ack then has a member comm that is the protocol's welcome, and HubWelcome says the same.
// With session and position, both of the connection before (of HubWelcome, and of the last event), it is as if that
// had not been cut: the session goes on, and events begin with what was missed, of the groups that the hello names
// and of the logs of the user and of everyone.
//
// What the hub says to such a client waits for its first subscription to events, which counts as a part of the hello:
// 16 events or 256 KiB wait at most, and no longer than the timeout of the handshake, and where there are more, than
// that of a write. Then, or if a subscription to messages comes first, nobody has taken them, and events begin with what
// comes next.
//
// The client of an event stream is told welcome by HubWelcome alone. The token of a hello that reserves a stream is as
// good for the request that opens it, so EventSource, which sets no headers, can be authenticated. The extensions are
// 64 KiB at most then.
//
// A hello of another version or one that is not well-formed is refused: the connection is closed with 4400. That of a
// session that is revoked is closed with 4401, on which libraries stay away, what OnConnect refuses with 4403. The
// reason is the protocol's code and text, such as "unsupported_version: version 9: allowed is 1".
//
// # Mutations
//
// send is what a message with "to" is in the client protocol ("conn:ID", "user:NAME", "group:NAME" or "all");
// without to the service's handler of the type takes it. call answers what the service's handler returns, or
// another connection. Both stand in line with all else that the connection sends: its rate, middleware and
// authorizer are those of every client, and a message is at most as large as comm.WithMaxMessage says. What a client
// says counts once against the rate, be it a message of the WebSocket or a field that gives the hub something; an
// operation with several such fields counts as many times.
//
// The fields of one mutation are executed one after the other. Operations of one connection run at once; but those
// that begin with send, broadcast, call, join, leave, close, messages or events reach the hub in the order in which
// they have come, so a client need not wait for one answer before it sends the next, as far as [WithMaxOperations]
// lets it. reply, ack and refresh go past them, since they may be what another one waits for. It is the first field
// that keeps an operation's place, until it has reached the hub: what further fields of a mutation give the hub comes
// when they are executed, and a mutation that begins with a field of another kind has no place, wherever in it send
// stands. Answers come in any order, and in none with events.
//
// # Access
//
// connections and stats need the authorizer's leave to list all (or the group, or the provider's), connection to
// list that one. Without an id it is the client's own, which needs none. presence needs leave to see the group's
// presence, close to close that connection.
//
// A request over plain HTTP acts through a connection that lives as long as the request: admitted, with
// OnConnect and OnDisconnect, when a field of the hub is first resolved. Clients that send much are better off
// with a WebSocket.
//
// What is refused is an error whose extension "code" is that of the client protocol (PROTOCOL.md) in upper
// case, such as FORBIDDEN, RATE_LIMITED or BAD_POSITION, or [CodeNoGateway]; arguments of the queries have
// [CodeBadArgument].
func Hub() SchemaOption { return schemaOption(func(b *builder) { b.hub = true }) }

const (
	// CodeNoGateway is the code of a field of [Hub] in a schema that is served without a gateway.
	CodeNoGateway = "NO_GATEWAY"
	// CodeBadArgument is the code of an argument of [Hub] that is out of its bounds.
	CodeBadArgument = "BAD_ARGUMENT"
)

// prepareHub adds the module's SDL and resolvers.
func (b *builder) prepareHub() {
	doc := &ast.SchemaDocument{}
	for _, src := range b.sources {
		if d, err := parser.ParseSchema(src); err == nil { // the mistakes are told when it is parsed again
			doc.Merge(d)
		}
	}
	var text strings.Builder
	text.WriteString(hubTypes)
	query := hubRoot(&text, doc, ast.Query, hubQuery)
	mutation := hubRoot(&text, doc, ast.Mutation, hubMutation)
	subscription := hubRoot(&text, doc, ast.Subscription, hubSubscription)
	b.sources = append(b.sources, &ast.Source{Name: "hub", Input: text.String()})
	for _, o := range []SchemaOption{
		Scalar("HubJSON", parseRaw, writeRaw),
		Bind[hubMessage]("HubMessage"), Bind[hubCalled]("HubCall"), Bind[hubJoined]("HubJoined"), Bind[hubLeft]("HubLeft"),
		Bind[hubGap]("HubGap"), Bind[hubWelcome]("HubWelcome"), Bind[hubRefused]("HubError"), Bind[hubExpiring]("HubExpiring"),
		Bind[hubClosing]("HubClosing"),
		Resolve(query+".connections", hubConnections, Multiply("first")),
		Resolve(query+".connection", hubConnection),
		Resolve(query+".presence", hubPresence),
		Resolve(query+".stats", hubStats),
		Resolve(mutation+".send", hubSend, inTurn),
		Resolve(mutation+".broadcast", hubBroadcast, inTurn),
		Resolve(mutation+".call", hubCall, inTurn),
		Resolve(mutation+".reply", hubReply),
		Resolve(mutation+".ack", hubAck),
		Resolve(mutation+".join", hubJoin, inTurn),
		Resolve(mutation+".leave", hubLeave, inTurn),
		Resolve(mutation+".refresh", hubRefresh),
		Resolve(mutation+".close", hubClose, inTurn),
		subscribeFeed(subscription+".messages", hubMessages, inTurn),
		subscribeFeed(subscription+".events", hubEvents, inTurn),
	} {
		o.applySchema(b)
	}
}

// hubRoot adds fields to the root type of an operation, and makes that where there is none.
func hubRoot(text *strings.Builder, doc *ast.SchemaDocument, op ast.Operation, fields string) string {
	name, exists := rootOf(doc, op)
	if len(doc.Schema) > 0 && !namesRoot(doc, op) { // the schema says what its roots are, and a type of that name is none
		if exists {
			name, exists = "Hub"+name, false
		}
		fmt.Fprintf(text, "extend schema { %s: %s }\n", op, name)
	}
	if exists {
		text.WriteString("extend ")
	}
	fmt.Fprintf(text, "type %s {%s}\n", name, fields)
	return name
}

// namesRoot reports whether the schema says which type is the root of an operation.
func namesRoot(doc *ast.SchemaDocument, op ast.Operation) bool {
	return slices.ContainsFunc(slices.Concat(doc.Schema, doc.SchemaExtension), func(d *ast.SchemaDefinition) bool {
		return slices.ContainsFunc(d.OperationTypes, func(t *ast.OperationTypeDefinition) bool { return t.Operation == op })
	})
}

func parseRaw(v any) (json.RawMessage, error) { return json.Marshal(v) }

func writeRaw(b []byte, v json.RawMessage) ([]byte, error) {
	if len(v) == 0 {
		return append(b, "null"...), nil
	}
	return append(b, v...), nil
}

// rawOf is a map as JSON, or null.
func rawOf[V any](m map[string]V) (json.RawMessage, error) {
	if m == nil {
		return nil, nil
	}
	return json.Marshal(m)
}

// orNull is nil for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// positionOf is the text of a place in a log, or null.
func positionOf(l comm.LogPosition) *string {
	if l.Log == "" || l.Epoch == "" {
		return nil
	}
	return orNull(l.String())
}

// codeText is a code of the client protocol as this schema has it.
func codeText(c comm.Code) string { return strings.ToUpper(string(c)) }

// contentOf is a message's content as the client protocol writes it.
func contentOf(m *comm.Message) (json.RawMessage, error) {
	switch {
	case m.JSON():
		return m.Content(), nil
	case m.Text():
		return jsonscan.AppendString(nil, string(m.Content())), nil
	}
	return json.Marshal(m.Content()) // base64
}

// hubError is what the client is told of a refusal: what was to be done, why not, and the code.
func hubError(what string, err error) error {
	var pe *comm.PeerError
	switch own, ok := errors.AsType[*Error](err); {
	case ok:
		return own
	case errors.Is(err, ErrNoGateway):
		return Errorf("%s: %w", what, err).With("code", CodeNoGateway)
	case errors.As(err, &pe):
	case errors.Is(err, context.DeadlineExceeded):
		pe = &comm.PeerError{Code: comm.CodeTimeout, Message: "no answer in time"}
	default:
		f := comm.RefusalFrame("", err)
		pe = &comm.PeerError{Code: f.Code, Message: f.Text}
	}
	e := Errorf("%s: %s", what, plainly(pe.Message)).With("code", codeText(pe.Code))
	e.err = err
	return e
}

// badArgument refuses an argument.
func badArgument(name string, value any, allowed string) error {
	return Errorf("%s: %s: allowed is %s.", name, shorten(fmt.Sprintf("%v", value)), allowed).With("code", CodeBadArgument)
}
