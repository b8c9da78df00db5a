package graphql

import (
	"fmt"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// helloMember is where a client says hello: in the payload of connection_init, and in a request's extensions. In the
// payload of connection_ack it is where it is told welcome.
const helloMember = "comm"

// helloIn is the hello of the client protocol that an object has, or nil. Without a gateway the member is the user's.
func (l *hall) helloIn(object []byte) (*comm.Frame, error) {
	if l.host == nil || len(object) == 0 || object[0] != '{' {
		return nil, nil
	}
	var hello []byte
	err := jsonscan.Object(object, func(name, value []byte) error {
		if string(name) == helloMember && string(value) != "null" {
			hello = value
		}
		return nil
	})
	if err != nil || hello == nil {
		return nil, err
	}
	if most := l.settings.MaxMessage; most > 0 && len(hello) > most {
		return nil, &comm.PeerError{Code: comm.CodeTooLarge, Message: fmt.Sprintf("a hello of %d bytes: at most %d", len(hello), most)}
	}
	f, err := parseHello(hello)
	if err != nil {
		return nil, fmt.Errorf("the member %s: %w", helloMember, err)
	}
	return f, nil
}

// parseHello reads a hello that need not say that it is one.
func parseHello(b []byte) (*comm.Frame, error) {
	if b[0] != '{' {
		return nil, &comm.FrameError{Code: comm.CodeBadFrame, Text: "the hello is no object"}
	}
	f, err := comm.JSON().ParseFrame(withOp(b))
	if err == nil && f.Op != comm.OpHello {
		return nil, &comm.FrameError{Code: comm.CodeBadFrame, ID: f.ID, Text: fmt.Sprintf("op %q: allowed is hello", f.Op)}
	}
	return f, err
}

// withOp puts op before the other members of a hello, unless it is there.
func withOp(hello []byte) []byte {
	said, empty := false, true
	_ = jsonscan.Object(hello, func(name, _ []byte) error { // it is part of what was read as an object
		said = said || string(name) == "op"
		empty = false
		return nil
	})
	switch {
	case said:
		return hello
	case empty:
		return []byte(`{"op":"hello"}`)
	}
	return append([]byte(`{"op":"hello",`), hello[1:]...)
}

// errWelcome refuses a hello that asks for something on a connection that somebody else has opened in the client's name.
var errWelcome = &comm.PeerError{Code: comm.CodeUnexpectedHello, Message: "the connection is already welcome"}

// asks reports whether a hello asks for anything that only the beginning of a connection can give.
func asks(hello *comm.Frame) bool {
	if hello == nil {
		return false
	}
	h := hello.Hello
	other := h.Version != 0 && h.Version != comm.ProtocolVersion
	return other || h.Session != "" || len(h.Groups) > 0 || len(h.Metadata) > 0 || hello.Position.Len() > 0
}

// welcome is what the hub says to the client, in the client protocol.
func (h *hubSide) welcome() *comm.Frame {
	c, limits := h.conn.Load(), h.host.Settings()
	return &comm.Frame{Op: comm.OpWelcome, Expires: c.Identity().Expires, Welcome: &comm.Welcome{
		Version: comm.ProtocolVersion, Conn: c.ID(), Session: c.Session(), User: c.User(), Node: h.host.Manager().Node(),
		Heartbeat: limits.Heartbeat, MaxMessage: limits.MaxMessage, Resumed: c.Resumed(),
	}}
}

// welcomePayload is the payload of connection_ack.
func (h *hubSide) welcomePayload() []byte {
	b, err := comm.JSON().AppendFrame([]byte(`{"`+helloMember+`":`), h.welcome())
	if err != nil { // it cannot be: it is all strings and numbers
		return nil
	}
	return append(b, '}')
}

type hubWelcome struct {
	Connection, Session string
	User                *string
	Node                string
	Heartbeat           float64
	MaxMessage          int
	Resumed             bool
	Expires             *time.Time
	Position            *string
}

func welcomeOf(f *comm.Frame, at *string) hubWelcome {
	w := f.Welcome
	return hubWelcome{
		w.Conn, w.Session, orNull(w.User), w.Node, w.Heartbeat.Seconds(), w.MaxMessage, w.Resumed, timeOrNull(f.Expires), at,
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// hubIdentity is the answer to Mutation.refresh.
type hubIdentity struct {
	User    *string
	Expires *time.Time
}
