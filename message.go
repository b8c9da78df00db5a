package comm

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a message's members, in bytes.
const (
	MaxTypeLength = 128 // type
	MaxIDLength   = 128 // id
	MaxNameLength = 128 // the name of a group
	MaxUserLength = 256 // the name of a user
	maxHeaders    = 64  // number of headers
	maxHeaderSize = 8 << 10
)

const jsonType = "application/json"

// Message is what travels between clients and the service: a type, content and some addressing.
// It is immutable from construction, so one message may be sent any number of times and from any
// number of goroutines at once. A message that a handler receives stays valid for ever.
//
// The zero Message is not valid; NewMessage makes one.
type Message struct {
	id          string
	typ         string
	content     []byte
	contentType string // "" is application/json
	from        string
	to          string
	timestamp   time.Time
	headers     map[string]string
	metadata    json.RawMessage
	json        bool // the content is known to be one line of valid JSON
}

// MessageError is a member of a message that breaks a rule.
type MessageError struct {
	Member  string // the JSON name, for example "type"
	Value   string // shortened
	Allowed string
}

// Error names the member, its value and what is allowed.
func (e *MessageError) Error() string {
	return fmt.Sprintf("comm: message: %s %q: allowed is %s", e.Member, e.Value, e.Allowed)
}

// MessageOption sets a member of a new message.
type MessageOption interface{ applyMessage(*Message) error }

type messageOption func(*Message) error

func (f messageOption) applyMessage(m *Message) error { return f(m) }

// NewMessage makes a message of the given type. The id is random (128 bits) and the timestamp is
// now, unless options set them.
//
// content becomes the message's bytes: json.RawMessage is taken as JSON; []byte is
// application/octet-stream, unless WithContentType says otherwise; every other value, a string and
// nil too, is marshalled as JSON. The bytes are copied.
//
// A member that breaks a rule gives a *MessageError.
func NewMessage(typ string, content any, opts ...MessageOption) (*Message, error) {
	m := &Message{typ: typ, timestamp: time.Now().UTC()}
	if err := m.setContent(content); err != nil {
		return nil, err
	}
	return m.finish(opts)
}

// With returns a copy of m with the options applied. m itself never changes.
func (m *Message) With(opts ...MessageOption) (*Message, error) {
	c := *m
	c.headers = maps.Clone(m.headers)
	return c.finish(opts)
}

func (m *Message) finish(opts []MessageOption) (*Message, error) {
	for _, o := range opts {
		if err := o.applyMessage(m); err != nil {
			return nil, err
		}
	}
	if m.id == "" {
		m.id = rand.Text()
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Message) setContent(content any) error {
	switch v := content.(type) {
	case nil:
		m.content = []byte("null")
	case json.RawMessage:
		m.content = bytes.Clone(v)
	case []byte:
		m.content, m.contentType = bytes.Clone(v), "application/octet-stream"
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("comm: message content: %w", err)
		}
		m.content, m.json = b, true
	}
	return nil
}

// checkMade refuses what NewMessage has not made.
func checkMade(m *Message) error {
	if m == nil || m.typ == "" {
		return &MessageError{"message", "nil, or without a type", "a message made by NewMessage"}
	}
	return nil
}

// check holds every rule that a message from anywhere must keep.
func (m *Message) check() error {
	if err := checkType(m.typ); err != nil {
		return err
	}
	if len(m.id) > MaxIDLength || !plain(m.id) {
		return &MessageError{"id", shorten(m.id), "at most 128 bytes of UTF-8 without control characters"}
	}
	if m.JSON() {
		return m.checkJSON()
	}
	if m.Text() && !utf8.Valid(m.content) {
		return &MessageError{"content", shorten(string(m.content)), "valid UTF-8 for " + m.contentType}
	}
	return nil
}

// checkJSON makes the content one line of valid JSON, because it is embedded as it is in frames
// and in Server-Sent Events.
func (m *Message) checkJSON() error {
	if m.json {
		return nil
	}
	if !json.Valid(m.content) || !utf8.Valid(m.content) { // RFC 8259 8.1
		return &MessageError{"content", shorten(string(m.content)), "valid JSON for application/json"}
	}
	m.content, m.json = compactJSON(m.content), true
	return nil
}

// compactJSON returns b without line breaks between its tokens. b is valid JSON.
func compactJSON(b []byte) []byte {
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return []byte("null") // not reached: b is valid
	}
	return out.Bytes()
}

func checkType(typ string) error {
	if typ == "" || len(typ) > MaxTypeLength || !plain(typ) {
		return &MessageError{"type", shorten(typ), "1 to 128 bytes of UTF-8 without control characters"}
	}
	return nil
}

// plain reports whether s is valid UTF-8 without control characters.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

func shorten(s string) string {
	if len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(s[:40], "") + "..."
}

// ID returns the message's id.
func (m *Message) ID() string { return m.id }

// Type returns the message's type, by which handlers are chosen.
func (m *Message) Type() string { return m.typ }

// Content returns the message's bytes. They must not be modified.
func (m *Message) Content() []byte { return m.content }

