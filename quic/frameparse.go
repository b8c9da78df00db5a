package commquic

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unicode/utf8"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
)

// span is where a field's value stands in the payload; the zero span is an absent field.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// maxPairs is how many headers, or members of a hello's metadata, are read: one more than is allowed, or more.
const maxPairs = 64

// frameParser collects the fields of one frame.
type frameParser struct {
	payload []byte
	text    string // what stands before the content, as one string that all members share
	fields  [keyCount]span
	seen    uint64
	headers int // fields of that key
	facts   int
	groups  int
	alone   string // the address of a message without one
}

// parseFrame decodes a frame. With own, the frame may keep data.
func parseFrame(data []byte, own bool) (*comm.Frame, error) { return parseFrameTo(data, own, "") }

// parseFrameTo gives a message without an address the one of the receiver alone.
func parseFrameTo(data []byte, own bool, alone string) (*comm.Frame, error) {
	typ, head, size, err := frameSize(data)
	if err != nil {
		return nil, badFrame("", "%v", err)
	}
	if size != uint64(len(data)) {
		return nil, badFrame("", "a frame of %d bytes in %d", size, len(data))
	}
	p := frameParser{payload: data[head:], alone: alone}
	if err := p.scan(); err != nil {
		return nil, p.explain(err)
	}
	if typ >= uint64(len(frameOps)) || !frameOps[typ].known {
		return nil, unknownType(p.readID(), typ)
	}
	f := &comm.Frame{Op: frameOps[typ].op}
	if err := p.build(f, own); err != nil {
		return nil, p.explain(err)
	}
	return f, nil
}

// explain makes any error one of a frame, with its id.
func (p *frameParser) explain(err error) error {
	id := p.readID()
	if fe, ok := errors.AsType[*comm.FrameError](err); ok {
		fe.ID = id
		return fe
	}
	if me, ok := errors.AsType[*comm.MessageError](err); ok {
		return &comm.FrameError{Code: comm.CodeBadMessage, ID: id, Text: me.Error()}
	}
	return badFrame(id, "%v", err)
}

var errField = errors.New("a field ends behind the frame")

