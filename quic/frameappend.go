package commquic

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
)

// appendFrame appends one frame. Fields stand in the order of their keys, but for the content, which is last so
// that a reader can take all that stands before it together.
func appendFrame(dst []byte, f *comm.Frame) ([]byte, error) { return appendFrameTo(dst, f, false) }

// appendFrameTo leaves out where a message was sent, if that is the receiver alone.
func appendFrameTo(dst []byte, f *comm.Frame, alone bool) ([]byte, error) {
	if int(f.Op) >= len(frameTypes) {
		return dst, fmt.Errorf("commquic: a frame of op %d", f.Op)
	}
	w := fieldWriter{b: grow(dst, f), alone: alone}
	w.b = quicvarint.Append(w.b, frameTypes[f.Op])
	at := len(w.b)
	w.b = append(w.b, lengthRoom(f)...)
	start := len(w.b)
	w.fields(f)
	if w.err != nil {
		return dst, w.err
	}
	return closeLength(w.b, at, start), nil
}

// aloneFormat is the format of a message to the receiver alone, on the default lane.
type aloneFormat struct{}

func (aloneFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) {
	return appendFrameTo(dst, f, true)
}

// toAlone is the one aloneFormat, boxed once.
var toAlone comm.Format = aloneFormat{}

// connPrefix begins the address of a connection.
const connPrefix = "conn:"

// lengthRoom is the room for the length of a frame's payload while the payload is written: two bytes, or what its
// content needs alone.
func lengthRoom(f *comm.Frame) string {
	const room = "\x00\x00\x00\x00"
	if f.Message != nil && len(f.Message.Content()) >= 1<<14 {
		return room
	}
	return room[:2]
}

// appendHead appends a message's frame without the bytes of its content, which stand at its end.
func appendHead(dst []byte, f *comm.Frame) ([]byte, error) {
	content := f.Message.Content()
	w := fieldWriter{b: append(dst, byte(frameTypes[f.Op]))}
	at := len(w.b)
	w.b = append(w.b, lengthRoom(f)...)
	start := len(w.b)
	w.members(f)
	w.head(keyContent, len(content))
	if w.err != nil {
		return dst, w.err
	}
	return closeLengthOf(w.b, at, start, len(w.b)-start+len(content)), nil
}

// headFormat is the format of the frames whose content is sent from where it is.
type headFormat struct{}

func (headFormat) Append(dst []byte, f *comm.Frame) ([]byte, error) { return appendHead(dst, f) }

// largeFormat is the one headFormat, boxed once.
var largeFormat comm.Format = headFormat{}

// grow makes room for a frame in a buffer of its own.
func grow(dst []byte, f *comm.Frame) []byte {
	if dst != nil || f.Message == nil {
		return dst
	}
	m := f.Message.Members()
	return make([]byte, 0, len(m.Content)+len(m.Type)+len(m.ID)+len(m.From)+len(m.To)+len(m.Metadata)+len(f.Log.Log)+len(f.Log.Epoch)+64)
}

// closeLength writes the length of what stands from start on into the room between at and start, in its shortest form.
func closeLength(b []byte, at, start int) []byte { return closeLengthOf(b, at, start, len(b)-start) }

func closeLengthOf(b []byte, at, start, length int) []byte {
	need := quicvarint.Len(uint64(length))
	switch room := start - at; {
	case need < room:
		b = slices.Delete(b, at+need, start)
	case need > room:
		b = slices.Insert(b, start, make([]byte, need-room)...)
	}
	quicvarint.Append(b[:at], uint64(length)) // into b's own array: there is room
	return b
}

// fieldWriter appends the fields of one frame.
type fieldWriter struct {
	b     []byte
	alone bool // the message is to the receiver alone
	err   error
}

func (w *fieldWriter) fields(f *comm.Frame) {
	switch f.Op {
	case comm.OpMessage, comm.OpCall:
		w.message(f)
	case comm.OpReply:
		w.reply(f)
	case comm.OpHello:
		w.hello(f)
	case comm.OpWelcome:
		w.welcome(f)
	default:
		w.control(f)
	}
}

func (w *fieldWriter) message(f *comm.Frame) {
	if f.Message == nil {
		w.err = errors.New("commquic: a message frame without a message")
		return
	}
	w.members(f)
	w.content(f.Message.Content())
}

// members are all of a message but its content.
func (w *fieldWriter) members(f *comm.Frame) {
	m := f.Message.Members()
	w.text(keyID, m.ID)
	w.text(keyType, m.Type)
	w.text(keyContentType, m.ContentType)
	w.text(keyFrom, m.From)
	if !w.alone {
		w.text(keyTo, m.To)
	}
	w.time(keyTimestamp, m.Timestamp)
	w.pairs(keyHeader, m.Headers)
	if m.Metadata != nil {
		w.bytes(keyMetadata, m.Metadata)
	}
	w.flag(keyAck, f.Ack)
	w.log(f.Log)
}

