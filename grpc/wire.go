package commgrpc

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// ops are the kinds of frames, by their number on the wire.
var ops = [...]comm.Op{
	commv1.Op_OP_UNSPECIFIED: comm.OpMessage, commv1.Op_OP_MESSAGE: comm.OpMessage, commv1.Op_OP_HELLO: comm.OpHello,
	commv1.Op_OP_WELCOME: comm.OpWelcome, commv1.Op_OP_JOIN: comm.OpJoin, commv1.Op_OP_JOINED: comm.OpJoined,
	commv1.Op_OP_LEAVE: comm.OpLeave, commv1.Op_OP_LEFT: comm.OpLeft, commv1.Op_OP_ACK: comm.OpAck,
	commv1.Op_OP_CALL: comm.OpCall, commv1.Op_OP_REPLY: comm.OpReply, commv1.Op_OP_ERROR: comm.OpError,
	commv1.Op_OP_GAP: comm.OpGap, commv1.Op_OP_PING: comm.OpPing, commv1.Op_OP_PONG: comm.OpPong,
	commv1.Op_OP_AUTH: comm.OpAuth, commv1.Op_OP_AUTHED: comm.OpAuthed, commv1.Op_OP_CLOSING: comm.OpClosing,
	commv1.Op_OP_LIST: comm.OpList, commv1.Op_OP_PRESENCE: comm.OpPresence, commv1.Op_OP_CLOSE: comm.OpClose,
}

// wireOps is ops the other way.
var wireOps = func() map[comm.Op]commv1.Op {
	m := make(map[comm.Op]commv1.Op, len(ops))
	for w, op := range ops {
		m[op] = commv1.Op(w) // of two, the one that says it
	}
	return m
}()

// toWire is a frame as it is sent.
func toWire(f *comm.Frame) *commv1.Frame {
	w := &commv1.Frame{
		Op: wireOps[f.Op], Id: f.ID, Message: toWireMessage(f.Message), Ack: f.Ack, GapFrom: f.GapFrom,
		Group: f.Group, Target: f.Target, Code: string(f.Code), Text: valid(f.Text), Token: f.Token,
		Expires: toWireTime(f.Expires), Position: f.Position.String(),
	}
	if f.Log.Log != "" {
		w.Log = toWirePosition(f.Log)
	}
	if h := f.Hello; h != nil {
		w.Hello = &commv1.Hello{Version: int32(h.Version), Session: h.Session, Groups: h.Groups, Metadata: h.Metadata}
	}
	if v := f.Welcome; v != nil {
		w.Welcome = &commv1.Welcome{
			Version: int32(v.Version), Conn: v.Conn, Session: v.Session, User: v.User, Node: v.Node,
			Heartbeat: toWireDuration(v.Heartbeat), MaxMessage: int64(v.MaxMessage), Resumed: v.Resumed,
		}
	}
	if c := f.Closing; c != nil {
		w.Closing = &commv1.Closing{Reconnect: c.Reconnect, After: toWireDuration(c.After)}
	}
	return w
}

func toWireMessage(m *comm.Message) *commv1.Message {
	if m == nil {
		return nil
	}
	v := m.Members()
	return &commv1.Message{
		Type: v.Type, Content: v.Content, ContentType: v.ContentType, From: v.From, To: v.To,
		Timestamp: toWireTime(v.Timestamp), Headers: v.Headers, Metadata: valid(string(v.Metadata)),
	}
}

func toWirePosition(l comm.LogPosition) *commv1.LogPosition {
	return &commv1.LogPosition{Log: l.Log, Epoch: l.Epoch, Offset: l.Offset}
}

// valid is text that a proto string can hold. Everything else in a frame was held against that already.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func toWireTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toWireDuration(d time.Duration) *durationpb.Duration {
	if d <= 0 {
		return nil
	}
	return durationpb.New(d.Truncate(time.Millisecond))
}

