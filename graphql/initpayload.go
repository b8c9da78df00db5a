package graphql

import (
	"net/http"
	"strings"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// handshakeOf is the handshake of a WebSocket client: that of its request, with what connection_init says.
// Its token is the payload's member token, access_token, authToken or Authorization, or Authorization in the
// payload's headers; browsers can set no headers, and these are what their libraries are used with. The
// whole payload is in TransportOf of the authenticator's context. hello is what its member comm says, or nil.
func handshakeOf(r *http.Request, t *Transport, hello *comm.Frame) *comm.Handshake {
	said := &comm.Frame{Hello: &comm.Hello{}}
	if hello != nil {
		*said = *hello
	}
	said.Token = firstOf(tokenOf(t.InitPayload), said.Token)
	r = r.WithContext(WithTransport(r.Context(), t))
	hs, _ := comm.NewHandshake(r, said) // fails for what it reads of a query alone
	return hs
}

func tokenOf(payload []byte) (token string) {
	if payload == nil {
		return ""
	}
	_ = jsonscan.Object(payload, func(name, value []byte) error { // it is an object
		switch strings.ToLower(string(name)) {
		case "token", "access_token", "authtoken":
			token = firstOf(token, plainText(value))
		case "authorization":
			token = firstOf(token, bearer(plainText(value)))
		case "headers":
			if value[0] == '{' {
				token = firstOf(token, tokenOf(value))
			}
		}
		return nil
	})
	return token
}

// bearer is the token of an Authorization, with or without its scheme.
func bearer(s string) string {
	if t := comm.BearerToken(s); t != "" || strings.Contains(s, " ") {
		return t
	}
	return s
}

func plainText(raw []byte) string {
	s, _ := text(raw)
	return s
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
