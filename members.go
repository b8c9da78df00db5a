package comm

import (
	"encoding/json"
	"mime"
	"time"
	"unicode/utf8"
)

// Members are the members of a message as data, for a [Codec] beside JSON: what it has read becomes a
// message by Message or Reply, and [Message.Members] is what it writes. Services use [NewMessage].
type Members struct {
	ID          string
	Type        string
	Content     []byte // nil is the JSON value null
	ContentType string // a media type; "" is application/json
	From, To    string
	Timestamp   time.Time // zero where a client left it out
	Headers     map[string]string
	Metadata    json.RawMessage // a JSON object, or nil
}

// Members returns the members of m. What they refer to is m's own and must not be modified.
func (m *Message) Members() Members {
	return Members{
		ID: m.id, Type: m.typ, Content: m.content, ContentType: m.contentType, From: m.from, To: m.to,
		Timestamp: m.timestamp, Headers: m.headers, Metadata: m.metadata,
	}
}

// Message returns the message or call that v describes. It takes over what v refers to, and holds every
// rule of PROTOCOL.md; what breaks one is a *MessageError.
func (v Members) Message() (*Message, error) {
	if err := checkType(v.Type); err != nil {
		return nil, err
	}
	if len(v.To) > maxAddress || !plain(v.To) {
		return nil, &MessageError{"to", shorten(v.To), "an address such as group:lobby"}
	}
	m, err := v.Reply()
	if err != nil {
		return nil, err
	}
	m.typ, m.from, m.to, m.timestamp = v.Type, v.From, v.To, v.Timestamp
	if v.Metadata != nil {
		if m.metadata, err = metadataObject(v.Metadata); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Reply returns the message of a reply, which has an id, content and headers alone.
func (v Members) Reply() (*Message, error) {
	if len(v.ID) > MaxIDLength || !plain(v.ID) {
		return nil, &MessageError{"id", shorten(v.ID), "at most 128 bytes of UTF-8 without control characters"}
	}
	if err := checkHeaders(v.Headers); err != nil {
		return nil, err
	}
	m := &Message{id: v.ID, content: v.Content, headers: v.Headers}
	return m, m.setMedia(v.ContentType)
}

// setMedia takes the content's media type, and holds the content against it.
func (m *Message) setMedia(mediaType string) error {
	if m.content == nil {
		m.content = []byte("null")
	}
	if mediaType == "" || mediaType == jsonType {
		return m.checkJSON()
	}
	if !bareMedia(mediaType) {
		base, _, err := mime.ParseMediaType(mediaType)
		if err != nil || len(mediaType) > MaxTypeLength || !plain(mediaType) {
			return &MessageError{"content_type", shorten(mediaType), "a media type such as text/plain"}
		}
		if base == jsonType {
			return m.checkJSON()
		}
	}
	m.contentType = mediaType
	if m.Text() && !utf8.Valid(m.content) {
		return &MessageError{"content", shorten(string(m.content)), "valid UTF-8 for " + mediaType}
	}
	return nil
}

// bareMedia reports whether s is a media type as most are: two short names in lower case, without parameters. What
// is not may be one too.
func bareMedia(s string) bool {
	slash := 0
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '+', c == '.':
		case c == '/' && slash == 0:
			slash = i
		default:
			return false
		}
	}
	return slash > 0 && slash < len(s)-1 && len(s) <= MaxTypeLength
}

// maxAddress is the longest address there is: that of a user.
const maxAddress = MaxUserLength + 8

// metadataObject holds the metadata that a client sends against the rules.
func metadataObject(v json.RawMessage) (json.RawMessage, error) {
	if len(v) == 0 || v[0] != '{' || !json.Valid(v) || !utf8.Valid(v) {
		return nil, &MessageError{"metadata", shorten(string(v)), "a JSON object"}
	}
	return compactJSON(v), nil
}