// ContentType returns the media type of the content: application/json unless said otherwise.
func (m *Message) ContentType() string {
	if m.contentType == "" {
		return jsonType
	}
	return m.contentType
}

// JSON reports whether the content is JSON, and so embedded as it is.
func (m *Message) JSON() bool { return m.contentType == "" }

// Text reports whether the content is text (JSON aside): it travels as a JSON string.
func (m *Message) Text() bool { return strings.HasPrefix(m.contentType, "text/") }

// From returns who sent the message: the user or, where there is none, the connection of a client
// ("user:ann", "conn:7K2..."), or what a service set with From or WithFrom.
// On a message from a client it is always stamped by the server.
func (m *Message) From() string { return m.from }

// To returns the address that the message was sent to, for example "group:lobby", or "".
func (m *Message) To() string { return m.to }

// Timestamp returns when the message was made; for a client's message, when the server received it.
func (m *Message) Timestamp() time.Time { return m.timestamp }

// Header returns the header of that name, or "". Names are case-sensitive.
func (m *Message) Header(name string) string { return m.headers[name] }

// Headers returns a copy of all headers.
func (m *Message) Headers() map[string]string { return maps.Clone(m.headers) }

// Metadata returns the metadata object as JSON, or nil. It must not be modified.
func (m *Message) Metadata() json.RawMessage { return m.metadata }

// Size returns the counted size of the message: its content plus a fixed overhead,
// as queues and logs count it.
func (m *Message) Size() int { return len(m.content) + len(m.metadata) + messageOverhead }

// messageOverhead is about what a message takes besides its bytes: itself, the send that it is part of and
// the form in which it leaves. docs/memory.md has it measured.
const messageOverhead = 512

// Decode returns the message's JSON content as a T. Content that is not JSON decodes into
// a string or a []byte only.
func Decode[T any](m *Message) (T, error) {
	var v T
	if m == nil {
		return v, &MessageError{"message", "nil", "a message made by NewMessage"}
	}
	if m.JSON() {
		if err := json.Unmarshal(m.content, &v); err != nil {
			return v, fmt.Errorf("comm: content of %q: %w", m.typ, err)
		}
		return v, nil
	}
	switch p := any(&v).(type) {
	case *string:
		*p = string(m.content)
	case *[]byte:
		*p = bytes.Clone(m.content)
	default:
		return v, fmt.Errorf("comm: content of %q: %s does not decode into %T", m.typ, m.contentType, v)
	}
	return v, nil
}

// WithID sets the id: at most 128 bytes without control characters.
func WithID(id string) MessageOption {
	return messageOption(func(m *Message) error { m.id = id; return nil })
}

// From sets the sender to a connection's user or, where it has none, to the connection.
func From(c *Conn) MessageOption {
	return sender{c}
}

type sender struct{ *Conn }

func (s sender) applyMessage(m *Message) error {
	m.from = s.Address()
	return nil
}

// WithFrom sets the sender to any name, for example that of the service.
func WithFrom(name string) MessageOption {
	return messageOption(func(m *Message) error {
		if len(name) > MaxUserLength || !plain(name) {
			return &MessageError{"from", shorten(name), "at most 256 bytes of UTF-8 without control characters"}
		}
		m.from = name
		return nil
	})
}

// WithTimestamp sets the timestamp. The default is now.
func WithTimestamp(t time.Time) MessageOption {
	return messageOption(func(m *Message) error { m.timestamp = t.UTC(); return nil })
}

// WithHeader sets one header. A message has at most 64 headers and 8 KiB of them.
func WithHeader(name, value string) MessageOption {
	return messageOption(func(m *Message) error {
		if m.headers == nil {
			m.headers = make(map[string]string)
		}
		m.headers[name] = value
		return checkHeaders(m.headers)
	})
}

func checkHeaders(h map[string]string) error {
	size := 0
	for k, v := range h {
		size += len(k) + len(v)
		if k == "" || !plain(k) || !plain(v) {
			return &MessageError{"headers", shorten(k), "names and values of UTF-8 without control characters"}
		}
	}
	if len(h) > maxHeaders || size > maxHeaderSize {
		return &MessageError{"headers", fmt.Sprint(len(h)), "64 headers and 8 KiB"}
	}
	return nil
}

// WithMetadata sets the metadata: any value that marshals to a JSON object.
func WithMetadata(v any) MessageOption {
	return messageOption(func(m *Message) error {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("comm: message metadata: %w", err)
		}
		if len(b) == 0 || b[0] != '{' {
			return &MessageError{"metadata", shorten(string(b)), "a JSON object"}
		}
		m.metadata = compactJSON(b)
		return nil
	})
}

// WithContentType sets the media type of content given as []byte. application/json makes the
// content JSON, which is checked; text/... must be UTF-8 and travels as a JSON string.
func WithContentType(mediaType string) MessageOption {
	return messageOption(func(m *Message) error {
		base, _, err := mime.ParseMediaType(mediaType)
		if err != nil || len(mediaType) > MaxTypeLength || !plain(mediaType) {
			return &MessageError{"content_type", shorten(mediaType), "a media type such as text/plain"}
		}
		m.contentType = mediaType
		if base == jsonType {
			m.contentType = ""
		}
		return nil
	})
}
