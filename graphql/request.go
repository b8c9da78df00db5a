package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// The seams of this package.
//
//	transport (HTTP, WebSocket, SSE) -> Schema.Append, Schema.Subscribe -> prepare -> plan -> fetch -> write
//
// A transport makes a [Request] and a context, and gets bytes that are a whole GraphQL response:
//
//   - [Schema.Append] executes a query or a mutation and appends its response, for a transport that
//     writes one answer or that puts the response inside of a frame of its own.
//   - [Schema.Subscribe] executes any operation and yields each of its responses: one for a query or a
//     mutation, any number for a subscription, and for incremental delivery the parts. The transport
//     pulls, on a goroutine of its own, or has them delivered, for which a subscription needs one only while
//     there are events ([Stream.Deliver]). Ending the loop, or [Stream.Close], ends the source.
//   - [WithTransport] says in the context where the operation came from: headers, the payload of
//     connection_init, the connection of the gateway. Resolvers read it with [TransportOf].
//
// What a transport must know of an operation before it runs is in [Outcome]; everything about a failure
// is in the bytes already. Uploaded files come as the value of a scalar: a transport hands them
// over in the Request, and they take the place of nulls of the variables.

// Request is one GraphQL request, as every transport makes it.
type Request struct {
	// Query is the document. It may be empty where DocumentID or the extension persistedQuery names one.
	Query string
	// OperationName chooses among several operations of the document.
	OperationName string
	// Variables is a JSON object, null or empty.
	Variables json.RawMessage
	// Extensions is a JSON object, null or empty.
	Extensions json.RawMessage
	// DocumentID names a trusted document.
	DocumentID string
	// Files are put in the place of nulls in Variables, by their path there: "file", "input.photo", "files.0".
	// See [Upload].
	Files map[string]*Upload
	// ReadOnly refuses everything but queries, with [CodeReadOnly]: an HTTP GET must not change anything.
	ReadOnly bool
}

// OperationKind is query, mutation or subscription.
type OperationKind string

// The kinds of operations.
const (
	Query        OperationKind = "query"
	Mutation     OperationKind = "mutation"
	Subscription OperationKind = "subscription"
)

// Outcome is what a transport needs to know of a response beside its bytes.
type Outcome struct {
	// Kind is the kind of the operation, or empty if none was found.
	Kind OperationKind
	// Errors are the errors of the response, in its order.
	Errors []*Error
	// RequestError tells that nothing was executed: the response has no entry "data".
	RequestError bool
	// HasNext tells that this is a part of a response, and more of it follows.
	HasNext bool
}

// Code is the extension "code" of the first error, or empty.
func (o *Outcome) Code() string {
	if len(o.Errors) == 0 {
		return ""
	}
	code, _ := o.Errors[0].Extensions["code"].(string)
	return code
}

// Transport is where an operation came from. Fields that its transport does not have are zero.
type Transport struct {
	// Name is "http", "websocket" or "sse".
	Name string
	// Header are the headers of the HTTP request or of the handshake.
	Header http.Header
	// Request is the HTTP request or the handshake.
	Request *http.Request
	// InitPayload is the payload of connection_init.
	InitPayload json.RawMessage
	// Conn is the connection of the gateway that the operation came over: that of its Subscriber.
	Conn *comm.Conn
	// Subscriber is who has sent the operation over a WebSocket or an event stream.
	Subscriber *Subscriber
	// Manager is that of the gateway, for operations of any transport.
	Manager *comm.Manager
	// Handshake is the handshake that the gateway's authenticator has accepted.
	Handshake *comm.Handshake
	visit     *visit // of a request in the gateway
}

// Identity is who has sent the operation, as the gateway's authenticator last said; the zero Identity for a client that is
// anonymous, and where there is no gateway.
func (t *Transport) Identity() comm.Identity {
	switch {
	case t.Conn != nil:
		return t.Conn.Identity()
	case t.Handshake != nil:
		id, _ := t.Handshake.Identity()
		return id
	}
	return comm.Identity{}
}

type transportKey struct{}

// WithTransport returns a context that carries t.
func WithTransport(ctx context.Context, t *Transport) context.Context {
	return context.WithValue(ctx, transportKey{}, t)
}

// TransportOf returns what the transport has said of the operation; never nil.
func TransportOf(ctx context.Context) *Transport {
	if t, ok := ctx.Value(transportKey{}).(*Transport); ok {
		return t
	}
	return new(Transport)
}

// ParseRequest reads a request from JSON, as it stands in the body of a POST and in a message of the
// WebSocket protocols. The error is an [*Error] for the client. Variables and Extensions are parts of data.
func ParseRequest(data []byte) (*Request, error) {
	req := new(Request)
	err := jsonscan.Object(data, req.set)
	if err == nil {
		return req, nil
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return nil, own
	}
	return nil, &Error{Message: "The request is not a JSON object: " + err.Error()}
}

func (r *Request) set(name, value []byte) error {
	var ok bool
	switch null := string(value) == "null"; string(name) {
	case "query":
		if r.Query, ok = text(value); !ok && !null {
			return &Error{Message: "The parameter query must be a string."}
		}
	case "operationName":
		if r.OperationName, ok = text(value); !ok && !null {
			return &Error{Message: "The parameter operationName must be a string."}
		}
	case "documentId":
		if r.DocumentID, ok = text(value); !ok && !null {
			return &Error{Message: "The parameter documentId must be a string."}
		}
	case "variables":
		if r.Variables = value; value[0] != '{' && !null {
			return &Error{Message: "The parameter variables must be a JSON object."}
		}
	case "extensions":
		if r.Extensions = value; value[0] != '{' && !null {
			return &Error{Message: "The parameter extensions must be a JSON object."}
		}
	}
	return nil
}

// text is a JSON string without a detour where nothing is escaped, as in most documents of one line.
func text(raw []byte) (string, bool) {
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	return jsonscan.String(raw)
}
