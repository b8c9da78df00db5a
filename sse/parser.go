package sse

import (
	"bytes"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// DefaultMaxEventSize bounds one received event unless told otherwise: 1 MiB.
const DefaultMaxEventSize = 1 << 20

// keepBuffer is the largest buffer that a parser keeps between events; a bigger one is given back.
const keepBuffer = 64 << 10

// SizeError reports a received event that is larger than allowed.
type SizeError struct {
	// Limit is the allowed size in bytes.
	Limit int
}

// Error names the limit.
func (e *SizeError) Error() string {
	return fmt.Sprintf("sse: received event is larger than the allowed %d bytes", e.Limit)
}

// Parser reads an event stream from chunks of any size (WHATWG HTML, 9.2.5 and 9.2.6).
// The result does not depend on where the chunks are cut. It does no I/O; [Decoder] reads from an io.Reader.
//
// The zero value is ready to use with [DefaultMaxEventSize]. A Parser is not safe for concurrent use.
type Parser struct {
	// where in the stream we are
	bom    int  // bytes of the byte order mark seen, or bomDone
	skipLF bool // the last byte was a CR, whose LF may follow
	line   []byte
	err    error

	// the event being collected
	data    []byte
	hasData bool
	typ     string
	id      string // the last event ID buffer: committed to lastID by the next empty line
	retry   time.Duration

	// what outlives an event
	lastID    string
	lastType  string // the previous event's type, so that a repeated one is not allocated again
	reconnect time.Duration
	hinted    bool
	limit     int
}

const bomDone = 4

var byteOrderMark = [3]byte{0xEF, 0xBB, 0xBF}

// Reset makes the parser ready for the start of another stream, on which lastEventID is in force from
// the first event on: the ID survives a reconnection as it does in browsers. The size limit is kept.
func (p *Parser) Reset(lastEventID string) {
	*p = Parser{lastID: lastEventID, id: lastEventID, limit: p.limit, line: p.line[:0], data: p.data[:0]}
}

// SetMaxEventSize bounds the bytes that one event may occupy, its lines included as they arrive.
// Zero or less means [DefaultMaxEventSize].
func (p *Parser) SetMaxEventSize(n int) { p.limit = n }

// LastEventID returns the last event ID string: the one to send as Last-Event-ID when reconnecting.
// It is set by the empty line that ends an event, even one that has no data and is not dispatched.
func (p *Parser) LastEventID() string { return p.lastID }

// Retry returns the reconnection time that the stream asked for last, and whether it did.
// It takes effect with its line, not with the end of the event.
func (p *Parser) Retry() (time.Duration, bool) { return p.reconnect, p.hinted }

// Next consumes src up to the end of the next event. When ok it returns the event and what of src is
// left for the following call; otherwise all of src was consumed and more input is needed. Input that
// ends in the middle of an event leaves that event unread, as the standard demands.
//
// ev.Data is valid until the following call. The only error is a [*SizeError]; it is final.
func (p *Parser) Next(src []byte) (ev Event, rest []byte, ok bool, err error) {
	if p.err != nil {
		return Event{}, nil, false, p.err
	}
	p.shrink()
	src = p.skipBOM(src)
	for len(src) > 0 {
		if p.skipLF {
			p.skipLF = false
			if src[0] == '\n' {
				src = src[1:]
				continue
			}
		}
		i := lineEnd(src)
		if i < 0 {
			return Event{}, nil, false, p.hold(src)
		}
		line := src[:i]
		p.skipLF = src[i] == '\r'
		src = src[i+1:]
		if ev, ok, err = p.take(line); ok || err != nil {
			return ev, src, ok, err
		}
	}
	return Event{}, nil, false, nil
}

// take handles one line without its end; p.line holds what came of it in earlier chunks.
func (p *Parser) take(line []byte) (ev Event, ok bool, err error) {
	if len(p.line) > 0 {
		if err := p.hold(line); err != nil {
			return Event{}, false, err
		}
		line = p.line
		p.line = p.line[:0]
	} else if err := p.fits(len(line)); err != nil {
		return Event{}, false, err
	}
	if len(line) == 0 {
		ev, ok = p.dispatch()
		return ev, ok, nil
	}
	p.field(line)
	return Event{}, false, nil
}

func (p *Parser) hold(part []byte) error {
	if err := p.fits(len(p.line) + len(part)); err != nil {
		return err
	}
	p.line = append(p.line, part...)
	return nil
}

func (p *Parser) fits(line int) error {
	limit := p.limit
	if limit <= 0 {
		limit = DefaultMaxEventSize
	}
	if line+len(p.data)+len(p.typ)+len(p.id) > limit {
		p.err = &SizeError{Limit: limit}
		p.line, p.data = nil, nil
	}
	return p.err
}

func (p *Parser) shrink() {
	if !p.hasData && cap(p.data) > keepBuffer {
		p.data = nil
	}
	if len(p.line) == 0 && cap(p.line) > keepBuffer {
		p.line = nil
	}
}

// skipBOM strips one leading byte order mark, which may come in pieces.
func (p *Parser) skipBOM(src []byte) []byte {
	for p.bom < len(byteOrderMark) && len(src) > 0 {
		if src[0] != byteOrderMark[p.bom] {
			p.line = append(p.line, byteOrderMark[:p.bom]...)
			p.bom = bomDone
			break
		}
		p.bom++
		src = src[1:]
	}
	return src
}

func (p *Parser) field(line []byte) {
	name, value, colon := bytes.Cut(line, []byte{':'})
	if colon && len(name) == 0 {
		return // a comment
	}
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		p.data = append(append(p.data, value...), '\n')
		p.hasData = true
	case "event":
		p.setType(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 && string(value) != p.id {
			p.id = string(appendUTF8(nil, value))
		}
	case "retry":
		p.setRetry(value)
	}
}

func (p *Parser) setType(value []byte) {
	if string(value) == p.lastType {
		p.typ = p.lastType
		return
	}
	p.typ = string(appendUTF8(nil, value))
}

func (p *Parser) setRetry(digits []byte) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if len(digits) == 0 {
		return
	}
	var ms int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return
		}
		ms = min(ms*10+int64(c-'0'), most)
	}
	p.retry = time.Duration(ms) * time.Millisecond
	p.reconnect, p.hinted = p.retry, true
}

