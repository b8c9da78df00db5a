package comm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm/internal/jsonscan"
)

// ParseFrame decodes one frame. Members that this version does not know are ignored, so that a
// client of a later minor version is understood; a known member twice or of the wrong type is an error.
func (jsonCodec) ParseFrame(data []byte) (*Frame, error) {
	r := jsonReaders.Get().(*jsonReader)
	defer r.free()
	err := jsonscan.Object(data, r.each)
	if err == nil {
		err = r.finish()
	}
	if err == nil {
		return r.result(), nil
	}
	if r.frame.ID == "" {
		r.frame.ID = lateID(data)
	}
	if fe, ok := errors.AsType[*FrameError](err); ok {
		fe.ID = r.frame.ID
		return nil, fe
	}
	if me, ok := errors.AsType[*MessageError](err); ok {
		return nil, &FrameError{Code: CodeBadMessage, ID: r.frame.ID, Text: me.Error()}
	}
	return nil, &FrameError{Code: CodeBadFrame, ID: r.frame.ID, Text: err.Error()}
}

// lateID finds the id of a frame in which something before it is wrong, so that the error can name it.
func lateID(data []byte) (id string) {
	_ = jsonscan.Object(data, func(name, value []byte) error {
		if s, ok := jsonscan.String(value); ok && string(name) == "id" && len(s) <= MaxIDLength && plain(s) {
			id = s
		}
		return nil
	})
	return id
}

// jsonReader collects the members of one frame. Their order is free, so what depends on op is
// decided in finish.
type jsonReader struct {
	frame    Frame
	body     Message // of frames that have one
	bodied   bool
	seen     uint32
	to       string
	gapFrom  *uint64 // from as an offset
	gapTo    *uint64 // to as an offset
	typ      string
	from     string
	content  []byte
	ctype    string
	headers  map[string]string
	metadata []byte
	stamp    time.Time
	hello    Hello
	welcome  Welcome
	closing  Closing
	opGiven  bool

	each func(name, value []byte) error // the method member: as a value it is an allocation
}

var jsonReaders = sync.Pool{New: func() any {
	r := new(jsonReader)
	r.each = r.member
	return r
}}

func (r *jsonReader) free() {
	*r = jsonReader{each: r.each}
	jsonReaders.Put(r)
}

// result is the frame in memory of its own, with its message beside it.
func (r *jsonReader) result() *Frame {
	if !r.bodied {
		f := r.frame
		return &f
	}
	both := &struct {
		frame   Frame
		message Message
	}{r.frame, r.body}
	both.frame.Message = &both.message
	return &both.frame
}

type memberParser func(r *jsonReader, v []byte) error

// jsonMembers is filled by newJSONMembers: a table of names in place of a switch of fifty lines.
var jsonMembers = newJSONMembers()

func newJSONMembers() map[string]struct {
	bit   uint32
	parse memberParser
} {
	table := []struct {
		name  string
		parse memberParser
	}{
		{"op", func(r *jsonReader, v []byte) error { return r.op(v) }},
		{"id", str(func(r *jsonReader) *string { return &r.frame.ID })},
		{"type", str(func(r *jsonReader) *string { return &r.typ })},
		{"content", func(r *jsonReader, v []byte) error { r.content = v; return nil }},
		{"content_type", str(func(r *jsonReader) *string { return &r.ctype })},
		{"from", func(r *jsonReader, v []byte) error { return r.fromMember(v) }},
		{"to", func(r *jsonReader, v []byte) error { return r.toMember(v) }},
		{"timestamp", stamp(func(r *jsonReader) *time.Time { return &r.stamp })},
		{"headers", strMap(func(r *jsonReader) *map[string]string { return &r.headers })},
		{"metadata", func(r *jsonReader, v []byte) error { r.metadata = v; return nil }},
		{"ack", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.frame.Ack) }},
		{"log", str(func(r *jsonReader) *string { return &r.frame.Log.Log })},
		{"epoch", str(func(r *jsonReader) *string { return &r.frame.Log.Epoch })},
		{"offset", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.frame.Log.Offset) }},
		{"group", str(func(r *jsonReader) *string { return &r.frame.Group })},
		{"target", str(func(r *jsonReader) *string { return &r.frame.Target })},
		{"token", str(func(r *jsonReader) *string { return &r.frame.Token })},
		{"position", func(r *jsonReader, v []byte) error { return r.position(v) }},
		{"version", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.hello.Version) }},
		{"session", str(func(r *jsonReader) *string { return &r.hello.Session })},
		{"groups", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.hello.Groups) }},
		{"code", str(func(r *jsonReader) *string { return (*string)(&r.frame.Code) })},
		{"message", str(func(r *jsonReader) *string { return &r.frame.Text })},
		{"reconnect", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.closing.Reconnect) }},
		{"after", millis(func(r *jsonReader) *time.Duration { return &r.closing.After })},
		{"conn", str(func(r *jsonReader) *string { return &r.welcome.Conn })},
		{"user", str(func(r *jsonReader) *string { return &r.welcome.User })},
		{"node", str(func(r *jsonReader) *string { return &r.welcome.Node })},
		{"heartbeat", millis(func(r *jsonReader) *time.Duration { return &r.welcome.Heartbeat })},
		{"max_message", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.welcome.MaxMessage) }},
		{"resumed", func(r *jsonReader, v []byte) error { return unmarshal(v, &r.welcome.Resumed) }},
		{"expires", stamp(func(r *jsonReader) *time.Time { return &r.frame.Expires })},
	}
	m := make(map[string]struct {
		bit   uint32
		parse memberParser
	}, len(table))
	for i, e := range table {
		m[e.name] = struct {
			bit   uint32
			parse memberParser
		}{1 << i, e.parse}
	}
	return m
}

