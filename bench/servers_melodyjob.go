package main

import (
	"encoding/json"
	"net/http"

	"github.com/olahol/melody"
)

// melodySay is the envelope of a message in and out.
type melodySay struct {
	Type    string `json:"type"`
	Content say    `json:"content"`
}

// Job has the request checked for the token and a handler that decodes and
// sends to the sender's group. melody has no event streams: all ten clients of
// a group are WebSockets.
func (melodySubject) Job(s *spec) (hub, error) {
	if s.Variant != "" {
		return nil, errUnsupported
	}
	h := newMelody(s)
	var handled counter
	h.m.HandleMessage(func(session *melody.Session, b []byte) {
		defer handled.count()
		if err := h.say(session, b); err != nil {
			h.failed.Store(&err)
		}
	})
	addr, err := serveHTTP(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r) {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_ = h.m.HandleRequest(w, r) // it has answered
	}))
	h.entry = entry{Addr: addr, WS: "/?group=%d", Say: `{"type":"say","content":%s}`}
	return h, err
}

func (h *melodyHub) say(from *melody.Session, b []byte) error {
	var v melodySay
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	v.Type = "said"
	out, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return h.Publish(groupOf(from.Request), out)
}
