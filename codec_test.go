package comm_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// frames are one of each kind, with every member that the kind has.
func frames(t testing.TB) []*comm.Frame {
	at := time.Date(2026, 11, 24, 12, 0, 0, 5, time.UTC)
	pos, err := comm.ParsePosition("group:a%20b@k3.1:41,user:ann@k3.2:7")
	if err != nil {
		t.Fatal(err)
	}
	full := message(t, "chat.message", map[string]any{"a": "\u2028<>&\"\\\n", "b": 1.5}, comm.WithID("m1"), comm.WithFrom("user:ann"),
		comm.WithTimestamp(at), comm.WithHeader("k", "v"), comm.WithMetadata(map[string]int{"n": 1}))
	log := comm.LogPosition{Log: "group:lobby", Epoch: "k3.1", Offset: 42}
	return []*comm.Frame{
		{Op: comm.OpMessage, ID: "m1", Message: full, Log: log, Ack: true},
		{Op: comm.OpMessage, ID: "b", Message: message(t, "bin", []byte{0, 1, 255}, comm.WithID("b"), comm.WithTimestamp(at))},
		{Op: comm.OpMessage, ID: "t", Message: message(t, "txt", []byte("caf\u00e9"), comm.WithContentType("text/plain; charset=utf-8"), comm.WithID("t"), comm.WithTimestamp(at))},
		{Op: comm.OpCall, ID: "m1", Message: full},
		{Op: comm.OpReply, ID: "c", Message: decodedReply(t, `[1,null,"x"]`)},
		{Op: comm.OpHello, ID: "h", Token: "t", Position: pos, Hello: &comm.Hello{Version: 1, Session: "s", Groups: []string{"a", "b"}, Metadata: map[string]string{"k": "v"}}},
		{Op: comm.OpWelcome, Expires: at, Welcome: &comm.Welcome{Version: 1, Conn: "C", Session: "S", User: "ann", Node: "n1", Heartbeat: 25 * time.Second, MaxMessage: 1 << 20, Resumed: true}},
		{Op: comm.OpJoin, ID: "j", Group: "lobby", Position: pos},
		{Op: comm.OpJoined, ID: "j", Group: "lobby", Log: log},
		{Op: comm.OpLeave, ID: "l", Group: "lobby"},
		{Op: comm.OpLeft, ID: "l", Group: "lobby", Log: comm.LogPosition{Log: "group:lobby", Epoch: "k3.1"}},
		{Op: comm.OpAck, ID: "m1"},
		{Op: comm.OpError, ID: "m1", Group: "g", Code: comm.CodeForbidden, Text: "no"},
		{Op: comm.OpGap, Log: log, GapFrom: 12},
		{Op: comm.OpGap, Log: comm.LogPosition{Log: "all", Epoch: "k"}, GapFrom: 1},
		{Op: comm.OpPing, ID: "1"},
		{Op: comm.OpPong, ID: "1"},
		{Op: comm.OpAuth, ID: "a", Token: "t"},
		{Op: comm.OpAuthed, ID: "a", Expires: at},
		{Op: comm.OpClosing, Code: "drain", Text: "bye", Closing: &comm.Closing{Reconnect: true, After: 730 * time.Millisecond}},
		{Op: comm.OpList, ID: "q", Target: "group:lobby"},
		{Op: comm.OpPresence, ID: "p", Group: "lobby"},
		{Op: comm.OpClose, ID: "x", Target: "conn:C"},
	}
}

// decodedReply is content as a reply carries it: without a type or an id.
func decodedReply(t testing.TB, content string) *comm.Message {
	t.Helper()
	f, err := comm.JSON().ParseFrame([]byte(`{"op":"reply","content":` + content + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return f.Message
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	for _, f := range frames(t) {
		b, err := comm.JSON().AppendFrame(nil, f)
		if err != nil {
			t.Fatalf("%v: %v", f.Op, err)
		}
		if !json.Valid(b) || strings.ContainsAny(string(b), "\r\n") {
			t.Errorf("%v: %q is not JSON on one line", f.Op, b)
		}
		got, err := comm.JSON().ParseFrame(b)
		if err != nil {
			t.Errorf("%v: %s: %v", f.Op, b, err)
			continue
		}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("%s\nread as %+v\nwant    %+v", b, got, f)
		}
	}
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		code     comm.Code
		id       string
	}{
		{"empty", ``, comm.CodeBadFrame, ""},
		{"array", `[]`, comm.CodeBadFrame, ""},
		{"two values", `{} {}`, comm.CodeBadFrame, ""},
		{"no UTF-8", "{\"type\":\"\xff\"}", comm.CodeBadFrame, ""},
		{"neither op nor type", `{"id":"1"}`, comm.CodeBadFrame, "1"},
		{"member twice", `{"id":"1","type":"a","type":"b"}`, comm.CodeBadFrame, "1"},
		{"wrong type", `{"id":"1","type":7}`, comm.CodeBadFrame, "1"},
		{"number for id", `{"id":1,"type":"a"}`, comm.CodeBadFrame, ""},
		{"unknown op", `{"id":"1","op":"dance"}`, comm.CodeUnknownOp, "1"},
		{"another case", `{"id":"1","Type":"a","op":"message"}`, comm.CodeBadMessage, "1"},
		{"long type", `{"id":"1","type":"` + strings.Repeat("x", 129) + `"}`, comm.CodeBadMessage, "1"},
		{"control character", `{"id":"1","type":"a\u0000"}`, comm.CodeBadMessage, "1"},
		{"metadata", `{"id":"1","type":"a","metadata":[1]}`, comm.CodeBadMessage, "1"},
		{"headers", `{"id":"1","type":"a","headers":{"k":1}}`, comm.CodeBadFrame, "1"},
		{"number in to", `{"id":"1","type":"a","to":5}`, comm.CodeBadFrame, "1"},
		{"base64", `{"id":"1","type":"a","content_type":"image/png","content":"*"}`, comm.CodeBadMessage, "1"},
		{"object for text", `{"id":"1","type":"a","content_type":"text/plain","content":{}}`, comm.CodeBadMessage, "1"},
		{"position", `{"id":"1","op":"join","group":"g","position":"x"}`, comm.CodeBadPosition, "1"},
		{"after", `{"op":"closing","after":-1}`, comm.CodeBadFrame, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := comm.JSON().ParseFrame([]byte(tt.in))
			fe, ok := errors.AsType[*comm.FrameError](err)
			if !ok || fe.Code != tt.code || fe.ID != tt.id || fe.Text == "" {
				t.Errorf("%v, want %s with id %q", err, tt.code, tt.id)
			}
		})
	}
}

func TestCodecIgnoresUnknownMembers(t *testing.T) {
	t.Parallel()
	f, err := comm.JSON().ParseFrame([]byte("{\"type\":\"a\",\"later\":{\"x\":[1]},\"id\":null,\"content\":\n{\"k\":\n1}}"))
	if err != nil || f.ID != "" || string(f.Message.Content()) != `{"k":1}` {
		t.Fatalf("%+v, %v", f, err)
	}
}
