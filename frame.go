package comm

import (
	"encoding/json"
	"time"
)

// ProtocolVersion is the version of the client protocol that this package speaks (PROTOCOL.md).
const ProtocolVersion = 1

// Op names the kind of a Frame.
type Op uint8

// The kinds of frames. PROTOCOL.md says which side sends which, with every member.
const (
	OpMessage  Op = iota // a message to a handler or, with to, to others; a delivery to a client
	OpHello              // client: credentials, session, position, groups
	OpWelcome            // server: connection id, session, limits
	OpJoin               // client: join a group
	OpJoined             // server: joined, with the place in the group's log
	OpLeave              // client: leave a group
	OpLeft               // server: left
	OpAck                // both: the message of that id was handled
	OpCall               // both: a message that wants a reply
	OpReply              // both: the reply
	OpError              // both: the frame of that id failed
	OpGap                // server: a range of a log is lost
	OpPing               // both
	OpPong               // both
	OpAuth               // client: a fresh token
	OpAuthed             // server: the token was accepted
	OpClosing            // server: the connection will close; whether and when to return
	OpList               // client: list connections
	OpPresence           // client: who is in a group
	OpClose              // client: close a connection
	opCount
)

var opNames = [opCount]string{
	"message", "hello", "welcome", "join", "joined", "leave", "left", "ack", "call", "reply", "error", "gap",
	"ping", "pong", "auth", "authed", "closing", "list", "presence", "close",
}

// String returns the op as it stands in a frame.
func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return "unknown"
}

func parseOp(s string) (Op, bool) {
	for i, n := range opNames {
		if n == s {
			return Op(i), true
		}
	}
	return 0, false
}

// Frame is one unit of the client protocol, whatever the carrier and the codec. Which fields are
// used depends on Op, as PROTOCOL.md lists. A Frame that is being sent must not be modified.
type Frame struct {
	Op      Op
	ID      string      // relates a request and its answer; for a message, its id
	Message *Message    // OpMessage, OpCall, OpReply (its content)
	Ack     bool        // OpMessage: the receiver owes an OpAck
	Log     LogPosition // where a logged message, a joined group or the end of a gap stands
	GapFrom uint64      // OpGap: the first lost offset; Log.Offset is the last, or 0 if unknown
	Group   string      // OpJoin, OpJoined, OpLeave, OpLeft, OpPresence
	Target  string      // OpList, OpClose: an address such as "group:lobby" or "conn:7K2..."
	Code    Code        // OpError, OpClosing
	Text    string      // OpError, OpClosing: for people
	Token   string      // OpHello, OpAuth
	Expires time.Time   // OpWelcome, OpAuthed: when the identity ends; zero if never

	Position Position // OpHello, OpJoin
	Hello    *Hello   // OpHello
	Welcome  *Welcome // OpWelcome
	Closing  *Closing // OpClosing

	// Route is no part of the protocol: what a client's OpMessage asks of a carrier that has lanes or datagrams.
	// Nil asks for nothing.
	Route *Route

	// Delivery is no part of the protocol. A carrier that sets it on an OpMessage with Ack, to others, finds
	// there what became of it once the ack has come.
	Delivery *Delivery
}

// Route is the way that a message of a Client takes, where its carrier has several: what WithLane, WithPriority
// and WithUnreliable say.
type Route struct {
	Lane       string
	Priority   Priority
	Unreliable bool
}

// Hello is what a client says first.
type Hello struct {
	Version  int               // 0 means 1
	Session  string            // from an earlier welcome, to resume
	Groups   []string          // to join at once, each under the authorisation of a join
	Metadata map[string]string // shown on the connection
}

// Welcome is the server's first answer.
type Welcome struct {
	Version    int
	Conn       string        // the connection's id
	Session    string        // a secret with which to resume, and to send upward on SSE and polling
	User       string        // who the client is, or ""
	Node       string        // changes with the server process
	Heartbeat  time.Duration // how often the server gives a sign of life; 0 if the carrier does it alone
	MaxMessage int           // the largest message the server accepts, in bytes
	Resumed    bool          // whether Session continued an earlier one
}

// Closing says how a connection ends.
type Closing struct {
	Reconnect bool          // whether the client should return
	After     time.Duration // how long to wait first
}

// ConnInfo is one connection in the answer to a list, as JSON.
type ConnInfo struct {
	ID       string            `json:"id"`
	Provider string            `json:"provider"`
	User     string            `json:"user,omitempty"`
	Groups   []string          `json:"groups,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Since    time.Time         `json:"since"`
}

// Codec turns frames into bytes and back. JSON is the one of version 1.
// A Codec's dynamic type must be comparable, because it is part of the key under which encoded
// messages are shared; it must be safe for concurrent use.
type Codec interface {
	// Name is the protocol name, for example the WebSocket subprotocol "comm.v1.json".
	Name() string
	// AppendFrame appends the encoded frame to dst.
	AppendFrame(dst []byte, f *Frame) ([]byte, error)
	// ParseFrame decodes one frame. The frame must not retain data. Its error is a *FrameError.
	ParseFrame(data []byte) (*Frame, error)
}

// FrameError is a frame that breaks the protocol. ID is the frame's id where it could be read.
type FrameError struct {
	Code Code
	ID   string
	Text string
}

// Error gives the code and the text.
func (e *FrameError) Error() string { return "comm: frame: " + string(e.Code) + ": " + e.Text }

// errorFrame is the answer to a frame that failed.
func errorFrame(id string, code Code, text string) *Frame {
	return &Frame{Op: OpError, ID: id, Code: code, Text: text}
}

// replyFrame answers a request with content that is already JSON.
func replyFrame(id string, content json.RawMessage) *Frame {
	return &Frame{Op: OpReply, ID: id, Message: &Message{content: content}}
}
