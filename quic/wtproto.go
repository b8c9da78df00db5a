package commquic

import (
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// Settings of HTTP/3 that say that an end speaks WebTransport. Drafts renamed and renumbered it; browsers
// look for the one they know.
const (
	settingWebTransport02   = 0x2b603742 // ENABLE_WEBTRANSPORT, draft 02: Chromium
	settingWebTransport07   = 0xc671706a // WEBTRANSPORT_MAX_SESSIONS, drafts 07 to 12
	settingWebTransport13   = 0x14e9cd29 // WT_MAX_SESSIONS, drafts 13 and 14
	settingWebTransport15   = 0x2c7cf000 // WT_ENABLED, draft 15
	protocolWebTransport    = "webtransport"
	protocolWebTransport15  = "webtransport-h3"
	uniStreamWebTransport   = 0x54 // the type of a unidirectional stream of a session
	bidiStreamWebTransport  = 0x41 // the signal at the beginning of a bidirectional one
	capsuleClose            = http3.CapsuleType(0x2843)
	capsuleDrain            = http3.CapsuleType(0x78ae)
	codeBufferedRejected    = quic.StreamErrorCode(0x3994bd84) // no session has come for the stream
	codeSessionGone         = quic.StreamErrorCode(0x170d7b68) // the session has ended
	maxWebTransportCloseMsg = 1024                             // bytes of a close reason
)

// webTransportSettings are what this end sends. max is how many sessions a client may have on one
// connection; draft 02 knows yes and no only. Drafts before 13 know no limits.
func webTransportSettings(max uint64, limits wtLimits) map[uint64]uint64 {
	all := map[uint64]uint64{
		settingWebTransport02: 1, settingWebTransport07: max, settingWebTransport13: max, settingWebTransport15: 1,
	}
	limits.settings(all)
	return all
}

// speaksWebTransport reports whether the peer's settings announce any draft of it.
func speaksWebTransport(s *http3.Settings) bool {
	for _, id := range []uint64{settingWebTransport02, settingWebTransport07, settingWebTransport13, settingWebTransport15} {
		if s.Other[id] > 0 {
			return true
		}
	}
	return false
}

// isWebTransport reports whether a request asks for a session.
func isWebTransport(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.ProtoMajor == 3 && (r.Proto == protocolWebTransport || r.Proto == protocolWebTransport15)
}

// Application codes of a session have 32 bits. On the wire they lie in a range of HTTP/3's codes that
// leaves out every 31st, which HTTP/3 reserves for greasing.
const (
	firstApplicationCode = 0x52e4a40fa8db
	lastApplicationCode  = 0x52e5ac983162
)

// wireCode is an application's code as a code of HTTP/3.
func wireCode(code uint32) quic.StreamErrorCode {
	return quic.StreamErrorCode(firstApplicationCode + uint64(code) + uint64(code)/0x1e)
}

// applicationCode is the reverse; ok is false for a code that no application has given.
func applicationCode(wire quic.StreamErrorCode) (code uint32, ok bool) {
	if wire < firstApplicationCode || wire > lastApplicationCode || (wire-0x21)%0x1f == 0 {
		return 0, false
	}
	n := uint64(wire) - firstApplicationCode
	return uint32(n - n/0x1f), true
}

// appendStreamHeader begins a stream of a session.
func appendStreamHeader(b []byte, kind uint64, session quic.StreamID) []byte {
	return quicvarint.Append(quicvarint.Append(b, kind), uint64(session))
}

// peeker is a stream whose beginning can be looked at.
type peeker interface {
	io.Reader
	Peek(p []byte) (int, error)
}

// peekVarint returns the varint at the beginning of a stream, without consuming it.
func peekVarint(s peeker) (uint64, error) {
	var b [8]byte
	if _, err := s.Peek(b[:1]); err != nil {
		return 0, err
	}
	n := 1 << (b[0] >> 6) // RFC 9000 16
	if n > 1 {
		if _, err := s.Peek(b[:n]); err != nil {
			return 0, err
		}
	}
	v, _, err := quicvarint.Parse(b[:n])
	return v, err
}

// errSessionID ends a connection whose peer names a session that cannot exist (H3_ID_ERROR).
var errSessionID = errors.New("commquic: a WebTransport session is named by a client's bidirectional stream")

// readStreamHeader consumes the beginning of a stream whose kind was peeked, and returns its session and how many
// bytes it was.
func readStreamHeader(s io.Reader) (id quic.StreamID, size int64, err error) {
	r := &countedReader{Reader: quicvarint.NewReader(s)}
	if _, err := quicvarint.Read(r); err != nil {
		return 0, 0, err
	}
	n, err := quicvarint.Read(r)
	if err != nil {
		return 0, 0, err
	}
	if n%4 != 0 {
		return 0, 0, errSessionID
	}
	return quic.StreamID(n), r.count, nil
}

// countedReader counts the bytes of numbers, which may be longer than they need to be.
type countedReader struct {
	quicvarint.Reader
	count int64
}

func (r *countedReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.count++
	}
	return b, err
}

