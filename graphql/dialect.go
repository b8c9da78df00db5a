package graphql

import (
	"encoding/json"
	"fmt"

	"github.com/anasamu/comm/internal/jsonscan"
)

// The subprotocols of GraphQL over WebSocket.
const (
	protocolTransport = "graphql-transport-ws" // of the library graphql-ws
	protocolOld       = "graphql-ws"           // of the library subscriptions-transport-ws, which came before
)

// dialect is the words of one subprotocol.
type dialect struct {
	old bool
	// What a client says.
	begin, stop string
	// What the server says.
	next string
}

var dialects = map[string]*dialect{
	protocolTransport: {begin: "subscribe", stop: "complete", next: "next"},
	protocolOld:       {old: true, begin: "start", stop: "stop", next: "data"},
}

// wsMessage is one message of a client, its parts those of the bytes it was read from.
type wsMessage struct {
	typ     string
	id      string
	payload json.RawMessage // nil if there is none
}

// maxID bounds the id of an operation in bytes.
const maxID = 256

// parseMessage reads a message. The error says what is wrong with it.
func parseMessage(data []byte) (m wsMessage, err error) {
	err = jsonscan.Object(data, func(name, value []byte) error {
		ok := true
		switch string(name) {
		case "type":
			m.typ, ok = text(value)
		case "id":
			if string(value) != "null" {
				m.id, ok = text(value)
			}
		case "payload":
			if m.payload = value; string(value) == "null" {
				m.payload = nil
			}
		}
		if !ok {
			return fmt.Errorf("%s must be a string", name)
		}
		return nil
	})
	switch {
	case err != nil:
		return m, err
	case m.typ == "":
		return m, fmt.Errorf("type is missing")
	case len(m.id) > maxID:
		return m, fmt.Errorf("id is longer than %d bytes", maxID)
	}
	return m, nil
}

// appendMessage appends a message; id and payload are left out where they are empty.
func appendMessage(b []byte, typ, id string, payload []byte) []byte {
	b = append(b, '{')
	if id != "" {
		b = append(jsonscan.AppendString(append(b, `"id":`...), id), ',')
	}
	b = jsonscan.AppendString(append(b, `"type":`...), typ)
	if payload != nil {
		b = append(append(b, `,"payload":`...), payload...)
	}
	return append(b, '}')
}

// appendErrorList appends the errors as an array.
func appendErrorList(b []byte, errs []*Error) []byte {
	b = append(b, '[')
	for i, e := range errs {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.append(b)
	}
	return append(b, ']')
}

// firstError appends the first of the errors, as the old protocol tells it.
func firstError(b []byte, errs []*Error) []byte {
	if len(errs) == 0 {
		return append(b, `{"message":"The operation was refused."}`...)
	}
	return errs[0].append(b)
}
