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
//	  connections(group: String, provider: String, first: Int! = 100, after: String): HubConnections!
//	  connection(id: ID): HubConnection
//	  stats(provider: String): HubStats!
//	}
//	type Mutation {
//	  send(to: String, type: String!, content: HubJSON, ...): HubDelivery!
//	  broadcast(type: String!, content: HubJSON, ...): HubDelivery!
//	  call(to: String, type: String!, content: HubJSON, ...): HubJSON
//	}
//	type Subscription {
//	  messages(group: String, after: String): HubEvent!
//	}
//
// It may be all of a schema, or be given beside SDL of the user's: its fields then come into the user's root
// types, which need not be there. The names of its other types begin with Hub.
//
// messages makes the client's connection a member of the group, see [Subscriber.Join], and its events are
// HubJoined first, then HubMessage, and HubGap where the group's history has lost some; HubLeft is the last if
// the service takes the client out of the group. Given as after, the position of the last event that a client
// has seen lets it go on behind that one. Without a group they are the messages to the connection itself, to its
// user and to everyone, from now on; they have no positions.
//
// send is what a message with "to" is in the client protocol ("conn:ID", "user:NAME", "group:NAME" or "all");
// without to the service's handler of the type takes it. call answers what the service's handler returns, or
// another connection. Both stand in line with all else that the connection sends: its rate, middleware and
// authorizer are those of every client, and a message is at most as large as comm.WithMaxMessage says.
//
// connections and stats need the authorizer's leave to list all (or the group, or the provider's), connection to
// list that one. Without an id it is the client's own, which needs none.
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

const hubQuery = `
  "The connections of this node in the order of their ids, a page at a time: at most first, behind the id after."
  connections(
    "Members of the group alone."
    group: String
    "Connections of the provider alone: http, websocket, sse, graphql or another."
    provider: String
    "1 to 1000."
    first: Int! = 100
    "Next of the page before."
    after: ID
  ): HubConnections!
  "A connection of this node, by default the client's own; null if there is none."
  connection(id: ID): HubConnection
  "What a provider, by default all of them, has done since the start."
  stats(provider: String): HubStats!
`

const hubMutation = `
  "Sends a message to conn:ID, user:NAME, group:NAME or all; without to the service takes it."
  send(to: String, type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubDelivery!
  "Sends a message to everyone."
  broadcast(type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubDelivery!
  "Calls the service, or with to another connection, and answers the content of the reply."
  call(to: String, type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubJSON
`

const hubSubscription = `
  "What reaches the group, behind the position after if that is given; without a group what reaches the connection, its user and everyone."
  messages(group: String, after: String): HubEvent!
`

const hubTypes = `
"Any JSON value."
scalar HubJSON
"A time as RFC 3339 has it."
scalar HubTime

"What happens in a subscription to messages."
interface HubEvent {
  "Given as after, it lets a client go on behind this event; null where nothing is kept."
  position: String
}
type HubMessage implements HubEvent {
  id: ID!
  type: String!
  "JSON as it is, text as a string, anything else as base64."
  content: HubJSON
  "application/json, or what else the content is."
  contentType: String!
  "user:NAME, conn:ID, or the name of a service."
  from: String
  "The address that it was sent to."
  to: String
  timestamp: HubTime!
  "An object of strings."
  headers: HubJSON
  "An object."
  metadata: HubJSON
  position: String
}
"The client is in the group: the first event. What follows is all that has been said since position."
type HubJoined implements HubEvent {
  "Null for messages without a group."
  group: String
  position: String
}
"The service has taken the client out of the group: the last event."
type HubLeft implements HubEvent { group: String, position: String }
"Messages of a log are lost. The client should read anew what they would have told."
type HubGap implements HubEvent {
  "group:NAME, user:NAME or all."
  log: String!
  "In which life of the log the offsets are."
  epoch: String!
  "The first lost offset."
  first: String!
  "The last lost offset; null if the log's epoch is over, and nobody knows."
  last: String
  position: String
}
"What became of a message on this node: matched = queued + dropped + closed."
type HubDelivery {
  "Of the message."
  id: ID!
  "Connections that the address names."
  matched: Int!
  "Of those, waiting to be written."
  queued: Int!
  "Of those, refused by the overflow policy."
  dropped: Int!
  "Of those, closed before or by this."
  closed: Int!
  "Where the message stands in its log."
  position: String
  "Other nodes were told too."
  remote: Boolean!
}
type HubConnection {
  id: ID!
  provider: String!
  user: String
  groups: [String!]!
  "An object of strings."
  labels: HubJSON
  "An object of strings."
  metadata: HubJSON
  since: HubTime!
}
type HubConnections {
  nodes: [HubConnection!]!
  "How many there are on all pages."
  total: Int!
  "The next page's after; null on the last one."
  next: ID
}
"Counters since the start. Times are in seconds, of requests that are no streams."
type HubStats {
  connectionsTotal: Float!
  connectionsActive: Float!
  requests: Float!
  requestsFailed: Float!
  messagesIn: Float!
  messagesInFailed: Float!
  messagesOut: Float!
  messagesOutFailed: Float!
  bytesIn: Float!
  bytesOut: Float!
  "An object of numbers by reason."
  drops: HubJSON!
  "Ended connections: an object of numbers by reason."
  closed: HubJSON!
  responseAverage: Float!
  responseP50: Float!
  responseP95: Float!
  responseP99: Float!
  responseMax: Float!
}
`

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
		Bind[hubMessage]("HubMessage"), Bind[hubJoined]("HubJoined"), Bind[hubLeft]("HubLeft"), Bind[hubGap]("HubGap"),
		Resolve(query+".connections", hubConnections, Multiply("first")),
		Resolve(query+".connection", hubConnection),
		Resolve(query+".stats", hubStats),
		Resolve(mutation+".send", hubSend),
		Resolve(mutation+".broadcast", hubBroadcast),
		Resolve(mutation+".call", hubCall),
		Subscribe(subscription+".messages", hubMessages),
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
	e := Errorf("%s: %s", what, strings.TrimPrefix(pe.Message, "comm: ")).With("code", strings.ToUpper(string(pe.Code)))
	e.err = err
	return e
}

// badArgument refuses an argument.
func badArgument(name string, value any, allowed string) error {
	return Errorf("%s: %s: allowed is %s.", name, shorten(fmt.Sprintf("%v", value)), allowed).With("code", CodeBadArgument)
}