// Errors of a session's capsules: H3_MESSAGE_ERROR on its stream.
var (
	errCloseTooLong  = errors.New("commquic: a WebTransport close reason is longer than 1024 bytes")
	errCloseTooShort = errors.New("commquic: a WebTransport close capsule without a code")
	errCloseNoText   = errors.New("commquic: a WebTransport close reason is not UTF-8")
)

// wtClose is what a CLOSE_WEBTRANSPORT_SESSION capsule says.
type wtClose struct {
	code    uint32
	message string
}

// appendClose writes the capsule. A reason of more than 1,024 bytes is cut at a character.
func appendClose(b []byte, c wtClose) []byte {
	msg := cutReason(c.message)
	b = quicvarint.Append(b, uint64(capsuleClose))
	b = quicvarint.Append(b, uint64(4+len(msg)))
	b = append(b, byte(c.code>>24), byte(c.code>>16), byte(c.code>>8), byte(c.code))
	return append(b, msg...)
}

func cutReason(s string) string {
	if len(s) <= maxWebTransportCloseMsg {
		return s
	}
	n := maxWebTransportCloseMsg
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// wtCapsules are the functions that a session's capsules are handed to.
type wtCapsules struct {
	drain func()
	limit func(http3.CapsuleType, uint64) error // nil: flow control is none of this session's
	close func(wtClose)
}

// readCapsules hands on capsules until the stream ends, or one is refused. It holds no more of them than a close
// reason: what is unknown is read and dropped. It returns nil for an end without a close capsule.
func readCapsules(r io.Reader, to wtCapsules) error {
	p := http3.NewCapsuleParser(r)
	for {
		kind, body, err := p.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		switch {
		case kind == capsuleClose:
			c, err := readClose(body)
			if err == nil {
				to.close(c)
			}
			return err
		case kind == capsuleDrain:
			to.drain()
		case to.limit != nil && isFlowCapsule(kind):
			n, err := readLimit(kind, body)
			if err == nil {
				err = to.limit(kind, n)
			}
			if err != nil {
				return err
			}
		}
		if err := body.Discard(); err != nil {
			return err
		}
	}
}

func readClose(body http3.CapsuleReader) (c wtClose, err error) {
	switch n := body.Remaining(); {
	case n < 4:
		return c, errCloseTooShort
	case n > 4+maxWebTransportCloseMsg:
		return c, errCloseTooLong
	}
	b := make([]byte, body.Remaining())
	if _, err := io.ReadFull(body, b); err != nil {
		return c, err
	}
	c.code = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if !utf8.Valid(b[4:]) { // draft 16, 6
		return c, errCloseNoText
	}
	c.message = string(b[4:])
	return c, nil
}
