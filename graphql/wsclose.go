package graphql

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// wsClose is a close code with its reason. The codes from 4400 on are those of the protocol
// graphql-transport-ws; their reasons begin with the words of the library graphql-ws, which users look for. After 4400,
// 4401, 4406, 4409, 4429 and 4500 that library's client gives up, after all others it comes back.
type wsClose struct {
	code   ws.StatusCode
	reason string
}

// Error says how the connection ends.
func (c *wsClose) Error() string { return "graphql: WebSocket closed: " + c.reason }

var (
	closeUnauthorized = &wsClose{4401, "Unauthorized"}
	closeNotInit      = &wsClose{closeUnauthorized.code, "Unauthorized: connection_init must come first"}
	closeForbidden    = &wsClose{4403, "Forbidden"}
	closeProtocol     = &wsClose{4406, "Subprotocol not acceptable: allowed is " + protocolTransport + " or " + protocolOld}
	closeInitTimeout  = &wsClose{4408, "Connection initialisation timeout"}
	closeManyInits    = &wsClose{4429, "Too many initialisation requests"}
	closeInternal     = &wsClose{4500, "Internal server error"}
	closeAckTimeout   = &wsClose{4504, "Connection acknowledgement timeout"}
	closeTryLater     = &wsClose{ws.StatusTryAgainLater, "Try again later"}
	closeAway         = &wsClose{ws.StatusGoingAway, "Going away"}
	closeNormal       = &wsClose{ws.StatusNormal, "Normal Closure"}
)

// invalidMessage is for bytes that are no message of the protocol.
func invalidMessage(why string) *wsClose { return &wsClose{4400, "Invalid message received: " + why} }

// subscriberExists is for an id that is in use.
func subscriberExists(id string) *wsClose {
	return &wsClose{4409, "Subscriber for " + id + " already exists"}
}

// closeOf is how a client is told the manager's reason: whether it should come back, and what for.
func closeOf(r comm.CloseReason) *wsClose {
	if own, ok := errors.AsType[*wsClose](r.Err); ok {
		return own
	}
	switch r.Kind {
	case comm.ReasonDrain:
		return closeAway
	case comm.ReasonExpired: // clients fetch a fresh token on this code
		return closeForbidden
	case comm.ReasonUnauthorized:
		return &wsClose{closeForbidden.code, orText(r.Text, closeForbidden.reason)}
	case comm.ReasonKicked: // the code with which clients stay away
		return &wsClose{closeUnauthorized.code, orText(r.Text, closeUnauthorized.reason)}
	case comm.ReasonProtocol:
		return &wsClose{4400, orText(r.Text, "Bad request")}
	case comm.ReasonInvalidData:
		return &wsClose{ws.StatusInvalidData, r.Text}
	case comm.ReasonTooLarge:
		return &wsClose{ws.StatusTooBig, r.Text}
	case comm.ReasonRateLimited, comm.ReasonTryLater:
		return &wsClose{closeTryLater.code, orText(r.Text, closeTryLater.reason)}
	case comm.ReasonInternal:
		return closeInternal
	case comm.ReasonSlow:
		return &wsClose{ws.StatusCode(r.Code()), orText(r.Text, "Slow consumer")}
	}
	return &wsClose{closeNormal.code, orText(r.Text, closeNormal.reason)}
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// refusalOf is how a client that was not admitted is told.
func refusalOf(err error) *wsClose {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return closeAckTimeout
	case errors.Is(err, context.Canceled):
		return closeAway
	}
	c := closeOf(comm.RefusalReason(err))
	f := comm.RefusalFrame("", err)
	switch told := toldOf(err); {
	case f.Code == comm.CodeSessionRevoked: // as when it was
		c = closeUnauthorized
	case f.Code == comm.CodeUnexpectedHello:
		c = invalidMessage("")
	case c.code == closeForbidden.code && !told: // which credentials were wrong, and how, is not for everybody
		return closeForbidden
	case c.code != closeForbidden.code && c.code != 4400:
		return c
	}
	return &wsClose{c.code, string(f.Code) + ": " + plainly(f.Text)}
}

// toldOf reports whether an error says something that is meant for the client.
func toldOf(err error) bool {
	_, peer := errors.AsType[*comm.PeerError](err)
	return peer
}

// plainly is what an error says to a client, who knows of no package.
func plainly(text string) string { return strings.TrimPrefix(text, "comm: ") }

// refusalError is what refusalOf says, as an error.
func refusalError(err error) *Error {
	f := comm.RefusalFrame("", err)
	return Errorf("%s", plainly(f.Text)).With("code", codeText(f.Code))
}

// closeSocket makes the closing handshake within the deadline.
func closeSocket(conn *ws.Conn, c *wsClose, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_ = conn.Close(ctx, c.code, wsframe.CutReason(c.reason)) // the peer may be gone already
}

// socketReason says to the manager why reading a socket ended.
func socketReason(err error) comm.CloseReason {
	if own, ok := errors.AsType[*wsClose](err); ok {
		return comm.CloseReason{Kind: comm.ReasonProtocol, Text: own.reason, Err: own}
	}
	r := comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	ce, ok := errors.AsType[*ws.CloseError](err)
	switch {
	case errors.Is(err, errTerminated):
		r.Kind = comm.ReasonClient
	case errors.Is(err, os.ErrDeadlineExceeded): // a write's: the peer takes nothing
		r.Kind = comm.ReasonSlow
	case errors.Is(err, ws.ErrHeartbeat):
		r.Kind = comm.ReasonHeartbeat
	case !ok:
	case !ce.Local && (ce.Code == ws.StatusNormal || ce.Code == ws.StatusGoingAway || ce.Code == ws.StatusNoStatus):
		r.Kind = comm.ReasonClient
	case ce.Local && ce.Code == ws.StatusProtocolError:
		r.Kind = comm.ReasonProtocol
	case ce.Local && ce.Code == ws.StatusInvalidData:
		r.Kind = comm.ReasonInvalidData
	case ce.Local && ce.Code == ws.StatusTooBig:
		r.Kind = comm.ReasonTooLarge
	}
	return r
}
