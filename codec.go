package comm

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/anasamu/comm/internal/jsonscan"
)

// JSON returns the codec of version 1 of the client protocol, "comm.v1.json": one JSON object a frame.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) Name() string { return "comm.v1.json" }

func (jsonCodec) AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	w := jsonWriter{buf: append(dst, '{')}
	if f.Op != OpMessage {
		w.str("op", f.Op.String())
	}
	switch f.Op {
	case OpMessage, OpCall:
		w.message(f)
	case OpReply:
		w.opt("id", f.ID)
		if f.Message != nil {
			w.content(f.Message)
			w.strings("headers", f.Message.headers)
		}
	case OpHello:
		w.hello(f)
	case OpWelcome:
		w.welcome(f)
	default:
		w.control(f)
	}
	return append(w.buf, '}'), nil
}

// jsonWriter appends the members of one object.
type jsonWriter struct{ buf []byte }

func (w *jsonWriter) name(n string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, n...)
	w.buf = append(w.buf, '"', ':')
}

func (w *jsonWriter) str(name, v string) {
	w.name(name)
	w.buf = jsonscan.AppendString(w.buf, v)
}

func (w *jsonWriter) opt(name, v string) {
	if v != "" {
		w.str(name, v)
	}
}

func (w *jsonWriter) num(name string, v uint64) {
	w.name(name)
	w.buf = strconv.AppendUint(w.buf, v, 10)
}

func (w *jsonWriter) ms(name string, d time.Duration) {
	if d > 0 {
		w.num(name, uint64(d/time.Millisecond))
	}
}

func (w *jsonWriter) yes(name string, v bool) {
	if v {
		w.name(name)
		w.buf = append(w.buf, "true"...)
	}
}

func (w *jsonWriter) time(name string, t time.Time) {
	if !t.IsZero() {
		w.name(name)
		w.buf = append(w.buf, '"')
		w.buf = t.UTC().AppendFormat(w.buf, time.RFC3339Nano)
		w.buf = append(w.buf, '"')
	}
}

func (w *jsonWriter) strings(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	w.name(name)
	w.buf = append(w.buf, '{')
	var few [8]string // a trace and little more, as a rule
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if w.buf[len(w.buf)-1] != '{' {
			w.buf = append(w.buf, ',')
		}
		w.buf = jsonscan.AppendString(w.buf, k)
		w.buf = append(w.buf, ':')
		w.buf = jsonscan.AppendString(w.buf, m[k])
	}
	w.buf = append(w.buf, '}')
}

func (w *jsonWriter) message(f *Frame) {
	m := f.Message
	w.opt("id", m.id)
	w.str("type", m.typ)
	w.content(m)
	w.opt("from", m.from)
	w.opt("to", m.to)
	w.time("timestamp", m.timestamp)
	w.strings("headers", m.headers)
	if m.metadata != nil {
		w.name("metadata")
		w.buf = append(w.buf, m.metadata...)
	}
	w.log(f.Log)
	w.yes("ack", f.Ack)
}

// content writes the content: JSON as it is, text as a string, everything else as base64.
func (w *jsonWriter) content(m *Message) {
	w.name("content")
	switch {
	case m.JSON():
		w.buf = append(w.buf, m.content...)
		return
	case m.Text():
		w.buf = jsonscan.AppendString(w.buf, m.content)
	default:
		w.buf = append(w.buf, '"')
		w.buf = base64.StdEncoding.AppendEncode(w.buf, m.content)
		w.buf = append(w.buf, '"')
	}
	w.str("content_type", m.contentType)
}

func (w *jsonWriter) log(l LogPosition) {
	if l.Log != "" {
		w.str("log", l.Log)
		w.str("epoch", l.Epoch)
		w.num("offset", l.Offset)
	}
}

func (w *jsonWriter) hello(f *Frame) {
	w.opt("id", f.ID)
	w.opt("token", f.Token)
	if h := f.Hello; h != nil {
		w.num("version", uint64(max(h.Version, 1)))
		w.opt("session", h.Session)
		if len(h.Groups) > 0 {
			w.name("groups")
			w.buf = append(w.buf, '[')
			for i, g := range h.Groups {
				if i > 0 {
					w.buf = append(w.buf, ',')
				}
				w.buf = jsonscan.AppendString(w.buf, g)
			}
			w.buf = append(w.buf, ']')
		}
		w.strings("metadata", h.Metadata)
	}
	w.opt("position", f.Position.String())
}

func (w *jsonWriter) welcome(f *Frame) {
	v := f.Welcome
	w.num("version", uint64(v.Version))
	w.str("conn", v.Conn)
	w.str("session", v.Session)
	w.opt("user", v.User)
	w.opt("node", v.Node)
	w.ms("heartbeat", v.Heartbeat)
	w.num("max_message", uint64(max(v.MaxMessage, 0)))
	w.yes("resumed", v.Resumed)
	w.time("expires", f.Expires)
}

func (w *jsonWriter) control(f *Frame) {
	w.opt("id", f.ID)
	w.opt("group", f.Group)
	w.opt("target", f.Target)
	w.opt("token", f.Token)
	if f.Op == OpGap {
		w.gap(f)
	} else {
		w.log(f.Log)
	}
	w.opt("position", f.Position.String())
	w.opt("code", string(f.Code))
	w.opt("message", f.Text)
	if f.Closing != nil {
		w.yes("reconnect", f.Closing.Reconnect)
		w.ms("after", f.Closing.After)
	}
	w.time("expires", f.Expires)
}

func (w *jsonWriter) gap(f *Frame) {
	w.str("log", f.Log.Log)
	w.str("epoch", f.Log.Epoch)
	w.num("from", f.GapFrom)
	if f.Log.Offset > 0 {
		w.num("to", f.Log.Offset)
	}
}