// fromWire is a frame that has come, held against the rules of PROTOCOL.md.
func fromWire(w *commv1.Frame) (f *comm.Frame, err error) {
	if !isID(w.GetId()) {
		return nil, badFrame("", "field id: allowed is at most 128 bytes of UTF-8 without control characters")
	}
	n := w.GetOp()
	if n < 0 || int(n) >= len(ops) {
		return nil, &comm.FrameError{Code: comm.CodeUnknownOp, Text: "unknown op " + n.String()}
	}
	f = &comm.Frame{
		Op: ops[n], ID: w.GetId(), Ack: w.GetAck(), Log: fromWirePosition(w.GetLog()), GapFrom: w.GetGapFrom(),
		Group: w.GetGroup(), Target: w.GetTarget(), Code: comm.Code(w.GetCode()), Text: w.GetText(), Token: w.GetToken(),
	}
	if f.Expires, err = fromWireTime("expires", w.GetExpires()); err != nil {
		return nil, err
	}
	if f.Position, err = comm.ParsePosition(w.GetPosition()); err != nil {
		return nil, &comm.FrameError{Code: comm.CodeBadPosition, Text: err.Error()}
	}
	return f, finish(f, w)
}

// finish adds what the op needs.
func finish(f *comm.Frame, w *commv1.Frame) (err error) {
	switch f.Op {
	case comm.OpMessage, comm.OpCall:
		if w.GetOp() == commv1.Op_OP_UNSPECIFIED && w.GetMessage() == nil {
			return badFrame("", "neither op nor message")
		}
		f.Message, err = fromWireMessage(f.ID, w.GetMessage())
	case comm.OpReply:
		m := w.GetMessage()
		f.Message, err = comm.Members{Content: content(m), ContentType: m.GetContentType(), Headers: m.GetHeaders()}.Reply()
	case comm.OpHello:
		h := w.GetHello()
		f.Hello = &comm.Hello{Version: int(h.GetVersion()), Session: h.GetSession(), Groups: h.GetGroups(), Metadata: h.GetMetadata()}
	case comm.OpWelcome:
		f.Welcome, err = fromWireWelcome(w.GetWelcome())
	case comm.OpClosing:
		f.Closing = &comm.Closing{Reconnect: w.GetClosing().GetReconnect()}
		f.Closing.After, err = fromWireDuration("closing.after", w.GetClosing().GetAfter())
	case comm.OpGap:
		if f.GapFrom == 0 || f.Log.Log == "" {
			return badFrame("", "fields log and gap_from: a gap needs both")
		}
	}
	return err
}

func fromWireMessage(id string, m *commv1.Message) (*comm.Message, error) {
	stamp, err := fromWireTime("message.timestamp", m.GetTimestamp())
	if err != nil {
		return nil, err
	}
	v := comm.Members{
		ID: id, Type: m.GetType(), Content: content(m), ContentType: m.GetContentType(), From: m.GetFrom(), To: m.GetTo(),
		Timestamp: stamp, Headers: m.GetHeaders(),
	}
	if md := m.GetMetadata(); md != "" {
		v.Metadata = json.RawMessage(md)
	}
	return v.Message()
}

// content is a message's content. Empty JSON is null, an empty text is one.
func content(m *commv1.Message) []byte {
	b, media := m.GetContent(), m.GetContentType()
	if len(b) == 0 && media != "" && !strings.HasPrefix(media, "application/json") {
		return []byte{}
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

func fromWireWelcome(w *commv1.Welcome) (*comm.Welcome, error) {
	beat, err := fromWireDuration("welcome.heartbeat", w.GetHeartbeat())
	return &comm.Welcome{
		Version: int(w.GetVersion()), Conn: w.GetConn(), Session: w.GetSession(), User: w.GetUser(), Node: w.GetNode(),
		Heartbeat: beat, MaxMessage: int(w.GetMaxMessage()), Resumed: w.GetResumed(),
	}, err
}

func fromWirePosition(l *commv1.LogPosition) comm.LogPosition {
	return comm.LogPosition{Log: l.GetLog(), Epoch: l.GetEpoch(), Offset: l.GetOffset()}
}

func fromWireTime(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if !t.IsValid() {
		return time.Time{}, badFrame("", "field %s: allowed are the years 1 to 9999", field)
	}
	return t.AsTime(), nil
}

// maxDuration bounds what a frame may tell of time, as in the codec comm.v1.json.
const maxDuration = 24 * time.Hour

func fromWireDuration(field string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	v := d.AsDuration()
	if !d.IsValid() || v < 0 || v > maxDuration {
		return 0, badFrame("", "field %s: allowed is 0 to 86400 seconds", field)
	}
	return v, nil
}

// isID reports whether s may be the id of a frame.
func isID(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return len(s) <= comm.MaxIDLength && utf8.ValidString(s)
}
