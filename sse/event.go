package sse

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ContentType is the media type of an event stream.
const ContentType = "text/event-stream"

// Event is one event of a stream. The zero value encodes to nothing.
//
// An Event is a value; it may be copied freely, and encoded by several goroutines at once as long as
// nobody changes the bytes of Data.
type Event struct {
	// ID becomes the client's last event ID, which it sends back when it reconnects.
	// Empty means no id line: the client keeps the one it has. In a parsed event it is the
	// last ID in force, whichever event brought it.
	ID string
	// Type is the name the client listens for. Empty means the default type, "message".
	Type string
	// Data is the content: UTF-8 text, of any number of lines. A line may end in LF, CR or CRLF; the
	// client receives LF. Bytes that are not UTF-8 reach the client as U+FFFD.
	// Nil with an empty Type means no data line, so that no event is dispatched: such an Event carries
	// only its ID, Retry or Comment. Nil with a Type is sent as empty data, because a client drops
	// an event that has none.
	Data []byte
	// Retry asks the client to wait this long before it reconnects. Zero means no retry line;
	// it travels in milliseconds, a fraction is rounded up.
	Retry time.Duration
	// Comment is text that clients ignore. A parsed event has none.
	Comment string
	// ResetID makes the client forget its last event ID (an id line without a value).
	// It cannot be combined with ID. A parsed event never has it.
	ResetID bool
}

// FieldError reports a field of an [Event] that cannot be put into a stream.
type FieldError struct {
	// Field is the line's name on the wire: "id", "event" or "retry".
	Field string
	// Offset is the position of the first refused byte, or -1 when the value as a whole is refused.
	Offset int
	// Reason says what was found and what is allowed.
	Reason string
}

// Error names the field, the position and what is allowed.
func (e *FieldError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("sse: field %q %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("sse: field %q at byte %d %s", e.Field, e.Offset, e.Reason)
}

// Append appends the event's wire form, with the empty line that ends it, to dst and returns the
// extended slice. It allocates only when dst lacks capacity. The result may be sent to any number of
// clients: encode once, send often.
//
// An ID or Type that holds CR, LF, NUL or invalid UTF-8 would forge lines or be ignored by the client:
// it is refused with a [*FieldError], and so is a negative Retry. dst is then returned as it was.
func (e *Event) Append(dst []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return dst, err
	}
	start := len(dst)
	if e.Comment != "" {
		dst = appendLines(dst, ": ", e.Comment)
	}
	switch {
	case e.ID != "":
		dst = appendField(dst, "id: ", e.ID)
	case e.ResetID:
		dst = append(dst, "id\n"...)
	}
	if e.Type != "" {
		dst = appendField(dst, "event: ", e.Type)
	}
	if e.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, retryMillis(e.Retry), 10)
		dst = append(dst, '\n')
	}
	if e.Data != nil || e.Type != "" {
		dst = appendLines(dst, "data: ", e.Data)
	}
	if len(dst) == start {
		return dst, nil
	}
	return append(dst, '\n'), nil
}

// AppendID appends an id line alone, without the empty line that would end the event. Put in front of
// an event encoded without an ID, it gives shared bytes an ID of one connection's own. An empty id
// makes the client forget its last event ID. It refuses what [Event.Append] refuses.
func AppendID(dst []byte, id string) ([]byte, error) {
	if err := checkName("id", id); err != nil {
		return dst, err
	}
	if id == "" {
		return append(dst, "id\n"...), nil
	}
	return appendField(dst, "id: ", id), nil
}

func (e *Event) check() error {
	if e.ID != "" {
		if e.ResetID {
			return &FieldError{Field: "id", Offset: -1, Reason: "is set together with ResetID; only one of them is allowed"}
		}
		if err := checkName("id", e.ID); err != nil {
			return err
		}
	}
	if e.Retry < 0 {
		return &FieldError{Field: "retry", Offset: -1, Reason: fmt.Sprintf("is %v; zero or a positive duration is allowed", e.Retry)}
	}
	return checkName("event", e.Type)
}

// checkName refuses what would end the line (frame injection), and NUL, for which clients ignore an id.
func checkName(field, s string) error {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r' || c == '\n' || c == 0:
			return &FieldError{Field: field, Offset: i, Reason: fmt.Sprintf("holds %q; CR, LF and NUL are not allowed", c)}
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && !utf8.ValidString(s) {
		return &FieldError{Field: field, Offset: invalidAt(s), Reason: "is not UTF-8; a client would receive U+FFFD"}
	}
	return nil
}

func invalidAt(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func retryMillis(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendLines writes text as one field line per line of it. CR alone ends a line for the client too,
// which is why splitting on LF only would let data forge fields.
func appendLines[T string | []byte](dst []byte, name string, text T) []byte {
	for {
		i := lineEnd(text)
		dst = append(dst, name...)
		if i < 0 {
			dst = append(dst, text...)
			return append(dst, '\n')
		}
		dst = append(dst, text[:i]...)
		dst = append(dst, '\n')
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
}

// scanWindow bounds how far lineEnd looks for one kind of line end before it tries the other,
// so that a text that uses only one kind is not scanned to its end for every line.
const scanWindow = 512

// lineEnd returns the index of the first CR or LF, or -1.
func lineEnd[T string | []byte](text T) int {
	for off := 0; off < len(text); off += scanWindow {
		window := text[off:min(off+scanWindow, len(text))]
		lf := indexByte(window, '\n')
		if lf >= 0 {
			window = window[:lf]
		}
		if cr := indexByte(window, '\r'); cr >= 0 {
			return off + cr
		}
		if lf >= 0 {
			return off + lf
		}
	}
	return -1
}

func indexByte[T string | []byte](text T, c byte) int {
	switch t := any(text).(type) {
	case string:
		return strings.IndexByte(t, c)
	case []byte:
		return bytes.IndexByte(t, c)
	}
	return -1
}