func (r *jsonReader) member(name, value []byte) error {
	e, ok := jsonMembers[string(name)]
	if !ok && bytes.IndexByte(name, '\\') >= 0 { // "\u006fp" is op too
		plainName, _ := jsonscan.String(append(append([]byte{'"'}, name...), '"'))
		name = []byte(plainName)
		e, ok = jsonMembers[plainName]
	}
	if !ok {
		return nil
	}
	if r.seen&e.bit != 0 {
		return fmt.Errorf("member %q stands twice", name)
	}
	r.seen |= e.bit
	if value[0] == 'n' && string(name) != "content" { // null is absent
		return nil
	}
	if err := e.parse(r, value); err != nil {
		if _, ok := errors.AsType[*FrameError](err); ok {
			return err
		}
		return fmt.Errorf("member %q: %w", name, err)
	}
	return nil
}

func (r *jsonReader) op(v []byte) error {
	s, ok := jsonscan.String(v)
	if !ok {
		return errString
	}
	op, ok := parseOp(s)
	if !ok {
		return &FrameError{Code: CodeUnknownOp, Text: "unknown op " + strconv.Quote(shorten(s))}
	}
	r.frame.Op, r.opGiven = op, true
	return nil
}

// fromMember takes a sender's address, or the first offset of a gap.
func (r *jsonReader) fromMember(v []byte) (err error) {
	r.from, r.gapFrom, err = addressOrOffset(v)
	return err
}

// toMember takes a target's address, or the last offset of a gap.
func (r *jsonReader) toMember(v []byte) (err error) {
	r.to, r.gapTo, err = addressOrOffset(v)
	return err
}

func addressOrOffset(v []byte) (address string, offset *uint64, err error) {
	if address, ok := jsonscan.String(v); ok {
		return address, nil, nil
	}
	offset = new(uint64)
	return "", offset, unmarshal(v, offset)
}

// gap takes from and to as offsets.
func (r *jsonReader) gap() error {
	if r.from != "" || r.to != "" || r.gapFrom == nil {
		return fmt.Errorf("members %q and %q: allowed are offsets", "from", "to")
	}
	r.frame.GapFrom = *r.gapFrom
	r.frame.Log.Offset = 0
	if r.gapTo != nil {
		r.frame.Log.Offset = *r.gapTo
	}
	return nil
}

func (r *jsonReader) position(v []byte) error {
	s, ok := jsonscan.String(v)
	if !ok {
		return errString
	}
	p, err := ParsePosition(s)
	if err != nil {
		return &FrameError{Code: CodeBadPosition, Text: err.Error()}
	}
	r.frame.Position = p
	return nil
}