// dispatch ends the event at an empty line (9.2.6). The ID is committed whether or not there is an event.
func (p *Parser) dispatch() (Event, bool) {
	p.lastID = p.id
	ev := Event{ID: p.id, Type: p.typ, Retry: p.retry}
	dispatched := p.hasData
	if dispatched {
		p.data = p.data[:len(p.data)-1]
		if !utf8.Valid(p.data) {
			p.data = appendUTF8(nil, p.data)
		}
		ev.Data = p.data
	}
	if p.typ != "" {
		p.lastType = p.typ
	}
	p.data, p.hasData, p.typ, p.retry = p.data[:0], false, "", 0
	return ev, dispatched
}

// appendUTF8 appends src with each maximal ill-formed part replaced by U+FFFD, as the UTF-8 decode of
// the Encoding standard does. Go's own conversion counts single bytes instead.
func appendUTF8(dst, src []byte) []byte {
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		if r == utf8.RuneError && n == 1 {
			n = illFormed(src)
		}
		dst = utf8.AppendRune(dst, r)
		src = src[n:]
	}
	return dst
}

// illFormed returns the length of the ill-formed part that src starts with: as many bytes as could
// begin one character (Unicode, table 3-7), at least one.
func illFormed(src []byte) int {
	lead := src[0]
	low, high, want := byte(0x80), byte(0xBF), 0
	switch {
	case lead >= 0xC2 && lead <= 0xDF:
		want = 1
	case lead >= 0xE0 && lead <= 0xEF:
		want = 2
	case lead >= 0xF0 && lead <= 0xF4:
		want = 3
	}
	switch lead {
	case 0xE0:
		low = 0xA0
	case 0xED:
		high = 0x9F
	case 0xF0:
		low = 0x90
	case 0xF4:
		high = 0x8F
	}
	n := 1
	for n <= want && n < len(src) && src[n] >= low && src[n] <= high {
		n++
		low, high = 0x80, 0xBF
	}
	return n
}
