package comm

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// LogPosition is a place in one log: the last message that was seen of it.
// A log is the history of a group ("group:lobby"), a user ("user:ann") or everyone ("all").
type LogPosition struct {
	Log    string
	Epoch  string // changes when the log starts anew, for example with a new process
	Offset uint64 // of the last message seen; 0 is before the first
}

// Position says how far a client has read: one LogPosition a log, sorted by log.
// It grants nothing: on resume each log in it passes the authorisation of a join again.
//
// The zero Position is empty and ready to use. A Position must not be used by several goroutines
// at once while one of them changes it.
type Position struct{ logs []LogPosition }

// MaxPositionLength is the longest text form of a Position, in bytes. A join that would make a
// connection's position longer is refused with ErrTooManyLogs.
const MaxPositionLength = 4 << 10

// ParsePosition parses the text form: entries log@epoch:offset, joined by commas, where the log is
// percent-encoded. The empty string is the empty position.
func ParsePosition(s string) (Position, error) {
	var p Position
	if s == "" {
		return p, nil
	}
	if len(s) > MaxPositionLength {
		return p, fmt.Errorf("comm: position of %d bytes: allowed is %d", len(s), MaxPositionLength)
	}
	for entry := range strings.SplitSeq(s, ",") {
		l, err := parseLogPosition(entry)
		if err != nil {
			return Position{}, err
		}
		if _, dup := p.Get(l.Log); dup {
			return Position{}, fmt.Errorf("comm: position names log %q twice", l.Log)
		}
		p.Set(l)
	}
	return p, nil
}

func parseLogPosition(s string) (LogPosition, error) {
	name, rest, ok := strings.Cut(s, "@")
	epoch, off, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || name == "" || !isEpoch(epoch) {
		return LogPosition{}, badEntry(s)
	}
	offset, err := strconv.ParseUint(off, 10, 64)
	if err != nil || (len(off) > 1 && off[0] == '0') {
		return LogPosition{}, badEntry(s)
	}
	log, ok := unescapeLog(name)
	if !ok {
		return LogPosition{}, badEntry(s)
	}
	return LogPosition{Log: log, Epoch: epoch, Offset: offset}, nil
}

func badEntry(s string) error {
	return fmt.Errorf("comm: position entry %q: allowed is log@epoch:offset", shorten(s))
}

// isEpoch reports whether s is 1 to 32 characters of [0-9a-z.].
func isEpoch(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '.') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// String returns the canonical text form.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends the canonical text form to dst.
func (p Position) Append(dst []byte) []byte {
	for i, l := range p.logs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = l.Append(dst)
	}
	return dst
}

// Append appends the text form of the entry to dst.
func (l LogPosition) Append(dst []byte) []byte {
	dst = appendEscapedLog(dst, l.Log)
	dst = append(dst, '@')
	dst = append(dst, l.Epoch...)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, l.Offset, 10)
}

// String returns the text form of the entry.
func (l LogPosition) String() string { return string(l.Append(nil)) }

// placeLength is the longest that an entry of a log can get while its offset grows, for an epoch of so many bytes.
func placeLength(log string, epoch int) int {
	n := epoch + 2 + 20 + 1
	for i := range len(log) {
		if plainLogByte(log[i]) {
			n++
		} else {
			n += 3
		}
	}
	return n
}

// Get returns the entry of a log.
func (p Position) Get(log string) (LogPosition, bool) {
	i, ok := p.find(log)
	if !ok {
		return LogPosition{}, false
	}
	return p.logs[i], true
}

// Set adds or replaces the entry of l.Log.
func (p *Position) Set(l LogPosition) {
	i, ok := p.find(l.Log)
	if ok {
		p.logs[i] = l
		return
	}
	p.logs = slices.Insert(p.logs, i, l)
}

// Advance sets the entry of an existing log forward; it ignores logs that are not in p and, within
// one epoch, smaller offsets. It reports whether anything changed.
func (p *Position) Advance(l LogPosition) bool {
	i, ok := p.find(l.Log)
	if !ok || p.logs[i].Epoch == l.Epoch && p.logs[i].Offset >= l.Offset {
		return false
	}
	p.logs[i].Epoch, p.logs[i].Offset = l.Epoch, l.Offset
	return true
}

// Remove drops the entry of a log.
func (p *Position) Remove(log string) {
	if i, ok := p.find(log); ok {
		p.logs = slices.Delete(p.logs, i, i+1)
	}
}

// Len returns the number of logs.
func (p Position) Len() int { return len(p.logs) }

// Logs returns a copy of the entries, sorted by log.
func (p Position) Logs() []LogPosition { return slices.Clone(p.logs) }

// Clone returns a copy that shares nothing with p.
func (p Position) Clone() Position { return Position{slices.Clone(p.logs)} }

// Observe applies a frame that a client received to its position: a joined or left log, a logged
// message, a gap. It reports whether anything changed. Every carrier that keeps a position for its
// client, and every client, uses this one function.
func (p *Position) Observe(f *Frame) bool {
	switch f.Op {
	case OpJoined:
		if f.Log.Log == "" {
			return false
		}
		p.Set(f.Log)
		return true
	case OpLeft:
		n := p.Len()
		p.Remove(f.Log.Log)
		return p.Len() != n
	case OpGap:
		// One without an end tells of an epoch that is over; joined has set the place in the new one.
		return f.Log.Log != "" && f.Log.Offset > 0 && p.Advance(f.Log)
	case OpMessage:
		return f.Log.Log != "" && p.Advance(f.Log)
	}
	return false
}

func (p Position) find(log string) (int, bool) {
	// With slices.BinarySearchFunc every name that is looked for takes memory.
	i := sort.Search(len(p.logs), func(i int) bool { return p.logs[i].Log >= log })
	return i, i < len(p.logs) && p.logs[i].Log == log
}

func plainLogByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '_' || c == '-' || c == '/' || c == ':'
}

const upperHex = "0123456789ABCDEF"

func appendEscapedLog(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; plainLogByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// unescapeLog is strict: only what appendEscapedLog writes is accepted, so that the text form is canonical.
func unescapeLog(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if plainLogByte(s[i]) {
			out = append(out, s[i])
			continue
		}
		if s[i] != '%' || i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 || plainLogByte(byte(hi<<4|lo)) {
			return "", false
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), plain(string(out))
}
