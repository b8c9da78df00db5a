package comm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// remotes are sends of every kind that cross nodes.
func remotes(t testing.TB) map[string]comm.RemoteMessage {
	t.Helper()
	build := func(content any, opts ...comm.MessageOption) *comm.Message {
		opts = append(opts, comm.WithID("m1"), comm.WithTimestamp(time.Unix(1, 2).UTC()), comm.WithFrom("user:ann"))
		m, err := comm.NewMessage("chat", content, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	text := build(map[string]string{"text": "hé <b>"}, comm.WithHeader("traceparent", "00-1"), comm.WithMetadata(map[string]int{"n": 1}))
	narrow := comm.ToGroup("lobby").Except("c1", "c2").ExceptUser("ann").ExceptSession("s1").InProvider("ws").Label("plan", "pro")
	return map[string]comm.RemoteMessage{
		"group":   {Node: "n1", Target: comm.ToGroup("lobby"), Message: text},
		"groups":  {Node: "n1", Target: comm.ToGroups("b,c", "a"), Message: text, Priority: comm.PriorityHigh},
		"users":   {Node: "n1", Target: comm.ToUsers("ann", "bob"), Message: text, Priority: comm.PriorityLow},
		"conn":    {Node: "n1", Target: comm.ToConn("c9"), Message: build([]byte{0, 1, 255}), Key: "k", Unlogged: true},
		"all":     {Node: "n1", Target: comm.ToAll().Label("a", "b"), Message: build([]byte("hi"), comm.WithContentType("text/plain"))},
		"narrow":  {Node: "n1", Target: narrow, Message: text},
		"nothing": {Node: "n1", Target: comm.ToAll(), Message: build(nil)},
	}
}

// What has crossed to another node is what was sent: written again it is the same line.
func TestRemoteMessageRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range remotes(t) {
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got comm.RemoteMessage
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v: %s", name, err, line)
		}
		again, err := json.Marshal(got)
		if err != nil || string(again) != string(line) || strings.Contains(string(line), "\n") {
			t.Errorf("%s: %s became %s, %v", name, line, again, err)
		}
		same(t, name+": target", got.Target.String(), want.Target.String())
		same(t, name+": node", got.Node, want.Node)
		same(t, name+": priority", got.Priority, want.Priority)
		same(t, name+": key", got.Key, want.Key)
		same(t, name+": unlogged", got.Unlogged, want.Unlogged)
		w, g := want.Message.Members(), got.Message.Members()
		if g.ID != w.ID || g.Type != w.Type || g.From != w.From || g.ContentType != w.ContentType || !g.Timestamp.Equal(w.Timestamp) {
			t.Errorf("%s: the message %+v became %+v", name, w, g)
		}
	}
}

// What names nobody, or one node's own, does not leave; what is no such message does not come in.
func TestRemoteMessageRefused(t *testing.T) {
	t.Parallel()
	m := remotes(t)["group"].Message
	for name, r := range map[string]comm.RemoteMessage{
		"zero target": {Node: "n1", Message: m},
		"where":       {Node: "n1", Message: m, Target: comm.ToAll().Where(func(*comm.Conn) bool { return true })},
		"no message":  {Node: "n1", Target: comm.ToAll()},
		"priority":    {Node: "n1", Target: comm.ToAll(), Message: m, Priority: 9},
	} {
		if line, err := json.Marshal(r); err == nil {
			t.Errorf("%s: %s", name, line)
		}
	}
	for _, line := range []string{
		`{}`, `[]`, `{"to":["all"]}`, `{"to":[],"message":{"type":"t"}}`, `{"to":["group:"],"message":{"type":"t"}}`,
		`{"to":["all","group:a"],"message":{"type":"t"}}`, `{"to":["user:a","group:a"],"message":{"type":"t"}}`,
		`{"to":["all"],"message":{"type":""}}`, `{"to":["all"],"message":{"op":"ping","id":"1"}}`,
		`{"to":["all"],"message":{"type":"t"},"priority":"highest"}`, `{"to":["group:a\n"],"message":{"type":"t"}}`,
	} {
		kept := comm.RemoteMessage{Node: "kept"}
		if err := json.Unmarshal([]byte(line), &kept); err == nil || kept.Node != "kept" {
			t.Errorf("%s: %v, %+v", line, err, kept)
		}
	}
}

func FuzzRemoteMessage(f *testing.F) {
	for _, r := range remotes(f) {
		line, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r comm.RemoteMessage
		if json.Unmarshal(data, &r) != nil {
			return
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%q is taken and cannot be passed on: %v", data, err)
		}
		var again comm.RemoteMessage
		if err := json.Unmarshal(line, &again); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	})
}
