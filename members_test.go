package comm_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// A message and its members are the same, whichever comes first.
func TestMembersRoundTrip(t *testing.T) {
	t.Parallel()
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want := comm.Members{
		ID: "1", Type: "chat", Content: []byte(`{"a":1}`), From: "user:ann", To: "group:lobby", Timestamp: stamp,
		Headers: map[string]string{"k": "v"}, Metadata: json.RawMessage(`{"x":true}`),
	}
	m, err := want.Message()
	if err != nil {
		t.Fatal(err)
	}
	line, err := comm.JSON().AppendFrame(nil, &comm.Frame{ID: m.ID(), Message: m})
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Members().Message()
	if err != nil {
		t.Fatal(err)
	}
	second, err := comm.JSON().AppendFrame(nil, &comm.Frame{ID: again.ID(), Message: again})
	if err != nil || string(line) != string(second) {
		t.Errorf("%s and %s, %v", line, second, err)
	}
}

// A codec cannot make a message that breaks a rule, and is told which.
func TestMembersRefused(t *testing.T) {
	t.Parallel()
	for member, v := range map[string]comm.Members{
		"id":           {Type: "t", ID: strings.Repeat("x", 129)},
		"type":         {},
		"content":      {Type: "t", Content: []byte("{")},
		"content_type": {Type: "t", ContentType: "a b/c"},
		"to":           {Type: "t", To: "a\nb"},
		"headers":      {Type: "t", Headers: map[string]string{"": "v"}},
		"metadata":     {Type: "t", Metadata: json.RawMessage(`[1]`)},
	} {
		_, err := v.Message()
		if me, ok := errors.AsType[*comm.MessageError](err); !ok || me.Member != member {
			t.Errorf("%s: %v", member, err)
		}
	}
	text := comm.Members{Type: "t", ContentType: "text/plain", Content: []byte{0xff}}
	if _, err := text.Message(); err == nil {
		t.Error("text that is not UTF-8 is taken")
	}
	for _, v := range []comm.Members{
		{Type: "t", Content: []byte("\"\xff\"")}, {Type: "t", Metadata: json.RawMessage("{\"a\":\"\xff\"}")},
	} {
		if _, err := v.Message(); err == nil {
			t.Errorf("%q is taken, which is not UTF-8", v.Content)
		}
	}
}

// A reply has neither type nor addresses.
func TestMembersReply(t *testing.T) {
	t.Parallel()
	m, err := comm.Members{ID: "c1", ContentType: "application/octet-stream", Content: []byte{0, 1}}.Reply()
	if err != nil || m.ID() != "c1" || m.Type() != "" || m.JSON() || len(m.Content()) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err = (comm.Members{}).Reply(); err != nil || string(m.Content()) != "null" {
		t.Errorf("%+v, %v", m, err)
	}
}
