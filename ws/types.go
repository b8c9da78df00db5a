package ws

import (
	"strconv"

	"github.com/anasamu/comm/internal/wsframe"
)

// Type is the kind of a message (RFC 6455 5.6).
type Type uint8

// The two kinds of message. The zero Type is neither and is refused.
const (
	Text   Type = Type(wsframe.Text)   // UTF-8; what arrives has been checked, what is sent is up to the sender
	Binary Type = Type(wsframe.Binary) // any bytes
)

// String returns "text", "binary" or the number.
func (t Type) String() string {
	switch t {
	case Text:
		return "text"
	case Binary:
		return "binary"
	}
	return "type " + strconv.Itoa(int(t))
}

// Side says which end of a connection this is: a client masks its frames and
// a server does not (RFC 6455 5.1).
type Side uint8

// The two sides. The zero Side is neither and is refused.
const (
	Server Side = iota + 1
	Client
)

// String returns "server", "client" or the number.
func (s Side) String() string {
	switch s {
	case Server:
		return "server"
	case Client:
		return "client"
	}
	return "side " + strconv.Itoa(int(s))
}

// StatusCode is the reason of a close in one number (RFC 6455 7.4).
type StatusCode uint16

// The codes RFC 6455 7.4.1 and IANA's registry define. Codes 3000-3999 are
// registered by libraries and 4000-4999 free for applications.
const (
	StatusNormal             StatusCode = 1000
	StatusGoingAway          StatusCode = 1001
	StatusProtocolError      StatusCode = 1002
	StatusUnsupportedData    StatusCode = 1003
	StatusNoStatus           StatusCode = 1005 // a close frame without a code; never sent
	StatusAbnormal           StatusCode = 1006 // no close frame at all; never sent
	StatusInvalidData        StatusCode = 1007 // text that is not UTF-8
	StatusPolicyViolation    StatusCode = 1008
	StatusTooBig             StatusCode = 1009
	StatusMandatoryExtension StatusCode = 1010
	StatusInternalError      StatusCode = 1011
	StatusServiceRestart     StatusCode = 1012
	StatusTryAgainLater      StatusCode = 1013
	StatusBadGateway         StatusCode = 1014
)

// CanSend reports whether a close frame may carry c.
func (c StatusCode) CanSend() bool { return wsframe.ValidCode(uint16(c)) }
