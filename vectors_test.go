package comm_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
)

func vectors(t testing.TB) []commtest.Vector {
	t.Helper()
	list, err := commtest.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestProtocolVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.File+"/"+v.Name, func(t *testing.T) {
			t.Parallel()
			f, err := comm.JSON().ParseFrame([]byte(v.Frame))
			if v.Error != "" {
				fe, ok := errors.AsType[*comm.FrameError](err)
				if !ok || fe.Code != v.Error || fe.ID != v.ID || fe.Text == "" {
					t.Fatalf("%+v, %v, want %s for id %q", f, err, v.Error, v.ID)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := members(f); !reflect.DeepEqual(got, v.Members) {
				t.Fatalf("got  %v\nwant %v", got, v.Members)
			}
			// What is written again reads the same.
			b, err := comm.JSON().AppendFrame(nil, f)
			if err != nil || !json.Valid(b) {
				t.Fatalf("%s, %v", b, err)
			}
			again, err := comm.JSON().ParseFrame(b)
			if err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			got, want := members(again), members(f)
			if f.Op == comm.OpHello && f.Hello.Version == 0 {
				want["version"] = 1.0 // written out
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s reads as %v, want %v", b, got, want)
			}
		})
	}
}

// TestEveryOpHasAVector keeps the files complete.
func TestEveryOpHasAVector(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, v := range vectors(t) {
		if op, ok := v.Members["op"].(string); ok {
			seen[op] = true
		}
	}
	for op := comm.OpMessage; op.String() != "unknown"; op++ {
		if !seen[op.String()] {
			t.Errorf("no vector for op %q", op)
		}
	}
}

// members are those of a frame that are set, as the vectors write them.
func members(f *comm.Frame) map[string]any {
	m := map[string]any{"op": f.Op.String()}
	set := func(name string, v any) {
		if !reflect.ValueOf(v).IsZero() {
			m[name] = v
		}
	}
	set("id", f.ID)
	set("ack", f.Ack)
	set("log", f.Log.Log)
	set("epoch", f.Log.Epoch)
	set("offset", float64(f.Log.Offset))
	set("gap_from", float64(f.GapFrom))
	set("group", f.Group)
	set("target", f.Target)
	set("code", string(f.Code))
	set("message", f.Text)
	set("token", f.Token)
	set("position", f.Position.String())
	if !f.Expires.IsZero() {
		m["expires"] = f.Expires.Format(time.RFC3339Nano)
	}
	if h := f.Hello; h != nil {
		m["version"] = float64(h.Version)
		set("session", h.Session)
		if len(h.Groups) > 0 {
			var groups []any
			for _, g := range h.Groups {
				groups = append(groups, g)
			}
			m["groups"] = groups
		}
		setStrings(m, "metadata", h.Metadata)
	}
	if w := f.Welcome; w != nil {
		m["version"], m["max_message"] = float64(w.Version), float64(w.MaxMessage)
		set("conn", w.Conn)
		set("session", w.Session)
		set("user", w.User)
		set("node", w.Node)
		set("heartbeat", float64(w.Heartbeat.Milliseconds()))
		set("resumed", w.Resumed)
	}
	if c := f.Closing; c != nil {
		set("reconnect", c.Reconnect)
		set("after", float64(c.After.Milliseconds()))
	}
	setMessage(m, set, f.Message)
	return m
}

func setMessage(m map[string]any, set func(string, any), msg *comm.Message) {
	if msg == nil {
		return
	}
	set("type", msg.Type())
	set("from", msg.From())
	set("to", msg.To())
	set("metadata", string(msg.Metadata()))
	setStrings(m, "headers", msg.Headers())
	if !msg.Timestamp().IsZero() {
		m["timestamp"] = msg.Timestamp().Format(time.RFC3339Nano)
	}
	switch {
	case msg.JSON():
		m["content"] = string(msg.Content())
	case msg.Text():
		m["content"], m["content_type"] = string(msg.Content()), msg.ContentType()
	default:
		m["content_base64"], m["content_type"] = base64.StdEncoding.EncodeToString(msg.Content()), msg.ContentType()
	}
}

func setStrings(m map[string]any, name string, s map[string]string) {
	if len(s) == 0 {
		return
	}
	all := make(map[string]any, len(s))
	for k, v := range s {
		all[k] = v
	}
	m[name] = all
}

// FuzzParseFrame: what parses can be written, on one line, and reads the same again.
func FuzzParseFrame(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Frame))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := comm.JSON().ParseFrame(data)
		if err != nil {
			if fe, ok := errors.AsType[*comm.FrameError](err); !ok || fe.Code == "" {
				t.Fatalf("%q: %v is no *FrameError", data, err)
			}
			return
		}
		b, err := comm.JSON().AppendFrame(nil, frame)
		if err != nil || !json.Valid(b) {
			t.Fatalf("%q: %q, %v", data, b, err)
		}
		again, err := comm.JSON().ParseFrame(b)
		if err != nil {
			t.Fatalf("%q: %s: %v", data, b, err)
		}
		c, err := comm.JSON().AppendFrame(nil, again)
		if err != nil || string(b) != string(c) {
			t.Fatalf("%q: %s, then %s, %v", data, b, c, err)
		}
		for _, c := range b {
			if c == '\n' || c == '\r' {
				t.Fatalf("%q: %q has a line break", data, b)
			}
		}
	})
}