// scan finds the fields. Those with keys that are not known here are skipped.
func (p *frameParser) scan() error {
	b := p.payload
	for at := 0; at < len(b); {
		key, n, err := quicvarint.Parse(b[at:])
		if err != nil {
			return errField
		}
		length, m, err := quicvarint.Parse(b[at+n:])
		if err != nil || length > uint64(len(b)-at-n-m) {
			return errField
		}
		value := span{at + n + m, at + n + m + int(length)}
		at = value.to
		if key == 0 || key >= keyCount {
			continue
		}
		if err := p.note(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *frameParser) note(key uint64, value span) error {
	switch key {
	case keyHeader:
		p.headers++
	case keyHelloFact:
		p.facts++
	case keyGroup:
		p.groups++
	default:
		if p.seen&(1<<key) != 0 {
			return badField("", key, "stands twice")
		}
	}
	p.seen |= 1 << key
	p.fields[key] = value
	return nil
}

func (p *frameParser) has(key uint64) bool { return p.seen&(1<<key) != 0 }

func (p *frameParser) raw(key uint64) []byte {
	s := p.fields[key]
	return p.payload[s.from:s.to:s.to]
}

// readID is the id where there is a good one.
func (p *frameParser) readID() string {
	b := p.raw(keyID)
	if len(b) > comm.MaxIDLength || !plain(b) {
		return ""
	}
	return string(b)
}

// plain reports whether b is UTF-8 without control characters.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// build makes of the fields what the op has.
func (p *frameParser) build(f *comm.Frame, own bool) error {
	if id := p.raw(keyID); len(id) > comm.MaxIDLength || !plain(id) {
		return badField("", keyID, "allowed is at most 128 bytes of UTF-8 without control characters")
	}
	if err := p.share(); err != nil {
		return err
	}
	f.ID = p.str(keyID)
	switch f.Op {
	case comm.OpMessage, comm.OpCall, comm.OpReply:
		return p.message(f, own)
	case comm.OpHello:
		return p.hello(f)
	case comm.OpWelcome:
		return p.welcome(f)
	}
	return p.control(f)
}

// textKeys are the fields that are text.
const textKeys = 1<<keyID | 1<<keyType | 1<<keyContentType | 1<<keyFrom | 1<<keyTo | 1<<keyLog | 1<<keyEpoch | 1<<keyTarget |
	1<<keyToken | 1<<keyPosition | 1<<keySession | 1<<keyCode | 1<<keyText | 1<<keyConn | 1<<keyUser | 1<<keyNode | 1<<keyLane

// share makes one string of all text, which lives as long as any part of it: a message is one thing.
func (p *frameParser) share() error {
	for rest := p.seen & textKeys; rest != 0; rest &= rest - 1 {
		key := uint64(bits.TrailingZeros64(rest))
		if !utf8.Valid(p.raw(key)) {
			return badField("", key, "allowed is UTF-8")
		}
	}
	end := len(p.payload)
	if c := p.fields[keyContent]; p.has(keyContent) && c.to == end {
		end = c.from // nothing of the content
	}
	p.text = string(p.payload[:end])
	return nil
}

func (p *frameParser) str(key uint64) string {
	s := p.fields[key]
	return p.text[s.from:s.to]
}

func (p *frameParser) message(f *comm.Frame, own bool) error {
	v := comm.Members{ID: p.str(keyID), ContentType: p.str(keyContentType), Content: p.bytes(keyContent, own)}
	var err error
	if v.Headers, err = p.pairs(keyHeader, p.headers); err != nil {
		return err
	}
	if f.Op == comm.OpReply {
		v.ID = ""
		f.Message, err = v.Reply()
		return err
	}
	v.Type, v.From, v.To = p.str(keyType), p.str(keyFrom), p.str(keyTo)
	if v.To == "" && f.Op == comm.OpMessage {
		v.To = p.alone
	}
	v.Metadata = p.bytes(keyMetadata, own)
	if v.Timestamp, err = p.time(keyTimestamp); err != nil {
		return err
	}
	if f.Ack, err = p.flag(keyAck); err != nil {
		return err
	}
	if f.Log, err = p.log(); err != nil {
		return err
	}
	f.Message, err = v.Message()
	return err
}

// bytes is the field's value, copied unless the frame may keep it; nil is an absent field.
func (p *frameParser) bytes(key uint64, own bool) []byte {
	if !p.has(key) {
		return nil
	}
	if b := p.raw(key); !own {
		return append(make([]byte, 0, len(b)), b...)
	}
	return p.raw(key)
}

func (p *frameParser) hello(f *comm.Frame) (err error) {
	h := &comm.Hello{Session: p.str(keySession)}
	f.Hello, f.Token = h, p.str(keyToken)
	version, err := p.number(keyVersion)
	if err != nil {
		return err
	}
	if version > 1<<31-1 {
		return badField("", keyVersion, "allowed is at most 2147483647")
	}
	h.Version = int(version)
	if h.Metadata, err = p.pairs(keyHelloFact, p.facts); err != nil {
		return err
	}
	if h.Groups, err = p.list(keyGroup, p.groups); err != nil {
		return err
	}
	f.Position, err = p.position()
	return err
}

func (p *frameParser) welcome(f *comm.Frame) (err error) {
	w := &comm.Welcome{Conn: p.str(keyConn), Session: p.str(keySession), User: p.str(keyUser), Node: p.str(keyNode)}
	f.Welcome = w
	version, err := p.number(keyVersion)
	most, err2 := p.number(keyMaxMessage)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	w.Version, w.MaxMessage = int(min(version, 1<<31-1)), int(min(most, 1<<31-1))
	if w.Heartbeat, err = p.millis(keyHeartbeat); err != nil {
		return err
	}
	if w.Resumed, err = p.flag(keyResumed); err != nil {
		return err
	}
	f.Expires, err = p.time(keyExpires)
	return err
}

func (p *frameParser) control(f *comm.Frame) (err error) {
	if p.groups > 1 {
		return badField("", keyGroup, "stands twice")
	}
	if !utf8.Valid(p.raw(keyGroup)) {
		return badField("", keyGroup, "allowed is UTF-8")
	}
	f.Group, f.Target, f.Token = p.str(keyGroup), p.str(keyTarget), p.str(keyToken)
	f.Code, f.Text = comm.Code(p.str(keyCode)), p.str(keyText)
	if f.Log, err = p.log(); err != nil {
		return err
	}
	if f.Position, err = p.position(); err != nil {
		return err
	}
	if f.Expires, err = p.time(keyExpires); err != nil {
		return err
	}
	switch f.Op {
	case comm.OpClosing:
		f.Closing = &comm.Closing{}
		if f.Closing.Reconnect, err = p.flag(keyReconnect); err == nil {
			f.Closing.After, err = p.millis(keyAfter)
		}
	case comm.OpGap:
		if !p.has(keyFirst) {
			return badField("", keyFirst, "a gap has one")
		}
		f.GapFrom, err = p.number(keyFirst)
	}
	return err
}

func (p *frameParser) log() (l comm.LogPosition, err error) {
	l.Log, l.Epoch = p.str(keyLog), p.str(keyEpoch)
	l.Offset, err = p.number(keyOffset)
	return l, err
}

func (p *frameParser) position() (comm.Position, error) {
	if !p.has(keyPosition) {
		return comm.Position{}, nil
	}
	pos, err := comm.ParsePosition(p.str(keyPosition))
	if err != nil {
		return pos, &comm.FrameError{Code: comm.CodeBadPosition, Text: err.Error()}
	}
	return pos, nil
}

func (p *frameParser) number(key uint64) (uint64, error) {
	if !p.has(key) {
		return 0, nil
	}
	v, n, err := quicvarint.Parse(p.raw(key))
	if err != nil || n != p.fields[key].len() {
		return 0, badField("", key, "allowed is one number")
	}
	return v, nil
}

func (p *frameParser) flag(key uint64) (bool, error) {
	if p.fields[key].len() > 0 {
		return false, badField("", key, "allowed is no value: it says yes by being there")
	}
	return p.has(key), nil
}

// maxMillis is a day.
const maxMillis = uint64(24 * time.Hour / time.Millisecond)

func (p *frameParser) millis(key uint64) (time.Duration, error) {
	v, err := p.number(key)
	if err == nil && v > maxMillis {
		err = badField("", key, fmt.Sprintf("%d: allowed is 0 to %d milliseconds", v, maxMillis))
	}
	return time.Duration(v) * time.Millisecond, err
}

func (p *frameParser) time(key uint64) (time.Time, error) {
	if !p.has(key) {
		return time.Time{}, nil
	}
	b := p.raw(key)
	zigzag, n, err := quicvarint.Parse(b)
	if err != nil {
		return time.Time{}, badField("", key, "allowed are two numbers")
	}
	ns, m, err := quicvarint.Parse(b[n:])
	if err != nil || n+m != len(b) {
		return time.Time{}, badField("", key, "allowed are two numbers")
	}
	s := int64(zigzag>>1) ^ -int64(zigzag&1)
	if s < minSeconds || s > maxSeconds || ns >= uint64(time.Second) {
		return time.Time{}, badField("", key, "allowed are the years 1 to 9999")
	}
	return time.Unix(s, int64(ns)).UTC(), nil
}

// each calls f with every value of a key that repeats.
func (p *frameParser) each(key uint64, f func(span) error) error {
	b := p.payload
	for at := 0; at < len(b); {
		k, n, _ := quicvarint.Parse(b[at:]) // scan has read all of it
		length, m, _ := quicvarint.Parse(b[at+n:])
		value := span{at + n + m, at + n + m + int(length)}
		at = value.to
		if k == key {
			if err := f(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// list is a key that repeats, as a list.
func (p *frameParser) list(key uint64, n int) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	all := make([]string, 0, n)
	err := p.each(key, func(s span) error {
		if !utf8.Valid(p.payload[s.from:s.to]) {
			return badField("", key, "allowed is UTF-8")
		}
		all = append(all, p.text[s.from:s.to])
		return nil
	})
	return all, err
}

// pairs is a key that repeats, with a name and a value each.
func (p *frameParser) pairs(key uint64, n int) (map[string]string, error) {
	if n == 0 {
		return nil, nil
	}
	if n > maxPairs {
		return nil, badField("", key, fmt.Sprintf("%d: allowed is %d", n, maxPairs))
	}
	m := make(map[string]string, n)
	err := p.each(key, func(s span) error {
		name, value, err := p.pair(s)
		if err != nil {
			return badField("", key, err.Error())
		}
		if _, twice := m[name]; twice {
			return badField("", key, fmt.Sprintf("%q stands twice", name))
		}
		m[name] = value
		return nil
	})
	return m, err
}

var errPair = errors.New("allowed are the length of a name, the name and a value, in UTF-8")

func (p *frameParser) pair(s span) (name, value string, err error) {
	length, n, err := quicvarint.Parse(p.payload[s.from:s.to])
	if err != nil || length > uint64(s.len()-n) {
		return "", "", errPair
	}
	middle := s.from + n + int(length)
	if !utf8.Valid(p.payload[s.from+n:middle]) || !utf8.Valid(p.payload[middle:s.to]) {
		return "", "", errPair
	}
	return p.text[s.from+n : middle], p.text[middle:s.to], nil
}