// finish builds what the op needs of the collected members.
func (r *jsonReader) finish() error {
	f := &r.frame
	if len(f.ID) > MaxIDLength || !plain(f.ID) {
		f.ID = ""
		return fmt.Errorf("member %q: allowed is at most 128 bytes of UTF-8 without control characters", "id")
	}
	switch f.Op {
	case OpMessage, OpCall:
		return r.message()
	case OpReply:
		return r.reply()
	case OpHello:
		r.hello.Metadata = nil
		if r.metadata != nil {
			if err := unmarshal(r.metadata, &r.hello.Metadata); err != nil {
				return fmt.Errorf("member %q: %w", "metadata", err)
			}
		}
		hello := r.hello // the reader is used again
		f.Hello = &hello
	case OpWelcome:
		r.welcome.Version, r.welcome.Session = r.hello.Version, r.hello.Session
		welcome := r.welcome
		f.Welcome = &welcome
	case OpClosing:
		closing := r.closing
		f.Closing = &closing
	case OpGap:
		return r.gap()
	}
	return nil
}

func (r *jsonReader) reply() error {
	if err := checkHeaders(r.headers); err != nil {
		return err
	}
	r.body = Message{headers: r.headers}
	return r.withContent(&r.body)
}

func (r *jsonReader) message() error {
	m := &r.body
	*m = Message{id: r.frame.ID, typ: r.typ, from: r.from, to: r.to, timestamp: r.stamp, headers: r.headers}
	if r.typ == "" && !r.opGiven && r.content == nil {
		return &FrameError{Code: CodeBadFrame, Text: "neither op nor type"}
	}
	if r.gapFrom != nil || r.gapTo != nil {
		return fmt.Errorf("members %q and %q: %w", "from", "to", errString)
	}
	if len(r.headers) > 0 {
		if err := checkHeaders(r.headers); err != nil {
			return err
		}
	}
	if r.metadata != nil {
		if r.metadata[0] != '{' {
			return &MessageError{"metadata", shorten(string(r.metadata)), "a JSON object"}
		}
		m.metadata = compactJSON(slices.Clone(r.metadata))
	}
	if len(r.to) > maxAddress || !plain(r.to) {
		return &MessageError{"to", shorten(r.to), "an address such as group:lobby"}
	}
	if err := checkType(m.typ); err != nil {
		return err
	}
	return r.withContent(m)
}

// withContent decodes the content by its content type.
func (r *jsonReader) withContent(m *Message) error {
	r.bodied = true
	if r.content == nil {
		r.content = []byte("null")
	}
	if r.ctype == "" || r.ctype == jsonType {
		m.content, m.json = compactJSON(slices.Clone(r.content)), true
		return nil
	}
	if len(r.ctype) > MaxTypeLength || !plain(r.ctype) {
		return &MessageError{"content_type", shorten(r.ctype), "a media type such as text/plain"}
	}
	s, ok := jsonscan.String(r.content)
	if !ok {
		return &MessageError{"content", shorten(string(r.content)), "a string for " + r.ctype}
	}
	m.contentType = r.ctype
	if m.Text() {
		m.content = []byte(s)
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return &MessageError{"content", shorten(s), "base64 for " + r.ctype}
	}
	m.content = b
	return nil
}

var errString = errors.New("allowed is a string")

func str(field func(*jsonReader) *string) memberParser {
	return func(r *jsonReader, v []byte) error {
		s, ok := jsonscan.String(v)
		if !ok {
			return errString
		}
		*field(r) = s
		return nil
	}
}

func strMap(field func(*jsonReader) *map[string]string) memberParser {
	return func(r *jsonReader, v []byte) error { return unmarshal(v, field(r)) }
}

func stamp(field func(*jsonReader) *time.Time) memberParser {
	return func(r *jsonReader, v []byte) error {
		s, ok := jsonscan.String(v)
		if !ok {
			return errString
		}
		return field(r).UnmarshalText([]byte(s))
	}
}

func millis(field func(*jsonReader) *time.Duration) memberParser {
	return func(r *jsonReader, v []byte) error {
		var ms int64
		if err := unmarshal(v, &ms); err != nil {
			return err
		}
		if ms < 0 || ms > int64(24*time.Hour/time.Millisecond) {
			return fmt.Errorf("%d: allowed is 0 to 86400000 milliseconds", ms)
		}
		*field(r) = time.Duration(ms) * time.Millisecond
		return nil
	}
}

// unmarshal decodes one member and says what was allowed in the words of JSON.
func unmarshal(v []byte, p any) error {
	err := json.Unmarshal(v, p)
	if err == nil {
		return nil
	}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		return fmt.Errorf("%s: allowed is %s", te.Value, strings.TrimPrefix(te.Type.String(), "*"))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