func (w *fieldWriter) reply(f *comm.Frame) {
	w.text(keyID, f.ID)
	if f.Message == nil {
		return
	}
	m := f.Message.Members()
	w.text(keyContentType, m.ContentType)
	w.pairs(keyHeader, m.Headers)
	w.content(m.Content)
}

// content leaves out what an absent one means.
func (w *fieldWriter) content(b []byte) {
	if string(b) != "null" {
		w.bytes(keyContent, b)
	}
}

func (w *fieldWriter) hello(f *comm.Frame) {
	w.text(keyID, f.ID)
	if h := f.Hello; h != nil {
		for _, g := range h.Groups {
			w.bytes(keyGroup, []byte(g))
		}
	}
	w.text(keyToken, f.Token)
	w.text(keyPosition, f.Position.String())
	if h := f.Hello; h != nil {
		w.number(keyVersion, uint64(max(h.Version, 1)))
		w.text(keySession, h.Session)
		w.pairs(keyHelloFact, h.Metadata)
	}
}

func (w *fieldWriter) welcome(f *comm.Frame) {
	v := f.Welcome
	if v == nil {
		w.err = errors.New("commquic: a welcome frame without a welcome")
		return
	}
	w.number(keyVersion, uint64(max(v.Version, 0)))
	w.text(keySession, v.Session)
	w.text(keyConn, v.Conn)
	w.text(keyUser, v.User)
	w.text(keyNode, v.Node)
	w.millis(keyHeartbeat, v.Heartbeat)
	w.number(keyMaxMessage, uint64(max(v.MaxMessage, 0)))
	w.flag(keyResumed, v.Resumed)
	w.time(keyExpires, f.Expires)
}

func (w *fieldWriter) control(f *comm.Frame) {
	w.text(keyID, f.ID)
	w.log(f.Log)
	w.text(keyGroup, f.Group)
	w.text(keyTarget, f.Target)
	w.text(keyToken, f.Token)
	w.text(keyPosition, f.Position.String())
	w.text(keyCode, string(f.Code))
	w.text(keyText, f.Text)
	if f.Closing != nil {
		w.flag(keyReconnect, f.Closing.Reconnect)
		w.millis(keyAfter, f.Closing.After)
	}
	w.time(keyExpires, f.Expires)
	if f.Op == comm.OpGap {
		w.number(keyFirst, f.GapFrom)
	}
}

// log leaves the offset out where it is 0: before the first message, or at an end that nobody knows.
func (w *fieldWriter) log(l comm.LogPosition) {
	w.text(keyLog, l.Log)
	w.text(keyEpoch, l.Epoch)
	if l.Offset > 0 {
		w.number(keyOffset, l.Offset)
	}
}

func (w *fieldWriter) head(key byte, length int) {
	w.b = quicvarint.Append(append(w.b, key), uint64(length))
}

func (w *fieldWriter) text(key byte, v string) {
	if v != "" {
		w.head(key, len(v))
		w.b = append(w.b, v...)
	}
}

func (w *fieldWriter) bytes(key byte, v []byte) {
	w.head(key, len(v))
	w.b = append(w.b, v...)
}

func (w *fieldWriter) number(key byte, v uint64) {
	if v > quicvarint.Max {
		w.err = fmt.Errorf("commquic: field %q: %d: allowed is at most 2^62-1", fieldNames[key], v)
		return
	}
	w.head(key, quicvarint.Len(v))
	w.b = quicvarint.Append(w.b, v)
}

func (w *fieldWriter) flag(key byte, v bool) {
	if v {
		w.head(key, 0)
	}
}

func (w *fieldWriter) millis(key byte, d time.Duration) {
	if d > 0 {
		w.number(key, uint64(d/time.Millisecond))
	}
}

// time is the seconds since 1970 in zigzag form, then the nanoseconds.
func (w *fieldWriter) time(key byte, t time.Time) {
	if t.IsZero() {
		return
	}
	s, ns := t.Unix(), uint64(t.Nanosecond())
	if s < minSeconds || s > maxSeconds {
		w.err = fmt.Errorf("commquic: field %q: %v: allowed are the years 1 to 9999", fieldNames[key], t)
		return
	}
	zigzag := uint64(s<<1) ^ uint64(s>>63)
	w.head(key, quicvarint.Len(zigzag)+quicvarint.Len(ns))
	w.b = quicvarint.Append(quicvarint.Append(w.b, zigzag), ns)
}

// The seconds of the years 1 and 9999.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
)

// pairs writes one field for each member, sorted by name.
func (w *fieldWriter) pairs(key byte, m map[string]string) {
	if len(m) == 0 {
		return
	}
	var few [8]string // a trace and little more, as a rule
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := m[name]
		w.head(key, quicvarint.Len(uint64(len(name)))+len(name)+len(value))
		w.b = append(append(quicvarint.Append(w.b, uint64(len(name))), name...), value...)
	}
}
