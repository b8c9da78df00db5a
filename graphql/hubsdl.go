package graphql

// The SDL of [Hub].

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
  "Who is in a group, on this node."
  presence(group: String!): [HubPresence!]!
  "What a provider, by default all of them, has done since the start."
  stats(provider: String): HubStats!
`

const hubMutation = `
  "Sends a message to conn:ID, user:NAME, group:NAME or all; without to the service takes it."
  send(to: String, type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubDelivery!
  "Sends a message to everyone."
  broadcast(type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubDelivery!
  "Calls the service, or with to another connection, and answers the reply."
  call(to: String, type: String!, content: HubJSON, contentType: String, id: ID, headers: HubJSON, metadata: HubJSON): HubReply!
  "Answers a HubCall of the same connection, by its id: with content, or with an error. A reply that nobody waits for any more is passed over. Always true."
  reply(id: ID!, content: HubJSON, contentType: String, headers: HubJSON, error: HubFailure): Boolean!
  "Tells the sender of a HubMessage with ack, of the same connection, that it was handled, or failed. Always true."
  ack(id: ID!, error: HubFailure): Boolean!
  "Makes the client's connection a member of a group, until it leaves. What the group is sent comes as events; with after, first what was sent behind that position."
  join(group: String!, after: String): HubJoined!
  "Takes the client's connection out of a group, and ends its subscriptions to the group's messages."
  leave(group: String!): HubLeft!
  "Renews the client's identity with a fresh token; the user stays the same."
  refresh(token: String!): HubIdentity!
  "Closes a connection of this node, whose client must not return. Always true."
  close(id: ID!): Boolean!
`

const hubSubscription = `
  "What reaches the group; without a group what reaches the connection, its user and everyone, from now on."
  messages(
    group: String
    "The position of an event of this group's messages, behind which they begin. Without a group it is refused as BAD_POSITION: what the user and everyone were sent meanwhile comes in events, to a client that gives the position in its hello."
    after: String
  ): HubEvent!
  "All that reaches the connection, in one order: HubWelcome first, then messages, joins, gaps, calls and notices, and HubClosing last."
  events: HubEvent!
`

const hubTypes = `
"Any JSON value."
scalar HubJSON
"A time as RFC 3339 has it."
scalar HubTime

"What happens in a subscription to messages or events."
interface HubEvent {
  "How far the subscription has come: given as after, or for events as position of the next connection, it lets a client go on behind this event. Null where nothing is kept."
  position: String
}
"A message. Its sender waits for the mutation ack if ack says so, which is only in events: messages acknowledges by itself."
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
  "The sender waits for the mutation ack with this id."
  ack: Boolean!
  "Where it stands in its log, as log@epoch:offset; null in none."
  place: String
  position: String
}
"Somebody waits for the mutation reply with this id. Its members are those of a message."
type HubCall implements HubEvent {
  id: ID!
  type: String!
  content: HubJSON
  contentType: String!
  from: String
  timestamp: HubTime!
  headers: HubJSON
  metadata: HubJSON
  position: String
}
"The client is in the group. What follows is all that has been said since place."
type HubJoined implements HubEvent {
  "Null for messages without a group, and for the logs of the client's user and of everyone."
  group: String
  "In the group's log, as log@epoch:offset; null without a log."
  place: String
  position: String
}
"The client is out of the group: the last event of a subscription to its messages."
type HubLeft implements HubEvent { group: String!, position: String }
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
"What the gateway says of the connection: the first of all events."
type HubWelcome implements HubEvent {
  "The connection's id; a session that goes on has a new one."
  connection: ID!
  "The secret with which the next connection resumes the session."
  session: String!
  user: String
  "Changes with the server's process."
  node: String!
  "How often the server gives a sign of life, in seconds."
  heartbeat: Float!
  "The largest message that the server takes, in bytes."
  maxMessage: Float!
  "The session of an earlier connection goes on."
  resumed: Boolean!
  "When the identity ends unless it is renewed by the mutation refresh; null if never."
  expires: HubTime
  position: String
}
"Something of the client's was refused that no response tells of: a group or the session of its hello, or what went over the rate."
type HubError implements HubEvent {
  "Of the hello, if it had one, or of a reply or ack."
  id: ID
  "That could not be joined."
  group: String
  "Of the client protocol in upper case, such as FORBIDDEN or SESSION_UNKNOWN."
  code: String!
  message: String!
  position: String
}
"The client's identity is about to end: it should renew it by the mutation refresh. The connection is closed soon after expires."
type HubExpiring implements HubEvent {
  expires: HubTime!
  position: String
}
"The connection is about to be closed: the last of all events."
type HubClosing implements HubEvent {
  "Why: NORMAL, DRAIN, KICKED, SUPERSEDED, EXPIRED, RATE_LIMITED, TRY_LATER or INTERNAL."
  code: String!
  message: String
  "The client should come back."
  reconnect: Boolean!
  "How long it should wait first, in seconds."
  after: Float!
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
  "Where the message stands in its log, as log@epoch:offset; null in none."
  place: String
  "Other nodes were told too."
  remote: Boolean!
}
"The answer to a call."
type HubReply {
  content: HubJSON
  contentType: String!
  "An object of strings."
  headers: HubJSON
}
"Why a call or a message failed, for whoever waits for it."
input HubFailure {
  "Of the client protocol, such as UNKNOWN_TYPE, or the client's own; at most 128 bytes."
  code: String!
  message: String! = ""
}
type HubIdentity {
  user: String
  "Null if it never ends."
  expires: HubTime
}
type HubPresence {
  "Null for all clients without a name together."
  user: String
  "0 while the user is away for a moment."
  connections: Int!
  since: HubTime!
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
  "What the authorizer refused."
  accessDenied: Float!
  "What it could not decide."
  accessFailed: Float!
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
